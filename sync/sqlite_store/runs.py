"""Sync runs: history, watermark and lock in one table. A partial unique index keeps a source to one open
run, and one open backfill beside it."""

import sqlite3
from datetime import datetime

from sync.errors import AlreadyRunningError, LostLockError
from sync.models import RunKind, RunState, Source, SyncRun, Window
from sync.sqlite_store.rows import sync_run, to_row
from sync.times import iso


def begin_run(
    db: sqlite3.Connection,
    source: Source,
    kind: RunKind,
    window: Window,
    *,
    owner: str,
    now: datetime,
    stale_before: datetime,
) -> SyncRun:
    running = db.execute(
        "select * from sync_runs where source = ? and state = 'running' and (kind = 'backfill') = ?",
        (source, kind is RunKind.BACKFILL),
    ).fetchone()
    if running and sync_run(running).heartbeat_at >= stale_before:
        raise AlreadyRunningError(sync_run(running))
    if running:
        finish_run(db, running["id"], RunState.INTERRUPTED, "The process ended without closing this run.", now)
    return _insert(db, source, kind, window, RunState.RUNNING, owner=owner, now=now)


def record_skipped(db: sqlite3.Connection, source: Source, window: Window, reason: str, now: datetime) -> SyncRun:
    run = _insert(db, source, RunKind.HOURLY, window, RunState.SKIPPED, owner="", now=now)
    db.execute("update sync_runs set message = ?, finished_at = ? where id = ?", (reason, iso(now), run.id))
    return find_run(db, run.id) or run


def save_progress(db: sqlite3.Connection, run: SyncRun, now: datetime) -> None:
    """Write how far the run is and that it lives, or raise LostLockError if it was taken over."""
    updated = db.execute(
        """
        update sync_runs set done = :done, total = :total, saved = :saved, failed = :failed, refused = :refused,
            in_flight = :in_flight, position = :position, heartbeat_at = :now
        where id = :id and state = 'running'
        """,
        to_row(run) | {"now": iso(now)},
    )
    if not updated.rowcount:
        raise LostLockError(run)


def finish_run(db: sqlite3.Connection, run_id: int, state: RunState, message: str | None, now: datetime) -> None:
    db.execute(
        "update sync_runs set state = ?, message = ?, finished_at = ? where id = ? and state = 'running'",
        (state, message, iso(now), run_id),
    )


def find_run(db: sqlite3.Connection, run_id: int) -> SyncRun | None:
    row = db.execute("select * from sync_runs where id = ?", (run_id,)).fetchone()
    return sync_run(row) if row else None


def list_runs(db: sqlite3.Connection, source: Source | None, kind: RunKind | None, limit: int) -> list[SyncRun]:
    of_kind = "kind = :kind" if kind else "true"  # so that SQLite takes the index on the kind where there is one
    rows = db.execute(
        f"select * from sync_runs where {of_kind} and source = coalesce(:source, source) order by id desc limit :limit",
        {"source": source, "kind": kind, "limit": limit},
    )
    return [sync_run(row) for row in rows]


def last_success(db: sqlite3.Connection, source: Source, kind: RunKind | None) -> SyncRun | None:
    """Return the latest successful run. Not the furthest: a clock that was ahead once would hide what came after."""
    row = db.execute(
        """
        select * from sync_runs
        where source = :source and state = 'ok' and iif(:kind is null, kind <> 'backfill', kind = :kind)
        order by id desc limit 1
        """,
        {"source": source, "kind": kind},
    ).fetchone()
    return sync_run(row) if row else None


def _insert(
    db: sqlite3.Connection,
    source: Source,
    kind: RunKind,
    window: Window,
    state: RunState,
    *,
    owner: str,
    now: datetime,
) -> SyncRun:
    row = db.execute(
        """
        insert into sync_runs (source, kind, state, window_start, window_end, owner, started_at, heartbeat_at)
        values (?, ?, ?, ?, ?, ?, ?, ?) returning *
        """,
        (source, kind, state, iso(window[0]), iso(window[1]), owner, iso(now), iso(now)),
    ).fetchall()[0]
    return sync_run(row)
