"""What the jobs, the API and the pages ask of a store. SQLite and Supabase each implement it, with equal results."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from sync.call_costs import CallCost, CallDetail, CallFilter, CallSummary, SortKey
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

# What a store lists unless it is asked for more or fewer.
MOST_FAILURES, MOST_UNREGISTERED = 100, 200


class Records(Protocol):
    """Where records go. Each save commits the records together with the balances that they touch.

    With `refresh=False` the balances stay as they were before, and the store remembers which of them wait for
    `refresh_balances`, or for the next save of the same source, whichever comes first.
    """

    def save_calls(self, legs: Sequence[CallLeg], *, refresh: bool = True) -> None:
        """Upsert by sid, attribute, refresh balances. May be repeated, in any order: the newer version wins."""

    def save_conversations(self, conversations: Sequence[Conversation], *, refresh: bool = True) -> None:
        """Upsert by conversation id, attribute, refresh balances. May be repeated, in any order."""

    def refresh_balances(self, source: Source) -> None:
        """Bring all balances of a source that wait for it up to date, one workspace after another."""

    def refresh_next(self, source: Source) -> bool:
        """Do so for one workspace, the one that waits longest, and tell whether there was one."""

    def save_failures(self, source: Source, failures: Sequence[Failure], *, now: datetime) -> None:
        """List records that could not be read; one that is stored and gone at the provider is kept and marked."""

    def failures(self, source: Source, *, limit: int = MOST_FAILURES) -> list[StoredFailure]:
        """Return the records that could not be fetched or read so far, the last failed first."""

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

    def twilio_statement(
        self,
        since: datetime | None,
        until: datetime | None,
        edges: Sequence[datetime],
        workspaces: Collection[int] | None,
    ) -> Statement[TwilioTotals]:
        """Return what the balances say at the start and end of `[since, until)` and at the edges within.

        Without `since` nothing is opened with; without `until` the latest balance closes. `workspaces` None is all.
        """

    def elevenlabs_statement(
        self,
        since: datetime | None,
        until: datetime | None,
        edges: Sequence[datetime],
        workspaces: Collection[int] | None,
    ) -> Statement[ElevenLabsTotals]:
        """Return what the balances say at the start and end of `[since, until)` and at the edges within."""

    def llm_usage(self, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None) -> LlmUsage:
        """Return the token usage of `[since, until)` by model and category, of these workspaces together."""

    def active_hours(
        self, source: Source, workspaces: Collection[int] | None = None
    ) -> tuple[datetime, datetime] | None:
        """Return the first and the last hour with activity of these workspaces, or None when there was none ever."""

    def price_unit(self) -> str | None:
        """Return the currency that Twilio bills in (USD), or None before the first priced leg."""


class Breakdowns(Protocol):
    """Usage of `[since, until)` cut by what balances do not carry, read from the records of that period alone.

    None is the beginning, and the end; `workspaces` None is all of them. Sums equal those of the balances.
    """

    def calls_by_kind(
        self, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
    ) -> list[CallGroup]:
        """Return the usage by direction and status of the legs."""

    def calls_by_quarter_hour(
        self, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
    ) -> list[tuple[datetime, int]]:
        """Return the number of calls of each quarter of an hour that has any: every zone's hours begin at one."""

    def conversations_by_agent(
        self, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
    ) -> list[AgentGroup]:
        """Return the usage by workspace and agent, without token usage per model."""


class CallCosts(Protocol):
    """What each call cost in all, however many records it has at both providers."""

    def call_costs(
        self, wanted: CallFilter, key: SortKey, *, descending: bool, limit: int, offset: int = 0
    ) -> list[CallCost]:
        """Return a page of the calls. What is not known comes last; calls that are equal go by start, then id."""

    def call_summary(self, wanted: CallFilter) -> CallSummary:
        """Return how many calls there are by match, and what their records add up to."""

    def call(self, record_id: str) -> CallDetail | None:
        """Return the call that a leg (by its sid) or a conversation (by its id) belongs to."""


class Runs(Protocol):
    """History, watermark and lock."""

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
        """Open a run, or raise AlreadyRunningError; one whose heartbeat is before `stale_before` is taken over.

        A source has two locks: one for the hourly run and the sweep, one for the backfill.
        """

    def record_skipped(self, source: Source, window: Window, reason: str, *, now: datetime) -> SyncRun:
        """Write down that a run was due and did not take place."""

    def save_progress(self, run: SyncRun, *, now: datetime) -> None:
        """Write counts and heartbeat, or raise LostLockError if the run is no longer open."""

    def finish_run(self, run_id: int, state: RunState, message: str | None, *, now: datetime) -> None:
        """Close a run; one that is closed already stays as it is."""

    def run(self, run_id: int) -> SyncRun | None: ...

    def runs(self, source: Source | None = None, *, kind: RunKind | None = None, limit: int = 50) -> list[SyncRun]:
        """Return the history, newest first."""

    def last_success(self, source: Source, kind: RunKind | None = None) -> SyncRun | None:
        """Return the latest successful run: the next window starts where it ended. Without `kind`, no backfill."""

    def notable_runs(self) -> list[SyncRun]:
        """Return what tells how current the data is, the newest first.

        That is of each source every open run, the latest run, the one that ended last, and the latest that went well
        and was no backfill.
        """

    def gaps(self, source: Source, *, since: datetime) -> list[tuple[datetime, datetime]]:
        """Return the stretches, from `since` or the first window to the end of the last, that no window covers.

        Only windows of successful runs count, of any kind.
        """

    def synced_since(self, source: Source) -> datetime | None:
        """Return where the first window begins that a successful run of any kind covered; None without one."""


class Watching(Protocol):
    """For whoever watches the program from outside: cheap enough to be asked for every few seconds."""

    def run_totals(self, *, alive_since: datetime) -> list[RunTotals]:
        """Return what all runs add up to; a run is alive if its heartbeat is not before `alive_since`."""

    def waiting_failures(self) -> Mapping[Source, int]:
        """Return how many records could not be fetched or read so far; a source without any is left out."""


class Registry(Protocol):
    """Who owns what. Saving a number or an agent re-attributes stored records and refreshes their balances."""

    def workspaces(self) -> list[Workspace]:
        """Return all workspaces by name, Unassigned last."""

    def phones(self) -> list[Phone]: ...

    def agents(self) -> list[Agent]: ...

    def change_registry(self, changes: Sequence[RegistryChange], *, dry_run: bool = False) -> Outcome:
        """Carry out the changes in order, in one transaction; a refused one leaves no trace, and the others in place.

        Stored records are re-attributed and their balances refreshed. With `dry_run` nothing is kept.
        """

    def unregistered_numbers(self, *, limit: int = MOST_UNREGISTERED) -> list[UnregisteredNumber]:
        """Return our numbers whose usage is Unassigned, the last used first."""

    def unregistered_agents(self, *, limit: int = MOST_UNREGISTERED) -> list[UnregisteredAgent]:
        """Return the agents of Unassigned conversations, the last used first."""


class Checks(Protocol):
    """What `verify` looks at."""

    def missing_tables(self) -> list[str]: ...

    def damages(self) -> list[Damage]:
        """Return what of the database is missing, and what opens it to others; nothing in a sound one."""

    def legacy_records(self) -> Mapping[str, LegacyRecords]:
        """Return by kind what became of the records of the 12-hour system: a source, or "number" if unreadable."""

    def pending_migrations(self) -> list[str]:
        """Return the names of migrations that have not run; a file of SQLite is brought up to date when opened."""

    def count_rows(self) -> dict[str, int]:
        """Return the number of rows by table."""

    def duplicate_snapshots(self, source: Source) -> list[tuple[int, datetime]]:
        """Return (workspace id, hour) of balances stored twice."""

    def workspaces_to_refresh(self, source: Source) -> int:
        """Return of how many workspaces balances wait to be refreshed."""

    def wrong_snapshots(self, source: Source) -> list[tuple[int, datetime]]:
        """Return (workspace id, hour) of balances that are not the sum of their records, nor wait to be refreshed."""

    def foreign_currency_legs(self) -> int:
        """Return how many legs are priced in another currency than the account's, and so not added."""


class Moving(Protocol):
    """What a copy of the whole store needs beside records, numbers and agents. Adding may be repeated."""

    def day_digests(self, source: Source) -> dict[date, DayDigest]:
        """Return for each UTC day with records what these add up to."""

    def gone_ids(self, source: Source) -> list[str]:
        """Return the stored records that the provider no longer has."""

    def add_failures(self, failures: Sequence[StoredFailure]) -> None:
        """List failures of another store as they are listed there; of one that is known, the later."""

    def closed_runs_after(self, run_id: int, limit: int) -> list[SyncRun]:
        """Return the next closed runs in the order of their ids."""

    def add_runs(self, runs: Sequence[SyncRun]) -> None:
        """Add the closed runs of another store that are not here yet, under their own ids where these are free."""

    def add_workspaces(self, workspaces: Sequence[Workspace]) -> None:
        """Add workspaces of another store whose names are not here yet, under their own ids where these are free."""

    def expect_price_unit(self, unit: str) -> None:
        """Fix the currency that Twilio bills in, unless it is known."""


class Store(Records, Balances, Breakdowns, CallCosts, Runs, Watching, Registry, Checks, Moving, Protocol):
    """All of it, on one database."""

    def claim_for(self, data: str) -> None:
        """Mark a new store as holding `data` ("demo" or "real"), or raise StoreError if it holds the other."""

    def close(self) -> None: ...
