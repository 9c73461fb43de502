"""How current each provider's data is: through when, the last run, the next one, and what is missing."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import access, data, formats
from dashboard.data import SyncStatus
from dashboard.periods import Period
from dashboard.runs import words
from dashboard.sections import section
from dashboard.sync_panel import BADGES
from sync.bootstrap import FLAG_IS_SET
from sync.freshness import Freshness
from sync.models import PROVIDER_NAMES, RunState, Source, SyncRun
from sync.scheduler import MINUTES
from sync.sentences import counted
from sync.store import MOST_FAILURES
from sync.times import HOUR

START_SCHEDULER = "no scheduler seems to be running; start `python -m sync scheduler`"
MOST_GAPS = 3  # named in a line

Line = tuple[bool, str, str]  # whether somebody should look at it, label, Markdown


def tell_of_switch() -> None:
    """Say so if a setting keeps a provider from being synced every hour."""
    for source in data.services().sources():
        if is_switched_off(source):
            st.warning(
                formats.literal(f"{FLAG_IS_SET} A historical sync still works."), icon=":material/sync_disabled:"
            )


def show(status: SyncStatus, zone: ZoneInfo) -> None:
    """Draw a card for each configured source, and the button that syncs all of them."""
    if access.current_user().is_admin and len(status.freshness) > 1:
        st.button(
            "Syncing…" if status.is_busy else "Sync both now",
            on_click=data.start_syncs,
            disabled=status.is_busy,
            type="primary",
            icon="spinner" if status.is_busy else ":material/sync:",
            key="sync both",
        )
    if not status.freshness:
        return
    for column, state in zip(st.columns(len(status.freshness)), status.freshness, strict=True):
        with column, st.container(border=True, gap="xsmall"):
            _show_card(state, status, zone)


def _show_card(state: Freshness, status: SyncStatus, zone: ZoneInfo) -> None:
    st.markdown(f"### {PROVIDER_NAMES[state.source]} {BADGES[state.level]}")
    if problem := _problem(state, status):
        st.error(formats.literal(problem), icon=":material/error:")
    with section(PROVIDER_NAMES[state.source]):
        for is_wanting, label, text in _lines(state, zone):
            mark = ":orange[:material/warning:] " if is_wanting else ""
            st.markdown(f"{mark}:gray[{label}:] {text}")
    if access.current_user().is_admin:
        _show_button(state, status, is_retry=problem is not None)


def _problem(state: Freshness, status: SyncStatus) -> str | None:
    """Return why the last run did not end well, if it did not."""
    latest = state.latest
    if latest and latest.is_broken:
        return f"{words.STATES[latest.state]}: {latest.message}"
    return status.problems.get(state.source)


def _show_button(state: Freshness, status: SyncStatus, *, is_retry: bool) -> None:
    name, is_syncing = PROVIDER_NAMES[state.source], status.is_syncing(state.source)
    is_off = is_switched_off(state.source)
    label, icon = (f"Try {name} again", ":material/refresh:") if is_retry else (f"Sync {name} now", ":material/sync:")
    st.button(
        f"Syncing {name}…" if is_syncing else label,
        on_click=data.start_syncs,
        args=(state.source,),
        disabled=is_syncing or status.is_starting or is_off,
        icon="spinner" if is_syncing else icon,
        key=f"sync {state.source}",
        help=formats.literal(FLAG_IS_SET) if is_off else None,
    )


def is_switched_off(source: Source) -> bool:
    return source == "elevenlabs" and data.services().settings.disable_elevenlabs_hourly_sync


def _lines(state: Freshness, zone: ZoneInfo) -> Iterator[Line]:
    now = data.now()
    yield _through(state, zone, now)
    if state.latest:
        yield False, "Last run", f"{words.badge(state.latest, now)} {formats.literal(_told(state.latest, zone, now))}"
    yield _next(state, zone, now)
    if state.through is None:
        return  # nothing is known of what may be missing
    gaps = data.gaps(state.source)
    yield bool(gaps), "Gaps", formats.literal(in_words(gaps, zone, now))
    yield False, "Awaiting a price", _unpriced(state.source, zone)
    number = len(data.failures(state.source))
    yield number > 0, "Failed records", _failed(number)


def _told(run: SyncRun, zone: ZoneInfo, now: datetime) -> str:
    started = formats.clock(run.started_at, zone, now=now)
    if run.state is RunState.RUNNING:
        return f"since {started}"
    said = "" if run.is_broken else f" · {words.sentence(run)}"  # it stands above already
    return f"{started}, took {words.took(run)}{said}"


def _through(state: Freshness, zone: ZoneInfo, now: datetime) -> Line:
    if state.through is None or state.age is None:
        return False, "Data through", "never synced; the first sync fetches the records, which may take some minutes"
    moment = formats.clock(state.through, zone, now=now)
    return False, "Data through", f"**{formats.literal(moment)}**, {formats.age(state.age)}"


def _next(state: Freshness, zone: ZoneInfo, now: datetime) -> Line:
    due = formats.clock(next_due(state.source, now), zone, now=now)
    if is_switched_off(state.source):
        return False, "Next run due", "skipped while the setting named above is set"
    if not state.seems_scheduled(now):
        return True, "Next run due", f"{formats.literal(due)}, but {START_SCHEDULER}"
    return False, "Next run due", formats.literal(due)


def next_due(source: Source, now: datetime) -> datetime:
    """Return when the timetable has the next run of a source."""
    due = now.replace(minute=int(MINUTES[source].removeprefix(":")), second=0, microsecond=0)
    return due if due > now else due + HOUR


def in_words(gaps: Sequence[tuple[datetime, datetime]], zone: ZoneInfo, now: datetime) -> str:
    """Return e.g. `3 h in 1 gap: 2 Nov 14:00 to 2 Nov 17:00`; a historical sync fills them."""
    if not gaps:
        return "none"
    missing = sum((end - start for start, end in gaps), timedelta())
    named = "; ".join(
        f"{formats.clock(start, zone, now=now)} to {formats.clock(end, zone, now=now)}"
        for start, end in gaps[-MOST_GAPS:]
    )
    last = f"the last {MOST_GAPS}: " if len(gaps) > MOST_GAPS else ""
    total = f"{missing / HOUR:,.1f} h in {counted(len(gaps), 'gap')}"
    return f"{total}, {last}{named}; a historical sync fills them."


def _unpriced(source: Source, zone: ZoneInfo) -> str:
    everything = Period(first=None, last=None, zone=zone)
    if source == "twilio":
        number, noun = data.twilio(everything).total.unpriced_calls, "call leg"
    else:
        number, noun = data.elevenlabs(everything).total.unpriced_conversations, "conversation"
    return counted(number, noun) if number else "none"


def _failed(number: int) -> str:
    if not number:
        return "none"
    some = f"{MOST_FAILURES} or more" if number >= MOST_FAILURES else str(number)
    return f"{some}, [listed below](#failed-records)"
