"""How current the data is, per source: the end of the last successful window is what the data is through."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sync.models import RunKind, RunState, Source, SyncRun
from sync.runs import is_alive
from sync.store import Runs

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

    @property
    def level(self) -> Literal["fresh", "amber", "red", "never"]:
        if self.age is None:
            return "never"
        if self.age > RED_AFTER:
            return "red"
        return "amber" if self.age > AMBER_AFTER else "fresh"

    def seems_scheduled(self, now: datetime) -> bool:
        """Whether a run began so lately, or still goes on, that something seems to start one every hour."""
        latest = self.latest
        return latest is not None and (is_alive(latest, now) or now - latest.started_at < SILENT_AFTER)


def freshness(store: Runs, source: Source, *, now: datetime) -> Freshness:
    return freshness_of(store.notable_runs(), source, now=now)


def freshness_of(notable_runs: Sequence[SyncRun], source: Source, *, now: datetime) -> Freshness:
    runs = [run for run in notable_runs if run.source == source and run.kind is not RunKind.BACKFILL]
    success = next((run for run in runs if run.state is RunState.OK), None)
    through = success.window_end if success else None
    return Freshness(
        source=source,
        through=through,
        age=max(now - through, timedelta(0)) if through else None,
        latest=next(iter(runs), None),
        success=success,
    )
