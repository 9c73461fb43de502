"""Usage of a period: closing minus opening balance, by workspace, in sum and over time. Pages and API share it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from sync.models import AnyTotals, ElevenLabsTotals, TwilioTotals
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


def twilio_series(store: Balances, edges: Sequence[datetime]) -> list[dict[int, TwilioTotals]]:
    """Return the usage of each stretch between two neighbouring edges; n edges give n - 1 stretches."""
    balances = store.twilio_balances(edges)
    return [_between(before, after, nothing=TwilioTotals()) for before, after in pairwise(balances)]


def elevenlabs_series(store: Balances, edges: Sequence[datetime]) -> list[dict[int, ElevenLabsTotals]]:
    """Return the usage of each stretch between two neighbouring edges; n edges give n - 1 stretches."""
    balances = store.elevenlabs_balances(edges)
    return [_between(before, after, nothing=ElevenLabsTotals()) for before, after in pairwise(balances)]


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
