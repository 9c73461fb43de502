"""What the history of runs tells: how current the data is, and what no run has covered."""

import sqlite3
from datetime import datetime

from sync.models import Source, SyncRun
from sync.sqlite_store.rows import moment, sure_moment, sync_run
from sync.times import iso


def notable_runs(db: sqlite3.Connection) -> list[SyncRun]:
    """Return of each source the latest run, the latest success (both no backfills), the last to end, every open one.

    The plus makes SQLite walk back from the newest run, which meets what it looks for soon.
    """
    rows = db.execute(
        """
        with provider (source) as (values ('twilio'), ('elevenlabs')),
        notable (id) as (
            select id from sync_runs where source in (select source from provider) and state = 'running'
            union
            select (
                select id from sync_runs
                where +source = provider.source and +kind <> 'backfill' order by id desc limit 1
            ) from provider
            union
            select (
                select id from sync_runs
                where +source = provider.source and +state = 'ok' and +kind <> 'backfill' order by id desc limit 1
            ) from provider
            union
            select (
                select id from sync_runs
                where source = provider.source and finished_at is not null order by finished_at desc, id desc limit 1
            ) from provider
        )
        select * from sync_runs where id in (select id from notable) order by id desc
        """
    )
    return [sync_run(row) for row in rows]


def gaps(db: sqlite3.Connection, source: Source, since: datetime) -> list[tuple[datetime, datetime]]:
    """Return what lies between two covered periods."""
    rows = db.execute(
        """
        with covered as (
            select since, lag(until) over (order by since) as reached from covered_periods where source = :source
        )
        select max(reached, :since) as since, since as until from covered
        where since > max(reached, :since) order by since
        """,
        {"source": source, "since": iso(since)},
    )
    return [(sure_moment(row["since"]), sure_moment(row["until"])) for row in rows]


def synced_since(db: sqlite3.Connection, source: Source) -> datetime | None:
    row = db.execute("select min(since) as since from covered_periods where source = ?", (source,)).fetchone()
    return moment(row["since"])
