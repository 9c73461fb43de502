"""The one door to the store. Reads are cached until a sync run ends; what a run does is read anew each time."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard.buckets import Buckets, cut
from dashboard.periods import DAY, Period, midnight
from dashboard.usages import Usage
from sync import usage
from sync.background import BackgroundSyncs
from sync.bootstrap import Services, shared
from sync.freshness import Freshness, freshness
from sync.models import SOURCES, ElevenLabsTotals, RunState, Source, SyncRun, TwilioTotals, Workspace
from sync.runs import STALE_AFTER

EARLIEST = date(2005, 1, 1)  # no record is older: neither provider existed
RECENT_RUNS = 20
KEPT_FOR = timedelta(minutes=1)  # numbers may also change without a run: somebody registers one
KEPT_READS = 200

Edges = tuple[datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatus:
    """How current each configured source is, what runs, and what went wrong in this process."""

    freshness: Sequence[Freshness]
    running: Sequence[SyncRun]
    is_starting: bool  # started by a click, and not in the history yet
    problems: Mapping[Source, str]

    @property
    def is_busy(self) -> bool:
        return self.is_starting or bool(self.running)


def services() -> Services:
    return shared()


@st.cache_resource(show_spinner=False)
def _syncs() -> BackgroundSyncs:
    return BackgroundSyncs(services())


def start_syncs() -> None:
    """Start what can be synced, and return at once."""
    _syncs().start()


def now() -> datetime:
    return services().clock()


def sync_status() -> SyncStatus:
    syncs, store, at = _syncs(), services().store, now()
    running = [run for run in store.runs(limit=RECENT_RUNS) if _is_alive(run, at)]
    return SyncStatus(
        freshness=freshness_by_source(),
        running=running,
        is_starting=syncs.is_running() and not running,
        problems=syncs.problems,
    )


def _is_alive(run: SyncRun, at: datetime) -> bool:
    return run.state is RunState.RUNNING and at - run.heartbeat_at < STALE_AFTER


def freshness_by_source() -> list[Freshness]:
    """Return how current each source is that can be synced."""
    return [freshness(services().store, source, now=now()) for source in services().sources()]


def version() -> str:
    """Return what changes whenever a run ends, wherever it ran."""
    ended = [run for run in services().store.runs(limit=RECENT_RUNS) if run.finished_at]
    return " ".join(f"{run.id}:{run.state}" for run in ended[: len(SOURCES)])


def workspaces() -> list[Workspace]:
    """Return all workspaces by name, Unassigned last."""
    return services().store.workspaces()


def currency() -> str:
    """Return the currency that Twilio bills in; before the first priced leg there is no amount in another one."""
    return services().store.price_unit() or "USD"


def last_active_hour(source: Source) -> datetime | None:
    """Return the latest hour with activity, or None when nothing was ever recorded."""
    store = services().store
    snapshots = store.twilio_snapshots() if source == "twilio" else store.elevenlabs_snapshots()
    return max((snapshot.snapshot_date for snapshot in snapshots), default=None)


def buckets(period: Period) -> Buckets:
    """Cut a period for charts; all of it is cut from the first day with activity until today."""
    today = now().astimezone(period.zone).date()
    last = period.last or today
    return cut(period.first or _first_active_day(str(period.zone), last, version()), last, period.zone)


def twilio(period: Period, cut_at: Buckets) -> Usage[TwilioTotals]:
    return _twilio(period.since, period.until, cut_at.edges, version())


def elevenlabs(period: Period, cut_at: Buckets) -> Usage[ElevenLabsTotals]:
    return _elevenlabs(period.since, period.until, cut_at.edges, version())


@st.cache_data(ttl=KEPT_FOR, max_entries=KEPT_READS, show_spinner=False)
def _twilio(since: datetime | None, until: datetime | None, edges: Edges, version: str) -> Usage[TwilioTotals]:
    store = services().store
    return Usage(
        by_workspace=usage.twilio_usage(store, since, until),
        series=usage.twilio_series(store, edges),
        nothing=TwilioTotals(),
    )


@st.cache_data(ttl=KEPT_FOR, max_entries=KEPT_READS, show_spinner=False)
def _elevenlabs(since: datetime | None, until: datetime | None, edges: Edges, version: str) -> Usage[ElevenLabsTotals]:
    store = services().store
    return Usage(
        by_workspace=usage.elevenlabs_usage(store, since, until),
        series=usage.elevenlabs_series(store, edges),
        nothing=ElevenLabsTotals(),
    )


@st.cache_data(ttl=KEPT_FOR, max_entries=KEPT_READS, show_spinner=False)
def _first_active_day(zone_name: str, last: date, version: str) -> date:
    """Find the day after which a balance exists, by halving: 13 looks at the balances, whatever they hold."""
    store, zone = services().store, ZoneInfo(zone_name)

    def is_active_by_the_end_of(offset: int) -> bool:
        moment = midnight(EARLIEST + (offset + 1) * DAY, zone)
        return bool(store.twilio_balances([moment])[0] or store.elevenlabs_balances([moment])[0])

    days = (last - EARLIEST).days
    return EARLIEST + bisect_left(range(days), True, key=is_active_by_the_end_of) * DAY
