"""Who owns a record: its number on the day it started, else its agent, else its parent's owner; else Unassigned."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

from sync.sqlite_store.selection import AT_THE_BEGINNING, AT_THE_END

# Whether a period of a number holds at `moment`.
HOLDS = (
    f"coalesce(valid_from, '{AT_THE_BEGINNING}') <= {{moment}} and {{moment}} < coalesce(valid_until, '{AT_THE_END}')"
)

# The workspace that owned `number` at `moment`, or null.
OWNER_OF_NUMBER = f"""(
    select workspace_id from workspace_phones where phone_number = {{number}} and {HOLDS}
)"""

OWNER_OF_CALL = OWNER_OF_NUMBER.format(number="leg.our_number", moment="leg.started_at")
OWNER_OF_CONVERSATION = f"""coalesce(
    {OWNER_OF_NUMBER.format(number="conversation.agent_number", moment="conversation.started_at")},
    (select workspace_id from workspace_agents where agent_id = conversation.agent_id),
    0
)"""

Period = tuple[str | None, str | None]  # from one time until another; None is always, and still


@dataclass(slots=True)
class Touched:
    """Whose ownership has changed: numbers in certain periods, and agents."""

    periods: set[tuple[str, str, str]] = field(default_factory=set)
    agents: set[str] = field(default_factory=set)

    def add_period(self, number: str, period: Period) -> None:
        self.periods.add((number, period[0] or AT_THE_BEGINNING, period[1] or AT_THE_END))

    def add_difference(self, number: str, one: Period, other: Period) -> None:
        """Add what belongs to one of two periods only."""
        starts = sorted([one[0] or AT_THE_BEGINNING, other[0] or AT_THE_BEGINNING])
        ends = sorted([one[1] or AT_THE_END, other[1] or AT_THE_END])
        self.periods |= {(number, start, end) for start, end in (starts, ends) if start < end}


def attribute_calls(db: sqlite3.Connection, sids: Iterable[str]) -> None:
    """Give these legs, and the legs below them, the workspace of the topmost leg that has one."""
    _forget_changed(db)
    db.executemany("insert or ignore into changed values (?)", ((sid,) for sid in sids))
    _attribute_changed_calls(db)


def attribute_conversations(db: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Give these conversations the workspace of their number, else of their agent."""
    _forget_changed(db)
    db.executemany("insert or ignore into changed values (?)", ((record_id,) for record_id in ids))
    _attribute_changed_conversations(db)


def attribute_touched(db: sqlite3.Connection, touched: Touched) -> None:
    """Give the records of numbers and agents whose ownership has changed their new workspace."""
    _forget_changed(db)
    db.executemany(
        "insert or ignore into changed select sid from calls"
        " where our_number = ? and started_at >= ? and started_at < ?",
        touched.periods,
    )
    _attribute_changed_calls(db)
    _forget_changed(db)
    db.executemany(
        "insert or ignore into changed select conversation_id from elevenlabs_conversations"
        " where agent_number = ? and started_at >= ? and started_at < ?",
        touched.periods,
    )
    db.executemany(
        "insert or ignore into changed select conversation_id from elevenlabs_conversations where agent_id = ?",
        ((agent_id,) for agent_id in touched.agents),
    )
    _attribute_changed_conversations(db)


def _forget_changed(db: sqlite3.Connection) -> None:
    db.execute("create temp table if not exists changed (id text primary key) without rowid")
    db.execute("delete from changed")


def _attribute_changed_calls(db: sqlite3.Connection) -> None:
    """Attribute the families of the changed legs.

    A child leg often carries neither of our numbers (a transfer keeps the caller's), so it inherits; a leg whose
    ancestors belong to nobody (a parent that is a `client:`) goes by its own number. Each family is walked from its
    topmost stored leg, so that none inherits what an ancestor in the same batch has just lost. `union` ends the walk
    around legs that are each other's parents.
    """
    db.execute(
        f"""
        with recursive line (sid, parent_call_sid) as (
            select sid, parent_call_sid from changed join calls on sid = id
            union
            select parent.sid, parent.parent_call_sid
            from line join calls as parent on parent.sid = line.parent_call_sid
        ),
        owned (sid, workspace_id) as (
            select leg.sid, coalesce({OWNER_OF_CALL}, 0)
            from line join calls as leg on leg.sid = line.sid
            where not exists (select 1 from calls as parent where parent.sid = leg.parent_call_sid)
            union
            select leg.sid, coalesce(nullif(owned.workspace_id, 0), {OWNER_OF_CALL}, 0)
            from owned join calls as leg on leg.parent_call_sid = owned.sid
        )
        update calls set workspace_id = owned.workspace_id from owned
        where calls.sid = owned.sid and calls.workspace_id <> owned.workspace_id
        """
    )


def _attribute_changed_conversations(db: sqlite3.Connection) -> None:
    db.execute(
        f"""
        update elevenlabs_conversations as conversation set workspace_id = {OWNER_OF_CONVERSATION}
        where conversation_id in (select id from changed) and workspace_id <> {OWNER_OF_CONVERSATION}
        """
    )
