"""Charts over time: stacked bars from zero, one colour per part, hatched where the data is still coming in."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
import streamlit as st

from dashboard import colours
from dashboard.buckets import Buckets, Progress
from dashboard.formats import UNKNOWN
from dashboard.parts import Part
from dashboard.units import COUNT, money
from sync.metrics import Amount, CombinedTotals

HEIGHT = 320
MOST_TICKS = 8
CONFIG = {"displayModeBar": False, "scrollZoom": False, "responsive": True}
HATCHED, SOLIDITY = "/", 0.45
FAINT = "rgba(128, 128, 128, 0.25)"  # grid lines that hold on white and on black


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One part of the bars: an amount for each bucket, None where there is none to show."""

    name: str
    colour: str
    amounts: Sequence[Amount | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """What a chart shows. `text` writes an amount with its unit; `unit` stands in the title."""

    title: str
    unit: str
    text: Callable[[Amount | None], str]
    layers: Sequence[Layer]


def cost_bars(title: str, parts: Sequence[Part], over_time: Sequence[CombinedTotals], currency: str = "USD") -> Bars:
    """Return parts of the cost, which must all be in `currency`, stacked to their sum."""
    return Bars(
        title=title,
        unit=currency,
        text=money(currency).text,
        layers=[
            Layer(name=part.name, colour=part.colour, amounts=[part.metric.value(totals) for totals in over_time])
            for part in parts
        ],
    )


def count_bars(title: str, colour: str, amounts: Sequence[int]) -> Bars:
    """Return bars of one colour that count something; `title` is what they count."""
    return Bars(title=title, unit="", text=COUNT.text, layers=[Layer(name=title, colour=colour, amounts=amounts)])


def show(bars: Bars, buckets: Buckets, progress: Sequence[Progress], *, key: str) -> None:
    """Draw the chart with its title, which names unit, step and time zone."""
    heading = title(f"{bars.title} per {buckets.step}", bars.unit, str(buckets.zone))
    draw(figure(bars, heading, buckets, progress), key=key, alt=f"{heading}: {_summary(bars, buckets)}")


def title(*parts: str) -> str:
    """Return what stands above a chart: what it shows, the unit, the time zone."""
    return ", ".join(filter(None, parts))


def draw(chart: go.Figure, *, key: str, alt: str) -> None:
    st.plotly_chart(chart, key=key, config=CONFIG, alt=alt)


def literal(text: str) -> str:
    """Return `text` so that Plotly shows it as it is: it takes what looks like HTML for markup, links included."""
    return html.escape(text, quote=False)


def heading_style(text: str) -> dict[str, object]:
    """Return how all charts set their title."""
    return {"text": text, "font": {"size": 15}, "x": 0, "xanchor": "left"}


def figure(bars: Bars, heading: str, buckets: Buckets, progress: Sequence[Progress]) -> go.Figure:
    """Return stacked bars; buckets that are still ahead of the data are gaps."""
    names = _hover_names(bars, buckets, progress)
    hint = [_hint_at_hatching()] if Progress.IN_PROGRESS in progress else []
    # All at once, here and elsewhere: `update_layout` reads every name as a path, and takes four times as long.
    return go.Figure(
        [*(_bars(layer, bars, names, progress) for layer in bars.layers), *hint],
        {
            "title": heading_style(heading),
            "barmode": "relative",  # stacked, and an amount below zero would hang below the axis
            "bargap": 0.25,
            "height": HEIGHT,
            "margin": {"l": 0, "r": 0, "t": 44, "b": 0},
            "hovermode": "x unified",
            "showlegend": len(bars.layers) > 1 or bool(hint),
            "legend": {"orientation": "h", "x": 0, "y": -0.12, "xanchor": "left", "yanchor": "top"},
            "xaxis": _x_axis(names, buckets.ticks()),
            "yaxis": {"rangemode": "tozero", "gridcolor": FAINT, "zerolinecolor": FAINT, "nticks": 6}
            | ({"tickprefix": "$"} if bars.unit == "USD" else {}),
        },
    )


def _bars(layer: Layer, bars: Bars, names: list[str], progress: Sequence[Progress]) -> go.Bar:
    shown = [_unless_unreached(amount, state) for amount, state in zip(layer.amounts, progress, strict=True)]
    return go.Bar(
        name=layer.name,
        x=names,
        y=[None if amount is None else float(amount) for amount in shown],
        customdata=[bars.text(amount) for amount in shown],
        hovertemplate="%{customdata}" if len(bars.layers) > 1 else "%{customdata}<extra></extra>",
        marker={
            "color": layer.colour,
            "line": {"width": 0},
            "pattern": {
                # Not where nothing is drawn: the legend takes its pattern from the first.
                "shape": [
                    "" if amount is None or state is Progress.DONE else HATCHED
                    for amount, state in zip(shown, progress, strict=True)
                ],
                "solidity": SOLIDITY,
            },
        },
    )


def _hint_at_hatching() -> go.Bar:
    """Return a bar without height, whose entry in the legend says what hatching means."""
    pattern = {"shape": HATCHED, "solidity": SOLIDITY}
    return go.Bar(
        name="In progress", x=[None], y=[None], marker={"color": colours.GREY, "pattern": pattern}, hoverinfo="skip"
    )


def _unless_unreached(amount: Amount | None, state: Progress) -> Amount | None:
    """Return an amount, but no zero for hours of which nothing is known yet."""
    return None if state is Progress.UNREACHED and not amount else amount


def _hover_names(bars: Bars, buckets: Buckets, progress: Sequence[Progress]) -> list[str]:
    """Name each bucket as the box under the mouse does: when, the sum of a stack, and whether it is complete."""
    sums = [_sum(stack) for stack in zip(*(layer.amounts for layer in bars.layers), strict=True)]
    return [
        name
        + (f", {Progress.IN_PROGRESS}" if state is Progress.IN_PROGRESS else "")
        + (f": {bars.text(total)}" if len(bars.layers) > 1 and state is not Progress.UNREACHED else "")
        for name, state, total in zip(buckets.names(), progress, sums, strict=True)
    ]


def _sum(stack: Sequence[Amount | None]) -> Amount | None:
    known = [amount for amount in stack if amount is not None]
    return sum(known) if known else None


def _x_axis(names: list[str], ticks: list[str]) -> dict[str, object]:
    every = -(-len(names) // MOST_TICKS)
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": names,
        "tickvals": names[::every],
        "ticktext": ticks[::every],
        "tickangle": 0,
        "fixedrange": True,
    }


def _summary(bars: Bars, buckets: Buckets) -> str:
    """Return the highest bar in words, for those who hear the chart."""
    sums = [_sum(stack) for stack in zip(*(layer.amounts for layer in bars.layers), strict=True)]
    known = [(total, name) for total, name in zip(sums, buckets.names(), strict=True) if total]
    if not known:
        return UNKNOWN
    highest, when = max(known)
    return f"highest {bars.text(highest)} on {when}"
