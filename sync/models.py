"""The words of the product as types: call legs, conversations, totals, balances, runs, and who owns what."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Generic, Literal, Self, TypeVar

UNASSIGNED = 0  # workspace that holds the usage of numbers and agents nobody registered

PRICE_PLACES = Decimal("0.00000001")  # numeric(18,8): LLM prices such as 0.00041565 are real

E164 = re.compile(r"\+[1-9]\d{6,14}")

# What Twilio and ElevenLabs will not change any more. Unknown statuses are taken for unfinished.
UNBILLED_CALL_STATUSES = ("busy", "failed", "no-answer", "canceled")
FINAL_CALL_STATUSES = ("completed", *UNBILLED_CALL_STATUSES)
FINAL_CONVERSATION_STATUSES = ("done", "failed")

Source = Literal["twilio", "elevenlabs"]
SOURCES: tuple[Source, ...] = ("twilio", "elevenlabs")
PROVIDER_NAMES: Mapping[Source, str] = {"twilio": "Twilio", "elevenlabs": "ElevenLabs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLeg:
    """One leg of a Twilio call. `duration` in seconds, `cost` positive and in `price_unit`."""

    sid: str
    parent_call_sid: str | None
    status: str
    direction: str
    started_at: datetime  # Twilio's start_time, or date_created until the leg is dialled
    ended_at: datetime | None
    duration: int | None
    cost: Decimal | None  # priced minutes after the leg ends; None is "not yet", never 0
    price_unit: str | None
    from_number: str | None
    to_number: str | None
    our_number: str | None  # the side that the agency owns, by direction; None when it cannot be told
    fetched_at: datetime  # when the request was sent: the newer of two versions of a record wins


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of one model in one category (input, input_cache_read, output_total, …); `price` in USD."""

    tokens: int = 0
    price: Decimal = Decimal(0)

    def __add__(self, other: Self) -> "TokenUsage":
        return TokenUsage(tokens=self.tokens + other.tokens, price=self.price + other.price)

    def __sub__(self, other: Self) -> "TokenUsage":
        return TokenUsage(tokens=self.tokens - other.tokens, price=self.price - other.price)

    def __bool__(self) -> bool:
        return bool(self.tokens or self.price)


class LlmUsage(dict[str, dict[str, TokenUsage]]):
    """Token usage by model and category, which adds and subtracts like a number."""

    def __add__(self, other: Mapping[str, Mapping[str, TokenUsage]]) -> "LlmUsage":
        total = LlmUsage({model: dict(usage) for model, usage in self.items()})
        for model, usage in other.items():
            categories = total.setdefault(model, {})
            for category, tokens in usage.items():
                categories[category] = categories.get(category, TokenUsage()) + tokens
        return total

    def __sub__(self, other: "LlmUsage") -> "LlmUsage":
        """Return the difference; models and categories that did not move are left out."""
        difference = LlmUsage()
        for model, usage in self.items():
            before = other.get(model, {})
            moved = {name: used - before.get(name, TokenUsage()) for name, used in usage.items()}
            if moved := {name: used for name, used in moved.items() if used}:
                difference[model] = moved
        return difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One ElevenLabs conversation. None is "not known yet", never 0. `duration` in seconds.

    US dollars: `cost`, `llm_price`, `platform_price`, `free_llm_dollars_consumed`.
    Credits: `credits`, `llm_charge`, `call_charge`. They are never added to each other.
    """

    conversation_id: str
    agent_id: str | None
    agent_name: str | None
    status: str
    started_at: datetime
    duration: int
    direction: str | None
    channel: str | None  # where it came from: twilio, widget, whatsapp, …
    agent_number: str | None
    external_number: str | None
    call_sid: str | None  # joins it to its Twilio leg
    termination_reason: str | None
    cost: Decimal | None
    credits: int | None
    llm_price: Decimal | None
    llm_charge: int | None
    platform_price: Decimal | None
    call_charge: int | None
    free_minutes_consumed: Decimal | None
    free_llm_dollars_consumed: Decimal | None
    dev_discount: bool
    is_burst: bool
    llm_usage: LlmUsage
    fetched_at: datetime  # when the request was sent: the newer of two versions of a record wins


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSummary:
    """What the conversation list tells of a conversation; prices are only in the detail."""

    conversation_id: str
    started_at: datetime
    status: str
    duration: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConversation:
    """What the store knows of a conversation, to decide whether its detail is needed again."""

    conversation_id: str
    status: str
    duration: int
    fetched_at: datetime

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_CONVERSATION_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A record that could not be fetched or read; `error` is a sentence."""

    record_id: str  # empty when even that could not be read
    error: str
    is_gone: bool = False  # the provider no longer has it (404); what is stored of it is kept


class Totals:
    """Sums that add and subtract field by field, so that closing minus opening balance is usage."""

    __slots__ = ()

    def __add__(self, other: Self) -> Self:
        names = (f.name for f in fields(self))  # type: ignore[arg-type]  # every subclass is a dataclass
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def __sub__(self, other: Self) -> Self:
        names = (f.name for f in fields(self))  # type: ignore[arg-type]  # every subclass is a dataclass
        return type(self)(**{name: getattr(self, name) - getattr(other, name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioTotals(Totals):
    """Calls are legs without a parent; cost (account's currency) and billed minutes count every leg."""

    total_calls: int = 0
    total_legs: int = 0
    total_cost: Decimal = Decimal(0)
    total_duration: int = 0
    billed_minutes: int = 0
    unpriced_calls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ElevenLabsTotals(Totals):
    """Costs and prices in US dollars, charges and credits in ElevenLabs credits, duration in seconds."""

    total_conversations: int = 0
    total_cost: Decimal = Decimal(0)
    total_duration: int = 0
    total_credits: int = 0
    llm_price: Decimal = Decimal(0)
    llm_charge: int = 0
    platform_price: Decimal = Decimal(0)
    call_charge: int = 0
    free_minutes_consumed: Decimal = Decimal(0)
    free_llm_dollars_consumed: Decimal = Decimal(0)
    dev_discount: int = 0  # discounted conversations: the provider's field is a boolean
    unpriced_conversations: int = 0
    llm_usage: LlmUsage = field(default_factory=LlmUsage)


AnyTotals = TypeVar("AnyTotals", TwilioTotals, ElevenLabsTotals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Generic[AnyTotals]):
    """Running totals of a workspace over everything that started before `snapshot_date` + 1 hour."""

    workspace_id: int
    snapshot_date: datetime
    created_at: datetime
    totals: AnyTotals


class RunKind(StrEnum):
    """Why a run lists what it lists: the last hour, or the days that are listed again once a day."""

    HOURLY = "hourly"
    SWEEP = "sweep"


class RunState(StrEnum):
    """How a run stands. Only `ok` moves the watermark on."""

    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRun:
    """One run of one source: history, watermark and lock. `message` says why it failed or was skipped."""

    id: int
    source: Source
    kind: RunKind
    state: RunState
    window_start: datetime
    window_end: datetime
    done: int = 0
    total: int | None = None  # None until the provider has listed everything
    saved: int = 0
    failed: int = 0
    message: str | None = None
    owner: str = ""
    started_at: datetime
    heartbeat_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A client of the agency."""

    id: int
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """Who owns a number from `valid_from` (None: always) until `valid_until` (None: still)."""

    phone_number: str
    workspace_id: int
    label: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Who owns the conversations of an agent that come without a registered number."""

    agent_id: str
    workspace_id: int
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedNumber:
    """A number that a provider lists as the account's own."""

    phone_number: str
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAgent:
    """An agent that ElevenLabs lists."""

    agent_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnregisteredNumber:
    """One of the agency's numbers that calls or conversations used while nobody owned it."""

    phone_number: str
    records: int
    last_seen: datetime
