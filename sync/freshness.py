"""How current the data is, per source: the end of the last successful window is what the data is through."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sync.models import RunKind, RunState, Source, SyncRun, Window
from sync.runs import CLOCKS_DIFFER, is_ahead, is_alive, last_success
from sync.store import Runs
from sync.times import BEFORE_EVERYTHING

AMBER_AFTER = timedelta(minutes=90)
RED_AFTER = timedelta(hours=3)
SILENT_AFTER = timedelta(minutes=70)  # the timetable has a run of each source every hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """`through` is None before the first successful run; `latest` is the newest one, whatever became of it.

    Historical syncs are left out: they tell nothing of how current the data is.
    """

    source: Source
    through: datetime | None
    age: timedelta | None
    latest: SyncRun | None
    success: SyncRun | None = None  # the newest that went well
    ahead: SyncRun | None = None  # a newer one that claims to, from a clock that was ahead: it counts for nothing

    @property
    def level(self) -> Literal["fresh", "amber", "red", "never"]:
        if self.age is None:
            return "red" if self.ahead else "never"
        if self.age > RED_AFTER:
            return "red"
        return "amber" if self.age > AMBER_AFTER else "fresh"

    def seems_scheduled(self, now: datetime) -> bool:
        """Whether a run began so lately, or still goes on, that something seems to start one every hour."""
        latest = self.latest
        if latest is None or latest.started_at > now + CLOCKS_DIFFER:
            return False
        return is_alive(latest, now) or now - latest.started_at < SILENT_AFTER

    @property
    def warning(self) -> str | None:
        """Say which run is from a clock that was ahead, and what to do."""
        if self.ahead is None:
            return None
        ended = max(self.ahead.window_end, self.ahead.finished_at or self.ahead.window_end)
        return (
            f"Run {self.ahead.id} claims to have ended at {ended:%Y-%m-%d %H:%M} UTC, which is yet to come, so it does "
            "not count; set the clock of the machine that it ran on, then sync again."
        )


def freshness(store: Runs, source: Source, *, now: datetime) -> Freshness:
    return freshness_of(notable_runs(store, now=now), source, now=now)


def notable_runs(store: Runs, *, now: datetime) -> list[SyncRun]:
    """Return what tells how current the data is, the newest first; behind runs from a clock that was ahead too."""
    runs = store.notable_runs()
    hidden = {run.source for run in runs if _is_success(run) and is_ahead(run, now)}
    found = [last_success(store, source, now=now) for source in sorted(hidden)]
    by_id = {run.id: run for run in [*runs, *filter(None, found)]}
    return [by_id[each] for each in sorted(by_id, reverse=True)]


def freshness_of(notable_runs: Sequence[SyncRun], source: Source, *, now: datetime) -> Freshness:
    runs = [run for run in notable_runs if run.source == source and run.kind is not RunKind.BACKFILL]
    successes = [run for run in runs if _is_success(run)]
    success = next((run for run in successes if not is_ahead(run, now)), None)
    newest = next(iter(successes), None)
    through = success.window_end if success else None
    return Freshness(
        source=source,
        through=through,
        age=max(now - through, timedelta(0)) if through else None,  # below 0 by no more than clocks differ
        latest=next(iter(runs), None),
        success=success,
        ahead=newest if newest is not success else None,
    )


def gaps(store: Runs, source: Source, *, now: datetime) -> list[Window]:
    """Return the stretches between the first window and now that no successful run has covered."""
    found = store.gaps(source, since=BEFORE_EVERYTHING)
    return [(start, min(end, now)) for start, end in found if start < now]


def _is_success(run: SyncRun) -> bool:
    return run.state is RunState.OK and run.kind is not RunKind.BACKFILL
