"""The usage of both providers together; where one cannot be read, what the other one says is still shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard import charts, data, parts, sections
from dashboard.buckets import Buckets, Progress
from dashboard.filters import View
from dashboard.parts import Part
from dashboard.usages import Usage, combined, only_elevenlabs, only_twilio
from sync import metrics
from sync.metrics import CombinedTotals, Metric
from sync.models import SOURCES, ElevenLabsTotals, Source, TwilioTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class BothProviders:
    """Usage of a view and of the period that it is compared with; `sources` are those that could be read."""

    usage: Usage[CombinedTotals]
    before: Usage[CombinedTotals] | None
    sources: Sequence[Source]
    currency: str

    @property
    def metrics(self) -> list[Metric[CombinedTotals]]:
        return metrics.combined(self.currency, self.sources)

    @property
    def columns(self) -> list[Metric[CombinedTotals]]:
        """The columns of a table: the costs, what those in dollars consist of, the usage, and what no cost contains."""
        costs = [metric for metric in self.metrics if metric.key in ("total_cost", "twilio_cost", "elevenlabs_cost")]
        of_parts = [part.metric for part in self.parts if part.metric not in costs]
        return [*costs, *of_parts, *self.metrics[len(costs) :], metrics.UNPRICED]

    @property
    def parts(self) -> list[Part]:
        """What adds up in dollars."""
        shown = [*self.usage.totals_over_time, *self.usage.by_workspace.values()]
        of_twilio = [parts.twilio_part(self.currency)] if "twilio" in self.sources and self.currency == "USD" else []
        return [*of_twilio, *(parts.elevenlabs_parts(shown) if "elevenlabs" in self.sources else [])]

    @property
    def is_empty(self) -> bool:
        total = self.usage.total
        return not total.twilio.total_legs and not total.elevenlabs.total_conversations

    def draw_cost(self, buckets: Buckets, progress: Sequence[Progress]) -> None:
        """Draw the cost over time; Twilio's in another currency has a chart of its own."""
        over_time = self.usage.totals_over_time
        if "twilio" in self.sources and self.currency != "USD":
            bars = charts.cost_bars("Twilio cost", [parts.twilio_part(self.currency)], over_time, self.currency)
            charts.show(bars, buckets, progress, key="twilio cost")
        if self.parts:
            charts.show(charts.cost_bars("Cost", self.parts, over_time), buckets, progress, key="cost")


def read(view: View, buckets: Buckets) -> BothProviders | None:
    """Return the usage of both, or of the one that can be read; None when neither can, which the page then says."""
    twilio = sections.attempt("Twilio", lambda: data.twilio(view.period, buckets, view.workspaces))
    elevenlabs = sections.attempt("ElevenLabs", lambda: data.elevenlabs(view.period, buckets, view.workspaces))
    usage = _together(twilio, elevenlabs)
    if usage is None:
        return None
    sources = [source for source, read in zip(SOURCES, (twilio, elevenlabs), strict=True) if read]
    return BothProviders(
        usage=usage,
        before=_before(view, sources) if view.compared_with else None,
        sources=sources,
        currency=data.currency(),
    )


def _before(view: View, sources: Sequence[Source]) -> Usage[CombinedTotals] | None:
    """Return the usage before, of each provider as far as its own data reaches into the period."""
    twilio, elevenlabs = (view.compared.get(source) if source in sources else None for source in SOURCES)
    return _together(
        data.twilio(twilio, None, view.workspaces) if twilio else None,
        data.elevenlabs(elevenlabs, None, view.workspaces) if elevenlabs else None,
    )


def _together(
    twilio: Usage[TwilioTotals] | None, elevenlabs: Usage[ElevenLabsTotals] | None
) -> Usage[CombinedTotals] | None:
    if twilio and elevenlabs:
        return combined(twilio, elevenlabs)
    if twilio:
        return only_twilio(twilio)
    return only_elevenlabs(elevenlabs) if elevenlabs else None
