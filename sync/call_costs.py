"""What one call cost in all: its legs and its conversations together, and how such calls are asked for."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from sync.models import (
    AnyTotals,
    CallLeg,
    Conversation,
    ElevenLabsTotals,
    LlmUsage,
    TwilioTotals,
)

Direction = Literal["inbound", "outbound"]

# CA… and conv_… today; before 2025 ElevenLabs had ids without a prefix, and calls of SIP trunks have others.
RECORD_ID = re.compile(r"(?=.*[A-Za-z])[\w-]+", re.ASCII)


class Match(StrEnum):
    """Whether both providers know of a call, and if not, whether they should."""

    MATCHED = "matched"
    CALL_ONLY = "call only"  # somebody answered, and no conversation is stored
    UNANSWERED = "unanswered"  # busy, failed, not answered or canceled: there was nothing to talk
    CONVERSATION_ONLY = "conversation only"  # came over Twilio, and none of its legs is stored
    NO_PHONE = "no phone"  # widget, WhatsApp and the like, which never have a leg


EXPECTED = (Match.MATCHED, Match.CALL_ONLY, Match.CONVERSATION_ONLY)  # what the match rate is about


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls: those that started in `[since, until)` and meet all that is given; None is everything.

    A call is in every workspace that owns one of its records; with `exclusive`, those are left out that others own a
    record of too. `search` is the id of a call leg or conversation, or a phone number or its last digits.
    """

    since: datetime | None = None
    until: datetime | None = None
    workspaces: frozenset[int] | None = None
    exclusive: bool = False
    match: Match | None = None
    direction: Direction | None = None
    status: str | None = None
    search: str = ""

    @property
    def is_narrow(self) -> bool:
        """Tell whether more than period and workspaces is asked for."""
        return bool(self.match or self.direction or self.status or self.search.strip())

    @property
    def searched_id(self) -> str | None:
        """Return the id that is searched, if it is one."""
        text = self.search.strip()
        return text if RECORD_ID.fullmatch(text) else None

    @property
    def searched_digits(self) -> str | None:
        """Return the last digits of the number that is searched; empty when the text is neither number nor id."""
        text = self.search.strip()
        if not text or self.searched_id:
            return None
        return re.sub(r"\D", "", text) if re.fullmatch(r"[\d\s+().…-]+", text) else ""


class SortKey(StrEnum):
    """What calls may be sorted by; what is not known comes last in both directions."""

    START = "started_at"
    COST = "total_cost"
    DURATION = "duration"
    GAP = "gap"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCost:
    """One call. `duration` is the topmost leg's, or the conversation's where there is no leg. None is "not known".

    A leg in another currency than the account's counts as unpriced. `total_cost` is in US dollars.
    """

    call_id: str  # sid of the topmost stored leg, or the id of a conversation that stands alone
    started_at: datetime
    workspace_id: int
    conversation_workspace_id: int | None
    match: Match
    direction: str | None
    status: str
    from_number: str | None
    to_number: str | None
    agent_name: str | None
    conversation_id: str | None  # of the first conversation
    legs: int
    conversations: int
    price_unit: str | None  # of the legs
    twilio_cost: Decimal | None
    unpriced_legs: int
    elevenlabs_cost: Decimal | None
    platform_price: Decimal | None
    llm_price: Decimal | None
    credits: int | None
    unpriced_conversations: int
    total_cost: Decimal | None
    duration: int | None
    conversation_seconds: int | None
    gap: int | None

    @property
    def has_foreign_currency(self) -> bool:
        return self.price_unit not in (None, "USD")


AMOUNTS = ("twilio_cost", "elevenlabs_cost", "platform_price", "llm_price", "total_cost")


def known_amounts(stored: Mapping[str, Any], amount: Callable[[Any], Decimal]) -> dict[str, Decimal | None]:
    """Return the amounts of a call as a store has them, but none of a provider whose records are not all priced."""
    amounts = {name: None if stored[name] is None else amount(stored[name]) for name in AMOUNTS}
    if not stored["legs"] or stored["unpriced_legs"]:
        amounts["twilio_cost"] = None
    if not stored["conversations"] or stored["unpriced_conversations"]:
        amounts["elevenlabs_cost"] = None
    return amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDetail:
    """One call with its records, each in the order of their starts."""

    call: CallCost
    legs: Sequence[CallLeg]
    conversations: Sequence[Conversation]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSummary:
    """What a filter selects: `calls` are counted like the rows of the list, by their match.

    The totals count each leg and conversation where the balances have it: at its own start, in its own workspace. So
    workspaces add up to the whole, and without further filters the totals are those of the balances. They differ from
    the sum of the rows by calls that reach over the edge of the period, or are shared by two workspaces. Token usage
    per model is left out.
    """

    calls: Mapping[Match, int] = field(default_factory=dict)
    twilio: TwilioTotals = field(default_factory=TwilioTotals)
    elevenlabs: ElevenLabsTotals = field(default_factory=ElevenLabsTotals)

    @property
    def count(self) -> int:
        return sum(self.calls.values())

    def of(self, match: Match) -> int:
        return self.calls.get(match, 0)

    @property
    def match_rate(self) -> Decimal | None:
        """Return the share (0 to 1) of calls that both providers know, of those that both should know."""
        expected = sum(self.of(match) for match in EXPECTED)
        return Decimal(self.of(Match.MATCHED)) / expected if expected else None


def usage_between(
    opening: Mapping[int, AnyTotals],
    closing: Mapping[int, AnyTotals],
    workspaces: Collection[int] | None,
    *,
    nothing: AnyTotals,
) -> AnyTotals:
    """Return what these workspaces used between two balances."""
    usage = nothing
    for workspace, totals in closing.items():
        if workspaces is None or workspace in workspaces:
            usage = usage + totals - opening.get(workspace, nothing)
    return usage


def without_models(totals: ElevenLabsTotals) -> ElevenLabsTotals:
    return replace(totals, llm_usage=LlmUsage())
