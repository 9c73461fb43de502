"""Which stored records are fetched again: unfinished or unpriced ones, hourly at first, then daily, then no more."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sync.models import FINAL_CALL_STATUSES, FINAL_CONVERSATION_STATUSES, Source
from sync.times import iso

HOURLY_FOR = timedelta(hours=48)
DAILY_FOR = timedelta(days=7)
DAILY = timedelta(hours=23, minutes=30)  # although no run is on the second
SETTLED_AFTER = timedelta(minutes=15)  # from the end: ElevenLabs' charges were seen to be stable by then

FINAL_STATUSES: Mapping[Source, tuple[str, ...]] = {
    "twilio": FINAL_CALL_STATUSES,
    "elevenlabs": FINAL_CONVERSATION_STATUSES,
}


def moments(now: datetime) -> dict[str, str]:
    """Return what queries compare with: records since `recent` are due at each run, since `week` once a day."""
    return {
        "now": iso(now),
        "recent": iso(now - HOURLY_FOR),
        "yesterday": iso(now - DAILY),
        "week": iso(now - DAILY_FOR),
    }
