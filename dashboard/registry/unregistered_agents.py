"""Agents with conversations on no registered number (widget, WhatsApp) that belong to nobody."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard.registry import names, proposals, used
from sync.models import UnregisteredAgent
from sync.registry import RegisterAgent
from sync.sentences import counted

PLACE = "unregistered agents"
WIDTH = 360  # pixels


def show(agents: Sequence[UnregisteredAgent], zone: ZoneInfo) -> None:
    """Draw the table, and what assigns some of its agents to a workspace."""
    used.heading(agents, "agent", "Their conversations came by widget, by WhatsApp, or on a number that nobody owns.")
    called = names.of_agents({agent.agent_id: agent.agent_name for agent in agents})
    used.table(
        {
            "Agent": [called[agent.agent_id] for agent in agents],
            "Conversations": [agent.conversations for agent in agents],
            "ElevenLabs cost": [used.amount(agent.cost, of=agent.conversations) for agent in agents],
            "Unpriced": [agent.unpriced for agent in agents],
            "Last used": [used.local(agent.last_seen, zone) for agent in agents],
        },
        alt="Agents that were used and are not registered, the last used first",
    )
    with proposals.row():
        chosen = st.multiselect(
            "Agents to assign",
            [agent.agent_id for agent in agents],
            format_func=lambda agent_id: called.get(agent_id, agent_id),
            placeholder="Choose one or several",
            key=proposals.key(PLACE, "chosen"),
            width=WIDTH,
        )
        workspace = names.choose_workspace(proposals.key(PLACE, "workspace"))
        changes = [
            RegisterAgent(workspace=workspace, agent_id=agent.agent_id, label=agent.agent_name)
            for agent in agents
            if workspace and agent.agent_id in chosen
        ]
        is_asked = proposals.preview_button(PLACE, disabled=not changes)
    if is_asked:
        proposals.preview(PLACE, changes)
    what = counted(len(changes), "agent")
    proposals.show(
        PLACE, changes, confirm=f"Assign {what} to {names.with_new(workspace)}", done=f"{what} assigned to {workspace}."
    )
