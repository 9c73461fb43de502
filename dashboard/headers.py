"""What stands at the head of a page, and of a download: period, zone, how far the data reaches, what is missing."""

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard import data, formats
from dashboard.periods import Period
from sync.models import Source


def data_through(sources: Sequence[Source]) -> datetime | None:
    """Return until when the data of all these sources is complete; None when one was never synced."""
    through = [state.through for state in data.freshness_by_source() if state.source in sources]
    known = [moment for moment in through if moment]
    return min(known) if known and len(known) == len(through) else None


def caption(period: Period, sources: Sequence[Source], missing: Sequence[str]) -> None:
    """Draw one line that says what the numbers below are about, and what is missing in them."""
    st.caption(formats.literal(" · ".join([period.dates, _zone(period), _through(period, sources), *missing])))


def notes(title: str, period: Period, sources: Sequence[Source]) -> list[tuple[str, str]]:
    """Return the first lines of a download."""
    through = data_through(sources)
    return [
        ("Voice Ledger", title),
        ("Period", period.dates),
        ("Time zone", str(period.zone)),
        ("Data through", f"{through.astimezone(period.zone):%Y-%m-%d %H:%M %Z}" if through else "never synced"),
        ("Units", "Named in each heading; amounts are exact, where the page rounds them."),
    ]


def unpriced(number: int, noun: str) -> list[str]:
    """Return e.g. `3 calls await a price`, or nothing to say."""
    return [f"{formats.counted(number, noun)} {'awaits' if number == 1 else 'await'} a price"] if number else []


def _zone(period: Period) -> str:
    return "UTC, matches provider bills" if str(period.zone) == "UTC" else str(period.zone)


def _through(period: Period, sources: Sequence[Source]) -> str:
    through = data_through(sources)
    return f"data through {formats.clock(through, period.zone, now=data.now())}" if through else "not synced yet"
