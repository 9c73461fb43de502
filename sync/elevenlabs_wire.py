"""What ElevenLabs sends of a conversation, and how its charging is read: credits and dollars apart, null is unknown."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from pydantic import Field, ValidationError

from sync.errors import MalformedRecordError
from sync.http import Json
from sync.models import Conversation, ConversationSummary, Failure, LlmUsage, TokenUsage, TranscriptTurn
from sync.wire import Count, CountOrZero, Price, PriceOrZero, WireModel, owned_number, what_is_wrong

LATEST_START = 253_402_300_799  # the year 9999, in unix seconds

Number = TypeVar("Number", int, Decimal)


class _Tokens(WireModel):
    tokens: CountOrZero = 0
    price: PriceOrZero = Decimal(0)


class _Generation(WireModel):
    model_usage: dict[str, dict[str, _Tokens | None] | None] = Field(default_factory=dict)


class _LlmUsage(WireModel):
    """`irreversible_generation` is a subset of `initiated_generation`, on which charges are based: adding both
    would count twice (OpenAPI description)."""

    initiated_generation: _Generation = _Generation()


class _Charging(WireModel):
    dev_discount: bool = False
    is_burst: bool = False
    llm_usage: _LlmUsage = _LlmUsage()
    llm_price: Price | None = None
    llm_charge: Count | None = None
    call_charge: Count | None = None
    platform_price: Price | None = None
    free_minutes_consumed: Price | None = None
    free_llm_dollars_consumed: Price | None = None


class _PhoneCall(WireModel):
    direction: str | None = None
    agent_number: str | None = None
    external_number: str | None = None
    call_sid: str | None = None


class _Metadata(WireModel):
    start_time_unix_secs: int = Field(ge=0, le=LATEST_START)
    call_duration_secs: Count
    cost: Count | None = None  # credits
    cost_fiat: Price | None = None  # US dollars
    charging: _Charging = _Charging()
    phone_call: _PhoneCall = _PhoneCall()
    termination_reason: str | None = None
    conversation_initiation_source: str | None = None


class _Detail(WireModel):
    conversation_id: str = Field(min_length=1, max_length=128)
    agent_id: str | None = None
    agent_name: str | None = None
    status: str
    metadata: _Metadata


class _Tool(WireModel):
    tool_name: str = ""


class _Turn(WireModel):
    role: str = ""
    message: str | None = None
    time_in_call_secs: CountOrZero = 0
    tool_calls: list[_Tool] = Field(default_factory=list)


class _Transcript(WireModel):
    transcript: list[_Turn] = Field(default_factory=list)


class _Summary(WireModel):
    conversation_id: str = Field(min_length=1, max_length=128)
    start_time_unix_secs: int = Field(ge=0, le=LATEST_START)
    call_duration_secs: CountOrZero = 0
    status: str


def parse_conversation(raw: Json, *, fetched_at: datetime) -> Conversation:
    """Return the conversation that a detail answer describes, or raise MalformedRecordError."""
    try:
        detail = _Detail.model_validate(raw)
    except ValidationError as exc:
        raise MalformedRecordError(
            f"ElevenLabs sent a conversation that cannot be read: {what_is_wrong(exc)}."
        ) from exc
    metadata, charging, phone = detail.metadata, detail.metadata.charging, detail.metadata.phone_call
    return Conversation(
        conversation_id=detail.conversation_id,
        agent_id=detail.agent_id,
        agent_name=detail.agent_name,
        status=detail.status,
        started_at=datetime.fromtimestamp(metadata.start_time_unix_secs, UTC),
        duration=metadata.call_duration_secs,
        direction=phone.direction,
        channel=metadata.conversation_initiation_source,
        agent_number=owned_number(phone.agent_number),
        external_number=phone.external_number,
        call_sid=phone.call_sid,
        termination_reason=metadata.termination_reason,
        cost=_sum_if_known(metadata.cost_fiat, charging.llm_price, charging.platform_price),
        credits=_sum_if_known(metadata.cost, charging.llm_charge, charging.call_charge),
        llm_price=charging.llm_price,
        llm_charge=charging.llm_charge,
        platform_price=charging.platform_price,
        call_charge=charging.call_charge,
        free_minutes_consumed=charging.free_minutes_consumed,
        free_llm_dollars_consumed=charging.free_llm_dollars_consumed,
        dev_discount=charging.dev_discount,
        is_burst=charging.is_burst,
        llm_usage=_llm_usage(charging.llm_usage.initiated_generation),
        fetched_at=fetched_at,
    )


def parse_transcript(raw: Json) -> list[TranscriptTurn]:
    """Return what was said, as a detail answer has it, or raise MalformedRecordError."""
    try:
        turns = _Transcript.model_validate(raw).transcript
    except ValidationError as exc:
        raise MalformedRecordError(f"ElevenLabs sent a transcript that cannot be read: {what_is_wrong(exc)}.") from exc
    return [
        TranscriptTurn(
            role=turn.role,
            message=turn.message,
            seconds=turn.time_in_call_secs,
            tools=tuple(tool.tool_name for tool in turn.tool_calls if tool.tool_name),
        )
        for turn in turns
    ]


def _sum_if_known(total: Number | None, llm: Number | None, voice: Number | None) -> Number | None:
    """Return the total, or its two parts added up when it is not given; unknown if either part is."""
    if total is not None:
        return total
    return llm + voice if llm is not None and voice is not None else None


def _llm_usage(generation: _Generation) -> LlmUsage:
    usage = {
        model: {
            category: TokenUsage(tokens=used.tokens, price=used.price)
            for category, used in (categories or {}).items()
            if used and (used.tokens or used.price)
        }
        for model, categories in generation.model_usage.items()
    }
    return LlmUsage({model: categories for model, categories in usage.items() if categories})


def summary_or_failure(raw: Json) -> ConversationSummary | Failure:
    """Return what a list entry tells of a conversation, or a Failure that names it."""
    try:
        summary = _Summary.model_validate(raw)
    except ValidationError as exc:
        record_id = raw.get("conversation_id") if isinstance(raw, dict) else None
        return Failure(
            record_id=str(record_id or ""),
            error=f"ElevenLabs lists a conversation that cannot be read: {what_is_wrong(exc)}.",
        )
    return ConversationSummary(
        conversation_id=summary.conversation_id,
        started_at=datetime.fromtimestamp(summary.start_time_unix_secs, UTC),
        status=summary.status,
        duration=summary.call_duration_secs,
    )
