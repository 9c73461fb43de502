"""Usage of a period: closing minus opening balance, by workspace, in sum and over time. Pages and API share it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise

from sync.models import AnyTotals, Cost, ElevenLabsTotals, Statement, TwilioTotals
from sync.store import Balances

ByWorkspace = Mapping[int, AnyTotals]


def twilio_usage(store: Balances, since: datetime | None, until: datetime | None) -> dict[int, TwilioTotals]:
    """Return what each workspace used in `[since, until)`; None is the beginning, and the latest balance."""
    if since is None:
        return store.twilio_balances([until])[0]
    return _between(*store.twilio_balances([since, until]), nothing=TwilioTotals())


def elevenlabs_usage(store: Balances, since: datetime | None, until: datetime | None) -> dict[int, ElevenLabsTotals]:
    """Return what each workspace used in `[since, until)`; None is the beginning, and the latest balance."""
    if since is None:
        return store.elevenlabs_balances([until])[0]
    return _between(*store.elevenlabs_balances([since, until]), nothing=ElevenLabsTotals())


def by_workspace(statement: Statement[AnyTotals], nothing: AnyTotals) -> dict[int, AnyTotals]:
    """Return what each workspace used in the period of the statement, without token usage per model."""
    return _between(statement.opening, statement.closing, nothing=nothing)


def over_time(statement: Statement[AnyTotals]) -> list[AnyTotals]:
    """Return what all used together between neighbouring edges; n edges give n - 1 stretches."""
    return [after - before for before, after in pairwise(statement.sums)]


def costs_over_time(statement: Statement[AnyTotals], workspace_id: int) -> list[Cost]:
    """Return what a workspace's usage cost between neighbouring edges."""
    costs = statement.costs.get(workspace_id) or [Cost()] * len(statement.sums)
    return [after.since(before) for before, after in pairwise(costs)]


def total_of(usage: Iterable[AnyTotals], nothing: AnyTotals) -> AnyTotals:
    """Add up the workspaces, Unassigned among them."""
    total = nothing
    for totals in usage:
        total = total + totals
    return total


def _between(
    opening: ByWorkspace[AnyTotals], closing: ByWorkspace[AnyTotals], *, nothing: AnyTotals
) -> dict[int, AnyTotals]:
    return {workspace: totals - opening.get(workspace, nothing) for workspace, totals in closing.items()}
