"""Twilio's calls and numbers (API 2010-04-01), read over HTTP: one `CallLeg` per leg."""

import base64
import email.utils
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from threading import Event
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import quote

from pydantic import BeforeValidator, Field, ValidationError

from sync.errors import MalformedRecordError, NotYetError, UnexpectedAnswerError
from sync.fanout import fetch_each
from sync.http import Json, JsonClient, Params, RetryPolicy
from sync.limits import ConcurrencyLimit
from sync.models import UNBILLED_CALL_STATUSES, CallLeg, Failure, ListedNumber
from sync.phone_numbers import owned_number, plain_number
from sync.times import utc_now
from sync.traffic import Traffic
from sync.twilio_refusals import NUMBERS, explain
from sync.wire import (
    Count,
    Price,
    RecordId,
    Text,
    WireModel,
    clean,
    implausible_start,
    readable_id,
    what_is_wrong,
)

PAGE_SIZE = 1000  # the largest that Twilio gives
MAX_PAGES = 100_000
DAY = timedelta(days=1)

ACCOUNTS = "/2010-04-01/Accounts"
UNFINISHED = ("queued", "ringing", "in-progress")
NOT_DIALLED = ("queued", "initiated", "ringing")
LONGEST_DATE = 100  # characters


def _rfc2822(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(clean(str(value), LONGEST_DATE))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError("must be a date such as Wed, 10 Jun 2026 10:41:03 +0000") from exc


Moment = Annotated[datetime | None, BeforeValidator(_rfc2822)]


class _Call(WireModel):
    """A call as Twilio sends it: every value a string or null."""

    sid: RecordId
    parent_call_sid: RecordId | None = None
    status: Text
    direction: Text = "unknown"
    date_created: Moment = None
    start_time: Moment = None
    end_time: Moment = None
    duration: Count | None = None
    price: Price | None = None
    price_unit: Text | None = None
    from_number: Text | None = Field(None, alias="from")
    to_number: Text | None = Field(None, alias="to")


class _Account(WireModel):
    """What is read of an account: its token, which Twilio sends along, is none of it."""

    sid: RecordId
    status: Text = "active"


class _Number(WireModel):
    phone_number: Text
    friendly_name: Text | None = None


Model = TypeVar("Model", _Account, _Number)


def parse_leg(raw: Json, sid: str | None = None, *, fetched_at: datetime) -> CallLeg:
    """Return the leg that a call resource describes, or raise MalformedRecordError or NotYetError.

    An answer about another call than `sid` is no answer: a cache on the way may send one.
    """
    try:
        call = _Call.model_validate(raw)
    except ValidationError as exc:
        raise MalformedRecordError(f"Twilio sent a call that cannot be read: {what_is_wrong(exc)}.") from exc
    if sid and call.sid != sid:
        raise MalformedRecordError("Twilio answered with another call than the one that was asked for.")
    started_at = _started_at(call, fetched_at)
    is_on_trunk = call.direction.startswith("trunking-")
    return CallLeg(
        sid=call.sid,
        parent_call_sid=call.parent_call_sid if call.parent_call_sid != call.sid else None,
        status=call.status,
        direction=call.direction,
        started_at=started_at.replace(microsecond=0),
        ended_at=call.end_time,
        duration=call.duration,
        cost=_cost(call),
        price_unit=call.price_unit.upper() if call.price_unit else None,
        from_number=plain_number(call.from_number) if is_on_trunk else call.from_number,
        to_number=plain_number(call.to_number) if is_on_trunk else call.to_number,
        our_number=_our_number(call),
        fetched_at=fetched_at,
    )


def _started_at(call: _Call, fetched_at: datetime) -> datetime:
    started_at = call.start_time or call.date_created
    if started_at is None and call.status in NOT_DIALLED:
        raise NotYetError("Twilio has queued this call, and dates it when it is dialled.")
    why = implausible_start(started_at, fetched_at) if started_at else "it has no date"
    if started_at is None or why:
        raise MalformedRecordError(f"Twilio sent a call that cannot be read: {why}.")
    return started_at


def _cost(call: _Call) -> Decimal | None:
    """Twilio's price is a negative number, and stays null for calls that nobody answered: those cost nothing."""
    if call.price is not None:
        return abs(call.price)
    return Decimal(0) if call.status in UNBILLED_CALL_STATUSES else None


def _our_number(call: _Call) -> str | None:
    """Return the agency's side. On a SIP trunk, terminating is outbound and originating is inbound (Twilio docs)."""
    on_trunk = call.direction.startswith("trunking-")
    if call.direction == "inbound" or call.direction == "trunking-originating":
        return owned_number(call.to_number, on_trunk=on_trunk)
    if call.direction.startswith("outbound") or call.direction == "trunking-terminating":
        return owned_number(call.from_number, on_trunk=on_trunk)
    return None


class TwilioClient:
    """Reads the calls of one account. Every method raises ProviderError with what to do about it."""

    def __init__(
        self,
        account_sid: str,
        auth: tuple[str, str],
        *,
        base_url: str = "https://api.twilio.com",
        retries: RetryPolicy | None = None,
        limit: ConcurrencyLimit | None = None,
        traffic: Traffic | None = None,
        should_stop: Event | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._account_sid = account_sid
        account = f"{ACCOUNTS}/{account_sid}"
        self._calls = f"{account}/Calls"
        self._numbers = f"{account}/{NUMBERS}"
        self._clock = clock
        self._limit = limit or ConcurrencyLimit()
        self._api = JsonClient(
            "Twilio",
            base_url,
            explain=partial(explain, password=auth[1]),
            setting="TWILIO_BASE_URL",
            headers={"Authorization": _basic(*auth)},
            retries=retries,
            limit=self._limit,
            traffic=traffic,
            should_stop=should_stop,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def calls_since(self, start: datetime) -> Iterator[CallLeg | Failure]:
        """Yield the legs that started at or after `start`, and a Failure for each that cannot be read.

        Twilio's documents disagree on whether `StartTime>` cuts by day or by second: filtered here again. There is
        no upper bound, since one that is cut to the day would drop today's calls.
        """
        for leg in self._list({"StartTime>": _moment(start), "PageSize": PAGE_SIZE}):
            if isinstance(leg, Failure) or leg.started_at >= start:
                yield leg

    def calls_between(self, start: datetime, end: datetime) -> Iterator[CallLeg | Failure]:
        """Yield the legs that started in `[start, end)`, newest first.

        The upper bound is asked for a day later and filtered here, since it may be cut to the day.
        """
        params: Params = {"StartTime>": _moment(start), "StartTime<": _moment(end + DAY), "PageSize": PAGE_SIZE}
        for leg in self._list(params):
            if isinstance(leg, Failure) or start <= leg.started_at < end:
                yield leg

    def unfinished_calls(self) -> Iterator[CallLeg | Failure]:
        """Yield legs that have not ended. Queued ones have no start time, so the filter by time may omit them."""
        for status in UNFINISHED:
            yield from self._list({"Status": status, "PageSize": PAGE_SIZE})

    def calls(self, sids: Iterable[str]) -> Iterator[CallLeg | Failure]:
        """Yield the legs with these sids, several requests at a time, and a Failure for each without one."""
        return fetch_each(self.call, sids, workers=self._limit.most)

    def call(self, sid: str) -> CallLeg:
        """Return one leg, or raise RecordNotFoundError, MalformedRecordError or NotYetError."""
        fetched_at = self._clock()
        return parse_leg(self._api.get(f"{self._calls}/{quote(sid, safe='')}.json"), sid, fetched_at=fetched_at)

    def phone_numbers(self) -> list[ListedNumber]:
        """Return the numbers that the account has now: released ones have left this list, not the calls."""
        pages = self._pages(self._numbers, "incoming_phone_numbers", {"PageSize": PAGE_SIZE})
        numbers = [_read(_Number, raw, "a number") for page, _ in pages for raw in page]
        return [ListedNumber(phone_number=number.phone_number, label=number.friendly_name) for number in numbers]

    def subaccounts(self) -> int:
        """Count the accounts below this one that are not closed. Only an auth token or a Main key may list them."""
        pages = self._pages(ACCOUNTS, "accounts", {"PageSize": PAGE_SIZE})
        accounts = [_read(_Account, raw, "an account") for page, _ in pages for raw in page]
        return sum(account.sid != self._account_sid and account.status != "closed" for account in accounts)

    def server_time(self) -> datetime | None:
        """Ask for one call, which raises what is wrong with the key, and return what Twilio's clock showed."""
        body, moment = self._api.get_with_time(f"{self._calls}.json", {"PageSize": 1})
        _records(body, "calls")
        return moment

    def _list(self, params: Params) -> Iterator[CallLeg | Failure]:
        for page, fetched_at in self._pages(self._calls, "calls", params):
            yield from filter(None, (_leg_or_failure(raw, fetched_at) for raw in page))

    def _pages(self, resource: str, key: str, params: Params) -> Iterator[tuple[list[Any], datetime]]:
        uri: str | None = f"{resource}.json"
        query: Params | None = params
        visited: set[str] = set()
        previous: list[Any] = []
        while uri:
            fetched_at = self._clock()
            body = self._api.get(uri, query)
            records = _records(body, key)
            if (uri in visited and not query) or (records and records == previous) or len(visited) > MAX_PAGES:
                raise UnexpectedAnswerError(
                    f"Twilio sent the same page of {_words(key)} twice, so the list has no end; try again later."
                )
            yield records, fetched_at
            visited.add(uri if query is None else "")
            uri, query, previous = _next_uri(body), None, records  # the uri carries every filter already


def _words(key: str) -> str:
    return key.removeprefix("incoming_").replace("_", " ")


def _read(model: type[Model], raw: Json, what: str) -> Model:
    try:
        return model.model_validate(raw)
    except ValidationError as exc:
        raise UnexpectedAnswerError(f"Twilio sent {what} that cannot be read: {what_is_wrong(exc)}.") from exc


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _records(body: Json, key: str) -> list[Any]:
    records = body.get(key) if isinstance(body, dict) else None
    if not isinstance(records, list):
        raise UnexpectedAnswerError(
            f"Twilio's answer has no list of {_words(key)}; check that TWILIO_BASE_URL is its API."
        )
    return records


def _next_uri(body: Json) -> str | None:
    """Return where the list goes on. Only null and an empty text are its end."""
    uri = body.get("next_page_uri")
    if uri is None or uri == "":
        return None
    if not isinstance(uri, str):
        raise UnexpectedAnswerError(
            "Twilio says that its list goes on, but not where; what came is kept, and the next run lists this period "
            "again."
        )
    if not uri.startswith("/") or uri.startswith("//"):
        raise UnexpectedAnswerError("Twilio's next page leads to another server; the key was not sent there.")
    return uri


def _leg_or_failure(raw: Json, fetched_at: datetime) -> CallLeg | Failure | None:
    """Return nothing for a queued call without a date: its date brings it into a later list."""
    try:
        return parse_leg(raw, fetched_at=fetched_at)
    except NotYetError:
        return None
    except MalformedRecordError as exc:
        return Failure(record_id=readable_id(raw.get("sid")) if isinstance(raw, dict) else "", error=str(exc))


def _basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
