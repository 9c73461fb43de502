"""What is running now, by whomever it was started: how far it is, how fast, and the button that stops it."""

from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import access, data, formats
from dashboard.data import SyncStatus
from dashboard.runs import words
from dashboard.runs.time_left import seconds_left
from sync.models import RunKind, SyncRun

STARTED_ELSEWHERE = "It was not started on these pages; stop it where it was started, with Ctrl+C."


def show(status: SyncStatus, zone: ZoneInfo) -> None:
    """Draw each running run."""
    if not status.is_moving:
        return
    st.subheader("Running now", anchor="running")
    if status.is_starting:
        st.caption(":material/hourglass_top: Starting…")
    for run in status.running:
        _show(run, zone)


def _show(run: SyncRun, zone: ZoneInfo) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            started = formats.clock(run.started_at, zone, now=data.now())
            st.markdown(f"**{words.name(run)}** since {started}", width="content")
            if run.kind is RunKind.BACKFILL and access.current_user().is_admin:
                _show_stop(run)
        details = formats.literal(words.details_of_progress(run, seconds_left(run)))
        share = words.share_done(run)
        if share is None:
            st.caption(f":material/sync: {details}")
        else:
            st.progress(share, text=details)
        if run.kind is RunKind.BACKFILL:
            st.caption(_walk(run, zone))


def _walk(run: SyncRun, zone: ZoneInfo) -> str:
    """Return what a historical sync is about, and until where it has walked."""
    now = data.now()
    start, end = (formats.clock(moment, zone, now=now) for moment in (run.window_start, run.window_end))
    walked = f", everything since {formats.clock(run.position, zone, now=now)} is here" if run.position else ""
    return formats.literal(f"From {end} back to {start}{walked}.")


def _show_stop(run: SyncRun) -> None:
    answer = f"answer to stop {run.id}"
    is_stopping = st.session_state.get(answer)

    def stop() -> None:
        st.session_state[answer] = data.stop_backfill(run.id)

    st.button(
        "Stopping…" if is_stopping else "Stop",
        on_click=stop,
        disabled=bool(is_stopping),
        icon=":material/stop_circle:",
        key=f"stop {run.id}",
        help="What it has saved is kept; started again, it goes on where it was.",
    )
    if is_stopping is False:
        st.caption(STARTED_ELSEWHERE)
