"""What ElevenLabs sends of a conversation, and how its charging is read: credits and dollars apart, null is unknown."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from pydantic import Field, ValidationError

from sync.errors import MalformedRecordError
from sync.http import Json
from sync.models import Conversation, ConversationSummary, Failure, LlmUsage, TokenUsage, TranscriptTurn
from sync.phone_numbers import owned_number, plain_number
from sync.wire import (
    Count,
    CountOrZero,
    Price,
    PriceOrZero,
    RecordId,
    Speech,
    Text,
    WireModel,
    implausible_start,
    readable_id,
    what_is_wrong,
)

LATEST_SECOND = 253_402_300_799  # of the year 9999, in unix time

SMS = "twilio_sms"  # as ElevenLabs calls the channel

Number = TypeVar("Number", int, Decimal)


class _Tokens(WireModel):
    tokens: CountOrZero = 0
    price: PriceOrZero = Decimal(0)


class _Generation(WireModel):
    model_usage: dict[Text, dict[Text, _Tokens | None] | None] = Field(default_factory=dict)


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
    type: Text | None = None
    direction: Text | None = None
    agent_number: Text | None = None
    external_number: Text | None = None
    call_sid: RecordId | None = None


class _Sms(WireModel):
    """A conversation by text message, which has no phone call and numbers of its own."""

    direction: Text | None = None
    agent_phone_number: Text | None = None
    sms_user_phone_number: Text | None = None


class _Metadata(WireModel):
    start_time_unix_secs: Count
    call_duration_secs: Count
    cost: Count | None = None  # credits
    cost_fiat: Price | None = None  # US dollars
    charging: _Charging = _Charging()
    phone_call: _PhoneCall = _PhoneCall()
    sms: _Sms = _Sms()
    termination_reason: Text | None = None
    conversation_initiation_source: Text | None = None


class _Detail(WireModel):
    conversation_id: RecordId
    agent_id: RecordId | None = None
    agent_name: Text | None = None
    status: Text
    metadata: _Metadata


class _Tool(WireModel):
    tool_name: Text = ""


class _Turn(WireModel):
    role: Text = ""
    message: Speech | None = None
    time_in_call_secs: CountOrZero = 0
    tool_calls: list[_Tool] = Field(default_factory=list)


class _Transcript(WireModel):
    conversation_id: RecordId | None = None
    transcript: list[_Turn] = Field(default_factory=list)


class _Summary(WireModel):
    conversation_id: RecordId
    start_time_unix_secs: Count
    call_duration_secs: CountOrZero = 0
    status: Text


def parse_conversation(raw: Json, conversation_id: str | None = None, *, fetched_at: datetime) -> Conversation:
    """Return the conversation that a detail answer describes, or raise MalformedRecordError.

    An answer about another conversation than `conversation_id` is no answer: a cache on the way may send one.
    """
    try:
        detail = _Detail.model_validate(raw)
    except ValidationError as exc:
        raise MalformedRecordError(
            f"ElevenLabs sent a conversation that cannot be read: {what_is_wrong(exc)}."
        ) from exc
    metadata, charging = detail.metadata, detail.metadata.charging
    _refuse_another(detail.conversation_id, conversation_id)
    started_at = _moment(metadata.start_time_unix_secs)
    if why := implausible_start(started_at, fetched_at):
        raise MalformedRecordError(f"ElevenLabs sent a conversation that cannot be read: {why}.")
    phone = _phone(metadata)
    is_typed = phone.type != "twilio"  # by somebody, who may have left out the plus
    return Conversation(
        conversation_id=detail.conversation_id,
        agent_id=detail.agent_id,
        agent_name=detail.agent_name,
        status=detail.status,
        started_at=started_at,
        duration=metadata.call_duration_secs,
        direction=phone.direction,
        channel=_channel(metadata),
        agent_number=owned_number(phone.agent_number, on_trunk=is_typed),
        external_number=plain_number(phone.external_number) if is_typed else phone.external_number,
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


def _moment(seconds: int) -> datetime:
    """Return a moment of unix time; one after the year 9999, which is none, as the last moment of that year."""
    return datetime.fromtimestamp(min(seconds, LATEST_SECOND), UTC)


def _phone(metadata: _Metadata) -> _PhoneCall:
    """Return who spoke with whom, on the phone or by text messages."""
    sms = metadata.sms
    if metadata.phone_call != _PhoneCall() or sms == _Sms():
        return metadata.phone_call
    return _PhoneCall(
        type=SMS,
        direction=sms.direction,
        agent_number=sms.agent_phone_number,
        external_number=sms.sms_user_phone_number,
    )


def _channel(metadata: _Metadata) -> str | None:
    source = metadata.conversation_initiation_source
    return SMS if source in (None, "unknown") and metadata.sms != _Sms() else source


def _refuse_another(came: str | None, asked_for: str | None) -> None:
    if came and asked_for and came != asked_for:
        raise MalformedRecordError("ElevenLabs answered with another conversation than the one that was asked for.")


def parse_transcript(raw: Json, conversation_id: str | None = None) -> list[TranscriptTurn]:
    """Return what was said, as a detail answer has it, or raise MalformedRecordError."""
    try:
        answer = _Transcript.model_validate(raw)
    except ValidationError as exc:
        raise MalformedRecordError(f"ElevenLabs sent a transcript that cannot be read: {what_is_wrong(exc)}.") from exc
    _refuse_another(answer.conversation_id, conversation_id)
    return [
        TranscriptTurn(
            role=turn.role,
            message=turn.message,
            seconds=turn.time_in_call_secs,
            tools=tuple(tool.tool_name for tool in turn.tool_calls if tool.tool_name),
        )
        for turn in answer.transcript
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


def summary_or_failure(raw: Json, *, fetched_at: datetime) -> ConversationSummary | Failure:
    """Return what a list entry tells of a conversation, or a Failure that names it."""
    try:
        summary = _Summary.model_validate(raw)
    except ValidationError as exc:
        record_id = readable_id(raw.get("conversation_id")) if isinstance(raw, dict) else ""
        return _unreadable(record_id, what_is_wrong(exc))
    started_at = _moment(summary.start_time_unix_secs)
    if why := implausible_start(started_at, fetched_at):
        return _unreadable(summary.conversation_id, why)
    return ConversationSummary(
        conversation_id=summary.conversation_id,
        started_at=started_at,
        status=summary.status,
        duration=summary.call_duration_secs,
    )


def _unreadable(record_id: str, why: str) -> Failure:
    return Failure(record_id=record_id, error=f"ElevenLabs lists a conversation that cannot be read: {why}.")
