"""The part of the page Sync that refreshes by itself: every second while something runs, else when minutes pass.

The panel beside it draws the page anew when runs begin and end.
"""

from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import data
from dashboard.runs import cards, progress
from dashboard.sections import attempt, section

MOVING_SECONDS, IDLE_SECONDS = 1, 30


def show(zone: ZoneInfo) -> None:
    """Draw how current the data is, and what runs."""
    status = attempt("Sync", data.sync_status)
    if status:
        st.fragment(_live, run_every=MOVING_SECONDS if status.is_moving else IDLE_SECONDS)(zone)


def _live(zone: ZoneInfo) -> None:
    status = attempt("Sync", data.sync_status)
    if status is None:
        return
    with section("How current the data is"):
        cards.show(status, zone)
    with section("Running now"):
        progress.show(status, zone)
