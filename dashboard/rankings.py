"""The workspaces with the highest amounts, as bars from zero; the others together are one more bar."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard import charts, colours, units
from dashboard.formats import UNKNOWN
from dashboard.usages import ShownTotals, Usage
from sync.metrics import Amount, Metric
from sync.models import Workspace

MOST_BARS = 8
LONGEST_NAME = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar, with its colour."""

    name: str
    amount: Amount
    colour: str


def show(usage: Usage[ShownTotals], metric: Metric[ShownTotals], workspaces: Sequence[Workspace], *, key: str) -> None:
    """Draw the chart; `workspaces` are all there are, used or not, since colours come from the full list."""
    bars = top(usage, metric, workspaces)
    heading = charts.title(f"{metric.label} by workspace", metric.unit)
    text = units.of(metric).text
    highest = f"highest {text(bars[0].amount)} for {bars[0].name}" if bars else UNKNOWN
    charts.draw(_figure(bars, heading, metric), key=key, alt=f"{heading}: {highest}")


def top(usage: Usage[ShownTotals], metric: Metric[ShownTotals], workspaces: Sequence[Workspace]) -> list[Bar]:
    """Return the highest amounts first, then the sum of those that have no bar of their own."""
    colour = colours.of_workspaces(workspaces)
    bars = [
        Bar(name=workspace.name, amount=amount, colour=colour[workspace.id])
        for workspace in workspaces
        if (amount := metric.value(usage.of(workspace.id)))
    ]
    bars.sort(key=lambda bar: bar.amount, reverse=True)
    if len(bars) <= MOST_BARS + 1:
        return bars
    others = bars[MOST_BARS:]
    rest = Bar(name=f"{len(others)} others", amount=sum(bar.amount for bar in others), colour=colours.GREY)
    return [*bars[:MOST_BARS], rest]


def _figure(bars: Sequence[Bar], heading: str, metric: Metric[ShownTotals]) -> go.Figure:
    unit = units.of(metric)
    texts = [unit.text(bar.amount) for bar in bars]
    places = [str(place) for place in range(len(bars))]  # names may be equal once they are cut short
    bar = go.Bar(
        orientation="h",
        x=[unit.cell(bar.amount) for bar in bars],
        y=places,
        text=texts,
        textposition="auto",
        insidetextanchor="end",
        cliponaxis=False,
        customdata=[[charts.literal(bar.name), text] for bar, text in zip(bars, texts, strict=True)],
        hovertemplate="%{customdata[0]}: %{customdata[1]}<extra></extra>",
        marker={"color": [bar.colour for bar in bars], "line": {"width": 0}},
    )
    return go.Figure(
        [bar],
        {
            "title": charts.heading_style(heading),
            "height": charts.HEIGHT,
            "margin": {"l": 0, "r": 8, "t": 44, "b": 0},
            "bargap": 0.3,
            "showlegend": False,
            "xaxis": {"rangemode": "tozero", "showticklabels": False, "showgrid": False, "fixedrange": True},
            "yaxis": {
                "type": "category",
                "autorange": "reversed",
                "tickvals": places,
                "ticktext": [_short(bar.name) for bar in bars],
                "fixedrange": True,
            },
        },
    )


def _short(name: str) -> str:
    short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    return charts.literal(short)
