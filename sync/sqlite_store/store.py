"""`SqliteStore`: each method is one transaction over the functions of this package."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from sync.errors import StoreError
from sync.models import (
    Agent,
    CallLeg,
    Conversation,
    ElevenLabsTotals,
    Failure,
    Phone,
    RunKind,
    RunState,
    Snapshot,
    Source,
    StoredConversation,
    SyncRun,
    TwilioTotals,
    UnregisteredNumber,
    Workspace,
)
from sync.sqlite_store import checks, records, registry, reports, runs
from sync.sqlite_store.connection import LOCK_TIMEOUT, Database


class SqliteStore:
    """Implements `sync.store.Store` on a file. Safe with several threads and processes at once."""

    def __init__(self, path: Path, *, lock_timeout: float = LOCK_TIMEOUT) -> None:
        self._path = path
        self._database = Database(path, lock_timeout=lock_timeout)

    def close(self) -> None:
        self._database.close()

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

    def save_calls(self, legs: Sequence[CallLeg]) -> None:
        with self._database.writing() as db:
            records.save_calls(db, legs)

    def save_conversations(self, conversations: Sequence[Conversation]) -> None:
        with self._database.writing() as db:
            records.save_conversations(db, conversations)

    def save_failures(self, source: Source, failures: Sequence[Failure], *, now: datetime) -> None:
        with self._database.writing() as db:
            records.save_failures(db, source, failures, now)

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
            return reports.twilio_snapshots(db)

    def elevenlabs_snapshots(self) -> list[Snapshot[ElevenLabsTotals]]:
        with self._database.reading() as db:
            return reports.elevenlabs_snapshots(db)

    def twilio_balances(self, moments: Sequence[datetime | None]) -> list[dict[int, TwilioTotals]]:
        with self._database.reading() as db:
            return [reports.twilio_balances(db, at) for at in moments]

    def elevenlabs_balances(self, moments: Sequence[datetime | None]) -> list[dict[int, ElevenLabsTotals]]:
        with self._database.reading() as db:
            return [reports.elevenlabs_balances(db, at) for at in moments]

    def price_unit(self) -> str | None:
        with self._database.reading() as db:
            row = db.execute("select value from store_meta where key = 'price_unit'").fetchone()
            return row["value"] if row else None

    # Runs

    def begin_run(
        self,
        source: Source,
        kind: RunKind,
        window: tuple[datetime, datetime],
        *,
        owner: str,
        now: datetime,
        stale_before: datetime,
    ) -> SyncRun:
        with self._database.writing() as db:
            return runs.begin_run(db, source, kind, window, owner=owner, now=now, stale_before=stale_before)

    def record_skipped(
        self, source: Source, window: tuple[datetime, datetime], reason: str, *, now: datetime
    ) -> SyncRun:
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

    def runs(self, source: Source | None = None, *, limit: int = 50) -> list[SyncRun]:
        with self._database.reading() as db:
            return runs.list_runs(db, source, limit)

    def last_success(self, source: Source, kind: RunKind | None = None) -> SyncRun | None:
        with self._database.reading() as db:
            return runs.last_success(db, source, kind)

    # Registry

    def workspaces(self) -> list[Workspace]:
        with self._database.reading() as db:
            return registry.list_workspaces(db)

    def find_or_add_workspace(self, name: str) -> int:
        with self._database.writing() as db:
            return registry.find_or_add_workspace(db, name)

    def phones(self) -> list[Phone]:
        with self._database.reading() as db:
            return registry.list_phones(db)

    def save_phone(self, phone: Phone) -> None:
        with self._database.writing() as db:
            registry.save_phone(db, phone)

    def agents(self) -> list[Agent]:
        with self._database.reading() as db:
            return registry.list_agents(db)

    def save_agent(self, agent: Agent) -> None:
        with self._database.writing() as db:
            registry.save_agent(db, agent)

    def unregistered_numbers(self) -> list[UnregisteredNumber]:
        with self._database.reading() as db:
            return registry.unregistered_numbers(db)

    # Checks

    def missing_tables(self) -> list[str]:
        with self._database.reading() as db:
            return checks.missing_tables(db)

    def pending_migrations(self) -> list[str]:
        return []

    def count_rows(self) -> dict[str, int]:
        with self._database.reading() as db:
            return checks.count_rows(db)

    def duplicate_snapshots(self, source: Source) -> list[tuple[int, datetime]]:
        with self._database.reading() as db:
            return checks.duplicate_snapshots(db, source)

    def wrong_snapshots(self, source: Source) -> list[tuple[int, datetime]]:
        with self._database.reading() as db:
            return checks.wrong_snapshots(db, source)

    def foreign_currency_legs(self) -> int:
        with self._database.reading() as db:
            return checks.foreign_currency_legs(db)
