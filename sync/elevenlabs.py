"""ElevenLabs' conversations (Agents API v1), read over HTTP: list, then one detail request for each."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from threading import Event
from typing import Self, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from sync.elevenlabs_refusals import explain
from sync.elevenlabs_wire import parse_conversation, parse_transcript, summary_or_failure
from sync.errors import UnexpectedAnswerError
from sync.fanout import fetch_each
from sync.http import Json, JsonClient, Params, RetryPolicy
from sync.limits import ConcurrencyLimit
from sync.models import (
    Conversation,
    ConversationSummary,
    Failure,
    ListedAgent,
    ListedNumber,
    TranscriptTurn,
)
from sync.phone_numbers import plain_number
from sync.times import utc_now
from sync.traffic import Traffic
from sync.wire import RecordId, Text, WireModel, what_is_wrong

PAGE_SIZE = 100  # the largest that ElevenLabs gives
MAX_PAGES = 100_000
FOR_EVER = datetime.max.replace(tzinfo=UTC)


class _Agent(WireModel):
    agent_id: RecordId
    name: Text = ""


class _Number(WireModel):
    phone_number: Text
    label: Text | None = None


Model = TypeVar("Model", _Agent, _Number)


class ElevenLabsClient:
    """Reads the conversations of one account. Every method raises ProviderError with what to do about it."""

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = "https://api.elevenlabs.io",
        retries: RetryPolicy | None = None,
        limit: ConcurrencyLimit | None = None,
        traffic: Traffic | None = None,
        should_stop: Event | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._clock = clock
        self._limit = limit or ConcurrencyLimit()
        self._api = JsonClient(
            "ElevenLabs",
            base_url,
            explain=partial(explain, key=api_key),
            setting="ELEVENLABS_BASE_URL",
            headers={"xi-api-key": api_key},
            retries=retries,
            limit=self._limit,
            traffic=traffic,
            should_stop=should_stop,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def summaries_since(self, start: datetime) -> Iterator[ConversationSummary | Failure]:
        """Yield what the list tells of conversations that started at or after `start`, newest first."""
        return self._summaries({"call_start_after_unix": int(start.timestamp()) - 1}, start, FOR_EVER)

    def summaries_between(self, start: datetime, end: datetime) -> Iterator[ConversationSummary | Failure]:
        """Yield what the list tells of conversations that started in `[start, end)`, newest first."""
        between = {
            "call_start_after_unix": int(start.timestamp()) - 1,
            "call_start_before_unix": int(end.timestamp()) + 1,
        }
        return self._summaries(between, start, end)

    def _summaries(self, filters: Params, start: datetime, end: datetime) -> Iterator[ConversationSummary | Failure]:
        """Whether the filters include their second is not documented: asked with one more, filtered here."""
        for raw in self._pages("/v1/convai/conversations", "conversations", filters):
            summary = summary_or_failure(raw, fetched_at=self._clock())
            if isinstance(summary, Failure) or start <= summary.started_at < end:
                yield summary

    def conversation(self, conversation_id: str) -> Conversation:
        """Return one conversation, or raise RecordNotFoundError or MalformedRecordError."""
        fetched_at = self._clock()
        raw = self._api.get(f"/v1/convai/conversations/{quote(conversation_id, safe='')}")
        return parse_conversation(raw, conversation_id, fetched_at=fetched_at)

    def conversations(self, ids: Iterable[str]) -> Iterator[Conversation | Failure]:
        """Yield the conversations with these ids, several requests at a time, and a Failure for each without one."""
        return fetch_each(self.conversation, ids, workers=self._limit.most)

    def transcript(self, conversation_id: str) -> list[TranscriptTurn]:
        """Return what was said, or raise RecordNotFoundError. It belongs to nobody's ledger: no store keeps it."""
        raw = self._api.get(f"/v1/convai/conversations/{quote(conversation_id, safe='')}")
        return parse_transcript(raw, conversation_id)

    def agents(self) -> Iterator[ListedAgent]:
        for raw in self._pages("/v1/convai/agents", "agents", {}):
            agent = _read(_Agent, raw)
            yield ListedAgent(agent_id=agent.agent_id, name=agent.name)

    def phone_numbers(self) -> list[ListedNumber]:
        """Return the numbers that ElevenLabs answers; this list comes in one piece."""
        body = self._api.get("/v1/convai/phone-numbers")
        if not isinstance(body, list):
            raise UnexpectedAnswerError(_NOT_THE_API)
        numbers = [_read(_Number, raw) for raw in body]
        return [ListedNumber(phone_number=_in_full(number.phone_number), label=number.label) for number in numbers]

    def server_time(self) -> datetime | None:
        """Ask for one conversation, which raises what is wrong with the key, and return what the clock there showed."""
        body, moment = self._api.get_with_time("/v1/convai/conversations", {"page_size": 1})
        if not isinstance(body, dict) or not isinstance(body.get("conversations"), list):
            raise UnexpectedAnswerError(_NOT_THE_API)
        return moment

    def _pages(self, path: str, key: str, filters: Params) -> Iterator[Json]:
        cursor: str | None = None
        visited: set[str] = set()
        while True:
            page = self._api.get(path, {**filters, "page_size": PAGE_SIZE} | ({"cursor": cursor} if cursor else {}))
            if not isinstance(page, dict) or not isinstance(page.get(key), list):
                raise UnexpectedAnswerError(_NOT_THE_API)
            yield from page[key]
            cursor = page.get("next_cursor")
            more = page.get("has_more")
            if not (bool(cursor) if more is None else more):
                return
            if not isinstance(cursor, str) or not cursor:
                raise UnexpectedAnswerError(
                    "ElevenLabs says that its list goes on, but not where; what came is kept, and the next run lists "
                    "this period again."
                )
            if cursor in visited or len(visited) > MAX_PAGES:
                raise UnexpectedAnswerError(
                    "ElevenLabs sent the same page twice, so the list has no end; the next run tries again."
                )
            visited.add(cursor)


_NOT_THE_API = "ElevenLabs' answer is not the documented list; check that ELEVENLABS_BASE_URL is its API."


def _in_full(number: str) -> str:
    """Return the number of a SIP trunk as its conversations have it, or what was typed if it is none."""
    return plain_number(number) or number


def _read(model: type[Model], raw: Json) -> Model:
    try:
        return model.model_validate(raw)
    except ValidationError as exc:
        raise UnexpectedAnswerError(f"ElevenLabs sent a record that cannot be read: {what_is_wrong(exc)}.") from exc
