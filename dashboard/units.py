"""How units read: an amount in a KPI, and in a cell of a table. Downloads have the amounts as they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dashboard import formats
from sync import metrics
from sync.metrics import Amount, Metric

SUM_PLACES, RATE_PLACES = 2, 4  # decimals of money, and of money per call or minute
SECONDS_PER_MINUTE = 60

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """`column` is the printf format of a table's column; a cell there is the amount divided by `divisor`."""

    text: Callable[[Amount | None], str]
    column: str
    heading: str = ""  # what a table's heading needs beside the label, where a cell does not show its unit
    divisor: int = 1

    def cell(self, amount: Amount | None) -> float | None:
        """Return an amount as the browser takes it: the only place, beside charts, where one becomes a float."""
        return None if amount is None else float(amount / self.divisor)


COUNT = Unit(text=formats.count, column="%,d")
CREDITS = Unit(text=formats.credits_, column="%,d credits")
DURATION = Unit(text=formats.hours, column="%,.1f", heading="min", divisor=SECONDS_PER_MINUTE)
WHOLE_MINUTES = Unit(text=formats.count, column="%,d")
MINUTES = Unit(text=formats.minutes, column="%,.1f", heading="min")

NAMED = {
    metrics.COUNT: COUNT,
    metrics.CREDITS: CREDITS,
    metrics.SECONDS: DURATION,
    metrics.WHOLE_MINUTES: WHOLE_MINUTES,
    metrics.MINUTES: MINUTES,
}


def of(metric: Metric[T]) -> Unit:
    """Return how a metric reads; what is not named here is a currency."""
    return NAMED.get(metric.unit) or money(metric.unit, places=RATE_PLACES if metric.is_rate else SUM_PLACES)


def money(currency: str, *, places: int = SUM_PLACES) -> Unit:
    sign, word = ("$", "") if currency == metrics.USD else ("", f" {currency}")
    return Unit(
        text=lambda amount: formats.money(amount, currency, places=places),
        column=f"{sign}%,.{places}f{word}",
    )
