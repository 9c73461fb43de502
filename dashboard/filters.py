"""The filters, in one row and in the URL: a link to a page opens it with the same period, workspaces and time zone."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import streamlit as st
from streamlit.errors import StreamlitAPIException

from dashboard import data
from dashboard.periods import ALL, CUSTOM, PRESETS, Days, Period, before
from sync.models import PROVIDER_NAMES, SOURCES, Source

# Names in the URL, shared by all pages.
PERIOD, ZONE, DATES, WORKSPACES, COMPARE = "period", "zone", "dates", "workspaces", "compare"
WORKSPACE = "workspace"  # of the page about one; it is no filter that other pages take over
USUAL = "30 days"
UTC_NAME = "UTC"
FIRST_CHOICE = date(2010, 1, 1)
LAST_CHOICE = timedelta(days=366)  # ahead: a link to a month that has not ended, or from a zone where it is tomorrow

# Pixels. All filters stand in one row beside the sidebar of a window of 1440; on a phone two stand in each row.
PERIOD_WIDTH, ZONE_WIDTH, DATES_WIDTH, WORKSPACES_WIDTH = 150, 190, 220, 225


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a page is asked for. What is compared with ends as far into its days as the data reaches into the period's.

    `compared` has it by source, since one may be behind the other; `compared_with` is the longest of them.
    """

    period: Period
    workspaces: frozenset[int] | None = None  # None is all of them
    workspace_names: tuple[str, ...] = ()
    compared: Mapping[Source, Period] = field(default_factory=dict)

    @property
    def compared_with(self) -> Period | None:
        return max(self.compared.values(), key=lambda period: period.until or data.now(), default=None)

    @property
    def compared_dates(self) -> str:
        """Return the dates of what is compared with, and where it ends for a source that is behind."""
        whole = self.compared_with
        if whole is None:
            return ""
        ends = [
            f"{PROVIDER_NAMES[source]} until {period.until.astimezone(period.zone):%-d %b, %H:%M}"
            for source, period in self.compared.items()
            if period.until and period.dates != whole.dates
        ]
        return f"{whole.dates} ({', '.join(ends)})" if ends else whole.dates


def choose(
    *,
    sources: Sequence[Source] = SOURCES,
    compare: bool = True,
    one_workspace: bool = False,
) -> View:
    """Draw the filters and return what they ask for; a page switches off those that mean nothing to it.

    A comparison reaches as far as the data of each of these `sources`. With `one_workspace` exactly one is asked for,
    or none while the link names one that does not exist.
    """
    _carry_over({PERIOD, ZONE, DATES, *([] if one_workspace else [WORKSPACES]), *([COMPARE] if compare else [])})
    ids = {workspace.name: workspace.id for workspace in data.workspaces()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = _choose_one(list(ids)) if one_workspace else []
        preset, period = _choose_period()
        names = chosen if one_workspace else _choose_workspaces(list(ids))
        is_compared = compare and _choose_comparison(preset)
    through = {source: data.data_through([source]) or data.now() for source in sources}
    compared = {source: before(period, preset, moment) for source, moment in through.items() if is_compared}
    return View(
        period=period,
        workspaces=frozenset(ids[name] for name in names) or None,
        workspace_names=tuple(names),
        compared={source: earlier for source, earlier in compared.items() if earlier},
    )


def _carry_over(drawn: set[str]) -> None:
    """Take the filters along to the next page. Streamlit does so with those that were clicked, not with linked ones."""
    usual = {PERIOD: USUAL, ZONE: data.services().settings.timezone}
    for key in (PERIOD, ZONE, DATES, WORKSPACES, COMPARE):
        value = st.session_state.get(key)
        if value and value != usual.get(key) and key not in st.query_params:
            st.session_state[key] = value
            if key in drawn:
                with suppress(StreamlitAPIException):  # on the same page Streamlit itself keeps the URL, and says so
                    st.query_params[key] = _in_url(value)


def _in_url(value: object) -> str | list[str]:
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _choose_period() -> tuple[str, Period]:
    presets = [*PRESETS, ALL, CUSTOM]
    preset = st.selectbox("Period", presets, presets.index(USUAL), key=PERIOD, bind="query-params", width=PERIOD_WIDTH)
    zone = ZoneInfo(_choose_zone())
    today = data.now().astimezone(zone).date()
    if preset == ALL:
        return preset, Period(first=None, last=None, zone=zone)
    first, last = _choose_dates(today) if preset == CUSTOM else PRESETS[preset](today)
    return preset, Period(first=first, last=last, zone=zone)


def _choose_one(names: list[str]) -> list[str]:
    chosen = st.selectbox("Workspace", names, index=None, key=WORKSPACE, bind="query-params", width=WORKSPACES_WIDTH)
    return [chosen] if chosen else []


def _choose_workspaces(names: list[str]) -> list[str]:
    chosen = st.session_state.get(WORKSPACES)
    if chosen and not set(chosen) <= set(names):  # one was renamed or removed since it was chosen
        st.session_state[WORKSPACES] = [name for name in chosen if name in names]
    return st.multiselect(
        "Workspaces",
        names,
        key=WORKSPACES,
        bind="query-params",
        placeholder="All workspaces",
        width=WORKSPACES_WIDTH,
    )


def _choose_comparison(preset: str) -> bool:
    is_chosen = st.toggle(
        "Compare",
        key=COMPARE,
        bind="query-params",
        disabled=preset == ALL,
        help="Shows the change from the same part of the period before.",
    )
    return is_chosen and preset != ALL


def widen() -> None:
    """Choose the longest period, as a click on a button does."""
    st.session_state[PERIOD] = ALL


def show_all_workspaces() -> None:
    """Choose no workspace in particular, as a click on a button does."""
    st.session_state[WORKSPACES] = []


def choose_workspace(name: str) -> None:
    """Choose one workspace for the pages that follow."""
    st.session_state[WORKSPACES] = [name]


def current_zone() -> ZoneInfo:
    """Return the chosen zone before the filters are drawn, as the sidebar needs it."""
    chosen = _existing([st.session_state.get(ZONE), st.query_params.get(ZONE)])
    return ZoneInfo(chosen[0]) if chosen else data.services().settings.zone


def choose_zone() -> ZoneInfo:
    """Draw the choice of a time zone alone, for a page without a period."""
    _carry_over({ZONE})
    return ZoneInfo(_choose_zone())


def _choose_zone() -> str:
    usual = [data.services().settings.timezone, st.context.timezone, UTC_NAME, st.query_params.get(ZONE)]
    return st.selectbox(
        "Time zone",
        _existing([*usual, *_cities()]),
        key=ZONE,
        bind="query-params",
        width=ZONE_WIDTH,
    )


def _existing(names: Iterable[str | None]) -> list[str]:
    """Return each zone once, without those that do not exist: a link may name anything."""
    return [name for name in dict.fromkeys(names) if name in _time_zones()]


@cache
def _cities() -> list[str]:
    """Return the zones that are named for a place, which all of the usual ones are but for UTC."""
    regions = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    return sorted(name for name in _time_zones() if name.startswith(regions))


@cache
def _time_zones() -> set[str]:
    return available_timezones()


def _choose_dates(today: date) -> Days:
    """Return first and last day; while only one is chosen it is both."""
    chosen = st.date_input(
        "From and to",
        PRESETS[USUAL](today),
        min_value=FIRST_CHOICE,
        max_value=today + LAST_CHOICE,
        format="DD/MM/YYYY",
        key=DATES,
        bind="query-params",
        width=DATES_WIDTH,
    )
    days = sorted(day for day in chosen if not isinstance(day, datetime)) if isinstance(chosen, tuple) else [chosen]
    return (days[0], days[-1]) if days else PRESETS[USUAL](today)
