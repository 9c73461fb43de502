"""The usage of a period as the pages take it: by workspace, over time, and in one sum that equals both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from dashboard.metrics import CombinedTotals
from sync.models import ElevenLabsTotals, TwilioTotals
from sync.usage import total_of

AnyTotals = TypeVar("AnyTotals", TwilioTotals, ElevenLabsTotals, CombinedTotals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Generic[AnyTotals]):
    """`by_workspace` is the whole period; `series` has the same for each bucket. Keys are workspace ids."""

    by_workspace: Mapping[int, AnyTotals]
    series: Sequence[Mapping[int, AnyTotals]]
    nothing: AnyTotals

    @property
    def total(self) -> AnyTotals:
        return _sum(self.by_workspace, self.nothing)

    @property
    def totals_over_time(self) -> list[AnyTotals]:
        return [_sum(bucket, self.nothing) for bucket in self.series]

    def of(self, workspace_id: int) -> AnyTotals:
        return self.by_workspace.get(workspace_id, self.nothing)

    def over_time(self, workspace_id: int) -> list[AnyTotals]:
        return [bucket.get(workspace_id, self.nothing) for bucket in self.series]


def _sum(by_workspace: Mapping[int, AnyTotals], nothing: AnyTotals) -> AnyTotals:
    total: AnyTotals = total_of(by_workspace.values(), nothing)  # type: ignore[type-var]  # any totals add up
    return total


def combined(twilio: Usage[TwilioTotals], elevenlabs: Usage[ElevenLabsTotals]) -> Usage[CombinedTotals]:
    """Put the usage of both providers side by side, workspace by workspace and bucket by bucket."""
    return Usage(
        by_workspace=_side_by_side(twilio.by_workspace, elevenlabs.by_workspace),
        series=[_side_by_side(*pair) for pair in zip(twilio.series, elevenlabs.series, strict=True)],
        nothing=CombinedTotals(),
    )


def only_twilio(usage: Usage[TwilioTotals]) -> Usage[CombinedTotals]:
    """Return the usage in the form that parts of the cost are taken from, with nothing of ElevenLabs in it."""
    return combined(usage, Usage(by_workspace={}, series=[{}] * len(usage.series), nothing=ElevenLabsTotals()))


def only_elevenlabs(usage: Usage[ElevenLabsTotals]) -> Usage[CombinedTotals]:
    """Return the usage in the form that parts of the cost are taken from, with nothing of Twilio in it."""
    return combined(Usage(by_workspace={}, series=[{}] * len(usage.series), nothing=TwilioTotals()), usage)


def _side_by_side(
    twilio: Mapping[int, TwilioTotals], elevenlabs: Mapping[int, ElevenLabsTotals]
) -> dict[int, CombinedTotals]:
    return {
        workspace: CombinedTotals(
            twilio=twilio.get(workspace, TwilioTotals()), elevenlabs=elevenlabs.get(workspace, ElevenLabsTotals())
        )
        for workspace in {**twilio, **elevenlabs}
    }
