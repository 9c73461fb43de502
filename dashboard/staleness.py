"""The amber strip above numbers that are not current: since when, why, and a button to try again."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import access, data, formats
from dashboard.data import SyncStatus
from sync.freshness import Freshness
from sync.models import PROVIDER_NAMES, RunState, Source
from sync.sentences import ENDED

STALE = ("amber", "red")


def warn(sources: Sequence[Source], zone: ZoneInfo) -> None:
    """Draw a strip for each source whose numbers are old, or whose last run did not end well."""
    wanting = [state for state in data.freshness_by_source() if state.source in sources and _is_wanting(state)]
    if wanting:
        status = data.sync_status()
        for state in wanting:
            _warn(state, status, zone)


def _is_wanting(state: Freshness) -> bool:
    return _is_broken(state) or state.ahead is not None or (state.through is not None and state.level in STALE)


def _is_broken(state: Freshness) -> bool:
    return state.latest is not None and state.latest.is_broken


def _warn(state: Freshness, status: SyncStatus, zone: ZoneInfo) -> None:
    sentence = f"{PROVIDER_NAMES[state.source]}: {_since(state, zone)}. {_why(state, status)}"
    strip, action = st.columns([7, 2], vertical_alignment="center")
    strip.warning(formats.literal(sentence), icon=":material/schedule:")
    if access.current_user().is_admin:
        action.button(
            "Try again",
            on_click=data.start_syncs,
            args=(state.source,),
            disabled=status.is_busy,
            icon=":material/refresh:",
            key=f"retry {state.source}",
        )


def _since(state: Freshness, zone: ZoneInfo) -> str:
    if state.through is None or state.age is None:
        return "never synced, so nothing of it is in these numbers"
    return f"these numbers end at {formats.clock(state.through, zone, now=data.now())} ({formats.age(state.age)})"


def _why(state: Freshness, status: SyncStatus) -> str:
    latest = state.latest
    if access.current_user().is_client:
        return "Newer ones are on their way; ask who runs this dashboard if it takes long."
    if latest and latest.state is RunState.RUNNING:
        return "A sync is running."
    if state.warning:
        return state.warning
    if latest and latest.message and latest.state in ENDED:
        return f"The last sync {ENDED[latest.state]}: {latest.message}"
    if state.source in status.problems:  # it did not get as far as a run
        return f"The last sync failed: {status.problems[state.source]}"
    return "No sync has run since; the scheduler (python -m sync scheduler) may not be running."
