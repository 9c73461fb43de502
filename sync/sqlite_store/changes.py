"""Changes of the registry: each in its own savepoint, then the records concerned and their balances, once."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from sync import registry
from sync.errors import RegistryError
from sync.models import SOURCES, UNASSIGNED
from sync.registry import (
    AddWorkspace,
    DeleteAgent,
    DeleteNumber,
    DeleteWorkspace,
    EditNumber,
    MoveNumber,
    Outcome,
    RegisterAgent,
    RegisterNumber,
    RegistryChange,
    RenameWorkspace,
    refused,
)
from sync.sqlite_store import attribution, balances, call_owners, snapshots
from sync.sqlite_store.attribution import Period, Touched
from sync.times import iso


def change_registry(db: sqlite3.Connection, changes: Sequence[RegistryChange], *, dry_run: bool) -> Outcome:
    """Carry out the changes and tell what moved; with `dry_run` the database is as before."""
    db.execute("savepoint all_changes")
    _refresh(db)  # balances that wait for a historical sync are no effect of these changes
    before = _state(db)
    touched = Touched()
    refusals = [_refusal(db, change, touched) for change in changes]
    attribution.attribute_touched(db, touched)
    call_owners.move_calls(db)
    _refresh(db)
    outcome = Outcome(refusals=refusals, effects=registry.effects(before, _state(db)))
    if dry_run:
        db.execute("rollback to all_changes")
    db.execute("release all_changes")
    return outcome


def _refresh(db: sqlite3.Connection) -> None:
    for source in SOURCES:
        balances.refresh(db, source)


def _state(db: sqlite3.Connection) -> registry.State:
    return registry.State(
        names={row["id"]: row["name"] for row in db.execute("select id, name from workspaces")},
        twilio=snapshots.twilio_balances(db, None),
        elevenlabs=snapshots.elevenlabs_balances(db, None),
    )


def _refusal(db: sqlite3.Connection, change: RegistryChange, touched: Touched) -> str | None:
    """Carry out one change, or leave no trace of it and return why."""
    db.execute("savepoint one_change")
    try:
        _carry_out(db, registry.cleaned(change), touched)
    except RegistryError as exc:
        db.execute("rollback to one_change")
        return str(exc)
    finally:
        db.execute("release one_change")
    return None


def _carry_out(db: sqlite3.Connection, change: RegistryChange, touched: Touched) -> None:
    match change:
        case AddWorkspace():
            _add_workspace(db, change)
        case RenameWorkspace():
            _rename_workspace(db, change)
        case DeleteWorkspace():
            _delete_workspace(db, change, touched)
        case RegisterNumber():
            _register_number(db, change, touched)
        case MoveNumber():
            _move_number(db, change, touched)
        case EditNumber():
            _edit_number(db, change, touched)
        case DeleteNumber():
            _delete_number(db, change, touched)
        case RegisterAgent():
            _register_agent(db, change, touched)
        case DeleteAgent():
            _delete_agent(db, change, touched)


def _add_workspace(db: sqlite3.Connection, change: AddWorkspace) -> None:
    if find_workspace(db, change.name) is not None:
        raise refused(change, "name taken")
    _insert_workspace(db, change.name)


def find_workspace(db: sqlite3.Connection, name: str) -> int | None:
    """Return the workspace of that name, else one that people would take for it."""
    rows = db.execute("select id, name from workspaces order by name <> ?, id", (name,))
    return next((row["id"] for row in rows if registry.looks_like(row["name"], name)), None)


def _insert_workspace(db: sqlite3.Connection, name: str) -> int:
    row = db.execute(
        """
        insert into workspaces (id, name) values (1 + max(
            (select max(id) from workspaces),
            coalesce((select cast(value as integer) from store_meta where key = 'last_workspace'), 0)
        ), ?) returning id
        """,
        (name,),
    ).fetchone()
    workspace_id: int = row["id"]
    return workspace_id


def _rename_workspace(db: sqlite3.Connection, change: RenameWorkspace) -> None:
    _refuse_unassigned(change)
    if find_workspace(db, change.name) not in (None, change.workspace_id):
        raise refused(change, "name taken")
    renamed = db.execute("update workspaces set name = ? where id = ?", (change.name, change.workspace_id))
    if not renamed.rowcount:
        raise refused(change, "no workspace")


def _refuse_unassigned(change: RenameWorkspace | DeleteWorkspace) -> None:
    if change.workspace_id == UNASSIGNED:
        raise refused(change, "unassigned")


def _delete_workspace(db: sqlite3.Connection, change: DeleteWorkspace, touched: Touched) -> None:
    """Delete it with what refers to it; its records are attributed anew with all others."""
    _refuse_unassigned(change)
    workspace = (change.workspace_id,)
    periods = db.execute("select * from workspace_phones where workspace_id = ?", workspace).fetchall()
    agents = db.execute("select agent_id from workspace_agents where workspace_id = ?", workspace).fetchall()
    for records in balances.RECORDS.values():
        db.execute(f"update {records} set workspace_id = 0 where workspace_id = ?", workspace)
    if not db.execute("delete from workspaces where id = ?", workspace).rowcount:
        raise refused(change, "no workspace")
    for held in periods:
        touched.add_period(held["phone_number"], _period(held))
    touched.agents |= {row["agent_id"] for row in agents}


def _period(held: sqlite3.Row) -> Period:
    return held["valid_from"], held["valid_until"]


def _owner(db: sqlite3.Connection, change: RegisterNumber | MoveNumber | RegisterAgent) -> int:
    """Return the id of the workspace that a change names; a new one is added."""
    workspace_id = find_workspace(db, change.workspace)
    if workspace_id == UNASSIGNED:
        raise refused(change, "owned by nobody")
    return _insert_workspace(db, change.workspace) if workspace_id is None else workspace_id


def _register_number(db: sqlite3.Connection, change: RegisterNumber, touched: Touched) -> None:
    owner, period = _owner(db, change), (_iso(change.valid_from), _iso(change.valid_until))
    same = db.execute(
        "select * from workspace_phones where phone_number = ? and workspace_id = ? and valid_from is ?",
        (change.phone_number, owner, period[0]),
    ).fetchone()
    if same:
        _correct(db, change, same, period, touched)
    else:
        _insert_period(db, change, owner, change.label, period)
        touched.add_period(change.phone_number, period)


def _iso(value: datetime | None) -> str | None:
    return iso(value) if value else None


def _insert_period(
    db: sqlite3.Connection, change: RegisterNumber | MoveNumber, owner: int, label: str | None, period: Period
) -> None:
    try:
        db.execute(
            "insert into workspace_phones (workspace_id, phone_number, label, valid_from, valid_until)"
            " values (?, ?, ?, ?, ?)",
            (owner, change.phone_number, label, *period),
        )
    except sqlite3.IntegrityError as exc:  # the trigger against overlaps; all else is checked before
        raise refused(change, "overlap") from exc


def _correct(
    db: sqlite3.Connection, change: RegisterNumber | EditNumber, held: sqlite3.Row, period: Period, touched: Touched
) -> None:
    """Write the label and the dates of a period."""
    try:
        db.execute(
            "update workspace_phones set label = ?, valid_from = ?, valid_until = ? where id = ?",
            (change.label, *period, held["id"]),
        )
    except sqlite3.IntegrityError as exc:  # the trigger against overlaps
        raise refused(change, "overlap") from exc
    if _period(held) == period:  # written into the table by hand, perhaps, which attributes nothing
        touched.add_period(held["phone_number"], period)
    else:
        touched.add_difference(held["phone_number"], _period(held), period)


def _move_number(db: sqlite3.Connection, change: MoveNumber, touched: Touched) -> None:
    owner, start = _owner(db, change), iso(change.valid_from)
    held = db.execute(
        f"select * from workspace_phones where phone_number = ? and {attribution.HOLDS.format(moment='?')}",
        (change.phone_number, start, start),
    ).fetchone()
    if held is None:
        end, label = _next_start(db, change), None
    elif held["workspace_id"] == owner:
        raise refused(change, "owned already")
    else:
        end, label = held["valid_until"], held["label"]
        _end_period(db, held, start)
    _insert_period(db, change, owner, label, (start, end))
    touched.add_period(change.phone_number, (start, end))


def _next_start(db: sqlite3.Connection, change: MoveNumber) -> str | None:
    start: str | None = db.execute(
        "select min(valid_from) from workspace_phones where phone_number = ? and valid_from > ?",
        (change.phone_number, iso(change.valid_from)),
    ).fetchone()[0]
    return start


def _end_period(db: sqlite3.Connection, held: sqlite3.Row, end: str) -> None:
    """End a period before its time; nothing is left of one that began at that moment."""
    if held["valid_from"] == end:
        db.execute("delete from workspace_phones where id = ?", (held["id"],))
    else:
        db.execute("update workspace_phones set valid_until = ? where id = ?", (end, held["id"]))


def _edit_number(db: sqlite3.Connection, change: EditNumber, touched: Touched) -> None:
    held = db.execute("select * from workspace_phones where id = ?", (change.phone_id,)).fetchone()
    if held is None:
        raise refused(change, "no period")
    _correct(db, change, held, (_iso(change.valid_from), _iso(change.valid_until)), touched)


def _delete_number(db: sqlite3.Connection, change: DeleteNumber, touched: Touched) -> None:
    held = db.execute("delete from workspace_phones where id = ? returning *", (change.phone_id,)).fetchone()
    if held is None:
        raise refused(change, "no period")
    touched.add_period(held["phone_number"], _period(held))


def _register_agent(db: sqlite3.Connection, change: RegisterAgent, touched: Touched) -> None:
    db.execute(
        "insert into workspace_agents (agent_id, workspace_id, label) values (?, ?, ?)"
        " on conflict do update set workspace_id = excluded.workspace_id, label = excluded.label",
        (change.agent_id, _owner(db, change), change.label),
    )
    touched.agents.add(change.agent_id)


def _delete_agent(db: sqlite3.Connection, change: DeleteAgent, touched: Touched) -> None:
    if not db.execute("delete from workspace_agents where agent_id = ?", (change.agent_id,)).rowcount:
        raise refused(change, "no agent")
    touched.agents.add(change.agent_id)
