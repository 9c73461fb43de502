"""The colour of each workspace: the same on every page, whatever is filtered, since all workspaces take part in it."""

from collections.abc import Sequence

from sync.models import UNASSIGNED, Workspace

# Hues that hold on white and on black, apart from those that stand for parts of the cost.
PALETTE = ("#7c5cd6", "#c2528b", "#5a9e3d", "#b8860b", "#3d8fa8", "#a8553d", "#6b7fb8", "#8a6d9e")
GREY = "#8b93a1"  # of what belongs to nobody


def of_workspaces(all_workspaces: Sequence[Workspace]) -> dict[int, str]:
    """Return the colour of each workspace by id; a new one does not change those of the others."""
    clients = sorted(workspace.id for workspace in all_workspaces if workspace.id != UNASSIGNED)
    return {UNASSIGNED: GREY} | {client: PALETTE[at % len(PALETTE)] for at, client in enumerate(clients)}
