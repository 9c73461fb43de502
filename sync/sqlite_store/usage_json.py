"""Token usage as JSON in the database, with exact prices, and the SQL aggregate `sum_llm_usage` over it."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import simplejson

from sync.models import LlmUsage, TokenUsage

Place = tuple[str, str]  # model and category

ENCODER = simplejson.JSONEncoder(use_decimal=True, sort_keys=True, separators=(",", ":"))
DECODER = simplejson.JSONDecoder(parse_float=Decimal)


def to_json(usage: LlmUsage) -> str:
    """Return `{model: {category: {"tokens": …, "price": …}}}`, sorted, so that equal usage gives equal text."""
    plain = {
        model: {name: {"tokens": used.tokens, "price": used.price.normalize() + 0} for name, used in categories.items()}
        for model, categories in usage.items()
    }
    return ENCODER.encode(plain)


def from_json(text: str | None) -> LlmUsage:
    plain = DECODER.decode(text or "{}")
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
    total = SumLlmUsage()
    total.step(text)
    total.step(change)
    return total.value()


def change(before: str, after: str) -> str:
    """Return what leads from one usage to another when it is added."""
    total = SumLlmUsage()
    total.step(after)
    total.inverse(before)
    return total.value()


class SumLlmUsage:
    """Adds up usage row by row; as a window function it gives running totals. Every balance of every hour is one."""

    def __init__(self) -> None:
        self._tokens: Counter[Place] = Counter()
        self._prices: defaultdict[Place, Decimal] = defaultdict(Decimal)

    def step(self, text: str | None) -> None:
        for place, used in _places(text):
            self._tokens[place] += used["tokens"]
            self._prices[place] += used["price"]

    def inverse(self, text: str | None) -> None:
        for place, used in _places(text):
            self._tokens[place] -= used["tokens"]
            self._prices[place] -= used["price"]

    def value(self) -> str:
        """Leave out what adds up to nothing, as `LlmUsage.without_zeros` does."""
        plain: dict[str, dict[str, Any]] = {}
        for (model, name), tokens in self._tokens.items():
            if tokens or self._prices[model, name]:
                price = self._prices[model, name].normalize() + 0
                plain.setdefault(model, {})[name] = {"tokens": tokens, "price": price}
        return ENCODER.encode(plain)

    finalize = value


def _places(text: str | None) -> Iterator[tuple[Place, Any]]:
    if text and text != "{}":
        for model, categories in DECODER.decode(text).items():
            for name, used in categories.items():
                yield (model, name), used
