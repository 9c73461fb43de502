"""What a conversation costs: language model tokens and platform time, in dollars and in credits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from random import Random

from demo.agents import Agent
from demo.pricing import TEXT_MESSAGE_PRICE, credits_for, platform_price, token_price

FREE_DAYS_OF_MONTH = 3  # the plan's included minutes last about that long
BURST, DISCOUNT, FALLBACK, INTERRUPTED = 0.02, 0.015, 0.03, 0.4  # shares of conversations
SILENT_AFTER = 45  # longer voice conversations have some silence, billed at 5 %
CACHE_BLOCK = 128

Usage = Mapping[str, Mapping[str, int]]  # tokens by model and category


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformItem:
    """One category of platform usage; `quantity` is seconds, or messages."""

    category: str
    quantity: int
    price: int

    @property
    def credits(self) -> int:
        return credits_for(self.price)


@dataclass(frozen=True, kw_only=True)
class Charges:
    """The bill. Prices in 1e-8 dollars; `irreversible` is the part of `initiated` that could not be stopped."""

    initiated: Usage
    irreversible: Usage
    platform: tuple[PlatformItem, ...]
    is_burst: bool
    has_dev_discount: bool
    free_seconds: int
    is_llm_free: bool

    @cached_property
    def llm_price(self) -> int:
        return usage_price(self.initiated)

    @cached_property
    def llm_charge(self) -> int:
        return credits_for(self.llm_price)

    @cached_property
    def platform_price(self) -> int:
        return sum(item.price for item in self.platform)

    @cached_property
    def call_charge(self) -> int:
        return sum(item.credits for item in self.platform)


NOTHING = Charges(
    initiated={},
    irreversible={},
    platform=(),
    is_burst=False,
    has_dev_discount=False,
    free_seconds=0,
    is_llm_free=False,
)


def charge(random: Random, agent: Agent, *, started: int, seconds: int, turns: int, text_only: bool) -> Charges:
    """Draw up the bill of one conversation."""
    is_burst = not text_only and random.random() < BURST
    has_discount = random.random() < DISCOUNT
    models = [agent.model, agent.fallback] if random.random() < FALLBACK else [agent.model]
    initiated = {model: _tokens(random, turns) for model in models}
    is_free = datetime.fromtimestamp(started, UTC).day <= FREE_DAYS_OF_MONTH
    return Charges(
        initiated=initiated,
        irreversible=_kept(initiated, random.randint(70, 99) if random.random() < INTERRUPTED else 100),
        platform=_messages(turns) if text_only else _minutes(seconds, is_burst, has_discount),
        is_burst=is_burst,
        has_dev_discount=has_discount,
        free_seconds=seconds if is_free and not text_only else 0,
        is_llm_free=is_free,
    )


def usage_price(usage: Usage) -> int:
    return sum(
        token_price(model, category, tokens)
        for model, categories in usage.items()
        for category, tokens in categories.items()
    )


def _tokens(random: Random, turns: int) -> dict[str, int]:
    """Count tokens in multiples of 20 (cached: 128), which every price divides exactly."""
    return {
        "input": 20 * random.randint(40 * turns, 90 * turns),
        "input_cache_read": CACHE_BLOCK * random.randint(0, 6 * turns),
        "output_total": 20 * random.randint(turns, 4 * turns),
    }


def _kept(usage: Usage, percent: int) -> Usage:
    steps = {"input": 20, "input_cache_read": CACHE_BLOCK, "output_total": 20}
    return {
        model: {
            category: tokens * percent // 100 // steps[category] * steps[category]
            for category, tokens in categories.items()
        }
        for model, categories in usage.items()
    }


def _minutes(seconds: int, is_burst: bool, has_discount: bool) -> tuple[PlatformItem, ...]:
    silent = seconds // 10 if seconds > SILENT_AFTER else 0
    divisor = 2 if has_discount else 1
    spoken = PlatformItem(
        category="burst" if is_burst else "voice",
        quantity=seconds - silent,
        price=platform_price("burst" if is_burst else "voice", seconds - silent) // divisor,
    )
    silence = PlatformItem(category="silence", quantity=silent, price=platform_price("silence", silent) // divisor)
    return (spoken, silence) if silent else (spoken,)


def _messages(turns: int) -> tuple[PlatformItem, ...]:
    return (PlatformItem(category="text_message", quantity=turns, price=TEXT_MESSAGE_PRICE * turns),)
