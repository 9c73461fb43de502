"""`SupabaseStore`: each method is one call of a SQL function, which is one transaction."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sync import refetch
from sync.answers import plain
from sync.batches import in_batches
from sync.call_costs import (
    CallCost,
    CallDetail,
    CallFilter,
    CallSummary,
    Match,
    SortKey,
    usage_between,
    without_models,
)
from sync.errors import AlreadyRunningError, LostLockError, StoreError
from sync.models import (
    Agent,
    AgentGroup,
    AnyTotals,
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
from sync.store import MOST_FAILURES, MOST_UNREGISTERED
from sync.supabase_store import call_costs, damages, migrations, moving, watching
from sync.supabase_store.changes import change_registry
from sync.supabase_store.damages import MENDED_BY_BASELINE
from sync.supabase_store.functions import RETRY_BUDGET, UNREADABLE, Functions
from sync.supabase_store.refusals import NotMigratedError
from sync.supabase_store.rows import (
    call_leg,
    conversation,
    ids_or_none,
    iso_or_none,
    llm_usage,
    moment,
    snapshot,
    statement,
    stored_failure,
    sure_moment,
    sync_run,
    to_batch,
    totals,
    unregistered_agent,
    unregistered_number,
)
from sync.times import iso

BATCH = 1000  # records in one call: far below the time limit of a statement, and fast


class SupabaseStore:
    """Implements `sync.store.Store` on a Supabase project. Safe with several threads and processes at once."""

    def __init__(self, url: str, key: str, *, retry_budget: timedelta = RETRY_BUDGET) -> None:
        self._functions = Functions(url, key, retry_budget=retry_budget)

    def close(self) -> None:
        self._functions.close()

    def claim_for(self, data: str) -> None:
        applied = self._functions.applied_migrations()
        if unknown := migrations.unknown(applied):
            raise StoreError(migrations.how_to_catch_up(unknown))
        needed = [name for name in migrations.pending(applied) if name not in migrations.LAST]
        if needed:
            raise StoreError(migrations.how_to_apply(needed))
        try:
            held = self._functions.call("claim", p_data=data)
        except NotMigratedError as exc:
            raise StoreError(f"The Supabase project has lost a table or a function; {MENDED_BY_BASELINE}.") from exc
        if held not in ("demo", "real", data):
            raise StoreError(UNREADABLE)
        if held != data:
            raise StoreError(
                f"The Supabase project holds {held} data, which never mixes with {data} data; use another project."
            )

    # Records

    def save_calls(self, legs: Sequence[CallLeg], *, refresh: bool = True) -> None:
        for batch in in_batches(legs, BATCH):
            self._functions.call("ingest_calls", batch=to_batch(batch), refresh=refresh)

    def save_conversations(self, conversations: Sequence[Conversation], *, refresh: bool = True) -> None:
        for batch in in_batches(conversations, BATCH):
            self._functions.call("ingest_conversations", batch=to_batch(batch), refresh=refresh)

    def refresh_balances(self, source: Source) -> None:
        while self.refresh_next(source):
            pass

    def refresh_next(self, source: Source) -> bool:
        return bool(self._functions.call(f"refresh_next_{source}"))

    def save_failures(self, source: Source, failures: Sequence[Failure], *, now: datetime) -> None:
        self._functions.call("save_failures", p_source=source, failures=plain(failures), p_now=iso(now))

    def failures(self, source: Source, *, limit: int = MOST_FAILURES) -> list[StoredFailure]:
        return [stored_failure(row) for row in self._functions.call("failures", p_source=source, p_limit=limit)]

    def open_ids(self, source: Source, *, now: datetime) -> list[str]:
        moments = {f"p_{name}": at for name, at in refetch.moments(now).items()}
        ids: list[str] = self._functions.call(
            "open_ids",
            p_source=source,
            p_final=list(refetch.FINAL_STATUSES[source]),
            p_settled_after=f"{refetch.SETTLED_AFTER.total_seconds()} seconds",
            **moments,
        )
        return ids

    def known_conversations(self, ids: Iterable[str]) -> dict[str, StoredConversation]:
        rows = [
            row for batch in in_batches(ids, BATCH) for row in self._functions.call("known_conversations", ids=batch)
        ]
        return {
            row["conversation_id"]: StoredConversation(**row | {"fetched_at": sure_moment(row["fetched_at"])})
            for row in rows
        }

    def known_versions(self, source: Source, ids: Sequence[str]) -> dict[str, datetime]:
        versions: dict[str, str] = self._functions.call("known_versions", p_source=source, ids=list(ids))
        return {record_id: sure_moment(fetched_at) for record_id, fetched_at in versions.items()}

    def calls_after(self, place: tuple[datetime, str] | None, limit: int) -> list[CallLeg]:
        return [call_leg(row) for row in self._records_after("calls_after", place, limit)]

    def conversations_after(self, place: tuple[datetime, str] | None, limit: int) -> list[Conversation]:
        return [conversation(row) for row in self._records_after("conversations_after", place, limit)]

    def _records_after(self, function: str, place: tuple[datetime, str] | None, limit: int) -> list[dict[str, Any]]:
        started_at, record_id = (iso(place[0]), place[1]) if place else ("-infinity", "")
        rows: list[dict[str, Any]] = self._functions.call(
            function, p_started_at=started_at, p_id=record_id, p_limit=limit
        )
        return rows

    def missing_parents(self, *, since: datetime) -> list[str]:
        sids: list[str] = self._functions.call("missing_parents", p_since=iso(since))
        return sids

    # Balances

    def twilio_snapshots(self) -> list[Snapshot[TwilioTotals]]:
        return [snapshot(TwilioTotals, row) for row in self._functions.call("twilio_snapshots")]

    def elevenlabs_snapshots(self) -> list[Snapshot[ElevenLabsTotals]]:
        return [snapshot(ElevenLabsTotals, row) for row in self._functions.call("elevenlabs_snapshots")]

    def twilio_balances(self, moments: Sequence[datetime | None]) -> list[dict[int, TwilioTotals]]:
        return self._balances("twilio_balances", TwilioTotals, moments)

    def elevenlabs_balances(self, moments: Sequence[datetime | None]) -> list[dict[int, ElevenLabsTotals]]:
        return self._balances("elevenlabs_balances", ElevenLabsTotals, moments)

    def _balances(
        self, function: str, kind: type[AnyTotals], moments: Sequence[datetime | None]
    ) -> list[dict[int, AnyTotals]]:
        balances: list[dict[int, AnyTotals]] = [{} for _ in moments]
        for row in self._functions.call(function, moments=[iso_or_none(at) for at in moments]):
            balances[row["place"] - 1][row["workspace_id"]] = totals(kind, row["totals"])
        return balances

    def twilio_statement(
        self,
        since: datetime | None,
        until: datetime | None,
        edges: Sequence[datetime],
        workspaces: Collection[int] | None,
    ) -> Statement[TwilioTotals]:
        return self._statement("twilio_statement", TwilioTotals, since, until, edges, workspaces)

    def elevenlabs_statement(
        self,
        since: datetime | None,
        until: datetime | None,
        edges: Sequence[datetime],
        workspaces: Collection[int] | None,
    ) -> Statement[ElevenLabsTotals]:
        return self._statement("elevenlabs_statement", ElevenLabsTotals, since, until, edges, workspaces)

    def _statement(
        self,
        function: str,
        kind: type[AnyTotals],
        since: datetime | None,
        until: datetime | None,
        edges: Sequence[datetime],
        workspaces: Collection[int] | None,
    ) -> Statement[AnyTotals]:
        answer = self._functions.call(
            function,
            moments=[iso_or_none(until), *([iso(since)] if since else [])],
            edges=[iso(edge) for edge in edges],
            p_workspaces=ids_or_none(workspaces),
        )
        return statement(kind, answer, edges=len(edges))

    def llm_usage(self, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None) -> LlmUsage:
        return llm_usage(
            self._functions.call(
                "llm_usage",
                p_since=iso_or_none(since),
                p_until=iso_or_none(until),
                p_workspaces=ids_or_none(workspaces),
            )
        )

    def active_hours(
        self, source: Source, workspaces: Collection[int] | None = None
    ) -> tuple[datetime, datetime] | None:
        first, last = self._functions.call("active_hours_of", p_source=source, p_workspaces=ids_or_none(workspaces))
        return (sure_moment(first), sure_moment(last)) if first else None

    def price_unit(self) -> str | None:
        unit: str | None = self._functions.call("price_unit")
        return unit

    # Breakdowns

    def calls_by_kind(
        self, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
    ) -> list[CallGroup]:
        rows = self._breakdown("calls_by_kind", since, until, workspaces)
        return [CallGroup(**row | {"totals": totals(TwilioTotals, row["totals"])}) for row in rows]

    def calls_by_quarter_hour(
        self, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
    ) -> list[tuple[datetime, int]]:
        rows = self._breakdown("calls_by_quarter_hour", since, until, workspaces)
        return [(sure_moment(row["started_at"]), row["calls"]) for row in rows]

    def conversations_by_agent(
        self, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
    ) -> list[AgentGroup]:
        rows = self._breakdown("conversations_by_agent", since, until, workspaces)
        return [AgentGroup(**row | {"totals": totals(ElevenLabsTotals, row["totals"])}) for row in rows]

    def _breakdown(
        self, function: str, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._functions.call(
            function,
            p_since=iso_or_none(since),
            p_until=iso_or_none(until),
            p_workspaces=ids_or_none(workspaces),
        )
        return rows

    # Call costs

    def call_costs(
        self, wanted: CallFilter, key: SortKey, *, descending: bool, limit: int, offset: int = 0
    ) -> list[CallCost]:
        rows = self._functions.call(
            "call_costs",
            **self._arguments(wanted),
            p_key=key,
            p_descending=descending,
            p_limit=limit,
            p_offset=offset,
        )
        return [call_costs.call_cost(row) for row in rows]

    def call_summary(self, wanted: CallFilter) -> CallSummary:
        arguments = self._arguments(wanted)
        counts: dict[str, int] = self._functions.call("call_counts", **arguments)
        if wanted.is_narrow:
            sums = self._functions.call("call_sums", **arguments)
            twilio, elevenlabs = totals(TwilioTotals, sums["twilio"]), totals(ElevenLabsTotals, sums["elevenlabs"])
        else:
            twilio = self._usage("twilio_balances", TwilioTotals, wanted)
            elevenlabs = self._usage("elevenlabs_balances", ElevenLabsTotals, wanted)
        return CallSummary(
            calls={Match(match): count for match, count in counts.items()},
            twilio=twilio,
            elevenlabs=without_models(elevenlabs),
        )

    def _arguments(self, wanted: CallFilter) -> dict[str, Any]:
        searched = wanted.searched_id
        return call_costs.arguments(wanted, record_id=searched and self._stored_record(searched))

    def _stored_record(self, record_id: str) -> str:
        """Return a stored record of the same call: a leg that is not stored is known from its conversation alone."""
        return self._functions.conversation_of(record_id) or record_id

    def _usage(self, balances: str, kind: type[AnyTotals], wanted: CallFilter) -> AnyTotals:
        moments = [wanted.since, wanted.until] if wanted.since else [wanted.until]
        found = self._balances(balances, kind, moments)
        opening: dict[int, AnyTotals] = found[0] if wanted.since else {}
        return usage_between(opening, found[-1], wanted.workspaces, nothing=kind())

    def call(self, record_id: str) -> CallDetail | None:
        answer = self._functions.call("call", p_id=self._stored_record(record_id))
        return call_costs.call_detail(answer) if answer else None

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
        answer = self._functions.call(
            "begin_run",
            p_source=source,
            p_kind=kind,
            p_start=iso(window[0]),
            p_end=iso(window[1]),
            p_owner=owner,
            p_now=iso(now),
            p_stale_before=iso(stale_before),
        )
        if "running" in answer:
            raise AlreadyRunningError(sync_run(answer["running"]))
        return sync_run(answer["begun"])

    def record_skipped(self, source: Source, window: Window, reason: str, *, now: datetime) -> SyncRun:
        return sync_run(
            self._functions.call(
                "record_skipped",
                p_source=source,
                p_start=iso(window[0]),
                p_end=iso(window[1]),
                p_reason=reason,
                p_now=iso(now),
            )
        )

    def save_progress(self, run: SyncRun, *, now: datetime) -> None:
        is_open = self._functions.call(
            "note_progress",
            p_run=run.id,
            p_done=run.done,
            p_total=run.total,
            p_saved=run.saved,
            p_failed=run.failed,
            p_refused=run.refused,
            p_in_flight=run.in_flight,
            p_position=iso_or_none(run.position),
            p_now=iso(now),
        )
        if not is_open:
            raise LostLockError(run)

    def finish_run(self, run_id: int, state: RunState, message: str | None, *, now: datetime) -> None:
        self._functions.call("finish_run", p_run=run_id, p_state=state, p_message=message, p_now=iso(now))

    def run(self, run_id: int) -> SyncRun | None:
        row = self._functions.call("run", p_run=run_id)
        return sync_run(row) if row else None

    def runs(self, source: Source | None = None, *, kind: RunKind | None = None, limit: int = 50) -> list[SyncRun]:
        rows = self._functions.call("list_runs", p_source=source, p_kind=kind, p_limit=limit)
        return [sync_run(row) for row in rows]

    def last_success(self, source: Source, kind: RunKind | None = None) -> SyncRun | None:
        row = self._functions.call("last_success", p_source=source, p_kind=kind)
        return sync_run(row) if row else None

    def notable_runs(self) -> list[SyncRun]:
        return [sync_run(row) for row in self._functions.call("notable_runs")]

    def gaps(self, source: Source, *, since: datetime) -> list[tuple[datetime, datetime]]:
        rows = self._functions.call("gaps", p_source=source, p_since=iso(since))
        return [(sure_moment(begin), sure_moment(end)) for begin, end in rows]

    def synced_since(self, source: Source) -> datetime | None:
        return moment(self._functions.call("synced_since", p_source=source))

    def run_totals(self, *, alive_since: datetime) -> list[RunTotals]:
        return watching.run_totals(self._functions, alive_since)

    def waiting_failures(self) -> dict[Source, int]:
        return watching.waiting_failures(self._functions)

    # Registry

    def workspaces(self) -> list[Workspace]:
        rows = self._registry("workspaces")
        return [Workspace(**row | {"created_at": sure_moment(row["created_at"])}) for row in rows]

    def phones(self) -> list[Phone]:
        return [
            Phone(**row | {name: moment(row[name]) for name in ("valid_from", "valid_until")})
            for row in self._registry("phones")
        ]

    def agents(self) -> list[Agent]:
        return [Agent(**row) for row in self._registry("agents")]

    def change_registry(self, changes: Sequence[RegistryChange], *, dry_run: bool = False) -> Outcome:
        return change_registry(self._functions, changes, dry_run=dry_run)

    def unregistered_numbers(self, *, limit: int = MOST_UNREGISTERED) -> list[UnregisteredNumber]:
        return [unregistered_number(row) for row in self._functions.call("unregistered_numbers", p_limit=limit)]

    def unregistered_agents(self, *, limit: int = MOST_UNREGISTERED) -> list[UnregisteredAgent]:
        return [unregistered_agent(row) for row in self._functions.call("unregistered_agents", p_limit=limit)]

    def _registry(self, part: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._functions.call("registry")[part]
        return rows

    # Checks

    def missing_tables(self) -> list[str]:
        try:
            tables: list[str] = self._functions.call("missing_tables")
        except NotMigratedError:
            return ["what tells which tables there are"]
        return tables

    def damages(self) -> list[Damage]:
        return damages.damages(self._functions)

    def legacy_records(self) -> dict[str, LegacyRecords]:
        return damages.legacy_records(self._functions)

    def pending_migrations(self) -> list[str]:
        return migrations.pending(self._functions.applied_migrations())

    def count_rows(self) -> dict[str, int]:
        counts: dict[str, int] = self._functions.call("checks")["rows"]
        return counts

    def duplicate_snapshots(self, source: Source) -> list[tuple[int, datetime]]:
        return _places(self._functions.call("checks")[f"{source}_duplicates"])

    def workspaces_to_refresh(self, source: Source) -> int:
        number: int = self._functions.call("workspaces_to_refresh", p_source=source)
        return number

    def wrong_snapshots(self, source: Source) -> list[tuple[int, datetime]]:
        return _places(self._functions.call(f"wrong_{source}"))

    def foreign_currency_legs(self) -> int:
        legs: int = self._functions.call("checks")["foreign_currency_legs"]
        return legs

    # Moving

    def day_digests(self, source: Source) -> dict[date, DayDigest]:
        return moving.day_digests(self._functions, source)

    def gone_ids(self, source: Source) -> list[str]:
        return moving.gone_ids(self._functions, source)

    def add_failures(self, failures: Sequence[StoredFailure]) -> None:
        moving.add_failures(self._functions, failures)

    def closed_runs_after(self, run_id: int, limit: int) -> list[SyncRun]:
        return moving.closed_runs_after(self._functions, run_id, limit)

    def add_runs(self, runs: Sequence[SyncRun]) -> None:
        moving.add_runs(self._functions, runs)

    def add_workspaces(self, workspaces: Sequence[Workspace]) -> None:
        moving.add_workspaces(self._functions, workspaces)

    def expect_price_unit(self, unit: str) -> None:
        moving.expect_price_unit(self._functions, unit)


def _places(rows: list[tuple[int, str]]) -> list[tuple[int, datetime]]:
    return [(workspace_id, sure_moment(hour)) for workspace_id, hour in rows]
