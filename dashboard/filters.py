"""The filters, in one row and in the URL: a link to a page opens it with the same period and time zone."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import streamlit as st
from streamlit.errors import StreamlitAPIException

from dashboard import data
from dashboard.periods import ALL, CUSTOM, PRESETS, Days, Period

PERIOD, ZONE, DATES = "period", "zone", "dates"  # names in the URL, shared by all pages
USUAL = "30 days"
UTC_NAME = "UTC"
EARLIEST = date(2010, 1, 1)


def choose() -> Period:
    """Draw the filters and return the period they stand for."""
    _carry_over()
    return _draw()


def _carry_over() -> None:
    """Take the filters along to the next page. Streamlit does so with those that were clicked, not with linked ones."""
    usual = {PERIOD: USUAL, ZONE: data.services().settings.timezone}
    for key in (PERIOD, ZONE, DATES):
        value = st.session_state.get(key)
        if value and value != usual.get(key) and key not in st.query_params:
            st.session_state[key] = value
            with suppress(StreamlitAPIException):  # on the same page Streamlit itself keeps the URL, and says so
                st.query_params[key] = [str(day) for day in value] if key == DATES else value


def _draw() -> Period:
    with st.container(horizontal=True):
        preset = st.segmented_control(
            "Period", [*PRESETS, ALL, CUSTOM], default=USUAL, required=True, key=PERIOD, bind="query-params"
        )
        zone = ZoneInfo(_choose_zone())
        today = data.now().astimezone(zone).date()
        if preset == ALL:
            return Period(first=None, last=None, zone=zone)
        first, last = _choose_dates(today) if preset == CUSTOM else PRESETS[preset](today)
    return Period(first=first, last=last, zone=zone)


def widen() -> None:
    """Choose the longest period, as a click on a button does."""
    st.session_state[PERIOD] = ALL


def current_zone() -> ZoneInfo:
    """Return the chosen zone before the filters are drawn, as the sidebar needs it."""
    chosen = [st.session_state.get(ZONE), st.query_params.get(ZONE), data.services().settings.timezone]
    return ZoneInfo(_existing(chosen)[0])


def _choose_zone() -> str:
    offered = [data.services().settings.timezone, st.context.timezone, UTC_NAME, st.query_params.get(ZONE)]
    return st.selectbox(
        "Time zone",
        _existing(offered),
        key=ZONE,
        bind="query-params",
        width=200,
    )


def _existing(names: Iterable[str | None]) -> list[str]:
    """Return each zone once, without those that do not exist: a link may name anything."""
    return [name for name in dict.fromkeys(names) if name in _time_zones()]


@cache
def _time_zones() -> set[str]:
    return available_timezones()


def _choose_dates(today: date) -> Days:
    """Return first and last day; while only one is chosen it is both."""
    chosen = st.date_input(
        "From and to",
        PRESETS[USUAL](today),
        min_value=EARLIEST,
        max_value=today,
        format="DD/MM/YYYY",
        key=DATES,
        bind="query-params",
        width=240,
    )
    days = sorted(day for day in chosen if not isinstance(day, datetime)) if isinstance(chosen, tuple) else [chosen]
    return (days[0], days[-1]) if days else PRESETS[USUAL](today)
