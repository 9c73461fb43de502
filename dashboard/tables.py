"""A table of metrics, one row per workspace, model or the like: shown and downloaded from the same rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler
from streamlit.delta_generator import DeltaGenerator
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard import changes, data, kpis, units
from dashboard.buckets import Progress, whole
from dashboard.csv_export import Cell, to_csv
from dashboard.formats import UNKNOWN
from dashboard.usages import ShownTotals, Usage
from sync.metrics import Amount, Metric
from sync.models import UNASSIGNED, Workspace

TOTAL = "Total"
TREND, BEFORE, CHANGE = "Trend", "Before", "Change"
# Pixels. Beside its box, a name and the amount with its bar fill a phone's width.
NAME_WIDTH, BAR_WIDTH, TREND_WIDTH, CHANGE_WIDTH = 196, 115, 85, 80

QUIET = "color: #737a87"  # Unassigned; as legible on white as on the dark theme's background
RAISED = "background-color: rgba(128, 128, 128, 0.14)"  # the total

T = TypeVar("T")
Notes = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[T]):
    """A name, what it adds up to, the same over time for a small line, and in the period before."""

    name: str
    totals: T
    over_time: Sequence[T] = ()
    before: T | None = None
    is_quiet: bool = False  # stands for what belongs to nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[T]):
    """Rows in the order of the screen; the last one is the sum of the others. The first metric is what matters."""

    heading: str
    metrics: Sequence[Metric[T]]
    rows: Sequence[Row[T]]

    @property
    def has_trends(self) -> bool:
        return any(row.over_time for row in self.rows)

    @property
    def is_compared(self) -> bool:
        return any(row.before is not None for row in self.rows)

    def headings(self) -> list[str]:
        """Return the headings of a download: the names of the API, with their units."""
        first, *others = [f"{metric.key} ({metric.unit})" for metric in self.metrics]
        key, unit = self.metrics[0].key, self.metrics[0].unit
        compared = [f"{key} before ({unit})", f"{key} change (%)"] if self.is_compared else []
        return [self.heading, first, *compared, *others]

    def cells(self) -> list[list[Cell]]:
        """Return the exact amounts, None for what is not known."""
        return [self._cells(row) for row in self.rows]

    def _cells(self, row: Row[T]) -> list[Cell]:
        first, *others = [metric.value(row.totals) for metric in self.metrics]
        before = self.before(row)
        compared: list[Cell] = [before, changes.change(first, before)] if self.is_compared else []
        return [row.name, first, *compared, *others]

    def before(self, row: Row[T]) -> Amount | None:
        return self.metrics[0].value(row.before) if row.before is not None else None

    def csv(self, notes: Notes) -> bytes:
        return to_csv(notes, self.headings(), self.cells())

    def frame(self) -> pd.DataFrame:
        """Return what is drawn: amounts as floats, in the units of the screen."""
        first, *others = self.metrics
        columns: dict[str, list[object]] = {self.heading: [row.name for row in self.rows]}
        columns[first.label] = self._drawn(first)
        if self.is_compared:
            columns[BEFORE] = [units.of(first).cell(self.before(row)) for row in self.rows]
            columns[CHANGE] = [changes.text(first.value(row.totals), self.before(row)) for row in self.rows]
        if self.has_trends:
            columns[TREND] = [kpis.line(first, row.over_time) for row in self.rows]
        return pd.DataFrame(columns | {metric.label: self._drawn(metric) for metric in others})

    def _drawn(self, metric: Metric[T]) -> list[object]:
        return [units.of(metric).cell(metric.value(row.totals)) for row in self.rows]


def by_workspace(
    usage: Usage[ShownTotals],
    metrics: Sequence[Metric[ShownTotals]],
    progress: Sequence[Progress],
    *,
    workspaces: frozenset[int] | None = None,
    before: Usage[ShownTotals] | None = None,
) -> Table[ShownTotals]:
    """Return these workspaces, used or not: ranked by the first metric, then Unassigned, then the total."""

    def rank(workspace: Workspace) -> tuple[bool, Amount]:
        return workspace.id == UNASSIGNED, -(metrics[0].value(usage.of(workspace.id)) or 0)

    shown = [each for each in data.workspaces() if workspaces is None or each.id in workspaces]
    rows: list[Row[ShownTotals]] = [
        Row(
            name=workspace.name,
            totals=usage.of(workspace.id),
            over_time=whole(usage.over_time(workspace.id), progress),
            before=before.of(workspace.id) if before else None,
            is_quiet=workspace.id == UNASSIGNED,
        )
        for workspace in sorted(shown, key=rank)
    ]
    over_time = whole(usage.totals_over_time, progress)
    rows.append(Row(name=TOTAL, totals=usage.total, over_time=over_time, before=before.total if before else None))
    return Table(heading="Workspace", metrics=metrics, rows=rows)


def show(
    table: Table[T], notes: Notes, *, name: str, file_name: str, on_open: Callable[[str], object] | None = None
) -> None:
    """Draw the table, which is about `name`, and the button that downloads it.

    `on_open` is called with the name of a row that was chosen, but for the total.
    """
    drawn = st.dataframe(
        _styled(table.frame(), table.rows),
        column_config=_columns(table),
        hide_index=True,
        height="content",
        placeholder=UNKNOWN,
        alt=name,
        key=f"table {name}",
        on_select="rerun" if on_open else "ignore",
        selection_mode="single-row",
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
    chosen = [] if isinstance(drawn, DeltaGenerator) else drawn.selection.rows
    if on_open and chosen and chosen[0] < len(table.rows) - 1:
        on_open(table.rows[chosen[0]].name)


def _styled(frame: pd.DataFrame, rows: Sequence[Row[T]]) -> Styler:
    """Grey the amounts of the quiet row (names are pinned, which greys them already) and raise the total."""
    quiet = [QUIET if row.is_quiet else "" for row in rows]
    raised = [*([""] * (len(rows) - 1)), RAISED]
    amounts = frame.columns[1:]
    return frame.style.apply(lambda _: quiet, subset=amounts).apply(lambda _: raised)


def _columns(table: Table[T]) -> dict[str, ColumnConfig]:
    first = table.metrics[0]
    columns = {metric.label: _column(metric) for metric in table.metrics}
    if table.has_trends:
        columns[first.label] = _bar_column(first, units.of(first).cell(first.value(table.rows[-1].totals)) or 1.0)
        columns[TREND] = st.column_config.LineChartColumn(
            width=TREND_WIDTH, help=f"{first.label} over the period, without what is in progress."
        )
    if table.is_compared:
        help_ = f"{first.label} in the same part of the period before."
        columns[BEFORE] = st.column_config.NumberColumn(format=units.of(first).column, help=help_)
        help_ = f"Change of {first.label.lower()} since then; new where there was nothing."
        columns[CHANGE] = st.column_config.TextColumn(width=CHANGE_WIDTH, alignment="right", help=help_)
    width = NAME_WIDTH if table.has_trends else None  # without bars and lines there is room for the longest name
    return columns | {table.heading: st.column_config.TextColumn(pinned=True, width=width)}


def _column(metric: Metric[T]) -> ColumnConfig:
    unit = units.of(metric)
    label = f"{metric.label}, {unit.heading}" if unit.heading else metric.label
    return st.column_config.NumberColumn(label, format=unit.column, help=metric.help)


def _bar_column(metric: Metric[T], whole: float) -> ColumnConfig:
    """Return a column with a small bar beside each amount, which is its part of the whole."""
    return st.column_config.ProgressColumn(
        format=units.of(metric).column, min_value=0, max_value=whole, width=BAR_WIDTH, help=metric.help
    )
