"""How current the data is, per source: the end of the last successful window is what the data is through."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sync.models import Source, SyncRun
from sync.store import Runs

AMBER_AFTER = timedelta(minutes=90)
RED_AFTER = timedelta(hours=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """`through` is None before the first successful run; `latest` is the newest run, whatever became of it."""

    source: Source
    through: datetime | None
    age: timedelta | None
    latest: SyncRun | None

    @property
    def level(self) -> Literal["fresh", "amber", "red", "never"]:
        if self.age is None:
            return "never"
        if self.age > RED_AFTER:
            return "red"
        return "amber" if self.age > AMBER_AFTER else "fresh"


def freshness(store: Runs, source: Source, *, now: datetime) -> Freshness:
    success = store.last_success(source)
    through = success.window_end if success else None
    return Freshness(
        source=source,
        through=through,
        age=max(now - through, timedelta(0)) if through else None,
        latest=next(iter(store.runs(source, limit=1)), None),
    )
