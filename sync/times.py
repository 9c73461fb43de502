"""UTC times: the hour that a balance closes, and the ISO form that stores and answers use."""

from datetime import UTC, datetime, timedelta

HOUR = timedelta(hours=1)
BEFORE_EVERYTHING = datetime(2000, 1, 1, tzinfo=UTC)  # neither provider existed


def utc_now() -> datetime:
    return datetime.now(UTC)


def floor_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def iso(moment: datetime) -> str:
    """Return e.g. `2026-11-22T14:00:00+00:00`; texts of whole seconds sort like the times they stand for."""
    return moment.astimezone(UTC).isoformat()
