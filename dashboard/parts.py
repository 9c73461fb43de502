"""What the total cost consists of. Each part has one colour everywhere, and the parts always add up to the total."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from dashboard.metrics import CALLS, CONVERSATIONS, CombinedTotals, Metric, known
from dashboard.units import USD


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the cost, in the currency of its provider. The colours hold on white and on black."""

    name: str
    heading: str  # of a column, where all columns beside it are parts too
    colour: str
    cost: Callable[[CombinedTotals], Decimal]
    unpriced: Callable[[CombinedTotals], int]
    formula: str
    source: str

    def as_metric(self) -> Metric[CombinedTotals]:
        return Metric(
            label=self.heading,
            unit=USD,
            value=lambda totals: known(self.cost(totals), self.unpriced(totals)),
            formula=self.formula,
            source=self.source,
            direction="cost",
        )


def _unpriced_legs(totals: CombinedTotals) -> int:
    return totals.twilio.unpriced_calls


def _unpriced_conversations(totals: CombinedTotals) -> int:
    return totals.elevenlabs.unpriced_conversations


TWILIO = Part(
    name="Twilio",
    heading="Twilio",
    colour="#e4803a",
    cost=lambda totals: totals.twilio.total_cost,
    unpriced=_unpriced_legs,
    formula="Sum of the prices of all legs.",
    source=CALLS,
)
VOICE = Part(
    name="ElevenLabs voice",
    heading="Voice",
    colour="#4a86d8",
    cost=lambda totals: totals.elevenlabs.platform_price,
    unpriced=_unpriced_conversations,
    formula="The part of the cost of conversations that voice takes.",
    source=CONVERSATIONS,
)
LLM = Part(
    name="ElevenLabs LLM",
    heading="LLM",
    colour="#2aa58a",
    cost=lambda totals: totals.elevenlabs.llm_price,
    unpriced=_unpriced_conversations,
    formula="The part of the cost of conversations that language models take.",
    source=CONVERSATIONS,
)
# ElevenLabs may give a total without its parts, or for a while a part without the total; then this is negative.
NOT_ITEMISED = Part(
    name="ElevenLabs, not itemised",
    heading="Not itemised",
    colour="#8b93a1",
    cost=lambda totals: totals.elevenlabs.total_cost - totals.elevenlabs.platform_price - totals.elevenlabs.llm_price,
    unpriced=_unpriced_conversations,
    formula="The cost of conversations less its voice and LLM parts, where ElevenLabs does not give them.",
    source=CONVERSATIONS,
)


def elevenlabs_parts(shown: Iterable[CombinedTotals]) -> list[Part]:
    """Return the parts of the ElevenLabs cost; the last one only where one of the `shown` totals needs it."""
    return [VOICE, LLM, NOT_ITEMISED] if any(NOT_ITEMISED.cost(totals) for totals in shown) else [VOICE, LLM]
