"""Usage of a period by what balances do not carry: kind of call, quarter of an hour, agent.

Read from the records of the period through the index on their start. One that also held what is summed would make
this a tenth faster and every save slower: records of one period lie together as it is.
"""

import sqlite3
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from sync.models import AgentGroup, AnyTotals, CallGroup, ElevenLabsTotals, Source, TwilioTotals
from sync.sqlite_store.balances import RECORDS, added_up
from sync.sqlite_store.rows import summed, totals_of_units
from sync.sqlite_store.selection import as_parameter, of_workspaces, stretch

QUARTER_HOUR = 900  # seconds

# SQLite takes the column beside a max() from the row that has it: the newest with a name.
LATEST_NAME = ", agent_name, max(iif(agent_name is null, null, started_at || agent_name)) as newest"


def calls_by_kind(
    db: sqlite3.Connection, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
) -> list[CallGroup]:
    rows = _grouped(db, "twilio", TwilioTotals, "direction, status", since, until, workspaces)
    return [
        CallGroup(direction=direction, status=status, totals=totals_of_units(TwilioTotals, sums))
        for direction, status, *sums in rows
    ]


def calls_by_quarter_hour(
    db: sqlite3.Connection, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
) -> list[tuple[datetime, int]]:
    rows = db.execute(
        f"""
        select unixepoch(started_at) / {QUARTER_HOUR} as number, count(*) as calls from calls
        where started_at >= :since and started_at < :until and {of_workspaces("workspace_id", workspaces)}
            and parent_call_sid is null
        group by number order by number
        """,
        stretch(since, until) | as_parameter(workspaces),
    )
    return [(datetime.fromtimestamp(row["number"] * QUARTER_HOUR, UTC), row["calls"]) for row in rows]


def conversations_by_agent(
    db: sqlite3.Connection, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
) -> list[AgentGroup]:
    key = "workspace_id, agent_id"
    rows = _grouped(db, "elevenlabs", ElevenLabsTotals, key, since, until, workspaces, also=LATEST_NAME)
    return [
        AgentGroup(
            workspace_id=workspace_id,
            agent_id=agent_id,
            agent_name=agent_name,
            totals=totals_of_units(ElevenLabsTotals, sums),
        )
        for workspace_id, agent_id, *sums, agent_name, _ in rows
    ]


def _grouped(
    db: sqlite3.Connection,
    source: Source,
    kind: type[AnyTotals],
    key: str,
    since: datetime | None,
    until: datetime | None,
    workspaces: Collection[int] | None,
    *,
    also: str = "",
) -> list[tuple[Any, ...]]:
    """Return the key, the sums of `summed(kind)`, and what else is asked for."""
    cursor = db.cursor()
    cursor.row_factory = None  # plain tuples: there may be many
    return cursor.execute(
        f"""
        select {key}, {added_up(source, summed(kind))}{also}
        from {RECORDS[source]}
        where started_at >= :since and started_at < :until and {of_workspaces("workspace_id", workspaces)}
        group by {key} order by {key}
        """,
        stretch(since, until) | as_parameter(workspaces),
    ).fetchall()
