"""The one door to the store, which gives everyone what their role includes. What a run does is never cached.

Other reads are cached until a run ends or a number changes hands, by the workspaces they are about: who may see fewer
asks for fewer, and shares nothing with those who see more.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import access, usages
from dashboard.buckets import Buckets, Progress, cut
from dashboard.later import answered_later
from dashboard.periods import Period
from dashboard.usages import Usage
from sync import freshness
from sync import phones as phones_csv
from sync import verify as checks
from sync.background import BackgroundSyncs, background_syncs
from sync.bootstrap import Services, shared
from sync.call_costs import CallCost, CallDetail, CallFilter, CallSummary, SortKey
from sync.errors import StoreError
from sync.freshness import Freshness, freshness_of
from sync.metrics import CombinedTotals
from sync.models import (
    SOURCES,
    Agent,
    AgentGroup,
    CallGroup,
    ElevenLabsTotals,
    ListedAgent,
    ListedNumber,
    LlmUsage,
    Phone,
    RunKind,
    Source,
    StoredFailure,
    SyncRun,
    TranscriptTurn,
    TwilioTotals,
    UnregisteredAgent,
    UnregisteredNumber,
    Workspace,
)
from sync.phones import Imported, PhoneRow
from sync.registry import Outcome, RegistryChange
from sync.runs import is_alive
from sync.times import BEFORE_EVERYTHING
from sync.verify import Finding

KEPT_FOR = timedelta(minutes=1)  # numbers may also change without a run: somebody registers one
KEPT_READS = 200
LISTS_KEPT_FOR = timedelta(minutes=5)  # what providers say that they have

Edges = tuple[datetime, ...]
Chosen = frozenset[int] | None  # workspaces; None is all of them

RUNS = "notable runs"  # in the state of a session


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatus:
    """How current each configured source is, what runs, and what went wrong in this process."""

    freshness: Sequence[Freshness]
    running: Sequence[SyncRun]
    is_starting: bool  # started by a click, and not in the history yet
    problems: Mapping[Source, str]

    @property
    def is_busy(self) -> bool:
        """Whether a sync is on. A historical one does not count: it leaves room for another beside it."""
        return self.is_starting or any(run.kind is not RunKind.BACKFILL for run in self.running)

    @property
    def is_moving(self) -> bool:
        return self.is_starting or bool(self.running)

    def is_syncing(self, source: Source) -> bool:
        return any(run.source == source and run.kind is not RunKind.BACKFILL for run in self.running)

    def is_backfilling(self, source: Source) -> bool:
        return any(run.source == source and run.kind is RunKind.BACKFILL for run in self.running)


def services() -> Services:
    """Return the settings, clock and providers, which are the same for everybody."""
    return shared()


def _scope() -> Chosen:
    """Return the workspaces that whoever looks at the page may see."""
    return access.current_user().workspaces(_workspaces(version()))


def _within(chosen: Chosen) -> Chosen:
    """Return those of the chosen workspaces that may be seen."""
    scope = _scope()
    if scope is None or chosen is None:
        return chosen if scope is None else scope
    return chosen & scope


def _syncs() -> BackgroundSyncs:
    return background_syncs(services())


def start_syncs(source: Source | None = None) -> None:
    """Start a sync of a source, or of each that can be synced, and return at once."""
    access.require_admin()
    _syncs().start(source)


def start_backfill(source: Source, since: datetime, until: datetime | None) -> SyncRun:
    """Start a historical sync, and return its run as soon as it is open. Raises VoiceLedgerError if it cannot be."""
    access.require_admin()
    return _syncs().start_backfill(source, since, until)


def stop_backfill(run_id: int) -> bool:
    """Ask a historical sync to stop; tell whether it can be asked, since it was started on these pages."""
    access.require_admin()
    return _syncs().stop(run_id)


def now() -> datetime:
    return services().clock()


def sync_status() -> SyncStatus:
    """Look how the runs stand. All that this session reads until it is called again goes by what it finds.

    Runs are about all workspaces: a client is told how current the data is, and nothing else.
    """
    st.session_state.pop(RUNS, None)  # should the store not answer, nobody goes by the old ones
    st.session_state[RUNS] = freshness.notable_runs(services().store, now=now())
    if access.current_user().is_client:
        return SyncStatus(freshness=freshness_by_source(), running=[], is_starting=False, problems={})
    syncs, at = _syncs(), now()
    running = [run for run in _runs() if is_alive(run, at)]
    return SyncStatus(
        freshness=freshness_by_source(),
        running=running,
        is_starting=syncs.is_running() and all(run.kind is RunKind.BACKFILL for run in running),
        problems=syncs.problems,
    )


def _runs() -> list[SyncRun]:
    """Return what tells how current the data is, as the script of this page found it when it began."""
    if RUNS not in st.session_state:
        st.session_state[RUNS] = freshness.notable_runs(services().store, now=now())
    runs: list[SyncRun] = st.session_state[RUNS]
    return runs


def freshness_by_source() -> list[Freshness]:
    """Return how current each source is that can be synced; a client is not told of the latest run."""
    states = [freshness_of(_runs(), source, now=now()) for source in services().sources()]
    return [replace(state, latest=None, ahead=None) for state in states] if access.current_user().is_client else states


def runs(source: Source | None = None, *, kind: RunKind | None = None, limit: int) -> list[SyncRun]:
    """Return the history, newest first, as it is now."""
    access.refuse_clients()
    return services().store.runs(source, kind=kind, limit=limit)


def run(run_id: int) -> SyncRun | None:
    access.refuse_clients()
    return services().store.run(run_id)


def failures(source: Source) -> list[StoredFailure]:
    """Return the records that could not be fetched or read so far, the last failed first; a hundred at most."""
    access.refuse_clients()
    return _failures(source, version())


def gaps(source: Source) -> list[tuple[datetime, datetime]]:
    """Return the stretches between the first and the last window that no successful run has covered."""
    access.refuse_clients()
    return unsynced(source)


def synced_since(source: Source) -> datetime | None:
    """Return where the first window begins, or the first record where one is older; before that nothing is known."""
    known = [_synced_since(source, version())]
    with suppress(StoreError):  # its balances may be what cannot be read, which the page then says
        known.append(first_active_hour(source))
    return min(filter(None, known), default=None)


def unsynced(source: Source) -> list[tuple[datetime, datetime]]:
    """Return the stretches since then of which nobody asked the provider: what happened in them is not known."""
    return _gaps(source, version())


def progress(buckets: Buckets, sources: Sequence[Source]) -> list[Progress]:
    """Tell for each bucket how far the data of these sources reaches into it; of one never synced nothing is known."""
    through = [state.through for state in freshness_by_source() if state.source in sources and state.through]
    begins = {source: synced_since(source) or now() for source in sources}
    unknown = [[(BEFORE_EVERYTHING, begin), *unsynced(source)] for source, begin in begins.items()]
    return buckets.progress(min(through, default=None), unknown)


def verify() -> list[Finding]:
    """Run all checks, which takes seconds on a large store."""
    access.refuse_clients()
    return list(checks.verify(services().store, services().sources(), clock=now))


def data_through(sources: Sequence[Source]) -> datetime | None:
    """Return until when the data of all these sources is complete; None when one was never synced."""
    through = [state.through for state in freshness_by_source() if state.source in sources]
    known = [moment for moment in through if moment]
    return min(known) if known and len(known) == len(through) else None


def version() -> str:
    """Return what changes whenever a run ends, wherever it ran, or somebody changes in this process who owns what."""
    ended = [f"{run.id}:{run.state}" for run in _runs() if run.finished_at]
    return " ".join([*ended, *_registry_version()])


@st.cache_resource(show_spinner=False)
def _registry_version() -> deque[str]:
    """Hold one word, which every change of the registry replaces."""
    return deque(maxlen=1)


def change_registry(changes: Sequence[RegistryChange], *, dry_run: bool = False) -> Outcome:
    """Carry the changes out, or only tell what they would move; afterwards no page shows what was cached before."""
    access.require_admin()
    with _forgetting_reads(dry_run=dry_run):
        return services().store.change_registry(changes, dry_run=dry_run)


def import_phones(rows: Sequence[PhoneRow], *, dry_run: bool = False) -> Imported:
    """Register the rows of a file that can be, or only tell what would become of them."""
    access.require_admin()
    with _forgetting_reads(dry_run=dry_run):
        return phones_csv.import_phones(services().store, rows, dry_run=dry_run)


@contextmanager
def _forgetting_reads(*, dry_run: bool) -> Iterator[None]:
    try:
        yield
    finally:
        if not dry_run:  # also after an error: it may have come after the change
            _registry_version().append(uuid4().hex)


def phones_exporter() -> Callable[[], str]:
    """Return what makes the file. It is called on a click, outside of any session: who may have it is settled now."""
    access.require_admin()
    return lambda: phones_csv.export_phones(services().store)


def workspaces() -> list[Workspace]:
    """Return all workspaces that may be seen, by name, Unassigned last."""
    scope = _scope()
    return [each for each in _workspaces(version()) if scope is None or each.id in scope]


def phones() -> list[Phone]:
    scope = _scope()
    return [phone for phone in services().store.phones() if scope is None or phone.workspace_id in scope]


def agents() -> list[Agent]:
    scope = _scope()
    return [agent for agent in services().store.agents() if scope is None or agent.workspace_id in scope]


def unregistered_numbers() -> list[UnregisteredNumber]:
    """Return our numbers whose usage is Unassigned, the last used first."""
    access.refuse_clients()
    return _unregistered_numbers(version())


def unregistered_agents() -> list[UnregisteredAgent]:
    """Return agents whose usage is Unassigned, the last used first."""
    access.refuse_clients()
    return _unregistered_agents(version())


def totals_by_workspace() -> dict[str, CombinedTotals]:
    """Return what each workspace used since the beginning, by its name."""
    scope = _scope()
    used = usages.combined(_twilio(None, None, (), scope, version()), _elevenlabs(None, None, (), scope, version()))
    return {workspace.name: used.of(workspace.id) for workspace in workspaces()}


def listed_numbers(source: Source) -> list[ListedNumber]:
    """Ask a provider for its numbers, and keep the answer for some minutes. Raises VoiceLedgerError."""
    access.require_admin()
    return _listed_numbers(source)


def listed_agents() -> list[ListedAgent]:
    """Ask ElevenLabs for its agents, and keep the answer for some minutes. Raises VoiceLedgerError."""
    access.require_admin()
    return _listed_agents()


def subaccounts() -> "Future[int | None]":
    """Ask Twilio for the accounts below the configured one, without waiting, and keep the answer for some minutes."""
    access.require_admin()
    return _subaccounts()


def currency() -> str:
    """Return the currency that Twilio bills in; before the first priced leg there is no amount in another one."""
    return _price_unit(version()) or "USD"


def last_active_hour(source: Source) -> datetime | None:
    """Return the latest hour with activity, or None when nothing was ever recorded."""
    hours = _active_hours(source, _scope(), version())
    return hours[1] if hours else None


def first_active_hour(source: Source) -> datetime | None:
    """Return the first hour with activity, or None when nothing was ever recorded."""
    hours = _active_hours(source, _scope(), version())
    return hours[0] if hours else None


def buckets(period: Period) -> Buckets:
    """Cut a period for charts; all of it is cut from the first day with activity until today."""
    today = now().astimezone(period.zone).date()
    last = period.last or today
    return cut(period.first or _first_active_day(period.zone, last), last, period.zone)


def _first_active_day(zone: ZoneInfo, last: date) -> date:
    hours = [hours for source in SOURCES if (hours := _active_hours(source, _scope(), version()))]
    return min([last, *(first.astimezone(zone).date() for first, _ in hours)])


def twilio(
    period: Period, cut_at: Buckets | None = None, workspaces: frozenset[int] | None = None
) -> Usage[TwilioTotals]:
    """Return the usage of these workspaces (None is all of them), over time only if it is cut."""
    return _twilio(period.since, period.until, cut_at.edges if cut_at else (), _within(workspaces), version())


def elevenlabs(
    period: Period, cut_at: Buckets | None = None, workspaces: frozenset[int] | None = None
) -> Usage[ElevenLabsTotals]:
    """Return the usage of these workspaces (None is all of them), over time only if it is cut."""
    return _elevenlabs(period.since, period.until, cut_at.edges if cut_at else (), _within(workspaces), version())


def llm_usage(period: Period, workspaces: frozenset[int] | None = None) -> LlmUsage:
    """Return the token usage by model of these workspaces (None is all of them) together."""
    return _llm_usage(period.since, period.until, _within(workspaces), version())


def calls_by_kind(period: Period, workspaces: frozenset[int] | None = None) -> list[CallGroup]:
    """Return the usage of these workspaces (None is all of them) by direction and status."""
    return _calls_by_kind(period.since, period.until, _within(workspaces), version())


def calls_by_quarter_hour(period: Period, workspaces: frozenset[int] | None = None) -> list[tuple[datetime, int]]:
    """Return how many calls of these workspaces (None is all of them) began in each quarter of an hour that has any."""
    return _calls_by_quarter_hour(period.since, period.until, _within(workspaces), version())


def conversations_by_agent(period: Period, workspaces: frozenset[int] | None = None) -> list[AgentGroup]:
    """Return the usage of these workspaces (None is all of them) by agent."""
    return _conversations_by_agent(period.since, period.until, _within(workspaces), version())


def calls_asked_for(wanted: CallFilter) -> CallFilter:
    """Return the filter within what may be seen. A client does not see calls that it shares with somebody else."""
    return replace(wanted, workspaces=_within(wanted.workspaces), exclusive=_scope() is not None)


def call_summary(wanted: CallFilter) -> CallSummary:
    return _call_summary(calls_asked_for(wanted), version())


def call_costs(wanted: CallFilter, key: SortKey, *, descending: bool, limit: int, offset: int) -> list[CallCost]:
    """Return a page of the calls."""
    return _call_costs(calls_asked_for(wanted), key, descending, limit, offset, version())


def call_reader(wanted: CallFilter, key: SortKey, *, descending: bool) -> Callable[[int, int], list[CallCost]]:
    """Return what reads calls by limit and offset, uncached, outside of any session: what it may see is settled now."""
    allowed = calls_asked_for(wanted)
    return lambda limit, offset: services().store.call_costs(
        allowed, key, descending=descending, limit=limit, offset=offset
    )


def call(record_id: str) -> CallDetail | None:
    """Return the call that a leg or a conversation belongs to, if it exists and may be seen."""
    wanted = calls_asked_for(CallFilter(search=record_id))
    if wanted.workspaces is not None and (wanted.searched_id != record_id or not call_summary(wanted).count):
        return None
    return services().store.call(record_id)


def transcript(conversation_id: str) -> list[TranscriptTurn]:
    """Ask ElevenLabs what was said; nothing keeps it. Raises VoiceLedgerError, also if the call may not be seen."""
    if call(conversation_id) is None:
        raise access.NotAllowedError("There is no such conversation.")
    return services().transcript(conversation_id)


# What these return is kept as it is and given to everyone: cache_data would make a copy, which takes longer than some
# of the reads. Nobody changes it.
_kept = st.cache_resource(ttl=KEPT_FOR, max_entries=KEPT_READS, show_spinner=False)


@_kept
def _workspaces(version: str) -> list[Workspace]:
    return services().store.workspaces()


@_kept
def _failures(source: Source, version: str) -> list[StoredFailure]:
    return services().store.failures(source)


@_kept
def _gaps(source: Source, version: str) -> list[tuple[datetime, datetime]]:
    return freshness.gaps(services().store, source, now=now())


@_kept
def _synced_since(source: Source, version: str) -> datetime | None:
    return services().store.synced_since(source)


@_kept
def _price_unit(version: str) -> str | None:
    return services().store.price_unit()


@_kept
def _active_hours(source: Source, workspaces: Chosen, version: str) -> tuple[datetime, datetime] | None:
    return services().store.active_hours(source, workspaces)


@_kept
def _call_summary(wanted: CallFilter, version: str) -> CallSummary:
    return services().store.call_summary(wanted)


@_kept
def _call_costs(
    wanted: CallFilter, key: SortKey, descending: bool, limit: int, offset: int, version: str
) -> list[CallCost]:
    return services().store.call_costs(wanted, key, descending=descending, limit=limit, offset=offset)


@st.cache_data(ttl=LISTS_KEPT_FOR, show_spinner=False)
def _listed_numbers(source: Source) -> list[ListedNumber]:
    return services().listed_numbers(source)


@st.cache_data(ttl=LISTS_KEPT_FOR, show_spinner=False)
def _listed_agents() -> list[ListedAgent]:
    return services().listed_agents()


@st.cache_resource(ttl=LISTS_KEPT_FOR, show_spinner=False)
def _subaccounts() -> "Future[int | None]":
    return answered_later(services().subaccounts)


@_kept
def _twilio(
    since: datetime | None, until: datetime | None, edges: Edges, workspaces: Chosen, version: str
) -> Usage[TwilioTotals]:
    return usages.twilio(services().store.twilio_statement(since, until, edges, workspaces))


@_kept
def _elevenlabs(
    since: datetime | None, until: datetime | None, edges: Edges, workspaces: Chosen, version: str
) -> Usage[ElevenLabsTotals]:
    return usages.elevenlabs(services().store.elevenlabs_statement(since, until, edges, workspaces))


@_kept
def _llm_usage(since: datetime | None, until: datetime | None, workspaces: Chosen, version: str) -> LlmUsage:
    return services().store.llm_usage(since, until, workspaces)


@_kept
def _calls_by_kind(since: datetime | None, until: datetime | None, workspaces: Chosen, version: str) -> list[CallGroup]:
    return services().store.calls_by_kind(since, until, workspaces)


@_kept
def _calls_by_quarter_hour(
    since: datetime | None, until: datetime | None, workspaces: Chosen, version: str
) -> list[tuple[datetime, int]]:
    return services().store.calls_by_quarter_hour(since, until, workspaces)


@_kept
def _conversations_by_agent(
    since: datetime | None, until: datetime | None, workspaces: Chosen, version: str
) -> list[AgentGroup]:
    return services().store.conversations_by_agent(since, until, workspaces)


@st.cache_data(ttl=KEPT_FOR, max_entries=1, show_spinner=False)
def _unregistered_numbers(version: str) -> list[UnregisteredNumber]:
    return services().store.unregistered_numbers()


@st.cache_data(ttl=KEPT_FOR, max_entries=1, show_spinner=False)
def _unregistered_agents(version: str) -> list[UnregisteredAgent]:
    return services().store.unregistered_agents()
