"""When calls come: hour by weekday, as the clock of the chosen zone shows them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import plotly.graph_objects as go

from dashboard import charts
from dashboard.buckets import Buckets
from dashboard.formats import count
from sync.sentences import counted
from sync.times import HOUR

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOURS = range(24)
HEIGHT = 280
SCALE = ((0.0, "rgba(74, 134, 216, 0.06)"), (1.0, "rgb(74, 134, 216)"))  # on white and on black

Cells = list[list[int | None]]  # by weekday, then hour


def cells(quarters: Iterable[tuple[datetime, int]], buckets: Buckets, through: datetime | None) -> Cells:
    """Add calls up by weekday and hour. None where the period, as far as the data reaches, has no such hour."""
    zone = buckets.zone
    known: Cells = [[None for _ in HOURS] for _ in WEEKDAYS]
    for weekday, hour in _hours_of(buckets, through):
        known[weekday][hour] = 0
    for start, calls in quarters:
        weekday, hour = _place(start, zone)
        known[weekday][hour] = (known[weekday][hour] or 0) + calls
    return known


def _hours_of(buckets: Buckets, through: datetime | None) -> set[tuple[int, int]]:
    """Return each weekday and hour that the buckets contain; after eight days there are no others."""
    start, end = buckets.edges[0], min(buckets.edges[-1], through or buckets.edges[-1])
    found = set()
    for number in range(8 * len(HOURS)):
        if start + number * HOUR < end:
            found.add(_place(start + number * HOUR, buckets.zone))
    return found


def _place(moment: datetime, zone: ZoneInfo) -> tuple[int, int]:
    local = moment.astimezone(zone)
    return local.weekday(), local.hour


def show(calls: Cells, zone: ZoneInfo, *, key: str) -> None:
    heading = charts.title("Calls by weekday and hour", str(zone))
    charts.draw(_figure(calls, heading), key=key, alt=f"{heading}: {_busiest(calls)}")


def _busiest(calls: Cells) -> str:
    known = [(number, day, hour) for day, row in enumerate(calls) for hour, number in enumerate(row) if number]
    if not known:
        return "none"
    number, day, hour = max(known)
    return f"most, {count(number)}, on {WEEKDAYS[day]}s from {hour}:00"


def _figure(calls: Sequence[Sequence[int | None]], heading: str) -> go.Figure:
    cells = go.Heatmap(
        z=calls,
        x=list(HOURS),
        y=[name[:3] for name in WEEKDAYS],
        colorscale=SCALE,
        zmin=0,
        xgap=2,
        ygap=2,
        hoverongaps=False,
        customdata=[["" if number is None else counted(number, "call") for number in row] for row in calls],
        hovertemplate="%{y} %{x}:00: %{customdata}<extra></extra>",
        colorbar={"thickness": 10, "outlinewidth": 0, "nticks": 5},
    )
    return go.Figure(
        [cells],
        {
            "title": charts.heading_style(heading),
            "height": HEIGHT,
            "margin": {"l": 0, "r": 0, "t": 44, "b": 0},
            "xaxis": {"dtick": 3, "fixedrange": True, "showgrid": False, "ticksuffix": ":00", "tickangle": 0},
            "yaxis": {"autorange": "reversed", "fixedrange": True, "showgrid": False},
        },
    )
