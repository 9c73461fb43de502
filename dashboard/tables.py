"""A table of metrics, one row per workspace or model: shown and downloaded from the same cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard import data, kpis
from dashboard.buckets import Progress, begun
from dashboard.csv_export import Cell, to_csv
from dashboard.formats import UNKNOWN, Amount
from dashboard.metrics import Metric
from dashboard.usages import AnyTotals, Usage
from sync.models import UNASSIGNED, Workspace

TOTAL = "Total"
TREND = "Trend"
NAME_WIDTH, BAR_WIDTH, TREND_WIDTH = 212, 135, 85  # pixels

QUIET = "color: #868e9b"  # Unassigned; legible on white and on black
RAISED = "background-color: rgba(128, 128, 128, 0.14)"  # the total

T = TypeVar("T")
Notes = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[T]):
    """A name, what it adds up to, and the same over time where a small line shows it."""

    name: str
    totals: T
    over_time: Sequence[T] = ()
    is_quiet: bool = False  # stands for what belongs to nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[T]):
    """Rows in the order of the screen; the last one is the sum of the others."""

    heading: str
    metrics: Sequence[Metric[T]]
    rows: Sequence[Row[T]]

    @property
    def has_trends(self) -> bool:
        return any(row.over_time for row in self.rows)

    def cells(self) -> list[list[Cell]]:
        """Return the exact amounts, None for what is not known."""
        return [[row.name, *(_cell(metric, row.totals) for metric in self.metrics)] for row in self.rows]

    def csv(self, notes: Notes) -> bytes:
        headings = [self.heading, *(f"{metric.label} ({metric.unit.name})" for metric in self.metrics)]
        return to_csv(notes, headings, self.cells())


def _cell(metric: Metric[T], totals: T) -> Cell:
    amount = metric.value(totals)
    return None if amount is None else metric.unit.cell(amount)


def by_workspace(
    usage: Usage[AnyTotals], metrics: Sequence[Metric[AnyTotals]], progress: Sequence[Progress]
) -> Table[AnyTotals]:
    """Return all workspaces, used or not: ranked by the first metric, then Unassigned, then the total."""

    def rank(workspace: Workspace) -> tuple[bool, Amount]:
        return workspace.id == UNASSIGNED, -(metrics[0].value(usage.of(workspace.id)) or 0)

    rows: list[Row[AnyTotals]] = [
        Row(
            name=workspace.name,
            totals=usage.of(workspace.id),
            over_time=begun(usage.over_time(workspace.id), progress),
            is_quiet=workspace.id == UNASSIGNED,
        )
        for workspace in sorted(data.workspaces(), key=rank)
    ]
    rows.append(Row(name=TOTAL, totals=usage.total, over_time=begun(usage.totals_over_time, progress)))
    return Table(heading="Workspace", metrics=metrics, rows=rows)


def show(table: Table[T], notes: Notes, *, name: str, file_name: str) -> None:
    """Draw the table, which is about `name`, and the button that downloads it."""
    frame = pd.DataFrame(_drawn(table.cells()), columns=[table.heading, *(metric.label for metric in table.metrics)])
    if table.has_trends:
        frame[TREND] = [kpis.line(table.metrics[0], row.over_time) for row in table.rows]
    st.dataframe(
        _styled(frame, table.rows),
        column_config=_columns(table),
        hide_index=True,
        height="content",
        placeholder=UNKNOWN,
        alt=name,
        key=f"table {name}",
    )
    st.download_button(
        "Download CSV",
        data=lambda: table.csv(notes),
        file_name=file_name,
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"download {name}",
        help="This table with exact amounts; the filters, time zone and units stand in its first lines.",
    )


def _drawn(cells: list[list[Cell]]) -> list[list[str | float | None]]:
    """Return the cells as the browser takes them: the only place where an amount becomes a float."""
    return [[cell if cell is None or isinstance(cell, str) else float(cell) for cell in row] for row in cells]


def _styled(frame: pd.DataFrame, rows: Sequence[Row[T]]) -> Styler:
    """Grey the amounts of the quiet row (names are pinned, which greys them already) and raise the total."""
    quiet = [QUIET if row.is_quiet else "" for row in rows]
    raised = [*([""] * (len(rows) - 1)), RAISED]
    amounts = frame.columns[1:]
    return frame.style.apply(lambda _: quiet, subset=amounts).apply(lambda _: raised)


def _columns(table: Table[T]) -> dict[str, ColumnConfig]:
    columns = {metric.label: _column(metric) for metric in table.metrics}
    if table.has_trends:
        first = table.metrics[0]
        columns[first.label] = _bar_column(first, float(first.value(table.rows[-1].totals) or 1))
        columns[TREND] = st.column_config.LineChartColumn(width=TREND_WIDTH, help=f"{first.label} over the period.")
    return columns | {table.heading: st.column_config.TextColumn(pinned=True, width=NAME_WIDTH)}


def _column(metric: Metric[T]) -> ColumnConfig:
    label = f"{metric.label}, {metric.unit.heading}" if metric.unit.heading else metric.label
    return st.column_config.NumberColumn(label, format=metric.unit.column, help=metric.help)


def _bar_column(metric: Metric[T], whole: float) -> ColumnConfig:
    """Return a column with a small bar beside each amount, which is its part of the whole."""
    return st.column_config.ProgressColumn(
        format=metric.unit.column, min_value=0, max_value=whole, width=BAR_WIDTH, help=metric.help
    )
