"""What stands at the head of a page, and of a download: period, zone, how far the data reaches, what is missing."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import streamlit as st

from dashboard import access, data, formats
from dashboard.filters import View
from dashboard.periods import DAY, Period
from sync.models import PROVIDER_NAMES, Source
from sync.sentences import counted

NEVER_SYNCED = "never synced"
MOST_GAPS = 2  # that are named one by one


def caption(view: View, sources: Sequence[Source], missing: Sequence[str]) -> None:
    """Draw one line that says what the numbers below are about, and what is missing in them."""
    period = view.period
    compared = [f"compared with {view.compared_dates}"] if view.compared_with else []
    missing = [*_unsynced(period, sources), *missing, *_unreadable(sources), *_incomplete(view, sources)]
    st.caption(
        formats.literal(" · ".join([period.dates, *compared, _zone(period), _through(period, sources), *missing]))
    )


def notes(title: str, view: View, sources: Sequence[Source], missing: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return the first lines of a download."""
    period = view.period
    through = _reached(sources, lambda moment: f"{moment.astimezone(period.zone):%Y-%m-%d %H:%M %Z}")
    return [
        ("Voice Ledger", title),
        ("Period", period.dates),
        ("Compared with", view.compared_dates or "nothing"),
        ("Workspaces", "; ".join(view.workspace_names) or _all_workspaces()),
        ("Time zone", str(period.zone)),
        ("Data through", through or NEVER_SYNCED),
        ("Missing", "; ".join([*_unsynced(period, sources), *missing]) or "nothing"),
        ("Units", "Named in each heading; amounts are exact, where the page rounds them."),
    ]


def _all_workspaces() -> str:
    is_client = access.current_user().is_client
    return "; ".join(workspace.name for workspace in data.workspaces()) if is_client else "all"


def unpriced(*, legs: int = 0, conversations: int = 0) -> list[str]:
    """Return e.g. `3 call legs await a price`, or nothing to say."""
    counts = ((legs, "call leg"), (conversations, "conversation"))
    return [f"{counted(number, noun, verb=('awaits', 'await'))} a price" for number, noun in counts if number]


def _zone(period: Period) -> str:
    return "UTC, matches provider bills" if str(period.zone) == "UTC" else str(period.zone)


def _through(period: Period, sources: Sequence[Source]) -> str:
    clock = partial(formats.clock, zone=period.zone, now=data.now())
    return _reached(sources, lambda moment: f"data through {clock(moment)}") or "not synced yet"


def _reached(sources: Sequence[Source], words: Callable[[datetime], str]) -> str:
    """Say how far the data of all sources reaches; of each by itself if one was never synced; nothing if none was."""
    states = [state for state in data.freshness_by_source() if state.source in sources]
    known = [state.through for state in states if state.through]
    if len(known) == len(states):
        return words(min(known)) if known else ""
    told = [f"{PROVIDER_NAMES[s.source]} {words(s.through) if s.through else NEVER_SYNCED}" for s in states]
    return ", ".join(told) if known else ""


def _unsynced(period: Period, sources: Sequence[Source]) -> list[str]:
    """Return e.g. `synced only since 28 Aug 2026`: of what else the period holds, nobody asked the provider."""
    told = {source: _unsynced_of(source, period) for source in sources}
    if len({*map(tuple, told.values())}) == 1:
        return next(iter(told.values()))
    return [f"{PROVIDER_NAMES[source]} {text}" for source, texts in told.items() for text in texts]


def _unsynced_of(source: Source, period: Period) -> list[str]:
    until = min(period.until or data.now(), data.now())
    clock = partial(formats.clock, zone=period.zone, now=data.now())
    first = data.synced_since(source)
    since = period.since or first
    if first is None or since is None:
        return []
    begun = [f"synced only since {first.astimezone(period.zone):%-d %b %Y}"] if since < first else []
    within = [(max(begin, since), min(end, until)) for begin, end in data.unsynced(source)]
    gaps = [f"not synced from {clock(begin)} to {clock(end)}" for begin, end in within if begin < end]
    return [*begun, *(gaps if len(gaps) <= MOST_GAPS else [f"{len(gaps)} gaps in what was synced"])]


def _incomplete(view: View, sources: Sequence[Source]) -> list[str]:
    """Say so if records begin within the period that is compared with: the changes then show too much."""
    compared_with = view.compared_with
    if compared_with is None or compared_with.since is None:
        return []
    first = max((hour for hour in map(data.first_active_hour, sources) if hour), default=None)
    if not first or first < compared_with.since + DAY:
        return []
    return [f"records begin on {first.astimezone(compared_with.zone):%-d %b %Y}, so the comparison is incomplete"]


def _unreadable(sources: Sequence[Source]) -> list[str]:
    """Return e.g. `2 records could not be read`: those that the latest runs met, and the next ones try again."""
    runs = [state.latest for state in data.freshness_by_source() if state.source in sources]
    number = sum(run.failed for run in runs if run)
    return [f"{counted(number, 'record')} could not be read"] if number else []
