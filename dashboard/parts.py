"""What the total cost consists of. Each part has one colour everywhere, and the parts always add up to the total."""

from collections.abc import Iterable
from dataclasses import dataclass

from dashboard import colours
from sync import metrics
from sync.metrics import CombinedTotals, Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the cost, in the currency of its provider."""

    name: str
    colour: str
    metric: Metric[CombinedTotals]


VOICE = Part(name="ElevenLabs voice", colour=colours.VOICE, metric=metrics.VOICE_COST)
LLM = Part(name="ElevenLabs LLM", colour=colours.LLM, metric=metrics.LLM_COST)
NOT_ITEMISED = Part(name="ElevenLabs, not itemised", colour=colours.GREY, metric=metrics.NOT_ITEMISED_COST)


def twilio_part(currency: str) -> Part:
    return Part(name="Twilio", colour=colours.TWILIO, metric=metrics.twilio_part(currency))


def elevenlabs_parts(shown: Iterable[CombinedTotals]) -> list[Part]:
    """Return the parts of the ElevenLabs cost; the last one only where one of the `shown` totals needs it."""
    is_needed = any(metrics.NOT_ITEMISED_COST.value(totals) for totals in shown)
    return [VOICE, LLM, NOT_ITEMISED] if is_needed else [VOICE, LLM]
