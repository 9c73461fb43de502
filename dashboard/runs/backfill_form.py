"""The form that starts a historical sync, and what became of the last one."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import data, formats
from dashboard.periods import DAY, EARLIEST, midnight
from dashboard.runs import words
from sync.backfill import USUAL_BACKFILL
from sync.errors import VoiceLedgerError
from sync.models import PROVIDER_NAMES, RunKind, Source, SyncRun

PROBLEM = "problem of the historical sync"
DATE_WIDTH = 150  # pixels


def show(zone: ZoneInfo) -> None:
    """Draw the section."""
    st.subheader("Historical sync", anchor="historical-sync")
    st.caption(
        "Fetches a stretch of the past, newest first, beside the hourly sync. Stop it at any time: what it has saved is"
        " kept, and when it is started again it goes on where it was. Records that are here and final are not fetched"
        " twice."
    )
    sources = data.services().sources()
    if not sources:
        st.caption("No provider is configured.")
        return
    source: Source = st.segmented_control(
        "Provider",
        sources,
        default=sources[0],
        required=True,
        format_func=PROVIDER_NAMES.__getitem__,
        key="backfill source",
    )
    is_running = data.sync_status().is_backfilling(source)
    today = data.now().astimezone(zone).date()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = _choose("First day", today - USUAL_BACKFILL, today, key="backfill from")
        last = _choose("Last day", today, today, key="backfill until", help="Included. Choose today to sync up to now.")
        is_sent = st.button(
            f"{PROVIDER_NAMES[source]} history is running…" if is_running else "Start historical sync",
            disabled=is_running,
            icon="spinner" if is_running else ":material/history:",
            key="start backfill",
        )
    if is_sent and not is_running:
        _start(source, midnight(first, zone), None if last >= today else midnight(last + DAY, zone))
    if problem := st.session_state.pop(PROBLEM, None):
        st.error(formats.literal(problem), icon=":material/error:")
    if not is_running:
        _tell_of_last(source, zone)


def _choose(label: str, day: date, today: date, *, key: str, help: str | None = None) -> date:
    chosen = st.date_input(
        label, day, min_value=EARLIEST, max_value=today, format="DD/MM/YYYY", key=key, help=help, width=DATE_WIDTH
    )
    return chosen or day


def _start(source: Source, since: datetime, until: datetime | None) -> None:
    """Start it and draw the page anew, so that its progress shows; or say why it cannot be started."""
    try:
        if since >= (until or data.now()):
            st.session_state[PROBLEM] = "The first day must not come after the last day."
            return
        with st.spinner("Starting…"):
            data.start_backfill(source, since, until)
    except VoiceLedgerError as exc:
        st.session_state[PROBLEM] = str(exc)
        return
    st.rerun()


def _tell_of_last(source: Source, zone: ZoneInfo) -> None:
    """Say how the last historical sync of a source ended; one that did not come to its end can go on."""
    run = next(iter(data.runs(source, kind=RunKind.BACKFILL, limit=1)), None)
    if run is None:
        st.caption(f"No historical sync of {PROVIDER_NAMES[source]} has run yet.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Last one: {words.badge(run, data.now())} {formats.literal(_outcome(run, zone))}", width="content")
        if run.is_broken and st.button("Go on", icon=":material/play_arrow:", key="go on"):
            _start(source, run.window_start, run.window_end)


def _outcome(run: SyncRun, zone: ZoneInfo) -> str:
    now = data.now()
    start, end, began = (formats.clock(m, zone, now=now) for m in (run.window_start, run.window_end, run.started_at))
    told = f"{began}, took {words.took(run)}: {start} to {end}. {words.sentence(run)}"
    if run.is_broken:
        return f"{told} It had got through {run.share_walked or 0:.0%} of the period."
    return told
