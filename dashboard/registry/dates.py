"""Days of the chosen time zone as the instants that are stored, and back."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import data
from dashboard.periods import DAY, EARLIEST, midnight

LATEST = 3650 * DAY  # from today on
DATE_WIDTH = 150  # pixels

NO_LONGER, STILL = "The first day it no longer applies.", "Leave empty if it still does."


def choose(label: str, day: date | None, zone: ZoneInfo, *, key: str, help: str | None = None) -> date | None:
    """Draw an input for a day, which may be left empty."""
    days = [EARLIEST, today(zone) + LATEST, *([day] if day else [])]
    return st.date_input(
        label, day, min_value=min(days), max_value=max(days), format="DD/MM/YYYY", key=key, help=help, width=DATE_WIDTH
    )


def choose_span(
    start: datetime | None, end: datetime | None, zone: ZoneInfo, *, key: str
) -> tuple[datetime | None, datetime | None]:
    """Draw the two inputs of a period that may be open on both sides; return its instants."""
    first = choose("From", day_of(start, zone), zone, key=f"{key} from", help="Leave empty if it always applied.")
    last = choose("Until", day_of(end, zone), zone, key=f"{key} until", help=f"{NO_LONGER} {STILL}")
    return moment_of(first, zone, start), moment_of(last, zone, end)


def today(zone: ZoneInfo) -> date:
    return data.now().astimezone(zone).date()


def day_of(moment: datetime | None, zone: ZoneInfo) -> date | None:
    return moment.astimezone(zone).date() if moment else None


def moment_of(day: date | None, zone: ZoneInfo, stored: datetime | None = None) -> datetime | None:
    """Return when a day begins; or `stored` if it lies in that day, since then nobody meant to change it."""
    if day is None or day == day_of(stored, zone):
        return stored if day else None
    return midnight(day, zone)


def words_of_day(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%-d %b %Y}"


def words(moment: datetime | None, zone: ZoneInfo, *, if_none: str) -> str:
    """Return e.g. `1 Nov 2026`, with the time if that is not midnight."""
    if moment is None:
        return if_none
    local = moment.astimezone(zone)
    day = words_of_day(moment, zone)
    return day if moment == midnight(local.date(), zone) else f"{day} {local:%H:%M}"


def span(valid_from: datetime | None, valid_until: datetime | None, zone: ZoneInfo) -> str:
    """Return e.g. `always`, `from 1 Nov 2026`, or `from 1 Nov 2026 until 3 Dec 2026`."""
    parts = [
        f"{word} {words(moment, zone, if_none='')}"
        for word, moment in (("from", valid_from), ("until", valid_until))
        if moment
    ]
    return " ".join(parts) or "always"
