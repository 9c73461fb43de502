"""The usage of a period as the pages take it: by workspace, over time, and in one sum that equals both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

from sync.metrics import CombinedTotals
from sync.models import ElevenLabsTotals, Statement, TwilioTotals
from sync.usage import by_workspace, costs_over_time, over_time, total_of

ShownTotals = TypeVar("ShownTotals", TwilioTotals, ElevenLabsTotals, CombinedTotals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Generic[ShownTotals]):
    """Keys of `by_workspace` are workspace ids. Token usage per model is in none of it.

    `over_time` gives of one workspace only what its lines in tables show, the cost and what still awaits a price.
    """

    by_workspace: Mapping[int, ShownTotals]
    total: ShownTotals
    totals_over_time: Sequence[ShownTotals]
    over_time: Callable[[int], list[ShownTotals]]
    nothing: ShownTotals

    def of(self, workspace_id: int) -> ShownTotals:
        return self.by_workspace.get(workspace_id, self.nothing)


def twilio(statement: Statement[TwilioTotals]) -> Usage[TwilioTotals]:
    used = by_workspace(statement, TwilioTotals())
    return Usage(
        by_workspace=used,
        total=total_of(used.values(), TwilioTotals()),
        totals_over_time=over_time(statement),
        over_time=cache(
            lambda workspace_id: [
                TwilioTotals(total_cost=cost.amount, unpriced_calls=cost.unpriced)
                for cost in costs_over_time(statement, workspace_id)
            ]
        ),
        nothing=TwilioTotals(),
    )


def elevenlabs(statement: Statement[ElevenLabsTotals]) -> Usage[ElevenLabsTotals]:
    used = by_workspace(statement, ElevenLabsTotals())
    return Usage(
        by_workspace=used,
        total=total_of(used.values(), ElevenLabsTotals()),
        totals_over_time=over_time(statement),
        over_time=cache(
            lambda workspace_id: [
                ElevenLabsTotals(total_cost=cost.amount, unpriced_conversations=cost.unpriced)
                for cost in costs_over_time(statement, workspace_id)
            ]
        ),
        nothing=ElevenLabsTotals(),
    )


def combined(twilio: Usage[TwilioTotals], elevenlabs: Usage[ElevenLabsTotals]) -> Usage[CombinedTotals]:
    """Put the usage of both providers side by side, workspace by workspace and bucket by bucket."""
    return Usage(
        by_workspace={
            workspace_id: CombinedTotals(twilio=twilio.of(workspace_id), elevenlabs=elevenlabs.of(workspace_id))
            for workspace_id in {**twilio.by_workspace, **elevenlabs.by_workspace}
        },
        total=CombinedTotals(twilio=twilio.total, elevenlabs=elevenlabs.total),
        totals_over_time=_side_by_side(twilio.totals_over_time, elevenlabs.totals_over_time),
        over_time=lambda workspace_id: _side_by_side(
            twilio.over_time(workspace_id), elevenlabs.over_time(workspace_id)
        ),
        nothing=CombinedTotals(),
    )


def only_twilio(usage: Usage[TwilioTotals]) -> Usage[CombinedTotals]:
    """Return the usage in the form that parts of the cost are taken from, with nothing of ElevenLabs in it."""
    return combined(usage, _nothing(ElevenLabsTotals(), usage))


def only_elevenlabs(usage: Usage[ElevenLabsTotals]) -> Usage[CombinedTotals]:
    """Return the usage in the form that parts of the cost are taken from, with nothing of Twilio in it."""
    return combined(_nothing(TwilioTotals(), usage), usage)


def _nothing(nothing: ShownTotals, like: "Usage[TwilioTotals] | Usage[ElevenLabsTotals]") -> Usage[ShownTotals]:
    buckets = len(like.totals_over_time)
    return Usage(
        by_workspace={},
        total=nothing,
        totals_over_time=[nothing] * buckets,
        over_time=lambda _: [nothing] * buckets,
        nothing=nothing,
    )


def _side_by_side(twilio: Sequence[TwilioTotals], elevenlabs: Sequence[ElevenLabsTotals]) -> list[CombinedTotals]:
    return [CombinedTotals(twilio=left, elevenlabs=right) for left, right in zip(twilio, elevenlabs, strict=True)]
