"""What a user of the demo has registered: workspaces, who owns which number since when, and whose agents are whose."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from demo.agents import Agent
from demo.fleet import MOVED_NUMBER, MOVED_TO, Workspace
from demo.fleet import WORKSPACES as CLIENTS

MOVED_DAYS_AGO = 30
WORKSPACES = tuple(client.name for client in CLIENTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """One period of one number's ownership, `[valid_from, valid_until)`; None means without limit."""

    workspace: str
    phone_number: str
    label: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredAgent:
    """An agent whose conversations without a phone belong to `workspace`."""

    agent_id: str
    workspace: str
    label: str


def phones(now: datetime) -> list[Phone]:
    """Return every registered period. Two of the agency's numbers are left out, as happens in real life."""
    moved_at = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=MOVED_DAYS_AGO)
    return [
        period
        for client in CLIENTS
        for line in client.lines
        if line.is_registered
        for period in _periods(client, line.number, line.label, moved_at)
    ]


def agents() -> list[RegisteredAgent]:
    return [
        RegisteredAgent(agent_id=agent.agent_id, workspace=client.name, label=agent.name)
        for client in CLIENTS
        for agent in _agents_of(client)
        if agent.is_registered
    ]


def _periods(client: Workspace, number: str, label: str, moved_at: datetime) -> list[Phone]:
    if number != MOVED_NUMBER:
        return [Phone(workspace=client.name, phone_number=number, label=label)]
    return [
        Phone(workspace=client.name, phone_number=number, label=label, valid_until=moved_at),
        Phone(workspace=MOVED_TO.name, phone_number=number, label="Summit finance", valid_from=moved_at),
    ]


def _agents_of(client: Workspace) -> list[Agent]:
    found = [line.agent for line in client.lines] + [client.chat_agent]
    return list(dict.fromkeys(agent for agent in found if agent is not None))
