"""Workspaces, numbers and agents as they are registered, and the numbers and agents that nobody registered."""

import sqlite3
from decimal import Decimal

from sync.models import Agent, Phone, UnregisteredAgent, UnregisteredNumber, Workspace
from sync.sqlite_store.balances import FOREIGN
from sync.sqlite_store.rows import moment, sure_moment


def list_workspaces(db: sqlite3.Connection) -> list[Workspace]:
    rows = db.execute("select id, name, created_at from workspaces order by id = 0, name")
    return [Workspace(id=row["id"], name=row["name"], created_at=sure_moment(row["created_at"])) for row in rows]


def list_phones(db: sqlite3.Connection) -> list[Phone]:
    rows = db.execute("select * from workspace_phones order by phone_number, valid_from")
    return [
        Phone(**{**row, "valid_from": moment(row["valid_from"]), "valid_until": moment(row["valid_until"])})
        for row in rows
    ]


def list_agents(db: sqlite3.Connection) -> list[Agent]:
    rows = db.execute("select agent_id, workspace_id, label from workspace_agents order by agent_id")
    return [Agent(**row) for row in rows]


# Usage of workspace 0, found by the index on (workspace_id, started_hour). A leg goes by its parent's number, since a
# transfer's own is often the caller's, not ours.
UNREGISTERED_NUMBERS = f"""
    select number as phone_number, sum(calls) as calls, sum(conversations) as conversations,
        sum(twilio_units) as twilio_units, sum(elevenlabs_units) as elevenlabs_units, sum(unpriced) as unpriced,
        min(started_at) as first_seen, max(started_at) as last_seen
    from (
        select coalesce(parents_number, our_number) as number, started_at, parents_number is null as calls,
            0 as conversations, iif({FOREIGN}, null, cast(round(cost * 1e8) as integer)) as twilio_units,
            null as elevenlabs_units, cost is null or ({FOREIGN}) is true as unpriced
        from (
            select our_number, started_at, cost, price_unit,
                (select our_number from calls as parent where parent.sid = leg.parent_call_sid) as parents_number
            from calls as leg where workspace_id = 0
        )
        union all
        select agent_number, started_at, 0, 1, null, cast(round(cost * 1e8) as integer), cost is null
        from elevenlabs_conversations where workspace_id = 0
    )
    where number is not null group by number order by last_seen desc, number limit ?
"""

UNREGISTERED_AGENTS = """
    select agent_id, max(started_at) as last_seen, agent_name, -- of that row, as bare columns are beside a max()
        count(*) as conversations, sum(cast(round(cost * 1e8) as integer)) as cost_units,
        count(*) filter (where cost is null) as unpriced
    from elevenlabs_conversations where workspace_id = 0 and agent_id is not null
    group by agent_id order by last_seen desc, agent_id limit ?
"""


def unregistered_numbers(db: sqlite3.Connection, limit: int) -> list[UnregisteredNumber]:
    return [
        UnregisteredNumber(
            phone_number=row["phone_number"],
            calls=row["calls"],
            conversations=row["conversations"],
            twilio_cost=_cost(row["twilio_units"]),
            elevenlabs_cost=_cost(row["elevenlabs_units"]),
            unpriced=row["unpriced"],
            first_seen=sure_moment(row["first_seen"]),
            last_seen=sure_moment(row["last_seen"]),
        )
        for row in db.execute(UNREGISTERED_NUMBERS, (limit,))
    ]


def unregistered_agents(db: sqlite3.Connection, limit: int) -> list[UnregisteredAgent]:
    return [
        UnregisteredAgent(
            agent_id=row["agent_id"],
            agent_name=row["agent_name"],
            conversations=row["conversations"],
            cost=_cost(row["cost_units"]),
            unpriced=row["unpriced"],
            last_seen=sure_moment(row["last_seen"]),
        )
        for row in db.execute(UNREGISTERED_AGENTS, (limit,))
    ]


def _cost(units: int | None) -> Decimal | None:
    return None if units is None else Decimal(units).scaleb(-8)
