"""Every metric once: label, value, unit, formula, source. KPIs, tables and downloads all read it from here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Generic, Literal, TypeVar

from dashboard.formats import Amount
from dashboard.units import (
    AVERAGE_DURATION,
    COUNT,
    CREDITS,
    DURATION,
    MINUTES,
    USD,
    WHOLE_MINUTES,
    Unit,
    money,
)
from sync.models import ElevenLabsTotals, Totals, TwilioTotals

PER_MINUTE = 4  # decimals of a price per minute or per call

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedTotals(Totals):
    """What both providers count of the same usage."""

    twilio: TwilioTotals = field(default_factory=TwilioTotals)
    elevenlabs: ElevenLabsTotals = field(default_factory=ElevenLabsTotals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Generic[T]):
    """`value` gives None for what is not known. `direction` tells whether more of it is worse, or neither."""

    label: str
    unit: Unit
    value: Callable[[T], Amount | None]
    formula: str
    source: str
    direction: Literal["cost", "volume"] = "volume"

    @property
    def help(self) -> str:
        return f"{self.formula} Unit: {self.unit.name}. Source: {self.source}."


def known(cost: Decimal, unpriced: int) -> Decimal | None:
    """Return a cost, or None when all there is still awaits its price."""
    return cost if cost or not unpriced else None


def _ratio(amount: Amount | None, number: Amount) -> Decimal | None:
    return Decimal(amount) / number if amount is not None and number else None


def twilio_cost(totals: TwilioTotals) -> Decimal | None:
    return known(totals.total_cost, totals.unpriced_calls)


def elevenlabs_cost(totals: ElevenLabsTotals) -> Decimal | None:
    return known(totals.total_cost, totals.unpriced_conversations)


def total_cost(totals: CombinedTotals) -> Decimal | None:
    """Return both costs in one sum, which is only right when Twilio bills in US dollars."""
    unpriced = totals.twilio.unpriced_calls + totals.elevenlabs.unpriced_conversations
    return known(totals.twilio.total_cost + totals.elevenlabs.total_cost, unpriced)


CALLS = "Twilio, call records"
CONVERSATIONS = "ElevenLabs, conversation details"
BOTH = "Twilio call records and ElevenLabs conversation details"


def twilio(currency: str) -> list[Metric[TwilioTotals]]:
    """Return the metrics of the phone lines, the answer first."""
    return [
        Metric(
            label="Cost",
            unit=money(currency),
            value=twilio_cost,
            formula="Sum of the prices of all legs; those that still await a price are left out.",
            source=CALLS,
            direction="cost",
        ),
        Metric(
            label="Calls",
            unit=COUNT,
            value=lambda totals: totals.total_calls,
            formula="Calls that started in the period; the further legs of a call do not count.",
            source=CALLS,
        ),
        Metric(
            label="Talk time",
            unit=DURATION,
            value=lambda totals: totals.total_duration,
            formula="Sum of the durations of calls, to the second; further legs do not count.",
            source=CALLS,
        ),
        Metric(
            label="Cost per billed minute",
            unit=money(currency, places=PER_MINUTE),
            value=lambda totals: _ratio(twilio_cost(totals), totals.billed_minutes),
            formula="Cost divided by billed minutes.",
            source=CALLS,
            direction="cost",
        ),
        Metric(
            label="Legs",
            unit=COUNT,
            value=lambda totals: totals.total_legs,
            formula="All legs of all calls; each of them is billed.",
            source=CALLS,
        ),
        Metric(
            label="Billed minutes",
            unit=WHOLE_MINUTES,
            value=lambda totals: totals.billed_minutes,
            formula="The duration of each leg rounded up to a minute, summed.",
            source=CALLS,
        ),
        Metric(
            label="Average call",
            unit=AVERAGE_DURATION,
            value=lambda totals: _ratio(totals.total_duration, totals.total_calls),
            formula="Talk time divided by calls.",
            source=CALLS,
        ),
        Metric(
            label="Legs awaiting a price",
            unit=COUNT,
            value=lambda totals: totals.unpriced_calls,
            formula="Legs without a price in the account's currency: Twilio sets it minutes after a call.",
            source=CALLS,
        ),
    ]


def elevenlabs() -> list[Metric[ElevenLabsTotals]]:
    """Return the metrics of the agents, the answer first."""
    return [
        Metric(
            label="Cost",
            unit=USD,
            value=elevenlabs_cost,
            formula="Sum of the costs in US dollars; conversations that still await a price are left out.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            label="Cost in credits",
            unit=CREDITS,
            value=lambda totals: totals.total_credits,
            formula="Sum of the credits charged. Credits are another measure of the same cost; never add the two.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            label="Conversations",
            unit=COUNT,
            value=lambda totals: totals.total_conversations,
            formula="Conversations that started in the period, finished or not.",
            source=CONVERSATIONS,
        ),
        Metric(
            label="Duration",
            unit=DURATION,
            value=lambda totals: totals.total_duration,
            formula="Sum of the durations of conversations, to the second.",
            source=CONVERSATIONS,
        ),
        Metric(
            label="LLM price",
            unit=USD,
            value=lambda totals: totals.llm_price,
            formula="The part of the cost that language models take.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            label="Platform (voice) price",
            unit=USD,
            value=lambda totals: totals.platform_price,
            formula="The part of the cost that voice takes: speech, telephony and the platform.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            label="LLM charge",
            unit=CREDITS,
            value=lambda totals: totals.llm_charge,
            formula="The part of the credits that language models take.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            label="Call charge",
            unit=CREDITS,
            value=lambda totals: totals.call_charge,
            formula="The part of the credits that voice takes.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            label="Free minutes used",
            unit=MINUTES,
            value=lambda totals: totals.free_minutes_consumed,
            formula="Minutes taken from the plan's free allowance (free_minutes_consumed).",
            source=CONVERSATIONS,
        ),
        Metric(
            label="Free LLM dollars used",
            unit=USD,
            value=lambda totals: totals.free_llm_dollars_consumed,
            formula="LLM cost taken from the plan's free allowance (free_llm_dollars_consumed).",
            source=CONVERSATIONS,
        ),
        Metric(
            label="Discounted conversations",
            unit=COUNT,
            value=lambda totals: totals.dev_discount,
            formula="Conversations at the developer discount (dev_discount).",
            source=CONVERSATIONS,
        ),
        Metric(
            label="Awaiting a price",
            unit=COUNT,
            value=lambda totals: totals.unpriced_conversations,
            formula="Conversations whose cost in US dollars is not known yet.",
            source=CONVERSATIONS,
        ),
    ]


def workspaces(currency: str) -> list[Metric[CombinedTotals]]:
    """Return the metrics of a client; costs in different currencies stay apart."""
    return [
        *(_one_cost() if currency == "USD" else _two_costs(currency)),
        Metric(
            label="Calls",
            unit=COUNT,
            value=lambda totals: totals.twilio.total_calls,
            formula="Twilio calls that started in the period; the further legs of a call do not count.",
            source=CALLS,
        ),
        Metric(
            label="Conversations",
            unit=COUNT,
            value=lambda totals: totals.elevenlabs.total_conversations,
            formula="ElevenLabs conversations that started in the period, finished or not.",
            source=CONVERSATIONS,
        ),
        Metric(
            label="Talk time",
            unit=DURATION,
            value=lambda totals: totals.twilio.total_duration,
            formula="Sum of the durations of Twilio calls, to the second; further legs do not count.",
            source=CALLS,
        ),
        *(_cost_per_minute() if currency == "USD" else []),
    ]


def _one_cost() -> list[Metric[CombinedTotals]]:
    return [
        Metric(
            label="Total cost",
            unit=USD,
            value=total_cost,
            formula="Twilio cost plus ElevenLabs cost; what still awaits a price is left out.",
            source=BOTH,
            direction="cost",
        )
    ]


def _two_costs(currency: str) -> list[Metric[CombinedTotals]]:
    return [
        Metric(
            label="Twilio cost",
            unit=money(currency),
            value=lambda totals: twilio_cost(totals.twilio),
            formula="Sum of the prices of all legs, in the currency that Twilio bills in; never added to US dollars.",
            source=CALLS,
            direction="cost",
        ),
        Metric(
            label="ElevenLabs cost",
            unit=USD,
            value=lambda totals: elevenlabs_cost(totals.elevenlabs),
            formula="Sum of the costs of conversations in US dollars.",
            source=CONVERSATIONS,
            direction="cost",
        ),
    ]


def _cost_per_minute() -> list[Metric[CombinedTotals]]:
    return [
        Metric(
            label="Cost per minute",
            unit=money("USD", places=PER_MINUTE),
            value=lambda totals: _ratio(total_cost(totals), Decimal(totals.twilio.total_duration) / 60),
            formula="Total cost divided by talk time.",
            source=BOTH,
            direction="cost",
        )
    ]


def of_workspace(currency: str, parts: Sequence[Metric[CombinedTotals]]) -> list[Metric[CombinedTotals]]:
    """Return the columns of the table of workspaces: the cost, what it consists of, then the usage."""
    shown = workspaces(currency)
    costs = 1 if currency == "USD" else 2
    return [*shown[:costs], *parts, *shown[costs:]]
