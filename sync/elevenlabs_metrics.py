"""The numbers of the agents: what conversations cost, what free allowances took, what each model's tokens cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sync.metrics import (
    CONVERSATIONS,
    COUNT,
    CREDITS,
    MINUTES,
    SECONDS,
    USD,
    Amount,
    Metric,
    elevenlabs_cost,
    known,
    ratio,
    values,
)
from sync.models import ElevenLabsTotals, LlmUsage, TokenUsage

INPUT, CACHED, OUTPUT = "input", "input_cache_read", "output_total"
MILLION = 1_000_000


def elevenlabs() -> list[Metric[ElevenLabsTotals]]:
    """Return the metrics of the agents, the answer first."""
    return [
        Metric(
            key="total_cost",
            label="Cost",
            unit=USD,
            value=elevenlabs_cost,
            formula="Sum of the costs in US dollars; conversations that still await a price are left out.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            key="total_credits",
            label="Cost in credits",
            unit=CREDITS,
            value=lambda totals: known(totals.total_credits, totals.unpriced_conversations),
            formula="Sum of the credits charged. Credits are another measure of the same cost; never add the two.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            key="total_conversations",
            label="Conversations",
            unit=COUNT,
            value=lambda totals: totals.total_conversations,
            formula="Conversations that started in the period, finished or not.",
            source=CONVERSATIONS,
        ),
        Metric(
            key="total_duration",
            label="Conversation time",
            unit=SECONDS,
            value=lambda totals: totals.total_duration,
            formula="Sum of the durations of conversations, to the second.",
            source=CONVERSATIONS,
        ),
        Metric(
            key="llm_price",
            label="LLM price",
            unit=USD,
            value=lambda totals: _known(totals.llm_price, totals),
            formula="The part of the cost that language models take.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            key="platform_price",
            label="Platform (voice) price",
            unit=USD,
            value=lambda totals: _known(totals.platform_price, totals),
            formula="The part of the cost that voice takes: speech, telephony and the platform.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            key="llm_charge",
            label="LLM charge",
            unit=CREDITS,
            value=lambda totals: known(totals.llm_charge, totals.unpriced_conversations),
            formula="The part of the credits that language models take.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            key="call_charge",
            label="Call charge",
            unit=CREDITS,
            value=lambda totals: known(totals.call_charge, totals.unpriced_conversations),
            formula="The part of the credits that voice takes.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            key="free_minutes_consumed",
            label="Free minutes used",
            unit=MINUTES,
            value=lambda totals: _known(totals.free_minutes_consumed, totals),
            formula="Minutes taken from the plan's free allowance.",
            source=CONVERSATIONS,
        ),
        Metric(
            key="free_llm_dollars_consumed",
            label="Free LLM dollars used",
            unit=USD,
            value=lambda totals: _known(totals.free_llm_dollars_consumed, totals),
            formula="LLM cost taken from the plan's free allowance.",
            source=CONVERSATIONS,
        ),
        Metric(
            key="dev_discount",
            label="Discounted conversations",
            unit=COUNT,
            value=lambda totals: totals.dev_discount,
            formula="Conversations at the developer discount.",
            source=CONVERSATIONS,
        ),
        Metric(
            key="unpriced_conversations",
            label="Awaiting a price",
            unit=COUNT,
            value=lambda totals: totals.unpriced_conversations,
            formula="Conversations whose cost in US dollars is not known yet.",
            source=CONVERSATIONS,
        ),
    ]


def _known(price: Decimal, totals: ElevenLabsTotals) -> Decimal | None:
    return known(price, totals.unpriced_conversations)


def llm_without_allowance(totals: ElevenLabsTotals) -> Decimal | None:
    """Return what the language models cost before the free dollars.

    ElevenLabs documents the LLM price as the sum of the prices of all tokens, and does not say that it leaves out
    the free ones. The tokens' own prices settle it either way; what was free would have cost at least that.
    """
    listed = models_together(totals.llm_usage).price or Decimal(0)
    return _known(max(listed, totals.llm_price, totals.free_llm_dollars_consumed), totals)


def llm_paid(totals: ElevenLabsTotals) -> Decimal | None:
    without = llm_without_allowance(totals)
    return None if without is None else without - totals.free_llm_dollars_consumed


def voice_without_allowance(totals: ElevenLabsTotals) -> Decimal | None:
    """Return the voice price as if the minutes that were free had been paid like the others, on average.

    An estimate, and no bound: ElevenLabs does not say whether the reported price contains the free minutes, which makes
    it too high, and chats without voice count among the minutes at a price of their own, which makes it too low. None
    where all minutes were free, since nothing then tells what one costs.
    """
    free = totals.free_minutes_consumed
    if not free:
        return _known(totals.platform_price, totals)
    minutes = Decimal(totals.total_duration) / 60
    per_minute = ratio(_known(totals.platform_price, totals), max(minutes - free, Decimal(0)))
    return None if per_minute is None else totals.platform_price + per_minute * free


def cost_without_allowances(totals: ElevenLabsTotals) -> Decimal | None:
    """Return about what LLM and voice would have cost; None where that is not known."""
    llm, voice = llm_without_allowance(totals), voice_without_allowance(totals)
    return None if llm is None or voice is None else llm + voice


def with_allowances() -> list[Metric[ElevenLabsTotals]]:
    """Return all metrics of the agents, each key once."""
    return [*{metric.key: metric for metric in [*elevenlabs(), *allowances()]}.values()]


def allowances() -> list[Metric[ElevenLabsTotals]]:
    """Return what was paid, and what it would have cost without the free allowances. Never in credits."""
    return [
        Metric(
            key="llm_price_paid",
            label="LLM, paid",
            unit=USD,
            value=llm_paid,
            formula="What all tokens cost, less the free LLM dollars used.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            key="llm_price_without_allowance",
            label="LLM, full price",
            unit=USD,
            value=llm_without_allowance,
            formula="What all tokens cost by ElevenLabs' prices, whether free dollars paid for them or not.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            key="platform_price",
            label="Voice, as reported",
            unit=USD,
            value=lambda totals: _known(totals.platform_price, totals),
            formula="The voice price that ElevenLabs reports. What was paid is at most this:"
            " it does not say whether the price of free minutes is in it.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            key="platform_price_without_allowance",
            label="Voice, estimate",
            unit=USD,
            value=voice_without_allowance,
            formula="The reported voice price, plus the free minutes at the average price of all other minutes, those"
            " of chats included. If the reported price already contains the free minutes, it is the reported price.",
            source=CONVERSATIONS,
            direction="cost",
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsage:
    """Tokens and prices of one model, or of all, by category; ElevenLabs may add categories of its own.

    It gives no price for the tokens of a model that the account brought along; `unpriced` are those.
    """

    categories: dict[str, TokenUsage]
    unpriced: int = 0

    def tokens(self, *names: str) -> int:
        return sum(self.categories.get(name, TokenUsage()).tokens for name in names)

    @property
    def all_tokens(self) -> int:
        return self.tokens(*self.categories)

    @property
    def price(self) -> Decimal | None:
        return known(sum((used.price for used in self.categories.values()), Decimal(0)), self.unpriced)

    @property
    def price_per_million(self) -> Amount | None:
        return None if self.price is None else ratio(self.price * MILLION, self.all_tokens - self.unpriced)


def model_usage(used: Mapping[str, TokenUsage]) -> ModelUsage:
    """Return what one model took. Tokens at no price at all are those of a model of the account's own."""
    tokens = sum(each.tokens for each in used.values())
    return ModelUsage(categories=dict(used), unpriced=0 if any(each.price for each in used.values()) else tokens)


def models_together(usage: LlmUsage) -> ModelUsage:
    total = LlmUsage()
    for used in usage.values():
        total = total + {"": used}
    return ModelUsage(categories=total.get("", {}), unpriced=sum(model_usage(used).unpriced for used in usage.values()))


def models(usage: LlmUsage) -> Sequence[Metric[ModelUsage]]:
    """Return the metrics of language models; tokens of other categories only where there are some."""
    others = sorted({name for used in usage.values() for name in used} - {INPUT, CACHED, OUTPUT})
    return [
        _tokens("input_tokens", "Input tokens", INPUT),
        _tokens("cached_input_tokens", "Cached input tokens", CACHED),
        *([_tokens("other_tokens", "Other tokens", *others)] if others else []),
        _tokens("output_tokens", "Output tokens", OUTPUT),
        Metric(
            key="price",
            label="Price",
            unit=USD,
            value=lambda used: used.price,
            formula="Sum of the prices of all tokens; those of a model of your own have none here.",
            source=CONVERSATIONS,
            direction="cost",
        ),
        Metric(
            key="price_per_million_tokens",
            label="Price per million tokens",
            unit=USD,
            value=lambda used: used.price_per_million,
            formula="Price divided by all tokens that have one, times a million.",
            source=CONVERSATIONS,
            direction="cost",
            is_rate=True,
        ),
    ]


def of_models(usage: LlmUsage) -> dict[str, dict[str, Amount | None]]:
    """Return the metrics of each model by key."""
    metrics = models(usage)
    return {model: values(metrics, model_usage(used)) for model, used in usage.items()}


def _tokens(key: str, label: str, *names: str) -> Metric[ModelUsage]:
    return Metric(
        key=key,
        label=label,
        unit=COUNT,
        value=lambda used: used.tokens(*names),
        formula=f"Tokens that ElevenLabs lists as {', '.join(names)}.",
        source=CONVERSATIONS,
    )
