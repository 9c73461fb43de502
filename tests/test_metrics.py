"""The one list of metrics: what is not known is never a number, and the allowances never claim more than is known."""

from dataclasses import asdict
from decimal import Decimal

import pytest

from sync.answers import of_totals
from sync.elevenlabs_metrics import (
    allowances,
    cost_without_allowances,
    elevenlabs,
    llm_paid,
    llm_without_allowance,
    model_usage,
    models_together,
    voice_without_allowance,
)
from sync.metrics import CREDITS, MINUTES, USD, CombinedTotals, combined, ratio, stored, twilio
from sync.models import ElevenLabsTotals, LlmUsage, TokenUsage, TwilioTotals


def talks(**changes: object) -> ElevenLabsTotals:
    """Return ten minutes of conversation, of which two were free, at a dollar for voice and half a one for tokens."""
    plain: dict[str, object] = {
        "total_conversations": 1,
        "total_cost": Decimal("1.5"),
        "total_duration": 600,
        "llm_price": Decimal("0.5"),
        "platform_price": Decimal(1),
        "free_minutes_consumed": Decimal(2),
        "free_llm_dollars_consumed": Decimal("0.2"),
        "llm_usage": LlmUsage({"model": {"input": TokenUsage(tokens=1000, price=Decimal("0.5"))}}),
    }
    return ElevenLabsTotals(**plain | changes)  # type: ignore[arg-type]  # of the type that each field has


@pytest.mark.parametrize("reported", [Decimal("0.5"), Decimal("0.3")])
def test_the_llm_side_is_the_same_whether_the_reported_price_contains_the_free_dollars_or_not(
    reported: Decimal,
) -> None:
    totals = talks(llm_price=reported)

    assert (llm_without_allowance(totals), llm_paid(totals)) == (Decimal("0.5"), Decimal("0.3"))


def test_free_minutes_are_worth_the_price_of_the_other_minutes() -> None:
    assert voice_without_allowance(talks()) == Decimal("1.25")
    assert cost_without_allowances(talks()) == Decimal("1.75")


def test_when_all_minutes_were_free_nothing_tells_their_price() -> None:
    assert voice_without_allowance(talks(free_minutes_consumed=Decimal(10))) is None
    assert cost_without_allowances(talks(free_minutes_consumed=Decimal(10))) is None


def test_without_allowances_the_full_price_is_the_reported_one() -> None:
    totals = talks(free_minutes_consumed=Decimal(0), free_llm_dollars_consumed=Decimal(0))

    assert [metric.value(totals) for metric in allowances()] == [Decimal("0.5"), Decimal("0.5"), 1, 1]


def test_what_awaits_its_price_is_not_known() -> None:
    calls = TwilioTotals(total_calls=1, total_legs=1, billed_minutes=2, unpriced_calls=1)
    unpriced = ElevenLabsTotals(total_conversations=1, unpriced_conversations=1)

    costs = [metric.value(calls) for metric in twilio("USD") if metric.direction == "cost"]
    prices = [metric.value(unpriced) for metric in allowances()]
    both = [
        metric.value(CombinedTotals(twilio=calls, elevenlabs=unpriced))
        for metric in combined("USD")
        if metric.direction == "cost"
    ]

    amounts = [metric.value(unpriced) for metric in elevenlabs() if metric.unit in (USD, CREDITS, MINUTES)]
    assert set(costs) == set(prices) == set(both) == set(amounts) == {None}


def test_a_ratio_to_nothing_is_not_known() -> None:
    assert ratio(Decimal(1), 0) is None
    assert ratio(None, 3) is None
    assert ratio(Decimal(1), 3) == Decimal("0.33333333")


def test_an_answer_has_all_totals_and_what_is_computed_from_them() -> None:
    totals = TwilioTotals(total_calls=2, total_cost=Decimal(1), total_duration=90, billed_minutes=4)

    assert of_totals(totals, twilio("USD")) == asdict(totals) | {
        "cost_per_billed_minute": Decimal("0.25"),
        "average_call_duration": Decimal(45),
    }
    assert {metric.key for metric in stored(twilio("USD"), TwilioTotals)} == set(asdict(totals))


def test_without_a_provider_no_metric_needs_it() -> None:
    assert {metric.key for metric in combined("USD", ["elevenlabs"])} == {"elevenlabs_cost", "total_conversations"}
    assert {metric.key for metric in combined("EUR")} >= {"twilio_cost", "elevenlabs_cost"}
    assert not {"total_cost", "cost_per_minute"} & {metric.key for metric in combined("EUR")}


def test_tokens_of_a_model_of_ones_own_have_no_price_and_do_not_dilute_the_rate() -> None:
    usage = LlmUsage(
        {
            "gpt": {"input": TokenUsage(tokens=1000, price=Decimal("0.5"))},
            "custom-llm": {"input": TokenUsage(tokens=9000, price=Decimal(0))},
        }
    )

    own, together = model_usage(usage["custom-llm"]), models_together(usage)

    assert (own.price, own.price_per_million) == (None, None)
    assert (together.price, together.price_per_million, together.all_tokens) == (Decimal("0.5"), 500, 10_000)
