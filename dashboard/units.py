"""Units of metrics: how an amount reads in a KPI, and what stands in a cell of a table and of its download."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from dashboard import formats
from dashboard.formats import Amount


def _as_it_is(amount: Amount) -> Amount:
    return amount


def _in_minutes(seconds: Amount) -> Amount:
    return (Decimal(seconds) / 60).quantize(Decimal("0.01"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """`name` stands in headings of a download; `column` is the printf format of a table's column."""

    name: str
    text: Callable[[Amount | None], str]
    column: str
    heading: str = ""  # what a table's heading needs beside the label, where a cell does not show its unit
    cell: Callable[[Amount], Amount] = _as_it_is


COUNT = Unit(name="count", text=formats.count, column="%,d")
CREDITS = Unit(name="credits", text=formats.credits_, column="%,d credits")
DURATION = Unit(name="minutes", text=formats.hours, column="%,.1f", heading="min", cell=_in_minutes)
AVERAGE_DURATION = Unit(name="minutes", text=formats.short_time, column="%,.1f", heading="min", cell=_in_minutes)
WHOLE_MINUTES = Unit(name="minutes", text=formats.count, column="%,d")
MINUTES = Unit(name="minutes", text=formats.minutes, column="%,.1f", heading="min")


def money(currency: str, *, places: int = 2) -> Unit:
    sign, word = ("$", "") if currency == "USD" else ("", f" {currency}")
    return Unit(
        name=currency,
        text=lambda amount: formats.money(amount, currency, places=places),
        column=f"{sign}%,.{places}f{word}",
    )


USD = money("USD")
