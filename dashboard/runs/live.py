"""The part of the page Sync that refreshes by itself: every second while something runs, else when minutes pass."""

from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import data, turns
from dashboard.data import SyncStatus
from dashboard.runs import cards, progress
from dashboard.sections import attempt, section

MOVING_SECONDS, IDLE_SECONDS = 1, 30

Drawn = tuple[bool, frozenset[int]]  # what the page as it stands was drawn for: whether something runs, and what


def show(zone: ZoneInfo) -> None:
    """Draw how current the data is, and what runs."""
    status = attempt("Sync", data.sync_status)
    if status:
        run_every = MOVING_SECONDS if status.is_moving else IDLE_SECONDS
        st.fragment(_live, run_every=run_every)(zone, _drawn_for(status))


def _live(zone: ZoneInfo, drawn: Drawn) -> None:
    status = attempt("Sync", data.sync_status)
    if status is None:
        return
    if _drawn_for(status) != drawn and turns.may_redraw():
        st.rerun()  # the timer needs another pace, and the history below has other runs
    with section("How current the data is"):
        cards.show(status, zone)
    with section("Running now"):
        progress.show(status, zone)


def _drawn_for(status: SyncStatus) -> Drawn:
    return status.is_moving, frozenset(run.id for run in status.running)
