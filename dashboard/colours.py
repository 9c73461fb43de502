"""The colours of what charts show: each part of the cost, and each workspace, has one on every page."""

from collections.abc import Sequence

from sync.models import UNASSIGNED, Workspace

# Hues that hold on white and on black: first those of the parts of the cost, then others for workspaces.
TWILIO, VOICE, LLM = "#e4803a", "#4a86d8", "#2aa58a"
PALETTE = ("#7c5cd6", "#c2528b", "#5a9e3d", "#b8860b", "#3d8fa8", "#a8553d", "#6b7fb8", "#8a6d9e")
GREY = "#8b93a1"  # of what belongs to nobody, or to no part


def of_workspaces(all_workspaces: Sequence[Workspace]) -> dict[int, str]:
    """Return the colour of each workspace by id; neither a filter nor a new one changes it, given all of them."""
    clients = sorted(workspace.id for workspace in all_workspaces if workspace.id != UNASSIGNED)
    return {UNASSIGNED: GREY} | {client: PALETTE[at % len(PALETTE)] for at, client in enumerate(clients)}
