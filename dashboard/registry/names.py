"""How numbers, agents and workspaces are called on this page. Numbers are masked unless the reader asks to see them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

import streamlit as st

from dashboard import callers, data, formats
from sync.models import UNASSIGNED
from sync.registry import looks_like

WORKSPACE_WIDTH = 290  # pixels; on a phone the inputs of a row stand below each other

Names = Mapping[str, str]


def of_numbers(numbers: Iterable[str]) -> Names:
    """Return what each number is called; of those that end alike, more digits are shown."""
    if callers.are_in_full():
        return {number: number for number in numbers}
    ways = [partial(formats.masked_number, digits=digits) for digits in range(4, 9)]
    return _told_apart(set(numbers), [*ways, str])


def of_agents(named: Mapping[str, str | None]) -> Names:
    """Return what each agent is called, e.g. `Reception (…k3f9ab)`: their names repeat."""
    return _told_apart(named, [lambda agent_id: f"{named[agent_id] or 'Agent'} (…{agent_id[-6:]})", str])


def _told_apart(ids: Collection[str], ways: Sequence[Callable[[str], str]]) -> Names:
    """Call each by the first way that names no other: Streamlit tells options apart by nothing else."""
    called: dict[str, str] = {}
    for way in ways:
        names = {one: way(one) for one in ids}
        often = Counter(names.values())
        called = {one: name for one, name in names.items() if often[name] == 1} | called
    return called


def of_clients() -> dict[int, str]:
    """Return the names of all workspaces but Unassigned, by id."""
    return {workspace.id: workspace.name for workspace in data.workspaces() if workspace.id != UNASSIGNED}


def with_new(workspace: str) -> str:
    """Return e.g. `Acme`, or `new workspace Acme` while there is none of that name: it may be half of another's."""
    is_known = any(looks_like(workspace, name) for name in of_clients().values())
    return workspace if is_known else f"new workspace {workspace}"


def choose_workspace(key: str, *, chosen: str | None = None) -> str:
    """Draw the choice of a workspace, which may be a new one; return its name, empty while there is none."""
    names = list(of_clients().values())
    name = st.selectbox(
        "Workspace",
        names,
        index=names.index(chosen) if chosen in names else None,
        placeholder="Choose one, or type a new name",
        accept_new_options=True,
        key=key,
        width=WORKSPACE_WIDTH,
    )
    return (name or "").strip()
