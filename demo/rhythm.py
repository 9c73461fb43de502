"""When a business is called: hours of the day in its own time zone, and days of the week."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """`spans` are (first hour, end hour, weight) local time; `quiet` weighs the hours outside them."""

    zone: str
    spans: tuple[tuple[int, int, float], ...]
    days: tuple[float, ...] = (1, 1, 1, 1, 1, 0, 0)  # Monday to Sunday, beside an ordinary day
    quiet: float = 0.01

    def share(self, hour: int) -> float:
        """Return the part of an ordinary day's calls that falls into `hour` (hours since 1970)."""
        local = datetime.fromtimestamp(hour * SECONDS_PER_HOUR, UTC).astimezone(ZoneInfo(self.zone))
        covered = sum(end - first for first, end, _ in self.spans)
        total = sum((end - first) * weight for first, end, weight in self.spans) + self.quiet * (24 - covered)
        return self.days[local.weekday()] * self._weight(local.hour) / total

    def _weight(self, local_hour: int) -> float:
        for first, end, weight in self.spans:
            if first <= local_hour < end:
                return weight
        return self.quiet
