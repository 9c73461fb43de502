"""Every number once: name, label, formula, unit, direction, value. Pages, API and downloads all take it from here."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, fields
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Generic, Literal, TypeVar

from sync.models import PRICE_PLACES, SOURCES, ElevenLabsTotals, Source, Totals, TwilioTotals

Amount = Decimal | int

COUNT, CREDITS, SECONDS, MINUTES, WHOLE_MINUTES, USD = "count", "credits", "seconds", "minutes", "whole minutes", "USD"

CALLS = "Twilio, call records"
CONVERSATIONS = "ElevenLabs, conversation details"
BOTH = "Twilio call records and ElevenLabs conversation details"

T = TypeVar("T")
SomeAmount = TypeVar("SomeAmount", Decimal, int)


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedTotals(Totals):
    """What both providers count of the same usage."""

    twilio: TwilioTotals = field(default_factory=TwilioTotals)
    elevenlabs: ElevenLabsTotals = field(default_factory=ElevenLabsTotals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Generic[T]):
    """`value` gives None for what is not known. `direction` tells whether more of it is worse, or neither."""

    key: str  # in the API and in downloads; totals have the name of their field
    label: str
    unit: str  # COUNT, CREDITS, …; for money the currency
    value: Callable[[T], Amount | None]
    formula: str
    source: str
    direction: Literal["cost", "volume"] = "volume"
    is_rate: bool = False  # money per piece, which needs more decimals than a sum

    @property
    def help(self) -> str:
        return f"{self.formula} Unit: {self.unit}. Source: {self.source}."


def stored(metrics: Iterable[Metric[T]], kind: type[T]) -> list[Metric[T]]:
    """Return the metrics that are totals themselves, and not computed from several."""
    counted: tuple[Any, ...] = fields(kind)  # type: ignore[arg-type]  # totals are dataclasses
    names = {each.name for each in counted}
    return [metric for metric in metrics if metric.key in names]


def values(metrics: Iterable[Metric[T]], totals: T) -> dict[str, Amount | None]:
    """Return each metric by its key."""
    return {metric.key: metric.value(totals) for metric in metrics}


def known(cost: SomeAmount, unpriced: int) -> SomeAmount | None:
    """Return a cost, or None when all there is still awaits its price."""
    return cost if cost or not unpriced else None


def ratio(amount: Amount | None, number: Amount) -> Decimal | None:
    """Return amount by number to eight decimals; None where one is not known, or nothing to divide by."""
    if amount is None or not number:
        return None
    return (Decimal(amount) / number).quantize(PRICE_PLACES, ROUND_HALF_UP)


def twilio_cost(totals: TwilioTotals) -> Decimal | None:
    return known(totals.total_cost, totals.unpriced_calls)


def elevenlabs_cost(totals: ElevenLabsTotals) -> Decimal | None:
    return known(totals.total_cost, totals.unpriced_conversations)


def total_cost(totals: CombinedTotals) -> Decimal | None:
    """Return both costs in one sum, which is only right when Twilio bills in US dollars."""
    unpriced = totals.twilio.unpriced_calls + totals.elevenlabs.unpriced_conversations
    return known(totals.twilio.total_cost + totals.elevenlabs.total_cost, unpriced)


def twilio(currency: str) -> list[Metric[TwilioTotals]]:
    """Return the metrics of the phone lines, the answer first."""
    return [
        Metric(
            key="total_cost",
            label="Cost",
            unit=currency,
            value=twilio_cost,
            formula="Sum of the prices of all legs; those that still await a price are left out.",
            source=CALLS,
            direction="cost",
        ),
        Metric(
            key="total_calls",
            label="Calls",
            unit=COUNT,
            value=lambda totals: totals.total_calls,
            formula="Calls that started in the period; the further legs of a call do not count.",
            source=CALLS,
        ),
        Metric(
            key="total_duration",
            label="Talk time",
            unit=SECONDS,
            value=lambda totals: totals.total_duration,
            formula="Sum of the durations of calls, to the second; further legs do not count.",
            source=CALLS,
        ),
        Metric(
            key="cost_per_billed_minute",
            label="Per billed minute",
            unit=currency,
            value=lambda totals: ratio(twilio_cost(totals), totals.billed_minutes),
            formula="Cost divided by billed minutes, those included that still await a price.",
            source=CALLS,
            direction="cost",
            is_rate=True,
        ),
        Metric(
            key="total_legs",
            label="Legs",
            unit=COUNT,
            value=lambda totals: totals.total_legs,
            formula="All legs of all calls; each of them is billed.",
            source=CALLS,
        ),
        Metric(
            key="billed_minutes",
            label="Billed minutes",
            unit=WHOLE_MINUTES,
            value=lambda totals: totals.billed_minutes,
            formula="The duration of each leg rounded up to a minute, summed.",
            source=CALLS,
        ),
        Metric(
            key="average_call_duration",
            label="Average call",
            unit=SECONDS,
            value=lambda totals: ratio(totals.total_duration, totals.total_calls),
            formula="Talk time divided by calls.",
            source=CALLS,
        ),
        Metric(
            key="unpriced_calls",
            label="Awaiting a price",
            unit=COUNT,
            value=lambda totals: totals.unpriced_calls,
            formula="Legs without a price in the account's currency: Twilio sets it minutes after a call.",
            source=CALLS,
        ),
    ]


def combined(currency: str, sources: Collection[Source] = SOURCES) -> list[Metric[CombinedTotals]]:
    """Return the metrics of a client, the answer first; costs in different currencies stay apart.

    Without one of the sources nothing is left that would need it.
    """
    is_whole = currency == USD and set(sources) == set(SOURCES)
    costs = (
        [TOTAL_COST]
        if is_whole
        else [*_if("twilio" in sources, twilio_part(currency)), *_if("elevenlabs" in sources, ELEVENLABS_COST)]
    )
    return [
        *costs,
        *_if("twilio" in sources, TOTAL_CALLS),
        *_if("elevenlabs" in sources, TOTAL_CONVERSATIONS),
        *_if("twilio" in sources, TALK_TIME),
        *_if(is_whole, COST_PER_MINUTE),
    ]


def _if(condition: bool, metric: Metric[CombinedTotals]) -> list[Metric[CombinedTotals]]:
    return [metric] if condition else []


TOTAL_CALLS: Metric[CombinedTotals] = Metric(
    key="total_calls",
    label="Calls",
    unit=COUNT,
    value=lambda totals: totals.twilio.total_calls,
    formula="Twilio calls that started in the period; the further legs of a call do not count.",
    source=CALLS,
)
TOTAL_CONVERSATIONS: Metric[CombinedTotals] = Metric(
    key="total_conversations",
    label="Conversations",
    unit=COUNT,
    value=lambda totals: totals.elevenlabs.total_conversations,
    formula="ElevenLabs conversations that started in the period, finished or not.",
    source=CONVERSATIONS,
)
TALK_TIME: Metric[CombinedTotals] = Metric(
    key="total_duration",
    label="Talk time",
    unit=SECONDS,
    value=lambda totals: totals.twilio.total_duration,
    formula="Sum of the durations of Twilio calls, to the second; further legs do not count.",
    source=CALLS,
)
TOTAL_COST: Metric[CombinedTotals] = Metric(
    key="total_cost",
    label="Total cost",
    unit=USD,
    value=total_cost,
    formula="Twilio cost plus ElevenLabs cost; what still awaits a price is left out.",
    source=BOTH,
    direction="cost",
)
COST_PER_MINUTE: Metric[CombinedTotals] = Metric(
    key="cost_per_minute",
    label="Cost per minute",
    unit=USD,
    value=lambda totals: ratio(total_cost(totals), Decimal(totals.twilio.total_duration) / 60),
    formula="Total cost divided by talk time, that of calls that still await a price included.",
    source=BOTH,
    direction="cost",
    is_rate=True,
)
UNPRICED: Metric[CombinedTotals] = Metric(
    key="unpriced",
    label="Awaiting a price",
    unit=COUNT,
    value=lambda totals: totals.twilio.unpriced_calls + totals.elevenlabs.unpriced_conversations,
    formula="Twilio legs and ElevenLabs conversations whose cost is not known yet, and so not in any sum.",
    source=BOTH,
)
ELEVENLABS_COST: Metric[CombinedTotals] = Metric(
    key="elevenlabs_cost",
    label="ElevenLabs cost",
    unit=USD,
    value=lambda totals: elevenlabs_cost(totals.elevenlabs),
    formula="Sum of the costs of conversations in US dollars.",
    source=CONVERSATIONS,
    direction="cost",
)


def twilio_part(currency: str) -> Metric[CombinedTotals]:
    return Metric(
        key="twilio_cost",
        label="Twilio cost",
        unit=currency,
        value=lambda totals: twilio_cost(totals.twilio),
        formula="Sum of the prices of all legs, in the currency that Twilio bills in; never added to another one.",
        source=CALLS,
        direction="cost",
    )


def _part_of_elevenlabs(
    key: str, label: str, cost: Callable[[ElevenLabsTotals], Decimal], formula: str
) -> Metric[CombinedTotals]:
    return Metric(
        key=key,
        label=label,
        unit=USD,
        value=lambda totals: known(cost(totals.elevenlabs), totals.elevenlabs.unpriced_conversations),
        formula=formula,
        source=CONVERSATIONS,
        direction="cost",
    )


VOICE_COST = _part_of_elevenlabs(
    "elevenlabs_voice_cost",
    "Voice",
    lambda totals: totals.platform_price,
    "The part of the cost of conversations that voice takes.",
)
LLM_COST = _part_of_elevenlabs(
    "elevenlabs_llm_cost",
    "LLM",
    lambda totals: totals.llm_price,
    "The part of the cost of conversations that language models take.",
)
# ElevenLabs may give a total without its parts, or for a while a part without the total; then this is negative.
NOT_ITEMISED_COST = _part_of_elevenlabs(
    "elevenlabs_not_itemised_cost",
    "Not itemised",
    lambda totals: totals.total_cost - totals.platform_price - totals.llm_price,
    "The cost of conversations less its voice and LLM parts, where ElevenLabs does not give them; below zero where it"
    " gives a part before the cost.",
)
