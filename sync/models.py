"""The words of the product as types: call legs, conversations, totals, balances, runs, and who owns what."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Generic, Literal, NamedTuple, Self, TypeVar

UNASSIGNED = 0  # workspace that holds the usage of numbers and agents nobody registered

PRICE_PLACES = Decimal("0.00000001")  # numeric(18,8): LLM prices such as 0.00041565 are real

E164 = re.compile(r"\+[1-9][0-9]{6,14}")

# What Twilio and ElevenLabs will not change any more. Unknown statuses are taken for unfinished.
UNBILLED_CALL_STATUSES = ("busy", "failed", "no-answer", "canceled")
FINAL_CALL_STATUSES = ("completed", *UNBILLED_CALL_STATUSES)
FINAL_CONVERSATION_STATUSES = ("done", "failed")

Source = Literal["twilio", "elevenlabs"]
SOURCES: tuple[Source, ...] = ("twilio", "elevenlabs")
PROVIDER_NAMES: Mapping[Source, str] = {"twilio": "Twilio", "elevenlabs": "ElevenLabs"}

Window = tuple[datetime, datetime]  # what a run lists: from the first moment until the second


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

    @property
    def record_id(self) -> str:
        return self.sid


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

    def __neg__(self) -> "LlmUsage":
        nothing = TokenUsage()
        return LlmUsage(
            {model: {name: nothing - used for name, used in usage.items()} for model, usage in self.items()}
        )

    def __sub__(self, other: "LlmUsage") -> "LlmUsage":
        """Return the difference; models and categories that did not move are left out."""
        return (self + -other).without_zeros()

    def without_zeros(self) -> "LlmUsage":
        """Leave out what adds up to nothing, so that equal usage looks equal however it came about."""
        some = {model: {name: used for name, used in usage.items() if used} for model, usage in self.items()}
        return LlmUsage({model: usage for model, usage in some.items() if usage})


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

    @property
    def record_id(self) -> str:
        return self.conversation_id


# Its fields that have eight decimals, as prices have.
PRICES_OF_CONVERSATION = ("cost", "llm_price", "platform_price", "free_minutes_consumed", "free_llm_dollars_consumed")


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptTurn:
    """One thing that was said in a conversation, or a tool that was used. Shown on request, and never stored."""

    role: str  # agent, user, …
    message: str | None  # None when only tools were used
    seconds: int  # into the conversation
    tools: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFailure:
    """A record that could not be fetched or read so far; it is tried again, and leaves the list when that works."""

    source: Source
    record_id: str
    error: str
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something of the database itself that is missing, or that opens it; `remedy` says how to mend it."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyRecords:
    """What became of the records of one kind that the 12-hour system held; none of them counts by itself.

    `waiting` records, from `first` to `last`, lie where no sync has looked yet; `gone` ones were not found there.
    """

    waiting: int
    first: datetime | None
    last: datetime | None
    gone: int


class DayDigest(NamedTuple):
    """What a source's records of one day add up to. Stores in which it is equal hold the same versions of them."""

    records: int
    fetched: int  # sum of the seconds at which they were fetched
    cost: int  # in units of 1e-8
    seconds: int


class Totals:
    """Sums that add and subtract field by field, so that closing minus opening balance is usage."""

    __slots__ = ()  # of a subclass, which is a dataclass with slots, they are its fields

    def __add__(self, other: Self) -> Self:
        names: tuple[str, ...] = self.__slots__
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def __sub__(self, other: Self) -> Self:
        names: tuple[str, ...] = self.__slots__
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


class Cost(NamedTuple):
    """What is known of a cost, in units of 1e-8, and how many records still await their price.

    There is one for each workspace and edge, and whole numbers are ten times as fast as decimals.
    """

    units: int = 0
    unpriced: int = 0

    @property
    def amount(self) -> Decimal:
        return Decimal(self.units).scaleb(-8)

    def since(self, opening: "Cost") -> "Cost":
        return Cost(self.units - opening.units, self.unpriced - opening.unpriced)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(Generic[AnyTotals]):
    """What balances say of a period. Token usage per model is left out: it is most of what a balance weighs.

    `opening` and `closing` are by workspace id. `sums` has the balance of all these workspaces together at each edge,
    `costs` that part of each workspace's balance which is shown over time, at each edge.
    """

    opening: Mapping[int, AnyTotals]
    closing: Mapping[int, AnyTotals]
    sums: Sequence[AnyTotals]
    costs: Mapping[int, Sequence[Cost]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallGroup:
    """What the legs of one direction and status add up to."""

    direction: str
    status: str
    totals: TwilioTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentGroup:
    """What one agent's conversations in one workspace add up to; the token usage per model is left out."""

    workspace_id: int
    agent_id: str | None
    agent_name: str | None  # the latest name that was seen
    totals: ElevenLabsTotals


class RunKind(StrEnum):
    """Why a run lists what it lists: the last hour, the days listed again once a day, or a stretch of history."""

    HOURLY = "hourly"
    SWEEP = "sweep"
    BACKFILL = "backfill"


class RunState(StrEnum):
    """How a run stands. Only `ok` moves the watermark on."""

    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRun:
    """One run of one source: history, watermark and lock. `message` says why it failed or was skipped.

    A backfill walks its window from the end: it has everything from `position` on, and `total` is what the provider has
    listed so far.
    """

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
    refused: int = 0  # requests, because there were too many (429)
    in_flight: int = 0  # requests under way at the last heartbeat
    message: str | None = None
    position: datetime | None = None
    owner: str = ""
    started_at: datetime
    heartbeat_at: datetime
    finished_at: datetime | None = None

    @property
    def is_broken(self) -> bool:
        """Whether it ended before its work was done."""
        return self.state in (RunState.FAILED, RunState.INTERRUPTED)

    @property
    def duration(self) -> timedelta:
        """How long it took, or has gone on for as far as it has told."""
        return (self.finished_at or self.heartbeat_at) - self.started_at

    @property
    def records_per_second(self) -> float | None:
        seconds = self.duration.total_seconds()
        return self.done / seconds if seconds >= 1 else None

    @property
    def share_walked(self) -> float | None:
        """How much of the window a backfill has walked, from 0 to 1."""
        if self.kind is not RunKind.BACKFILL:
            return None
        walked = self.window_end - (self.position or self.window_end)
        return walked / (self.window_end - self.window_start)

    @property
    def seconds_left(self) -> int | None:
        """How long a run will still take at its usual rate, as far as its records are listed."""
        rate = self.records_per_second
        if self.state is not RunState.RUNNING or self.total is None or not rate:
            return None
        return int(max(self.total - self.done, 0) / rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """The runs of one source, kind and state together. `seconds` is how long those took that have ended."""

    source: Source
    kind: RunKind
    state: RunState
    runs: int
    seconds: float
    saved: int
    failed: int
    refused: int  # requests, because there were too many (429)
    alive: int  # runs that go on, and have shown a sign of life
    in_flight: int  # requests of these, at the last sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A client of the agency."""

    id: int
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """Who owns a number from `valid_from` (None: always) until `valid_until` (None: still). `id` is the store's."""

    id: int = field(compare=False)
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
    """One of the agency's numbers that calls or conversations used while nobody owned it.

    Costs are sums of what is known (None: nothing yet), in the account's currency and in US dollars; `unpriced` says
    how many legs and conversations are in neither. A call's transfers cost, but are no calls of their own.
    """

    phone_number: str
    calls: int
    conversations: int
    twilio_cost: Decimal | None
    elevenlabs_cost: Decimal | None
    unpriced: int
    first_seen: datetime
    last_seen: datetime

    @property
    def records(self) -> int:
        return self.calls + self.conversations


@dataclass(frozen=True, slots=True, kw_only=True)
class UnregisteredAgent:
    """An agent with Unassigned conversations: those that registering it would move, on unregistered numbers or none."""

    agent_id: str
    agent_name: str | None  # in the last conversation
    conversations: int
    cost: Decimal | None  # US dollars; None is nothing known yet
    unpriced: int
    last_seen: datetime
