"""Workspaces, numbers and agents. A change of ownership re-attributes stored records and refreshes their balances."""

import sqlite3

from sync.errors import RegistryError
from sync.models import Agent, Phone, UnregisteredNumber, Workspace
from sync.sqlite_store import attribution, balances
from sync.sqlite_store.rows import moment, sure_moment
from sync.times import iso


def list_workspaces(db: sqlite3.Connection) -> list[Workspace]:
    rows = db.execute("select id, name, created_at from workspaces order by id = 0, name")
    return [Workspace(id=row["id"], name=row["name"], created_at=sure_moment(row["created_at"])) for row in rows]


def find_or_add_workspace(db: sqlite3.Connection, name: str) -> int:
    db.execute("insert into workspaces (name) values (?) on conflict do nothing", (name,))
    row = db.execute("select id from workspaces where name = ?", (name,)).fetchone()
    workspace_id: int = row["id"]
    return workspace_id


def list_phones(db: sqlite3.Connection) -> list[Phone]:
    rows = db.execute("select * from workspace_phones order by phone_number, valid_from")
    return [
        Phone(
            phone_number=row["phone_number"],
            workspace_id=row["workspace_id"],
            label=row["label"],
            valid_from=moment(row["valid_from"]),
            valid_until=moment(row["valid_until"]),
        )
        for row in rows
    ]


def save_phone(db: sqlite3.Connection, phone: Phone) -> None:
    """Register a period of a number; the same number from the same date is corrected, not added twice."""
    valid_from = iso(phone.valid_from) if phone.valid_from else None
    valid_until = iso(phone.valid_until) if phone.valid_until else None
    same = db.execute(
        "select id from workspace_phones where phone_number = ? and workspace_id = ? and valid_from is ?",
        (phone.phone_number, phone.workspace_id, valid_from),
    ).fetchone()
    try:
        if same:
            db.execute(
                "update workspace_phones set label = ?, valid_until = ? where id = ?",
                (phone.label, valid_until, same["id"]),
            )
        else:
            db.execute(
                "insert into workspace_phones (workspace_id, phone_number, label, valid_from, valid_until)"
                " values (?, ?, ?, ?, ?)",
                (phone.workspace_id, phone.phone_number, phone.label, valid_from, valid_until),
            )
    except sqlite3.IntegrityError as exc:
        raise RegistryError(_refusal(phone, str(exc))) from exc
    _attribute_number(db, phone.phone_number)


def _refusal(phone: Phone, reason: str) -> str:
    number = f"…{phone.phone_number[-4:]}"
    if "overlap" in reason:
        return f"The number {number} belongs to another workspace, or has another period, in that time; end that first."
    if "FOREIGN KEY" in reason:
        return f"The number {number} cannot be registered: there is no workspace {phone.workspace_id}."
    return f"The number {number} cannot be registered: it would end before it begins."


def _attribute_number(db: sqlite3.Connection, number: str) -> None:
    legs = db.execute("select sid from calls where our_number = ?", (number,))
    attribution.attribute_calls(db, [row["sid"] for row in legs])
    ids = db.execute(
        "select conversation_id from elevenlabs_conversations where agent_number = ?", (number,)
    ).fetchall()
    attribution.attribute_conversations(db, (row["conversation_id"] for row in ids))
    balances.refresh(db, "twilio")
    balances.refresh(db, "elevenlabs")


def list_agents(db: sqlite3.Connection) -> list[Agent]:
    rows = db.execute("select agent_id, workspace_id, label from workspace_agents order by agent_id")
    return [Agent(**row) for row in rows]


def save_agent(db: sqlite3.Connection, agent: Agent) -> None:
    try:
        db.execute(
            "insert into workspace_agents (agent_id, workspace_id, label) values (?, ?, ?)"
            " on conflict do update set workspace_id = excluded.workspace_id, label = excluded.label",
            (agent.agent_id, agent.workspace_id, agent.label),
        )
    except sqlite3.IntegrityError as exc:
        raise RegistryError(
            f"The agent {agent.agent_id} cannot be registered: there is no workspace {agent.workspace_id}."
        ) from exc
    rows = db.execute("select conversation_id from elevenlabs_conversations where agent_id = ?", (agent.agent_id,))
    attribution.attribute_conversations(db, [row["conversation_id"] for row in rows.fetchall()])
    balances.refresh(db, "elevenlabs")


def unregistered_numbers(db: sqlite3.Connection) -> list[UnregisteredNumber]:
    """Return our numbers whose calls or conversations are Unassigned, the last used first."""
    rows = db.execute(
        """
        select number, count(*) as records, max(started_at) as last_seen from (
            select our_number as number, started_at from calls as leg
            where workspace_id = 0 and not exists ( -- a transfer's `from` is often the caller's number, not ours
                select 1 from calls as parent where parent.sid = leg.parent_call_sid and parent.our_number is not null
            )
            union all
            select agent_number, started_at from elevenlabs_conversations where workspace_id = 0
        ) where number is not null group by number order by last_seen desc
        """
    )
    return [
        UnregisteredNumber(phone_number=row["number"], records=row["records"], last_seen=sure_moment(row["last_seen"]))
        for row in rows
    ]
