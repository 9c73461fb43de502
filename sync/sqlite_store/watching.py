"""What all runs and failures add up to, in one statement each."""

import sqlite3
from datetime import datetime

from sync.models import RunKind, RunState, RunTotals, Source
from sync.times import iso


def run_totals(db: sqlite3.Connection, alive_since: datetime) -> list[RunTotals]:
    """Add up the whole history. A clock that was set back during a run must not make a sum of seconds shrink."""
    rows = db.execute(
        """
        select source, kind, state, count(*) as runs,
            coalesce(sum(max(0, round((julianday(finished_at) - julianday(started_at)) * 86400, 3))), 0.0) as seconds,
            sum(saved) as saved, sum(failed) as failed, sum(refused) as refused,
            sum(state = 'running' and heartbeat_at >= :alive_since) as alive,
            sum(iif(state = 'running' and heartbeat_at >= :alive_since, in_flight, 0)) as in_flight
        from sync_runs group by source, kind, state order by source, kind, state
        """,
        {"alive_since": iso(alive_since)},
    )
    return [RunTotals(**dict(row) | {"kind": RunKind(row["kind"]), "state": RunState(row["state"])}) for row in rows]


def waiting_failures(db: sqlite3.Connection) -> dict[Source, int]:
    return dict(db.execute("select source, count(*) from sync_failures group by source").fetchall())
