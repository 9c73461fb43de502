"""What was paid, and what it would have cost without the free minutes and the free LLM dollars of the plan."""

import streamlit as st

from dashboard import formats, kpis, units
from sync.elevenlabs_metrics import allowances, cost_without_allowances
from sync.metrics import USD, elevenlabs_cost
from sync.models import ElevenLabsTotals


def show(total: ElevenLabsTotals, before: ElevenLabsTotals | None) -> None:
    """Draw both sides, in dollars alone, and say what ElevenLabs leaves open."""
    if not total.free_minutes_consumed and not total.free_llm_dollars_consumed:
        st.caption("No free minutes and no free LLM dollars were used: what was paid is what it would have cost.")
        return
    kpis.show(allowances(), total, before=before)
    st.caption(formats.literal(_in_words(total)))


def _in_words(total: ElevenLabsTotals) -> str:
    money = units.money(USD).text
    estimate = cost_without_allowances(total)
    without = (
        "nothing tells what it would have cost" if estimate is None else f"it would have cost about {money(estimate)}"
    )
    free = f"{money(total.free_llm_dollars_consumed)} of LLM cost and {formats.minutes(total.free_minutes_consumed)}"
    return (
        f"Free in this period: {free}. Without that, {without}; ElevenLabs reports {money(elevenlabs_cost(total))}."
        " The LLM side is exact, since tokens have prices. The voice side is an estimate: a free minute has no price,"
        " and ElevenLabs does not say whether the voice price that it reports already contains the free minutes."
    )
