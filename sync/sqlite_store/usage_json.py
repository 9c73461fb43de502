"""Token usage as JSON in the database, with exact prices, and the SQL aggregate `sum_llm_usage` over it."""

from decimal import Decimal

import simplejson

from sync.models import LlmUsage, TokenUsage


def to_json(usage: LlmUsage) -> str:
    """Return `{model: {category: {"tokens": …, "price": …}}}`, sorted, so that equal usage gives equal text."""
    plain = {
        model: {name: {"tokens": used.tokens, "price": used.price.normalize() + 0} for name, used in categories.items()}
        for model, categories in usage.items()
    }
    return simplejson.dumps(plain, use_decimal=True, sort_keys=True, separators=(",", ":"))


def from_json(text: str | None) -> LlmUsage:
    plain = simplejson.loads(text or "{}", use_decimal=True)
    return LlmUsage(
        {
            model: {
                name: TokenUsage(tokens=used["tokens"], price=Decimal(used["price"]))
                for name, used in categories.items()
            }
            for model, categories in plain.items()
        }
    )


def add(text: str, change: str) -> str:
    """Return the sum of two usages, one of which may be a change with amounts below zero."""
    return to_json((from_json(text) + from_json(change)).without_zeros())


def change(before: str, after: str) -> str:
    """Return what leads from one usage to another when it is added."""
    return to_json((from_json(after) + -from_json(before)).without_zeros())


class SumLlmUsage:
    """Adds up usage row by row; as a window function it gives running totals."""

    def __init__(self) -> None:
        self._total = LlmUsage()

    def step(self, text: str | None) -> None:
        if text and text != "{}":
            self._total = self._total + from_json(text)

    def inverse(self, text: str | None) -> None:
        self._total = self._total - from_json(text)

    def value(self) -> str:
        return to_json(self._total.without_zeros())

    finalize = value
