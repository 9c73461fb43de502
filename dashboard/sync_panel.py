"""The sidebar: how current the data is, Sync now, progress, what went wrong. It alone refreshes by itself."""

from datetime import datetime
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import access, data, formats, turns
from dashboard.data import SyncStatus
from dashboard.runs import words
from sync.errors import StoreError
from sync.freshness import Freshness
from sync.models import PROVIDER_NAMES, RunState

# Between two looks at the store. A historical sync takes minutes: its progress is no reason for everybody to hurry.
BUSY_SECONDS, IDLE_SECONDS = 1, 5

# What a page was drawn for: a word that changes with the numbers, whether the panel hurries, and the runs it lists.
Drawn = tuple[str, bool, frozenset[int]]

# Colour, icon and word each say the same.
BADGES = {
    "fresh": ":green-badge[:material/check_circle: Current]",
    "amber": ":orange-badge[:material/schedule: Late]",
    "red": ":red-badge[:material/error: Out of date]",
    "never": ":gray-badge[:material/cloud_off: Never synced]",
}


def show(zone: ZoneInfo, *, beside_history: bool) -> None:
    """Draw the panel. Its timer follows what the store says, so the syncs of every session and process show up.

    Beside the page that shows a historical sync every second, it follows that as well.
    """
    try:
        status = data.sync_status()
    except StoreError as exc:
        st.error(formats.literal(str(exc)), icon=":material/error:")
        return
    drawn = _drawn_for(status, beside_history)
    _, hurries, _ = drawn
    st.fragment(_panel, run_every=BUSY_SECONDS if hurries else IDLE_SECONDS)(zone, drawn, beside_history)


def _panel(zone: ZoneInfo, drawn: Drawn, beside_history: bool) -> None:
    try:
        status = data.sync_status()
        if _drawn_for(status, beside_history) != drawn and turns.may_redraw():
            st.rerun()
    except StoreError as exc:
        st.error(formats.literal(str(exc)), icon=":material/error:")
        return
    for source in status.freshness:
        _show_freshness(source, zone, data.now())
    if access.current_user().is_admin:
        st.button(
            "Syncing…" if status.is_busy else "Sync now",
            on_click=data.start_syncs,
            disabled=status.is_busy or not status.freshness,
            icon="spinner" if status.is_busy else ":material/sync:",
            width="stretch",
            key="sync now",
        )
    _show_progress(status)
    _show_failures(status)


def _drawn_for(status: SyncStatus, beside_history: bool) -> Drawn:
    listed = frozenset(run.id for run in status.running if beside_history)
    return data.version(), status.is_busy or bool(listed), listed


def _show_freshness(state: Freshness, zone: ZoneInfo, now: datetime) -> None:
    with st.container(gap="xxsmall"):
        st.markdown(f"**{PROVIDER_NAMES[state.source]}** {BADGES[state.level]}")
        if state.through and state.age is not None:
            st.caption(f"Data through {formats.clock(state.through, zone, now=now)}, {formats.age(state.age)}")
    if state.warning:
        st.warning(formats.literal(state.warning), icon=":material/history_toggle_off:")
    if state.latest and state.latest.state is RunState.SKIPPED and state.latest.message:
        st.caption(formats.literal(f"Not synced: {state.latest.message}"))


def _show_progress(status: SyncStatus) -> None:
    if status.is_starting:
        st.caption("Starting…")
    for run in status.running:
        share = words.share_done(run)
        if share is None:
            st.caption(f":material/sync: {words.progress(run)}")
        else:
            st.progress(share, text=words.progress(run))


def _show_failures(status: SyncStatus) -> None:
    sentences = [sentence for state in status.freshness if (sentence := _failure(state, status))]
    for sentence in sentences:
        st.error(formats.literal(sentence), icon=":material/error:")
    if sentences and access.current_user().is_admin:
        st.button(
            "Try again",
            on_click=data.start_syncs,
            disabled=status.is_busy,
            icon=":material/refresh:",
            width="stretch",
            key="try again",
        )


def _failure(state: Freshness, status: SyncStatus) -> str | None:
    """Return why the latest run of a source did not end well, if it did not."""
    latest, name = state.latest, PROVIDER_NAMES[state.source]
    if latest and latest.is_broken:
        return f"{name} sync {latest.state}: {latest.message}"
    if state.source in status.problems:
        return f"{name} sync failed: {status.problems[state.source]}"
    return None
