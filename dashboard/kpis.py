"""A row of KPIs: each is the sum of the whole period, with a small line of how it came about."""

from collections.abc import Sequence
from typing import TypeVar

import streamlit as st

from dashboard.buckets import Progress, begun
from dashboard.formats import literal
from dashboard.metrics import Metric
from dashboard.units import CREDITS

COLUMNS = 5
NARROWEST, NARROWEST_WITH_CREDITS = 165, 210  # pixels that the longest amount needs

T = TypeVar("T")


def show(
    metrics: Sequence[Metric[T]],
    total: T,
    over_time: Sequence[T] = (),
    progress: Sequence[Progress] = (),
) -> None:
    """Draw one card for each metric; without `over_time` they stay without a line."""
    shown = begun(over_time, progress)
    has_credits = any(metric.unit is CREDITS for metric in metrics)
    with st.grid(_columns(len(metrics)), min_column_width=NARROWEST_WITH_CREDITS if has_credits else NARROWEST):
        for metric in metrics:
            st.metric(
                metric.label,
                literal(metric.unit.text(metric.value(total))),
                help=literal(metric.help),
                border=True,
                height="stretch",
                chart_data=line(metric, shown) or None,
                chart_type="area",
            )


def _columns(number: int) -> int:
    """Return how many cards stand in a row, so that the rows of many are full."""
    return number if number <= COLUMNS else 4


def line(metric: Metric[T], over_time: Sequence[T]) -> list[float]:
    """Return the metric bucket by bucket for a small line, which has no axis and so leaves out what is not known."""
    return [float(amount) for totals in over_time if (amount := metric.value(totals)) is not None]
