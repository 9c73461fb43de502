"""The stretches that a period is cut into for a chart: hours, days, weeks or months of its time zone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo

from dashboard.periods import DAY, midnight
from sync.times import HOUR

Step = Literal["hour", "day", "week", "month"]

Stretch = tuple[datetime, datetime]

T = TypeVar("T")

LONGEST: dict[Step, timedelta] = {"hour": timedelta(days=2), "day": timedelta(days=93), "week": timedelta(days=731)}


class Progress(StrEnum):
    """How far the data reaches into a bucket."""

    DONE = "done"
    IN_PROGRESS = "in progress"
    UNREACHED = "unreached"  # it lies ahead, or was never synced


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """Neighbouring stretches between `edges` (instants in UTC); the first and last may be shorter than a step."""

    edges: tuple[datetime, ...]
    step: Step
    zone: ZoneInfo

    def __iter__(self) -> Iterator[tuple[datetime, datetime]]:
        """Yield start and end of each bucket as local times."""
        return pairwise(edge.astimezone(self.zone) for edge in self.edges)

    def names(self) -> list[str]:
        """Return what each bucket is called in full; no two names are equal, not even when clocks are set back."""
        return [_name(start, end, self.step) for start, end in self]

    def ticks(self) -> list[str]:
        """Return what stands under each bucket on an axis."""
        return [_tick(start, self.step) for start, _ in self]

    def progress(self, through: datetime | None, unsynced: Sequence[Sequence[Stretch]] = ()) -> list[Progress]:
        """Tell for each bucket how far data that goes `through` that instant reaches into it.

        `unsynced` has for each source the stretches without data; what lies in one of every source is unreached.
        """
        return [
            Progress.UNREACHED
            if unsynced and all(_lies_in(start, end, stretches) for stretches in unsynced)
            else _progress(start, end, through)
            for start, end in pairwise(self.edges)
        ]


def begun(over_time: Sequence[T], progress: Sequence[Progress]) -> list[T]:
    """Return what belongs to buckets that the data has reached; of the others nothing is known, not even zero."""
    return [item for item, state in zip(over_time, progress, strict=True) if state is not Progress.UNREACHED]


def whole(over_time: Sequence[T], progress: Sequence[Progress]) -> list[T]:
    """Return what belongs to complete buckets, for a line: one in progress would look like a fall at its end.

    While fewer than two are complete there is no line to spoil, and all that have begun are returned.
    """
    done = [item for item, state in zip(over_time, progress, strict=True) if state is Progress.DONE]
    return done if len(done) > 1 else begun(over_time, progress)


def cut(first: date, last: date, zone: ZoneInfo) -> Buckets:
    """Return the buckets of the local days from `first` to `last`, both included."""
    length = last + DAY - first
    step: Step = next((step for step, longest in LONGEST.items() if length <= longest), "month")
    end = midnight(last + DAY, zone)
    starts = _hours(midnight(first, zone), end) if step == "hour" else _days(first, last, step, zone)
    return Buckets(edges=(*dict.fromkeys(starts), end), step=step, zone=zone)


def _hours(start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield instants an hour apart, which makes 23 or 25 of a day when clocks change."""
    while start < end:
        yield start
        start += HOUR


def _days(first: date, last: date, step: Step, zone: ZoneInfo) -> Iterator[datetime]:
    for offset in range((last - first).days + 1):
        day = first + offset * DAY
        if day == first or _begins(day, step):
            yield midnight(day, zone)


def _begins(day: date, step: Step) -> bool:
    if step == "week":
        return day.weekday() == 0
    return step == "day" or day.day == 1


def _name(start: datetime, end: datetime, step: Step) -> str:
    if step == "hour":
        return f"{start:%a %-d %b %Y, %H:%M %Z}"
    if step == "day":
        return f"{start:%a %-d %b %Y}"
    return f"{start:%-d %b} to {end - DAY:%-d %b %Y}"


def _tick(start: datetime, step: Step) -> str:
    if step == "hour":
        return f"{start:%H:%M}" if start.hour else f"{start:%-d %b}"
    return f"{start:%b %Y}" if step == "month" else f"{start:%-d %b}"


def _progress(start: datetime, end: datetime, through: datetime | None) -> Progress:
    if through is None or end <= through:
        return Progress.DONE
    return Progress.IN_PROGRESS if start <= through else Progress.UNREACHED


def _lies_in(start: datetime, end: datetime, stretches: Sequence[Stretch]) -> bool:
    return any(first <= start and end <= last for first, last in stretches)
