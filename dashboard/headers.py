"""What stands at the head of a page, and of a download: period, zone, how far the data reaches, what is missing."""

from collections.abc import Sequence

import streamlit as st

from dashboard import access, data, formats
from dashboard.periods import DAY, Period
from sync.models import Source


def caption(
    period: Period, sources: Sequence[Source], missing: Sequence[str], *, compared_with: Period | None = None
) -> None:
    """Draw one line that says what the numbers below are about, and what is missing in them."""
    compared = [f"compared with {compared_with.dates}"] if compared_with else []
    missing = [*missing, *_unreadable(sources), *(_incomplete(compared_with, sources) if compared_with else [])]
    said = [period.dates, *compared, _zone(period), _through(period, sources), *missing]
    st.caption(formats.literal(" · ".join(said)))


def notes(
    title: str,
    period: Period,
    sources: Sequence[Source],
    *,
    workspaces: Sequence[str] = (),
    compared_with: Period | None = None,
) -> list[tuple[str, str]]:
    """Return the first lines of a download; no `workspaces` are all of them."""
    through = data.data_through(sources)
    return [
        ("Voice Ledger", title),
        ("Period", period.dates),
        ("Compared with", compared_with.dates if compared_with else "nothing"),
        ("Workspaces", "; ".join(workspaces) or _all_workspaces()),
        ("Time zone", str(period.zone)),
        ("Data through", f"{through.astimezone(period.zone):%Y-%m-%d %H:%M %Z}" if through else "never synced"),
        ("Units", "Named in each heading; amounts are exact, where the page rounds them."),
    ]


def _all_workspaces() -> str:
    is_client = access.current_user().is_client
    return "; ".join(workspace.name for workspace in data.workspaces()) if is_client else "all"


def unpriced(number: int, noun: str) -> list[str]:
    """Return e.g. `3 calls await a price`, or nothing to say."""
    return [f"{formats.counted(number, noun)} {'awaits' if number == 1 else 'await'} a price"] if number else []


def _zone(period: Period) -> str:
    return "UTC, matches provider bills" if str(period.zone) == "UTC" else str(period.zone)


def _through(period: Period, sources: Sequence[Source]) -> str:
    through = data.data_through(sources)
    return f"data through {formats.clock(through, period.zone, now=data.now())}" if through else "not synced yet"


def _incomplete(compared_with: Period, sources: Sequence[Source]) -> list[str]:
    """Say so if records begin within the period that is compared with: the changes then show too much."""
    begun = [hour for hour in map(data.first_active_hour, sources) if hour]
    first = max(begun, default=None)
    if not first or not compared_with.since or first < compared_with.since + DAY:
        return []
    return [f"records begin on {first.astimezone(compared_with.zone):%-d %b %Y}, so the comparison is incomplete"]


def _unreadable(sources: Sequence[Source]) -> list[str]:
    """Return e.g. `2 records could not be read`: those that the latest runs met, and the next ones try again."""
    runs = [state.latest for state in data.freshness_by_source() if state.source in sources]
    number = sum(run.failed for run in runs if run)
    return [f"{formats.counted(number, 'record')} could not be read"] if number else []
