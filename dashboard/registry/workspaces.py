"""Workspaces: the list, a form that adds one, and what renames or deletes one."""

from collections import Counter
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from dashboard import data, formats
from dashboard.registry import dates, names, proposals
from sync.models import UNASSIGNED
from sync.registry import AddWorkspace, DeleteWorkspace, RenameWorkspace
from sync.sentences import counted

ADD, CHANGE = "add workspace", "change workspace"  # places on the page
RENAME, DELETE = "Rename", "Delete"
MOST_ROWS, TALLEST = 8, 320
MOST_NAMED = 10


def show(zone: ZoneInfo) -> None:
    """Draw the section."""
    st.subheader("Workspaces", anchor="workspaces")
    _show_table(zone)
    _show_form()
    proposals.tell(CHANGE)  # here, since the last workspace may be the one that was deleted
    clients = names.of_clients()
    if clients:
        _show_change(clients)


def _show_table(zone: ZoneInfo) -> None:
    clients = [workspace for workspace in data.workspaces() if workspace.id != UNASSIGNED]
    numbers = Counter({owner: len(set(owned)) for owner, owned in _numbers_by_owner().items()})
    agents = Counter(agent.workspace_id for agent in data.agents())
    if not clients:
        return
    st.dataframe(
        pd.DataFrame(
            {
                "Workspace": [workspace.name for workspace in clients],
                "Numbers": [numbers[workspace.id] for workspace in clients],
                "Agents": [agents[workspace.id] for workspace in clients],
                "Added": [dates.words_of_day(workspace.created_at, zone) for workspace in clients],
            }
        ),
        column_config={"Workspace": st.column_config.TextColumn(pinned=True)},
        hide_index=True,
        height=TALLEST if len(clients) > MOST_ROWS else "content",
        alt="Workspaces with how many numbers and agents each has had",
        key="table workspaces",
    )


def _numbers_by_owner() -> dict[int, list[str]]:
    owned: dict[int, list[str]] = {}
    for phone in data.phones():
        owned.setdefault(phone.workspace_id, []).append(phone.phone_number)
    return owned


def _show_form() -> None:
    with st.form(proposals.key(ADD, "form")), proposals.row():
        name = st.text_input(
            "New workspace",
            placeholder="The client's name",
            key=proposals.key(ADD, "name"),
            width=names.WORKSPACE_WIDTH,
        )
        is_sent = st.form_submit_button("Add workspace", icon=":material/add:")
    changes = [AddWorkspace(name=name)]
    proposals.show(ADD, changes)
    if is_sent:
        proposals.carry_out(ADD, changes, done=f"{name.strip()} added.")


def _show_change(clients: dict[int, str]) -> None:
    with proposals.row():
        chosen = st.selectbox(
            "Change a workspace",
            list(clients),
            index=None,
            format_func=lambda workspace_id: clients.get(workspace_id, ""),
            placeholder="Choose a workspace",
            key=proposals.key(CHANGE, "chosen"),
            width=names.WORKSPACE_WIDTH,
        )
        action = proposals.choose_action(CHANGE, [RENAME, DELETE], chosen if chosen in clients else None)
    if chosen not in clients:
        return
    if action == RENAME:
        _rename(chosen, clients[chosen])
    else:
        _delete(chosen, clients[chosen])


def _rename(workspace_id: int, old: str) -> None:
    with st.form(proposals.key(CHANGE, f"rename {workspace_id}")), proposals.row():
        name = st.text_input(
            "New name", old, key=proposals.key(CHANGE, f"name {workspace_id}"), width=names.WORKSPACE_WIDTH
        )
        is_sent = st.form_submit_button("Rename", icon=":material/edit:")
    changes = [RenameWorkspace(workspace_id=workspace_id, name=name)]
    proposals.show(CHANGE, changes)
    if is_sent:
        proposals.carry_out(CHANGE, changes, done=f"{old} is now called {name.strip()}.")


def _delete(workspace_id: int, name: str) -> None:
    st.warning(formats.literal(_what_is_lost(workspace_id, name)), icon=":material/warning:")
    changes = [DeleteWorkspace(workspace_id=workspace_id)]
    if proposals.preview_button(CHANGE, label="Preview what becomes Unassigned"):
        proposals.preview(CHANGE, changes)
    proposals.show(CHANGE, changes, confirm=f"Delete {name}", done=f"{name} deleted.", typed=name)


def _what_is_lost(workspace_id: int, name: str) -> str:
    numbers = _numbers_by_owner().get(workspace_id, [])
    agents = [agent.label or agent.agent_id for agent in data.agents() if agent.workspace_id == workspace_id]
    lost = [
        f"{counted(len(group), noun)} ({_some(group)})"
        for group, noun in ((sorted(names.of_numbers(numbers).values()), "number"), (agents, "agent"))
        if group
    ]
    registered = f" and its registrations of {' and '.join(lost)}" if lost else ""
    return f"This deletes {name}{registered}. Its calls and conversations stay, and become Unassigned."


def _some(group: list[str]) -> str:
    more = len(group) - MOST_NAMED
    return ", ".join(group[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
