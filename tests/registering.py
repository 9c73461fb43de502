"""One registration at a time, by the workspace's id, for tests that are about something else."""

from sync.errors import RegistryError
from sync.models import Agent, Phone
from sync.registry import AddWorkspace, RegisterAgent, RegisterNumber, RegistryChange
from sync.store import Store


def add_workspace(store: Store, name: str) -> int:
    """Add a workspace, unless it is there, and return its id."""
    store.change_registry([AddWorkspace(name=name)])
    return next(workspace.id for workspace in store.workspaces() if workspace.name == name)


def register(store: Store, phone: Phone) -> None:
    """Register a number for a period, or raise RegistryError."""
    _change(
        store,
        RegisterNumber(
            workspace=_name(store, phone.workspace_id),
            phone_number=phone.phone_number,
            label=phone.label,
            valid_from=phone.valid_from,
            valid_until=phone.valid_until,
        ),
    )


def register_agent(store: Store, agent: Agent) -> None:
    _change(
        store, RegisterAgent(workspace=_name(store, agent.workspace_id), agent_id=agent.agent_id, label=agent.label)
    )


def _change(store: Store, change: RegistryChange) -> None:
    [refusal] = store.change_registry([change]).refusals
    if refusal:
        raise RegistryError(refusal)


def _name(store: Store, workspace_id: int) -> str:
    return next(workspace.name for workspace in store.workspaces() if workspace.id == workspace_id)
