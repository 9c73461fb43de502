"""What a conversation cost, as ElevenLabs writes it: dollars and credits, null until known."""

from decimal import Decimal

from demo.charges import Charges, Usage
from demo.conversations import Conversation
from demo.pricing import MINUTE, dollars, token_price

TIER = "business"

Bill = dict[str, object]


def cost(talk: Conversation) -> int:
    return talk.charges.llm_charge + talk.charges.call_charge


def cost_fiat(talk: Conversation) -> Decimal | None:
    return None if talk.is_old else dollars(talk.charges.llm_price + talk.charges.platform_price)


def minutes(seconds: int) -> Decimal:
    return (Decimal(seconds) / MINUTE).quantize(Decimal("0.0001"))


def charging(bill: Charges, *, is_old: bool) -> Bill:
    """Write the bill. Old payloads had credits and token prices, but no dollars for the platform."""
    record: Bill = {
        "dev_discount": bill.has_dev_discount,
        "is_burst": bill.is_burst,
        "tier": TIER,
        "llm_usage": {
            "irreversible_generation": {"model_usage": model_usage(bill.irreversible)},
            "initiated_generation": {"model_usage": model_usage(bill.initiated)},
        },
        "llm_price": dollars(bill.llm_price),
        "llm_charge": bill.llm_charge,
        "call_charge": bill.call_charge,
        "free_minutes_consumed": minutes(bill.free_seconds),
        "free_llm_dollars_consumed": dollars(bill.llm_price if bill.is_llm_free else 0),
    }
    if is_old:
        return record
    platform = {
        item.category: {"credits": item.credits, "price": dollars(item.price), "quantity": item.quantity}
        for item in bill.platform
    }
    return record | {
        "platform_charge": bill.call_charge,
        "platform_price": dollars(bill.platform_price),
        "platform_usage": {"category_usage": platform},
        "tts_usage": None,
        "asr_usage": None,
        "analysis": None,
    }


def charging_to_come() -> Bill:
    """Write the bill of a conversation that is not analysed yet: null is "not known", never 0."""
    numbers = ("tier", "llm_price", "llm_charge", "call_charge", "platform_charge", "platform_price", "analysis")
    return {"dev_discount": False, "is_burst": False, "llm_usage": {}, **dict.fromkeys(numbers)}


def model_usage(usage: Usage) -> Bill:
    return {
        model: {
            category: {"tokens": tokens, "price": dollars(token_price(model, category, tokens))}
            for category, tokens in categories.items()
        }
        for model, categories in usage.items()
    }
