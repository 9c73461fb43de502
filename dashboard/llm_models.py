"""What each language model took: tokens by kind and their price."""

from dataclasses import dataclass
from decimal import Decimal

from dashboard.metrics import CONVERSATIONS, Metric
from dashboard.tables import TOTAL, Row, Table
from dashboard.units import COUNT, money
from sync.models import LlmUsage, TokenUsage

INPUT, CACHED, OUTPUT = "input", "input_cache_read", "output_total"
MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsage:
    """Tokens and prices of one model, or of all, by category; ElevenLabs may add categories of its own."""

    categories: dict[str, TokenUsage]

    def tokens(self, *names: str) -> int:
        return sum(self.categories.get(name, TokenUsage()).tokens for name in names)

    @property
    def all_tokens(self) -> int:
        return self.tokens(*self.categories)

    @property
    def price(self) -> Decimal:
        return sum((used.price for used in self.categories.values()), Decimal(0))

    @property
    def price_per_million(self) -> Decimal | None:
        return self.price * MILLION / self.all_tokens if self.all_tokens else None


def table(usage: LlmUsage) -> Table[ModelUsage]:
    """Return one row per model, the highest price first, then the total."""
    rows = [Row(name=model, totals=ModelUsage(categories=dict(used))) for model, used in usage.items()]
    rows.sort(key=lambda row: (-row.totals.price, row.name))
    return Table(heading="Model", metrics=_metrics(usage), rows=[*rows, Row(name=TOTAL, totals=_total(usage))])


def _total(usage: LlmUsage) -> ModelUsage:
    total = LlmUsage()
    for used in usage.values():
        total = total + {TOTAL: used}
    return ModelUsage(categories=total.get(TOTAL, {}))


def _metrics(usage: LlmUsage) -> list[Metric[ModelUsage]]:
    others = sorted({name for used in usage.values() for name in used} - {INPUT, CACHED, OUTPUT})
    return [
        _tokens("Input tokens", INPUT),
        _tokens("Cached input tokens", CACHED),
        *([_tokens("Other tokens", *others)] if others else []),
        _tokens("Output tokens", OUTPUT),
        Metric(
            label="Price",
            unit=money("USD"),
            value=lambda used: used.price,
            formula="Sum of the prices of all tokens; a model of your own has none here.",
            source=CONVERSATIONS,
        ),
        Metric(
            label="Price per million tokens",
            unit=money("USD", places=4),
            value=lambda used: used.price_per_million,
            formula="Price divided by all tokens, times a million.",
            source=CONVERSATIONS,
        ),
    ]


def _tokens(label: str, *names: str) -> Metric[ModelUsage]:
    return Metric(
        label=label,
        unit=COUNT,
        value=lambda used: used.tokens(*names),
        formula=f"Tokens that ElevenLabs lists as {', '.join(names)}.",
        source=CONVERSATIONS,
    )
