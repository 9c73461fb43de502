"""The period that a page is about: whole days of a time zone, the instants where they end, and what came before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dashboard.formats import EN_DASH

DAY = timedelta(days=1)
EARLIEST = date(2005, 1, 1)  # no record is older: neither provider existed
Days = tuple[date, date]

ALL = "All"
CUSTOM = "Custom"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The local days from `first` to `last`, both included; both are None when the period is everything."""

    first: date | None
    last: date | None
    zone: ZoneInfo
    stops_at: datetime | None = None  # within the last day, where only a part of it counts

    @property
    def since(self) -> datetime | None:
        """The first instant, in UTC; None is the beginning."""
        return midnight(self.first, self.zone) if self.first else None

    @property
    def until(self) -> datetime | None:
        """The first instant after the period, in UTC; None is whatever came last."""
        if self.stops_at:
            return self.stops_at.astimezone(UTC)
        return midnight(self.last + DAY, self.zone) if self.last else None

    @property
    def dates(self) -> str:
        """Return first and last day in words, with an en dash between them, and when the last one stops."""
        if self.stops_at:
            return f"{replace(self, stops_at=None).dates} until {self.stops_at.astimezone(self.zone):%H:%M}"
        if self.first is None or self.last is None:
            return "All time"
        if self.first == self.last:
            return f"{self.last:%-d %b %Y}"
        year = "" if self.first.year == self.last.year else f" {self.first.year}"
        return f"{self.first:%-d %b}{year} {EN_DASH} {self.last:%-d %b %Y}"

    @property
    def slug(self) -> str:
        """Return e.g. `2026-10-24-to-2026-11-22`, for the name of a file."""
        return f"{self.first}-to-{self.last}" if self.first else "all-time"


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a local day in UTC, also where clocks change at midnight."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def before(period: Period, preset: str, through: datetime) -> Period | None:
    """Return the period before this one, as far as `through` reaches into this one; None if there is none.

    Months are compared with months, everything else with as many days. A month that is shorter ends where it ends.
    """
    if period.first is None or period.last is None or period.since is None or through <= period.since:
        return None
    if preset in OF_A_MONTH:
        first, last = _last_month(period.first)
    else:
        last = period.first - DAY
        first = last - (period.last - period.first)
    reached = through.astimezone(period.zone)
    last_reached = first + (reached.date() - period.first)
    if reached.date() > period.last or last_reached > last:
        return Period(first=first, last=last, zone=period.zone)
    stops_at = datetime.combine(last_reached, reached.time(), period.zone)
    return Period(first=first, last=last_reached, zone=period.zone, stops_at=stops_at)


def _last_days(number: int) -> Callable[[date], Days]:
    return lambda today: (today - (number - 1) * DAY, today)


def _last_month(today: date) -> Days:
    last = today.replace(day=1) - DAY
    return last.replace(day=1), last


MONTH_TO_DATE, LAST_MONTH = OF_A_MONTH = ("Month to date", "Last month")

PRESETS: Mapping[str, Callable[[date], Days]] = {
    "Today": _last_days(1),
    "Yesterday": lambda today: (today - DAY, today - DAY),
    "7 days": _last_days(7),
    "30 days": _last_days(30),
    MONTH_TO_DATE: lambda today: (today.replace(day=1), today),
    LAST_MONTH: _last_month,
}
