"""The history of runs: a table, filtered and paged, the same as a file, and the choice of one run."""

from collections.abc import Mapping, Sequence
from typing import TypeVar
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard import data, formats
from dashboard.csv_export import Cell, to_csv
from dashboard.runs import words
from sync.models import PROVIDER_NAMES, RunKind, RunState, Source, SyncRun
from sync.sentences import counted

# Names in the URL.
SOURCE, KIND, STATE, RUN = "runs_of", "runs_kind", "runs_state", "run"

PAGE, MOST = 50, 1000  # rows that each click adds, and runs that are looked through
PAGES_SHOWN = "pages of runs"
MOST_DIGITS = 18  # of an id that a database can hold
FILTER_WIDTH = 170  # pixels
TALLEST = 420

T = TypeVar("T", Source, RunKind, RunState)


def show(zone: ZoneInfo) -> int | None:
    """Draw the section; return the id of the run that was chosen, or that the link names."""
    st.subheader("Runs", anchor="runs")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        source = _choose("Provider", PROVIDER_NAMES, SOURCE)
        kind = _choose("Kind", words.KINDS, KIND, help=words.KINDS_HELP)
        state = _choose("State", words.STATES, STATE)
    found, is_all = _read(source, kind, state)
    if not found:
        st.info(
            "No run matches these filters." if source or kind or state else "Nothing has run yet.",
            icon=":material/history:",
        )
    else:
        _show_table(found, zone)
        _show_buttons(found, zone, is_all=is_all)
    return _chosen()


def _choose(label: str, names: Mapping[T, str], key: str, help: str | None = None) -> T | None:
    options: list[T] = list(names)
    chosen: T | None = st.selectbox(
        label,
        options,
        index=None,
        format_func=names.__getitem__,
        placeholder="All",
        key=key,
        bind="query-params",
        help=help,
        width=FILTER_WIDTH,
        on_change=_start_over,
    )
    return chosen


def _start_over() -> None:
    st.session_state.pop(PAGES_SHOWN, None)


def _read(source: Source | None, kind: RunKind | None, state: RunState | None) -> tuple[list[SyncRun], bool]:
    """Return the runs to show, the newest first, and whether there are no older ones.

    The store does not know states: those runs are looked for among the newest ones.
    """
    wanted = PAGE * st.session_state.get(PAGES_SHOWN, 1)
    limit = MOST if state else min(wanted + 1, MOST)
    runs = [run for run in data.runs(source, kind=kind, limit=limit) if state is None or run.state is state]
    return runs[:wanted], len(runs) <= wanted


def _show_table(runs: Sequence[SyncRun], zone: ZoneInfo) -> None:
    key = f"table runs {runs[0].id}"  # a new run moves the rows, so that another one would be marked as chosen

    def choose() -> None:
        rows = st.session_state[key].selection.rows
        if rows:
            st.query_params[RUN] = str(runs[rows[0]].id)
        else:
            st.query_params.pop(RUN, None)

    st.dataframe(
        _frame(runs, zone),
        column_config=_columns(),
        hide_index=True,
        height=TALLEST if len(runs) > 10 else "content",
        placeholder=formats.UNKNOWN,
        alt="Sync runs, newest first",
        key=key,
        on_select=choose,
        selection_mode="single-row",
    )


def _frame(runs: Sequence[SyncRun], zone: ZoneInfo) -> pd.DataFrame:
    now = data.now()
    return pd.DataFrame(
        {
            "Started": pd.to_datetime([run.started_at for run in runs], utc=True).tz_convert(zone),
            "State": [words.sign(run, now) for run in runs],
            "Provider": [PROVIDER_NAMES[run.source] for run in runs],
            "Kind": [words.KINDS[run.kind] for run in runs],
            "Took": [words.took(run) for run in runs],
            "Fetched": [run.done for run in runs],
            "Saved": [run.saved for run in runs],
            "Failed": [run.failed for run in runs],
            "Message": [run.message or "" for run in runs],
            "From": pd.to_datetime([run.window_start for run in runs], utc=True).tz_convert(zone),
            "To": pd.to_datetime([run.window_end for run in runs], utc=True).tz_convert(zone),
            "Run": [run.id for run in runs],
        }
    )


def _columns() -> dict[str, ColumnConfig]:
    moments = {
        name: st.column_config.DatetimeColumn(format="D MMM YYYY HH:mm", help=help)
        for name, help in {"From": "Where the run's window begins.", "To": "Where the window ends."}.items()
    }
    counts = {
        name: st.column_config.NumberColumn(format="%,d", help=help)
        for name, help in {
            "Fetched": "Records that the provider gave.",
            "Saved": "Records that were stored.",
            "Failed": "Records that could not be fetched or read.",
        }.items()
    }
    return {
        **moments,
        **counts,
        "Started": st.column_config.DatetimeColumn(format="D MMM YYYY HH:mm:ss"),
        "Kind": st.column_config.TextColumn(help=words.KINDS_HELP),
        "Message": st.column_config.TextColumn(width="large"),
        "Run": st.column_config.NumberColumn(format="%d"),
    }


def _show_buttons(runs: Sequence[SyncRun], zone: ZoneInfo, *, is_all: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Older",
            on_click=_show_older,
            disabled=is_all or len(runs) >= MOST,
            icon=":material/expand_more:",
            key="older",
        )
        st.download_button(
            "Download CSV",
            data=lambda: csv(runs, zone),
            file_name="voice-ledger-sync-runs.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="download runs",
        )
        st.caption(_shown(runs, is_all=is_all), width="content")


def _show_older() -> None:
    st.session_state[PAGES_SHOWN] = st.session_state.get(PAGES_SHOWN, 1) + 1


def _shown(runs: Sequence[SyncRun], *, is_all: bool) -> str:
    shown = f"{counted(len(runs), 'run')}, newest first"
    if not is_all:
        shown += "; there are older ones"
    if st.session_state.get(STATE):
        shown += f"; states are looked for in the newest {MOST:,} runs"
    return f"{shown}. Choose a row to see its details."


def csv(runs: Sequence[SyncRun], zone: ZoneInfo) -> bytes:
    """Return the rows of the page, times with their offset from UTC."""
    now = data.now()
    notes = [
        ("Voice Ledger", "Sync runs"),
        ("Time zone", str(zone)),
        ("Written", f"{now.astimezone(zone):%Y-%m-%d %H:%M %Z}"),
    ]
    headings = [
        *("Run", "Provider", "Kind", "State", "Started", "Finished", "Duration (s)"),
        *("Fetched (count)", "Total (count)", "Saved (count)", "Failed (count)", "From", "To", "Message"),
    ]
    return to_csv(notes, headings, [_cells(run, zone) for run in runs])


def _cells(run: SyncRun, zone: ZoneInfo) -> list[Cell]:
    started, finished, start, end = (
        moment.astimezone(zone).isoformat(timespec="seconds") if moment else None
        for moment in (run.started_at, run.finished_at, run.window_start, run.window_end)
    )
    return [
        *(run.id, PROVIDER_NAMES[run.source], words.KINDS[run.kind], words.state(run, data.now())),
        *(started, finished, round(run.duration.total_seconds())),
        *(run.done, run.total, run.saved, run.failed, start, end, run.message),
    ]


def _chosen() -> int | None:
    named = st.query_params.get(RUN, "")
    return int(named) if named.isascii() and named.isdigit() and len(named) <= MOST_DIGITS else None
