"""What the jobs, the API and the pages ask of a store. SQLite and Supabase each implement it, with equal results."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

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


class Records(Protocol):
    """Where records go. Each save commits the records together with the balances that they touch."""

    def save_calls(self, legs: Sequence[CallLeg]) -> None:
        """Upsert by sid, attribute, refresh balances. May be repeated, in any order: the newer version wins."""

    def save_conversations(self, conversations: Sequence[Conversation]) -> None:
        """Upsert by conversation id, attribute, refresh balances. May be repeated, in any order."""

    def save_failures(self, source: Source, failures: Sequence[Failure], *, now: datetime) -> None:
        """List records that could not be read; one that is stored and gone at the provider is kept and marked."""

    def open_ids(self, source: Source, *, now: datetime) -> list[str]:
        """Return ids of records to fetch again: hourly for 48 hours, then daily up to 7 days.

        Unfinished, unpriced or failed ones, and only those that were not fetched since `now`.
        """

    def known_conversations(self, ids: Iterable[str]) -> dict[str, StoredConversation]:
        """Return what is stored of these conversations, by id."""

    def known_versions(self, source: Source, ids: Sequence[str]) -> dict[str, datetime]:
        """Return when the stored version of each record was fetched, by id."""

    def calls_after(self, place: tuple[datetime, str] | None, limit: int) -> list[CallLeg]:
        """Return the next legs in the order of (started_at, sid), from the beginning if `place` is None."""

    def conversations_after(self, place: tuple[datetime, str] | None, limit: int) -> list[Conversation]:
        """Return the next conversations in the order of (started_at, conversation_id)."""

    def missing_parents(self, *, since: datetime) -> list[str]:
        """Return sids of parents, not stored, of legs that started at or after `since`."""


class Balances(Protocol):
    """What the balances say. Moments may be any second; None means everything."""

    def twilio_snapshots(self) -> list[Snapshot[TwilioTotals]]:
        """Return the latest snapshot of each workspace that has one, Unassigned last."""

    def elevenlabs_snapshots(self) -> list[Snapshot[ElevenLabsTotals]]:
        """Return the latest snapshot of each workspace that has one, Unassigned last."""

    def twilio_balances(self, moments: Sequence[datetime | None]) -> list[dict[int, TwilioTotals]]:
        """Return for each moment the totals by workspace id of everything that started before it."""

    def elevenlabs_balances(self, moments: Sequence[datetime | None]) -> list[dict[int, ElevenLabsTotals]]:
        """Return for each moment the totals by workspace id of everything that started before it."""

    def price_unit(self) -> str | None:
        """Return the currency that Twilio bills in (USD), or None before the first priced leg."""


class Runs(Protocol):
    """History, watermark and lock."""

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
        """Open a run, or raise AlreadyRunningError; one whose heartbeat is before `stale_before` is taken over."""

    def record_skipped(
        self, source: Source, window: tuple[datetime, datetime], reason: str, *, now: datetime
    ) -> SyncRun:
        """Write down that a run was due and did not take place."""

    def save_progress(self, run: SyncRun, *, now: datetime) -> None:
        """Write counts and heartbeat, or raise LostLockError if the run is no longer open."""

    def finish_run(self, run_id: int, state: RunState, message: str | None, *, now: datetime) -> None:
        """Close a run; one that is closed already stays as it is."""

    def run(self, run_id: int) -> SyncRun | None: ...

    def runs(self, source: Source | None = None, *, limit: int = 50) -> list[SyncRun]:
        """Return the history, newest first."""

    def last_success(self, source: Source, kind: RunKind | None = None) -> SyncRun | None:
        """Return the latest successful run: the next window starts where it ended."""


class Registry(Protocol):
    """Who owns what. Saving a number or an agent re-attributes stored records and refreshes their balances."""

    def workspaces(self) -> list[Workspace]:
        """Return all workspaces by name, Unassigned last."""

    def find_or_add_workspace(self, name: str) -> int: ...

    def phones(self) -> list[Phone]: ...

    def save_phone(self, phone: Phone) -> None:
        """Register a number for a period, or raise RegistryError if it overlaps another one."""

    def agents(self) -> list[Agent]: ...

    def save_agent(self, agent: Agent) -> None: ...

    def unregistered_numbers(self) -> list[UnregisteredNumber]:
        """Return our numbers whose usage is Unassigned, the last used first."""


class Checks(Protocol):
    """What `verify` looks at."""

    def missing_tables(self) -> list[str]: ...

    def pending_migrations(self) -> list[str]:
        """Return the names of migrations that have not run; a file of SQLite is brought up to date when opened."""

    def count_rows(self) -> dict[str, int]:
        """Return the number of rows by table."""

    def duplicate_snapshots(self, source: Source) -> list[tuple[int, datetime]]:
        """Return (workspace id, hour) of balances stored twice."""

    def wrong_snapshots(self, source: Source) -> list[tuple[int, datetime]]:
        """Return (workspace id, hour) of balances that are not the sum of their records."""

    def foreign_currency_legs(self) -> int:
        """Return how many legs are priced in another currency than the account's, and so not added."""


class Store(Records, Balances, Runs, Registry, Checks, Protocol):
    """All of it, on one database."""

    def claim_for(self, data: str) -> None:
        """Mark a new store as holding `data` ("demo" or "real"), or raise StoreError if it holds the other."""

    def close(self) -> None: ...
