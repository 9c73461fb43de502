"""What copies and backups ask of the project: digests to compare, history and registry of another store to add."""

from collections.abc import Sequence
from datetime import date

from sync.answers import plain
from sync.models import DayDigest, Source, StoredFailure, SyncRun, Workspace
from sync.supabase_store.functions import Functions
from sync.supabase_store.rows import sync_run


def day_digests(functions: Functions, source: Source) -> dict[date, DayDigest]:
    digests: dict[str, list[str | int]] = functions.call("day_digests", p_source=source)
    return {date.fromisoformat(day): DayDigest(*map(int, sums)) for day, sums in digests.items()}


def gone_ids(functions: Functions, source: Source) -> list[str]:
    ids: list[str] = functions.call("gone_ids", p_source=source)
    return ids


def add_failures(functions: Functions, failures: Sequence[StoredFailure]) -> None:
    functions.call("add_failures", p_failures=plain(failures))


def closed_runs_after(functions: Functions, run_id: int, limit: int) -> list[SyncRun]:
    return [sync_run(row) for row in functions.call("closed_runs_after", p_run=run_id, p_limit=limit)]


def add_runs(functions: Functions, runs: Sequence[SyncRun]) -> None:
    functions.call("add_runs", p_runs=plain(runs))


def add_workspaces(functions: Functions, workspaces: Sequence[Workspace]) -> None:
    functions.call("add_workspaces", p_workspaces=plain(workspaces))


def expect_price_unit(functions: Functions, unit: str) -> None:
    functions.call("expect_price_unit", p_unit=unit)
