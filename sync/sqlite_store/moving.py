"""What copies and backups ask of the database: digests to compare, history and registry of another store to add."""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import date

from sync.models import DayDigest, Source, StoredFailure, SyncRun, Workspace
from sync.sqlite_store.balances import RECORDS
from sync.sqlite_store.records import KEYS
from sync.sqlite_store.rows import columns, sync_run, to_row
from sync.times import iso

RUN = columns(SyncRun)
IDENTITY = ("source", "kind", "state", "started_at")


def day_digests(db: sqlite3.Connection, source: Source) -> dict[date, DayDigest]:
    # unixepoch() rounds to milliseconds, and so 59.9996 up to the next second, which Postgres does not.
    rows = db.execute(
        f"""
        select substr(started_at, 1, 10) as day, count(*) as records,
            sum(unixepoch(substr(fetched_at, 1, 19))) as fetched,
            coalesce(sum(cast(round(cost * 1e8) as integer)), 0) as cost, coalesce(sum(duration), 0) as seconds
        from {RECORDS[source]} group by day
        """
    )
    return {date.fromisoformat(day): DayDigest(*sums) for day, *sums in rows}


def gone_ids(db: sqlite3.Connection, source: Source) -> list[str]:
    rows = db.execute(f"select {KEYS[source]} as id from {RECORDS[source]} where is_gone order by id")
    return [row["id"] for row in rows]


def add_failures(db: sqlite3.Connection, failures: Iterable[StoredFailure]) -> None:
    db.executemany(
        """
        insert into sync_failures values (:source, :record_id, :error, :attempts, :first_failed_at, :last_failed_at)
        on conflict do update set error = excluded.error, attempts = excluded.attempts,
            first_failed_at = excluded.first_failed_at, last_failed_at = excluded.last_failed_at
        where excluded.last_failed_at > sync_failures.last_failed_at
        """,
        map(to_row, failures),
    )


def closed_runs_after(db: sqlite3.Connection, run_id: int, limit: int) -> list[SyncRun]:
    rows = db.execute(
        "select * from sync_runs where id > ? and state <> 'running' order by id limit ?", (run_id, limit)
    )
    return [sync_run(row) for row in rows]


def add_runs(db: sqlite3.Connection, runs: Sequence[SyncRun]) -> None:
    """Add the runs that are not here yet; one whose id is taken gets a new one."""
    known = {tuple(row) for row in db.execute(f"select {', '.join(IDENTITY)} from sync_runs")}
    for row in map(to_row, sorted(runs, key=lambda run: run.id)):
        if tuple(row[name] for name in IDENTITY) not in known:
            if _exists(db, "sync_runs where id = :id", row):
                row["id"] = None
            db.execute(f"insert into sync_runs ({', '.join(RUN)}) values ({', '.join(f':{n}' for n in RUN)})", row)


def add_workspaces(db: sqlite3.Connection, workspaces: Sequence[Workspace]) -> None:
    """Add the workspaces whose names are not here yet; one whose id is taken gets a new one."""
    for workspace in sorted(workspaces, key=lambda workspace: workspace.id):
        row = {"id": workspace.id, "name": workspace.name, "created_at": iso(workspace.created_at)}
        if not _exists(db, "workspaces where name = :name", row):
            row["id"] = None if _exists(db, "workspaces where id = :id", row) else workspace.id
            db.execute("insert into workspaces values (:id, :name, :created_at)", row)


def expect_price_unit(db: sqlite3.Connection, unit: str) -> None:
    db.execute("insert into store_meta values ('price_unit', ?) on conflict do nothing", (unit,))


def _exists(db: sqlite3.Connection, rows: str, values: dict[str, object]) -> bool:
    return bool(db.execute(f"select exists (select 1 from {rows})", values).fetchone()[0])
