"""Agents: whose conversations on no registered number are whose, and the forms that change it."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard import data, formats
from dashboard.registry import names, offers, proposals
from sync.models import Agent, ListedAgent
from sync.registry import DeleteAgent, RegisterAgent

REGISTER, CHANGE = "register agent", "change agent"  # places on the page
MOVE, REMOVE = "Edit or move", "Remove"
MOST_ROWS, TALLEST = 10, 390
WIDTH, TEXT_WIDTH = 360, 200  # pixels


def show() -> None:
    """Draw the section."""
    st.subheader("Agents", anchor="agents")
    st.caption("An agent's workspace counts for conversations without a registered number, as by widget or WhatsApp.")
    agents, owners = data.agents(), names.of_clients()
    if agents:
        _show_table(agents, owners)
    with st.expander("Register an agent", icon=":material/robot_2:", key="expand agent"):
        _show_form(agents)
    proposals.tell(CHANGE)  # here, since the last agent may be the one that was removed
    if agents:
        _show_change(agents, owners)


def _show_table(agents: Sequence[Agent], owners: Mapping[int, str]) -> None:
    ordered = sorted(agents, key=lambda agent: (owners.get(agent.workspace_id, ""), agent.label or ""))
    st.dataframe(
        pd.DataFrame(
            {
                "Agent": [agent.label or "" for agent in ordered],
                "Workspace": [owners.get(agent.workspace_id, "") for agent in ordered],
                "Agent id": [agent.agent_id for agent in ordered],
            }
        ),
        hide_index=True,
        height=TALLEST if len(ordered) > MOST_ROWS else "content",
        alt="Registered agents with their workspace",
        key="table agents",
    )


def _show_form(agents: Sequence[Agent]) -> None:
    id_key, label_key = proposals.key(REGISTER, "id"), proposals.key(REGISTER, "label")
    _show_offers(agents, id_key, label_key)
    with st.form(proposals.key(REGISTER, "form")), proposals.row():
        agent_id = st.text_input("Agent id", placeholder="agent_…", key=id_key, width=WIDTH)
        workspace = names.choose_workspace(proposals.key(REGISTER, "workspace"))
        label = st.text_input("Label", placeholder="Reception", key=label_key, width=TEXT_WIDTH)
        is_sent = st.form_submit_button("Preview", icon=":material/visibility:")
    changes = [RegisterAgent(workspace=workspace, agent_id=agent_id, label=label)]
    if is_sent:
        proposals.preview(REGISTER, changes)
    proposals.show(
        REGISTER,
        changes,
        confirm=f"Register for {names.with_new(workspace)}",
        done=f"Agent registered for {workspace}.",
    )


def _show_offers(agents: Sequence[Agent], id_key: str, label_key: str) -> None:
    """Draw the agents that ElevenLabs lists and nobody owns; what is chosen goes into the form."""
    owned = {agent.agent_id for agent in agents}
    listed = {agent.agent_id: agent for agent in offers.current().agents if agent.agent_id not in owned}
    if not listed:
        return
    called = names.of_agents({agent_id: agent.name for agent_id, agent in listed.items()})
    key = proposals.key(REGISTER, "offer")

    def fill_in() -> None:
        agent = listed.get(st.session_state[key], ListedAgent(agent_id="", name=""))
        st.session_state[id_key], st.session_state[label_key] = agent.agent_id, agent.name

    st.selectbox(
        "Listed by ElevenLabs, without an owner",
        list(listed),
        index=None,
        format_func=lambda agent_id: called.get(agent_id, agent_id),
        placeholder="Choose one to fill in the form",
        on_change=fill_in,
        key=key,
        width=WIDTH,
    )


def _show_change(agents: Sequence[Agent], owners: Mapping[int, str]) -> None:
    by_id = {agent.agent_id: agent for agent in agents}
    called = names.of_agents({agent.agent_id: agent.label for agent in agents})
    with proposals.row():
        chosen = st.selectbox(
            "Change an agent",
            list(by_id),
            index=None,
            format_func=lambda agent_id: called.get(agent_id, agent_id),
            placeholder="Choose an agent",
            key=proposals.key(CHANGE, "chosen"),
            width=WIDTH,
        )
        action = proposals.choose_action(CHANGE, [MOVE, REMOVE], chosen if chosen in by_id else None)
    if chosen not in by_id:
        return
    agent, owner = by_id[chosen], owners.get(by_id[chosen].workspace_id, "")
    if action == MOVE:
        _move(agent, owner)
    else:
        _remove(agent, owner)


def _move(agent: Agent, owner: str) -> None:
    with st.form(proposals.key(CHANGE, f"form {agent.agent_id}")), proposals.row():
        workspace = names.choose_workspace(proposals.key(CHANGE, f"to {agent.agent_id}"), chosen=owner)
        label = st.text_input(
            "Label", agent.label or "", key=proposals.key(CHANGE, f"label {agent.agent_id}"), width=TEXT_WIDTH
        )
        is_sent = st.form_submit_button("Preview", icon=":material/visibility:")
    changes = [RegisterAgent(workspace=workspace, agent_id=agent.agent_id, label=label)]
    if is_sent:
        proposals.preview(CHANGE, changes)
    proposals.show(
        CHANGE, changes, confirm=f"Save for {names.with_new(workspace)}", done=f"Agent saved for {workspace}."
    )


def _remove(agent: Agent, owner: str) -> None:
    st.warning(
        formats.literal(
            f"This removes {owner}'s registration of the agent. Its conversations stay; those without a registered"
            " number become Unassigned."
        ),
        icon=":material/warning:",
    )
    changes = [DeleteAgent(agent_id=agent.agent_id)]
    if proposals.preview_button(CHANGE):
        proposals.preview(CHANGE, changes)
    proposals.show(CHANGE, changes, confirm="Remove", done=f"Agent of {owner} removed.")
