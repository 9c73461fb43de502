"""`SqliteStore`: each method is one transaction over the functions of this package."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from pathlib import Path

from sync.call_costs import CallCost, CallDetail, CallFilter, CallSummary, SortKey
from sync.errors import StoreError
from sync.models import (
    Agent,
    AgentGroup,
    CallGroup,
    CallLeg,
    Conversation,
    Damage,
    DayDigest,
    ElevenLabsTotals,
    Failure,
    LegacyRecords,
    LlmUsage,
    Phone,
    RunKind,
    RunState,
    RunTotals,
    Snapshot,
    Source,
    Statement,
    StoredConversation,
    StoredFailure,
    SyncRun,
    TwilioTotals,
    UnregisteredAgent,
    UnregisteredNumber,
    Window,
    Workspace,
)
from sync.registry import Outcome, RegistryChange
from sync.sqlite_store import (
    backup_file,
    balances,
    breakdowns,
    call_costs,
    checks,
    moving,
    records,
    registry,
    run_history,
    runs,
    snapshots,
    statements,
    watching,
)
from sync.sqlite_store.changes import change_registry
from sync.sqlite_store.connection import LOCK_TIMEOUT, Database
from sync.store import MOST_FAILURES, MOST_UNREGISTERED


class SqliteStore:
    """Implements `sync.store.Store` on a file. Safe with several threads and processes at once."""

    def __init__(self, path: Path, *, lock_timeout: float = LOCK_TIMEOUT) -> None:
        self._path = path
        self._database = Database(path, lock_timeout=lock_timeout)

    def close(self) -> None:
        self._database.close()

    @property
    def path(self) -> Path:
        return self._path

    def become(self, other: Path) -> None:
        """Hold from now on what another file holds at this moment, and nothing else. All of it is committed at once."""
        backup_file.copy_pages(other, self._path)

    def claim_for(self, data: str) -> None:
        with self._database.writing() as db:
            db.execute("insert into store_meta values ('data', ?) on conflict do nothing", (data,))
            held = db.execute("select value from store_meta where key = 'data'").fetchone()["value"]
        if held != data:
            raise StoreError(
                f"{self._path} holds {held} data, which never mixes with {data} data; "
                "set DATABASE_PATH to another file."
            )

    # Records

    def save_calls(self, legs: Sequence[CallLeg], *, refresh: bool = True) -> None:
        with self._database.writing() as db:
            records.save_calls(db, legs)
            if refresh:
                balances.refresh(db, "twilio")

    def save_conversations(self, conversations: Sequence[Conversation], *, refresh: bool = True) -> None:
        with self._database.writing() as db:
            records.save_conversations(db, conversations)
            if refresh:
                balances.refresh(db, "elevenlabs")

    def refresh_balances(self, source: Source) -> None:
        while self.refresh_next(source):
            pass

    def refresh_next(self, source: Source) -> bool:
        with self._database.writing() as db:
            return balances.refresh_next(db, source)

    def save_failures(self, source: Source, failures: Sequence[Failure], *, now: datetime) -> None:
        with self._database.writing() as db:
            records.save_failures(db, source, failures, now)

    def failures(self, source: Source, *, limit: int = MOST_FAILURES) -> list[StoredFailure]:
        with self._database.reading() as db:
            return records.list_failures(db, source, limit)

    def open_ids(self, source: Source, *, now: datetime) -> list[str]:
        with self._database.reading() as db:
            return records.open_ids(db, source, now)

    def known_conversations(self, ids: Iterable[str]) -> dict[str, StoredConversation]:
        with self._database.reading() as db:
            return records.known_conversations(db, ids)

    def known_versions(self, source: Source, ids: Sequence[str]) -> dict[str, datetime]:
        with self._database.reading() as db:
            return records.known_versions(db, source, ids)

    def calls_after(self, place: tuple[datetime, str] | None, limit: int) -> list[CallLeg]:
        with self._database.reading() as db:
            return records.calls_after(db, place, limit)

    def conversations_after(self, place: tuple[datetime, str] | None, limit: int) -> list[Conversation]:
        with self._database.reading() as db:
            return records.conversations_after(db, place, limit)

    def missing_parents(self, *, since: datetime) -> list[str]:
        with self._database.reading() as db:
            return records.missing_parents(db, since)

    # Balances

    def twilio_snapshots(self) -> list[Snapshot[TwilioTotals]]:
        with self._database.reading() as db:
            return snapshots.twilio_snapshots(db)

    def elevenlabs_snapshots(self) -> list[Snapshot[ElevenLabsTotals]]:
        with self._database.reading() as db:
            return snapshots.elevenlabs_snapshots(db)

    def twilio_balances(self, moments: Sequence[datetime | None]) -> list[dict[int, TwilioTotals]]:
        with self._database.reading() as db:
            return [snapshots.twilio_balances(db, at) for at in moments]

    def elevenlabs_balances(self, moments: Sequence[datetime | None]) -> list[dict[int, ElevenLabsTotals]]:
        with self._database.reading() as db:
            return [snapshots.elevenlabs_balances(db, at) for at in moments]

    def twilio_statement(
        self,
        since: datetime | None,
        until: datetime | None,
        edges: Sequence[datetime],
        workspaces: Collection[int] | None,
    ) -> Statement[TwilioTotals]:
        with self._database.reading() as db:
            return statements.statement(db, "twilio", TwilioTotals, since, until, edges, workspaces)

    def elevenlabs_statement(
        self,
        since: datetime | None,
        until: datetime | None,
        edges: Sequence[datetime],
        workspaces: Collection[int] | None,
    ) -> Statement[ElevenLabsTotals]:
        with self._database.reading() as db:
            return statements.statement(db, "elevenlabs", ElevenLabsTotals, since, until, edges, workspaces)

    def llm_usage(self, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None) -> LlmUsage:
        with self._database.reading() as db:
            return statements.llm_usage(db, since, until, workspaces)

    def active_hours(
        self, source: Source, workspaces: Collection[int] | None = None
    ) -> tuple[datetime, datetime] | None:
        with self._database.reading() as db:
            return statements.active_hours(db, source, workspaces)

    def price_unit(self) -> str | None:
        with self._database.reading() as db:
            row = db.execute("select value from store_meta where key = 'price_unit'").fetchone()
            return row["value"] if row else None

    # Breakdowns

    def calls_by_kind(
        self, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
    ) -> list[CallGroup]:
        with self._database.reading() as db:
            return breakdowns.calls_by_kind(db, since, until, workspaces)

    def calls_by_quarter_hour(
        self, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
    ) -> list[tuple[datetime, int]]:
        with self._database.reading() as db:
            return breakdowns.calls_by_quarter_hour(db, since, until, workspaces)

    def conversations_by_agent(
        self, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
    ) -> list[AgentGroup]:
        with self._database.reading() as db:
            return breakdowns.conversations_by_agent(db, since, until, workspaces)

    # Call costs

    def call_costs(
        self, wanted: CallFilter, key: SortKey, *, descending: bool, limit: int, offset: int = 0
    ) -> list[CallCost]:
        with self._database.reading() as db:
            return call_costs.call_costs(db, wanted, key, descending=descending, limit=limit, offset=offset)

    def call_summary(self, wanted: CallFilter) -> CallSummary:
        with self._database.reading() as db:
            return call_costs.call_summary(db, wanted)

    def call(self, record_id: str) -> CallDetail | None:
        with self._database.reading() as db:
            return call_costs.call(db, record_id)

    # Runs

    def begin_run(
        self,
        source: Source,
        kind: RunKind,
        window: Window,
        *,
        owner: str,
        now: datetime,
        stale_before: datetime,
    ) -> SyncRun:
        with self._database.writing() as db:
            return runs.begin_run(db, source, kind, window, owner=owner, now=now, stale_before=stale_before)

    def record_skipped(self, source: Source, window: Window, reason: str, *, now: datetime) -> SyncRun:
        with self._database.writing() as db:
            return runs.record_skipped(db, source, window, reason, now)

    def save_progress(self, run: SyncRun, *, now: datetime) -> None:
        with self._database.writing() as db:
            runs.save_progress(db, run, now)

    def finish_run(self, run_id: int, state: RunState, message: str | None, *, now: datetime) -> None:
        with self._database.writing() as db:
            runs.finish_run(db, run_id, state, message, now)

    def run(self, run_id: int) -> SyncRun | None:
        with self._database.reading() as db:
            return runs.find_run(db, run_id)

    def runs(self, source: Source | None = None, *, kind: RunKind | None = None, limit: int = 50) -> list[SyncRun]:
        with self._database.reading() as db:
            return runs.list_runs(db, source, kind, limit)

    def last_success(self, source: Source, kind: RunKind | None = None) -> SyncRun | None:
        with self._database.reading() as db:
            return runs.last_success(db, source, kind)

    def notable_runs(self) -> list[SyncRun]:
        with self._database.reading() as db:
            return run_history.notable_runs(db)

    def gaps(self, source: Source, *, since: datetime) -> list[tuple[datetime, datetime]]:
        with self._database.reading() as db:
            return run_history.gaps(db, source, since)

    def synced_since(self, source: Source) -> datetime | None:
        with self._database.reading() as db:
            return run_history.synced_since(db, source)

    def run_totals(self, *, alive_since: datetime) -> list[RunTotals]:
        with self._database.reading() as db:
            return watching.run_totals(db, alive_since)

    def waiting_failures(self) -> dict[Source, int]:
        with self._database.reading() as db:
            return watching.waiting_failures(db)

    # Registry

    def workspaces(self) -> list[Workspace]:
        with self._database.reading() as db:
            return registry.list_workspaces(db)

    def phones(self) -> list[Phone]:
        with self._database.reading() as db:
            return registry.list_phones(db)

    def agents(self) -> list[Agent]:
        with self._database.reading() as db:
            return registry.list_agents(db)

    def change_registry(self, changes: Sequence[RegistryChange], *, dry_run: bool = False) -> Outcome:
        with self._database.writing() as db:
            return change_registry(db, changes, dry_run=dry_run)

    def unregistered_numbers(self, *, limit: int = MOST_UNREGISTERED) -> list[UnregisteredNumber]:
        with self._database.reading() as db:
            return registry.unregistered_numbers(db, limit)

    def unregistered_agents(self, *, limit: int = MOST_UNREGISTERED) -> list[UnregisteredAgent]:
        with self._database.reading() as db:
            return registry.unregistered_agents(db, limit)

    # Checks

    def missing_tables(self) -> list[str]:
        with self._database.reading() as db:
            return checks.missing_tables(db)

    def damages(self) -> list[Damage]:
        with self._database.reading() as db:
            return checks.damages(db)

    def legacy_records(self) -> dict[str, LegacyRecords]:
        return {}  # the 12-hour system kept its data in Supabase

    def pending_migrations(self) -> list[str]:
        return []

    def count_rows(self) -> dict[str, int]:
        with self._database.reading() as db:
            return checks.count_rows(db)

    def duplicate_snapshots(self, source: Source) -> list[tuple[int, datetime]]:
        with self._database.reading() as db:
            return checks.duplicate_snapshots(db, source)

    def workspaces_to_refresh(self, source: Source) -> int:
        with self._database.reading() as db:
            return balances.workspaces_to_refresh(db, source)

    def wrong_snapshots(self, source: Source) -> list[tuple[int, datetime]]:
        with self._database.reading() as db:
            return checks.wrong_snapshots(db, source)

    def foreign_currency_legs(self) -> int:
        with self._database.reading() as db:
            return checks.foreign_currency_legs(db)

    # Moving

    def day_digests(self, source: Source) -> dict[date, DayDigest]:
        with self._database.reading() as db:
            return moving.day_digests(db, source)

    def gone_ids(self, source: Source) -> list[str]:
        with self._database.reading() as db:
            return moving.gone_ids(db, source)

    def add_failures(self, failures: Sequence[StoredFailure]) -> None:
        with self._database.writing() as db:
            moving.add_failures(db, failures)

    def closed_runs_after(self, run_id: int, limit: int) -> list[SyncRun]:
        with self._database.reading() as db:
            return moving.closed_runs_after(db, run_id, limit)

    def add_runs(self, runs: Sequence[SyncRun]) -> None:
        with self._database.writing() as db:
            moving.add_runs(db, runs)

    def add_workspaces(self, workspaces: Sequence[Workspace]) -> None:
        with self._database.writing() as db:
            moving.add_workspaces(db, workspaces)

    def expect_price_unit(self, unit: str) -> None:
        with self._database.writing() as db:
            moving.expect_price_unit(db, unit)
