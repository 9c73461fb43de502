"""What befalls a store while programs work on it."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg

from tests.cutting_proxy import CuttingProxy
from tests.faults.world import Program
from tests.local_supabase import LocalSupabase

LOCKED_FOR = (0.2, 1.2)  # seconds; `child.LOCK_TIMEOUT` is between them
FULL_FOR = 0.3
TOO_SLOW_FOR = 0.5
DOWN_FOR = 0.3
ANSWERS_AGAIN_WITHIN = 60.0

CANCEL = """
    select pg_cancel_backend(pid) from pg_stat_activity
    where usename = 'authenticator' and state = 'active' and query not like 'listen%'
"""


def lock(database: Path, seconds: float) -> None:
    """Hold SQLite's lock for writers, as a program that copies the file does."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as db:
        db.execute("begin immediate")
        time.sleep(seconds)
        db.execute("rollback")


def fill_disk(database: Path, programs: Sequence[Program]) -> None:
    """Let no file of these programs grow beyond what the database has: what a full disk or a quota does."""
    largest = max((file.stat().st_size for file in database.parent.glob(f"{database.name}*")), default=0)
    for limit in (largest, psutil.RLIM_INFINITY):
        for program in programs:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(program.pid).rlimit(psutil.RLIMIT_FSIZE, (limit, psutil.RLIM_INFINITY))
        if limit == largest:
            time.sleep(FULL_FOR)


def trouble_supabase(trouble: str, project: LocalSupabase, proxy: CuttingProxy) -> None:
    match trouble:
        case "cut request":
            proxy.cut_request_after(1500)
        case "lost answer":
            proxy.drop_next_answer()
        case "PostgREST restarts":
            project.postgrest.stop()
            time.sleep(DOWN_FOR)
            project.postgrest.start()
        case "Postgres restarts":
            project.restart_postgres(after=DOWN_FOR)
        case "too slow":
            _cancel_statements(project)


def _cancel_statements(project: LocalSupabase) -> None:
    """End every statement with 57014, which is what Supabase does to those that take too long."""
    with psycopg.connect(project.dsn(), autocommit=True) as db:
        give_up_at = time.monotonic() + TOO_SLOW_FOR
        while time.monotonic() < give_up_at:
            db.execute(CANCEL)
            time.sleep(0.01)


def await_supabase(project: LocalSupabase) -> None:
    """Wait until PostgREST has found its database again."""
    deadline = time.monotonic() + ANSWERS_AGAIN_WITHIN
    while time.monotonic() < deadline:
        with suppress(OSError):
            if project.postgrest.ask("GET", "/workspaces?limit=0", {}).status in (200, 401, 403):
                return
        time.sleep(0.05)
    raise TimeoutError("The local Supabase does not answer.")
