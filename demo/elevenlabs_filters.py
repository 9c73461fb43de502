"""The query parameters of ElevenLabs' lists: types are checked, unknown names are ignored."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from demo.conversations import Conversation
from demo.refusals import Refusal, elevenlabs_refusal, invalid_parameter
from demo.timeline import Position

DEFAULT_SIZE, LARGEST_SIZE = 30, 100
STATUSES = ("initiated", "in-progress", "processing", "done", "failed")
FOREVER = 2**40


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationFilter:
    """What a caller asked for: conversations that started in `[after, before]`, newest first unless said otherwise."""

    agent_id: str | None
    after: int
    before: int
    excluded: frozenset[str]
    newest_first: bool

    @classmethod
    def asked_for(cls, query: QueryParams) -> "ConversationFilter":
        return cls(
            agent_id=query.get("agent_id"),
            after=whole(query, "call_start_after_unix", 0),
            before=whole(query, "call_start_before_unix", FOREVER),
            excluded=frozenset(
                one_of(status, "exclude_statuses", STATUSES) for status in query.getlist("exclude_statuses")
            ),
            newest_first=one_of(query.get("sort_direction", "desc"), "sort_direction", ("asc", "desc")) == "desc",
        )

    def accepts(self, talk: Conversation, now: int) -> bool:
        return self.agent_id in (None, talk.agent.agent_id) and talk.status_at(now) not in self.excluded


def page_size(query: QueryParams) -> int:
    size = whole(query, "page_size", DEFAULT_SIZE)
    if not 1 <= size <= LARGEST_SIZE:
        message = f"page_size must be between 1 and {LARGEST_SIZE}."
        raise elevenlabs_refusal(400, "validation_error", "invalid_page_size", "invalid_page_size", message)
    return size


def whole(query: QueryParams, name: str, default: int) -> int:
    value = query.get(name)
    if value is None:
        return default
    try:
        return int(value)
    except ValueError as exc:
        message = "Input should be a valid integer, unable to parse string as an integer"
        raise invalid_parameter(name, message, "int_parsing") from exc


def one_of(value: str, name: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise invalid_parameter(name, f"Input should be {', '.join(map(repr, allowed))}", "enum")
    return value


def cursor_after(position: Position | None) -> str:
    """Make the opaque cursor that continues after `position`; None leads to the very first page."""
    moment, name = position or (0, "")
    return urlsafe_b64encode(f"{moment}/{name}".encode()).decode()


def position_in(query: QueryParams) -> Position | None:
    """Return where a cursor continues, or None for the first page."""
    cursor = query.get("cursor")
    if not cursor:
        return None
    try:
        moment, name = urlsafe_b64decode(cursor.encode()).decode().split("/")
        position = int(moment), name
    except (ValueError, binascii.Error) as exc:
        raise bad_cursor() from exc
    return position if name else None


def bad_cursor() -> Refusal:
    return elevenlabs_refusal(400, "validation_error", "invalid_cursor", "invalid_cursor", "The cursor is not valid.")
