"""One JSON-over-HTTP client for both providers: time-outs, retries, exact decimals, errors that say what to do."""

import email.utils
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from pyreqwest.client import SyncClient, SyncClientBuilder
from pyreqwest.exceptions import RequestError, RequestTimeoutError
from pyreqwest.response import SyncResponse
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_delay,
    wait_exponential_jitter,
)

from sync import front_door
from sync.errors import (
    NoConnectionError,
    ProviderDownError,
    ProviderError,
    RateLimitedError,
    RejectedRequestError,
    StoppedError,
    TransientError,
    UnexpectedAnswerError,
)
from sync.limits import ConcurrencyLimit
from sync.times import utc_now
from sync.traffic import Traffic

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
CONNECT_TIMEOUT, ANSWER_TIMEOUT = timedelta(seconds=10), timedelta(seconds=30)
LOOK_FOR_STOP = timedelta(seconds=0.2)
LONGEST_RETRY_AFTER = 10**9  # seconds; what is longer is as good as for ever, and too long for a timedelta
LARGEST_BODY = 64 * 1024 * 1024  # bytes, unpacked; a page of a thousand calls has one of them

Json = Any  # whatever json.loads returns; only clients see it
Params = Mapping[str, str | int | list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long one request may be tried again, and how the pauses grow (with jitter) from the first on."""

    budget: timedelta = timedelta(seconds=90)
    first_pause: timedelta = timedelta(seconds=0.5)
    longest_pause: timedelta = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back from a request."""

    path: str
    status: int
    body: bytes
    content_type: str | None
    retry_after: str | None
    date: str | None = None


class JsonClient:
    """Reads JSON from one provider. May be used from many threads; `explain` names a provider's own errors.

    Once `should_stop` is set, requests and pauses are broken off: every call raises StoppedError, soon.
    """

    def __init__(
        self,
        provider: str,
        base_url: str,
        *,
        explain: Callable[[Answer], ProviderError | None],
        setting: str,
        headers: Mapping[str, str],
        retries: RetryPolicy | None = None,
        limit: ConcurrencyLimit | None = None,
        traffic: Traffic | None = None,
        timeout: timedelta = ANSWER_TIMEOUT,
        should_stop: threading.Event | None = None,
    ) -> None:
        self._provider = provider
        self._base_url = base_url.rstrip("/")
        self._setting = setting
        self._explain = explain
        self._retries = retries or RetryPolicy()
        self._limit = limit or ConcurrencyLimit()
        self._traffic = traffic or Traffic()
        self._http = _http_client(base_url, headers, timeout)
        self._should_stop = should_stop or threading.Event()
        self._closed = threading.Event()
        if should_stop:
            threading.Thread(target=self._break_off, name="break-off", daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        self._http.close()

    def _break_off(self) -> None:
        """End the requests that are under way when it is time to stop: a server may be silent for long."""
        while not self._closed.wait(LOOK_FOR_STOP.total_seconds()):
            if self._should_stop.is_set():
                self._http.close()
                return

    def get(self, path: str, params: Params | None = None) -> Json:
        """Return the parsed body of a GET. Transient errors are tried again within the time budget."""
        return self._parsed(self._get(path, params))

    def get_with_time(self, path: str, params: Params | None = None) -> tuple[Json, datetime | None]:
        """Return the parsed body, as `get` does, and what the server's clock showed, if it told."""
        answer = self._get(path, params)
        return self._parsed(answer), _moment(answer.date)

    def _get(self, path: str, params: Params | None) -> Answer:
        give_up_at = time.monotonic() + self._retries.budget.total_seconds()
        for attempt in Retrying(
            retry=retry_if_exception(lambda exc: _may_pass(exc, give_up_at)),
            wait=self._pause,
            stop=stop_after_delay(self._retries.budget),
            sleep=sleep_using_event(self._should_stop),
            reraise=True,
        ):
            with attempt:
                return self._get_unless_stopped(path, params)
        raise AssertionError("tenacity either returns or raises")

    def _pause(self, state: RetryCallState) -> float:
        """Return how long to wait before the next attempt: ever longer, and at least as long as the provider names.

        `Retry-After: 0` and dates that have passed are common; taken at their word they would make a storm of requests.
        """
        usual = wait_exponential_jitter(
            multiplier=self._retries.first_pause.total_seconds(),
            max=self._retries.longest_pause.total_seconds(),
            jitter=self._retries.first_pause.total_seconds(),
        )(state)
        exc = state.outcome.exception() if state.outcome else None
        named = exc.retry_after if isinstance(exc, TransientError) else None
        return usual if named is None else max(usual, named.total_seconds())

    def _get_unless_stopped(self, path: str, params: Params | None) -> Answer:
        self._refuse_if_stopped()
        try:
            return self._get_once(path, params)
        except ProviderDownError:
            self._refuse_if_stopped()  # which broke the request off
            raise

    def _refuse_if_stopped(self) -> None:
        if self._should_stop.is_set():
            raise StoppedError

    def _get_once(self, path: str, params: Params | None) -> Answer:
        with self._limit.request(_kind(path)) as request, self._traffic.request():
            answer = self._send(path, params)
            request.refused = answer.status == HTTPStatus.TOO_MANY_REQUESTS
            if request.refused:
                self._traffic.count_refusal()
            request.answered = answer.status == HTTPStatus.OK
        time.sleep(0)  # let the thread whose turn it is now send its request before this one reads the answer
        if answer.status != HTTPStatus.OK:
            raise self._error(answer)
        return answer

    def _send(self, path: str, params: Params | None) -> Answer:
        try:
            if not path.isprintable():
                raise ValueError("no address")
            with self._http.get(self._base_url + path).query(_pairs(params)).build_streamed() as response:
                return Answer(
                    path=path,
                    status=response.status,
                    body=self._body(response),
                    content_type=_header(response, "content-type"),
                    retry_after=_header(response, "retry-after"),
                    date=_header(response, "date"),
                )
        except RequestTimeoutError as exc:
            raise ProviderDownError(
                f"{self._provider} did not answer in time; it is tried again with the next run."
            ) from exc
        except RequestError as exc:
            raise self._no_connection(exc) from exc
        except ValueError as exc:
            raise UnexpectedAnswerError(
                f"{self._provider} names a page that is no address; check that {self._setting} is its API."
            ) from exc

    def _body(self, response: SyncResponse) -> bytes:
        """Return the body, unpacked. One that is too large, or has no end, is dropped on the way."""
        chunks: list[bytes] = []
        left = LARGEST_BODY
        while chunk := response.body_reader.read_chunk():
            chunks.append(bytes(chunk))
            left -= len(chunk)
            if left < 0:
                raise UnexpectedAnswerError(
                    f"{self._provider} sent an answer of more than {LARGEST_BODY // 1024**2} MB; check that "
                    f"{self._setting} is its API."
                )
        return b"".join(chunks)

    def _no_connection(self, exc: RequestError) -> ProviderError:
        """Return why, in words: what somebody has to change first is not tried again."""
        causes = (exc.details or {}).get("causes") or []
        words = "; ".join(cause["message"] for cause in causes)
        if sentence := front_door.told_by_connection(words, name=self._provider, setting=self._setting):
            return NoConnectionError(sentence)
        return ProviderDownError(front_door.unreachable(words, name=self._provider, setting=self._setting))

    def _error(self, answer: Answer) -> ProviderError:
        """Return what the provider means by a refusal, or what somebody means who answers in its place."""
        status = answer.status
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimitedError(
                f"{self._provider} allows no more requests at the moment (429); the next run goes on.",
                retry_after(answer.retry_after),
            )
        is_down = status >= 500 and status != HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED
        if is_down or status == HTTPStatus.REQUEST_TIMEOUT:
            return ProviderDownError(
                f"{self._provider} has a problem of its own (HTTP {status}); it is tried again with the next run.",
                retry_after(answer.retry_after),
            )
        if own := self._explain(answer):
            return own
        in_front = front_door.told_by_status(status, answer.content_type, name=self._provider, setting=self._setting)
        return RejectedRequestError(
            in_front or f"{self._provider} refused the request (HTTP {status}); check {self._setting} and the account."
        )

    def _parsed(self, answer: Answer) -> Json:
        try:
            return read_json(answer.body)
        except ValueError as exc:
            kind = front_door.kind(answer.content_type)
            what = "JSON that cannot be read" if kind.endswith("json") else f"{kind} instead of JSON"
            raise UnexpectedAnswerError(
                f"{self._provider} answered with {what}; check that {self._setting} is its API."
            ) from exc


def read_json(body: bytes) -> Json:
    """Parse a body with exact numbers, or raise ValueError, however deep it is nested and however long a number is."""
    try:
        return json.loads(body, parse_float=_exact_number, parse_int=_whole_number)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc


def _whole_number(digits: str) -> int | Decimal:
    """Python refuses to make an int of thousands of digits, which would be an error of the whole page."""
    return int(digits) if len(digits) < sys.int_info.default_max_str_digits else Decimal(digits)


def _exact_number(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:  # an exponent of twenty digits: for its record to refuse
        return Decimal("NaN")


def _http_client(base_url: str, headers: Mapping[str, str], timeout: timedelta) -> SyncClient:
    builder = SyncClientBuilder().default_headers(headers).connect_timeout(CONNECT_TIMEOUT).timeout(timeout)
    builder = builder.follow_redirects(False).http1_only().gzip(True)
    if urlsplit(base_url).hostname in LOOPBACK:
        builder = builder.no_proxy()  # a proxy has no business on this machine
    return builder.build()


def _header(response: SyncResponse, name: str) -> str | None:
    try:
        return response.get_header(name)
    except ValueError:  # not ASCII
        return None


def _pairs(params: Params | None) -> list[tuple[str, str]]:
    """Return the query as pairs; a list becomes several of the same name."""
    return [
        (name, str(value))
        for name, values in (params or {}).items()
        for value in (values if isinstance(values, list) else [values])
    ]


def _kind(path: str) -> str:
    """Return what requests of like latency have in common: lists on the one hand, single records on the other."""
    return path.partition("?")[0].rpartition("/")[0]


def retry_after(value: str | None, now: Callable[[], datetime] = utc_now) -> timedelta | None:
    """Return the pause that a Retry-After header asks for, given as seconds or as a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    try:
        if value.isdecimal():
            return timedelta(seconds=min(int(value), LONGEST_RETRY_AFTER))
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(moment - now(), timedelta(0)) if moment.tzinfo else None


def _moment(date: str | None) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(date or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _may_pass(exc: BaseException, give_up_at: float) -> bool:
    """Tell whether to try again; not if the provider names a pause that is longer than the time that is left."""
    if not isinstance(exc, TransientError):
        return False
    pause = exc.retry_after or timedelta(0)
    return time.monotonic() + pause.total_seconds() < give_up_at
