"""What things cost, in whole units of 1e-8 US dollar so that every sum is exact."""

from decimal import Decimal

DOLLAR = 10**8
MINUTE = 60
CREDITS_PER_DOLLAR = 5000  # no fixed rate exists; payloads of 2025 and 2026 show 4500 to 5500

# Units per 1000 tokens: the dollars per million tokens of the models' price lists, times 100,000.
TOKEN_PRICES = {
    "gpt-4o-mini": {"input": 15_000, "input_cache_read": 7_500, "output_total": 60_000},
    "gemini-2.5-flash": {"input": 30_000, "input_cache_read": 3_000, "output_total": 250_000},
    "claude-sonnet-4-5": {"input": 300_000, "input_cache_read": 30_000, "output_total": 1_500_000},
    "custom-llm": {"input": 0, "input_cache_read": 0, "output_total": 0},
}
PLATFORM_PRICES = {"voice": 8_000_000, "burst": 16_000_000, "silence": 400_000}  # per minute
TEXT_MESSAGE_PRICE = 300_000

# Twilio rounds up to the minute and prices with five decimals.
LEG_PRICES = {
    "inbound": 850_000,
    "outbound": 1_400_000,
    "client": 400_000,
    "sip": 400_000,
    "trunk": 450_000,
    "gb": 1_580_000,
}


def token_price(model: str, category: str, tokens: int) -> int:
    """Price tokens. Exact for the multiples of 20 (or 128 cached ones) that the demo counts in."""
    return tokens * TOKEN_PRICES[model][category] // 1000


def platform_price(category: str, seconds: int) -> int:
    return PLATFORM_PRICES[category] * seconds // MINUTE


def leg_price(tariff: str, seconds: int) -> int:
    return LEG_PRICES[tariff] * -(-seconds // MINUTE)


def credits_for(units: int) -> int:
    return (units * CREDITS_PER_DOLLAR + DOLLAR // 2) // DOLLAR


def dollars(units: int) -> Decimal:
    """Return an amount as a Decimal whose text is a plain literal: zero would read 0E-8."""
    return Decimal(units).scaleb(-8) if units else Decimal("0.0")
