"""`SupabaseStore`: each method is one call of a SQL function, which is one transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sync import refetch
from sync.answers import plain
from sync.batches import in_batches
from sync.errors import AlreadyRunningError, LostLockError, StoreError
from sync.models import (
    Agent,
    AnyTotals,
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
from sync.supabase_store import migrations
from sync.supabase_store.calls import RETRY_BUDGET, Functions
from sync.supabase_store.rows import (
    call_leg,
    conversation,
    iso_or_none,
    moment,
    snapshot,
    sure_moment,
    sync_run,
    to_batch,
    totals,
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
        needed = [name for name in self.pending_migrations() if name not in migrations.LAST]
        if needed:
            raise StoreError(migrations.how_to_apply(needed))
        held = self._functions.call("claim", p_data=data)
        if held != data:
            raise StoreError(
                f"The Supabase project holds {held} data, which never mixes with {data} data; use another project."
            )

    # Records

    def save_calls(self, legs: Sequence[CallLeg]) -> None:
        for batch in in_batches(legs, BATCH):
            self._functions.call("save_calls", batch=to_batch(batch))

    def save_conversations(self, conversations: Sequence[Conversation]) -> None:
        for batch in in_batches(conversations, BATCH):
            self._functions.call("save_conversations", batch=to_batch(batch))

    def save_failures(self, source: Source, failures: Sequence[Failure], *, now: datetime) -> None:
        self._functions.call("save_failures", p_source=source, failures=plain(failures), p_now=iso(now))

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

    def price_unit(self) -> str | None:
        unit: str | None = self._functions.call("price_unit")
        return unit

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

    def record_skipped(
        self, source: Source, window: tuple[datetime, datetime], reason: str, *, now: datetime
    ) -> SyncRun:
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
            "save_progress",
            p_run=run.id,
            p_done=run.done,
            p_total=run.total,
            p_saved=run.saved,
            p_failed=run.failed,
            p_now=iso(now),
        )
        if not is_open:
            raise LostLockError(run)

    def finish_run(self, run_id: int, state: RunState, message: str | None, *, now: datetime) -> None:
        self._functions.call("finish_run", p_run=run_id, p_state=state, p_message=message, p_now=iso(now))

    def run(self, run_id: int) -> SyncRun | None:
        row = self._functions.call("run", p_run=run_id)
        return sync_run(row) if row else None

    def runs(self, source: Source | None = None, *, limit: int = 50) -> list[SyncRun]:
        return [sync_run(row) for row in self._functions.call("runs", p_source=source, p_limit=limit)]

    def last_success(self, source: Source, kind: RunKind | None = None) -> SyncRun | None:
        row = self._functions.call("last_success", p_source=source, p_kind=kind)
        return sync_run(row) if row else None

    # Registry

    def workspaces(self) -> list[Workspace]:
        rows = self._registry("workspaces")
        return [Workspace(**row | {"created_at": sure_moment(row["created_at"])}) for row in rows]

    def find_or_add_workspace(self, name: str) -> int:
        workspace_id: int = self._functions.call("find_or_add_workspace", p_name=name)
        return workspace_id

    def phones(self) -> list[Phone]:
        return [
            Phone(**row | {name: moment(row[name]) for name in ("valid_from", "valid_until")})
            for row in self._registry("phones")
        ]

    def save_phone(self, phone: Phone) -> None:
        self._functions.call(
            "save_phone",
            p_number=phone.phone_number,
            p_workspace=phone.workspace_id,
            p_label=phone.label,
            p_from=iso_or_none(phone.valid_from),
            p_until=iso_or_none(phone.valid_until),
        )

    def agents(self) -> list[Agent]:
        return [Agent(**row) for row in self._registry("agents")]

    def save_agent(self, agent: Agent) -> None:
        self._functions.call("save_agent", p_agent=agent.agent_id, p_workspace=agent.workspace_id, p_label=agent.label)

    def unregistered_numbers(self) -> list[UnregisteredNumber]:
        return [
            UnregisteredNumber(**row | {"last_seen": sure_moment(row["last_seen"])})
            for row in self._functions.call("unregistered_numbers")
        ]

    def _registry(self, part: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._functions.call("registry")[part]
        return rows

    # Checks

    def missing_tables(self) -> list[str]:
        tables: list[str] = self._functions.call("missing_tables")
        return tables

    def pending_migrations(self) -> list[str]:
        return migrations.pending(self._functions.applied_migrations())

    def count_rows(self) -> dict[str, int]:
        counts: dict[str, int] = self._functions.call("checks")["rows"]
        return counts

    def duplicate_snapshots(self, source: Source) -> list[tuple[int, datetime]]:
        return _places(self._functions.call("checks")[f"{source}_duplicates"])

    def wrong_snapshots(self, source: Source) -> list[tuple[int, datetime]]:
        return _places(self._functions.call(f"wrong_{source}"))

    def foreign_currency_legs(self) -> int:
        legs: int = self._functions.call("checks")["foreign_currency_legs"]
        return legs


def _places(rows: list[tuple[int, str]]) -> list[tuple[int, datetime]]:
    return [(workspace_id, sure_moment(hour)) for workspace_id, hour in rows]
