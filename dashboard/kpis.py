"""A row of KPIs: each is the sum of the whole period, how it came about, and how it changed."""

from collections.abc import Sequence
from typing import Literal, TypeVar

import streamlit as st

from dashboard import changes, units
from dashboard.buckets import Progress, whole
from dashboard.formats import literal
from sync.metrics import Metric

COLUMNS = 5
NARROWEST, NARROWEST_WITH_CREDITS = 165, 210  # pixels that the longest amount needs

T = TypeVar("T")


def show(
    metrics: Sequence[Metric[T]],
    total: T,
    over_time: Sequence[T] = (),
    progress: Sequence[Progress] = (),
    *,
    before: T | None = None,
) -> None:
    """Draw one card for each metric; without `over_time` no line, without `before` no change."""
    shown = whole(over_time, progress)
    has_credits = any(units.of(metric) is units.CREDITS for metric in metrics)
    with st.grid(_columns(len(metrics)), min_column_width=NARROWEST_WITH_CREDITS if has_credits else NARROWEST):
        for metric in metrics:
            _show(metric, total, line(metric, shown), before)


def _show(metric: Metric[T], total: T, small_line: list[float], before: T | None) -> None:
    unit, amount = units.of(metric), metric.value(total)
    changed, was = None, ""
    if before is not None:
        changed = changes.text(amount, metric.value(before))
        was = f" Before: {unit.text(metric.value(before))}."
    st.metric(
        metric.label,
        literal(unit.text(amount)),
        delta=changed,
        delta_color=_colour(metric, changed),
        delta_arrow="auto" if _has_direction(changed) else "off",
        help=literal(metric.help + was),
        border=True,
        height="stretch",
        chart_data=small_line or None,
        chart_type="area",
    )


def _colour(metric: Metric[T], changed: str | None) -> Literal["inverse", "off"]:
    """More cost is worse; more usage is neither good nor bad, and nor is what came out of nothing."""
    return "inverse" if metric.direction == "cost" and _has_direction(changed) else "off"


def _has_direction(changed: str | None) -> bool:
    return changed not in (None, changes.NEW, changes.UNCHANGED)


def _columns(number: int) -> int:
    """Return how many cards stand in a row, so that the rows of many are full."""
    return number if number <= COLUMNS else 4


def line(metric: Metric[T], over_time: Sequence[T]) -> list[float]:
    """Return the metric bucket by bucket for a small line, which has no axis and so leaves out what is not known."""
    return [float(amount) for totals in over_time if (amount := metric.value(totals)) is not None]
