"""What changes would move, as a table: each workspace's totals before and after."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard import data, formats
from sync.metrics import CombinedTotals, known
from sync.registry import Effect
from sync.sentences import counted

MOST_SHOWN = 420  # pixels: about ten workspaces, then it scrolls

Totals = Mapping[str, CombinedTotals]


def show(effects: Sequence[Effect], before: Totals) -> None:
    """Draw the table, or say that nothing moves."""
    if not effects:
        st.info("No stored call or conversation changes hands.", icon=":material/check:")
        return
    currency = data.currency()
    rows = [_row(effect, before.get(effect.workspace, CombinedTotals()), currency) for effect in effects]
    st.table(
        pd.DataFrame(rows).set_index("Workspace"),
        border="horizontal",
        height=MOST_SHOWN if len(rows) > 10 else "content",
        alt="Totals of each workspace before and after the change",
    )
    _tell_of_unpriced(effects)


def _row(effect: Effect, before: CombinedTotals, currency: str) -> dict[str, str]:
    after = before + CombinedTotals(twilio=effect.twilio, elevenlabs=effect.elevenlabs)
    sides = [_amounts(before, currency), _amounts(after, currency)]
    return {"Workspace": formats.literal(effect.workspace)} | {
        name: formats.literal(_change(*(side[name] for side in sides))) for name in sides[0]
    }


def _amounts(totals: CombinedTotals, currency: str) -> dict[str, str]:
    twilio, elevenlabs = totals.twilio, totals.elevenlabs
    return {
        "Calls": formats.count(twilio.total_calls),
        "Legs": formats.count(twilio.total_legs),
        "Twilio cost": formats.money(known(twilio.total_cost, twilio.unpriced_calls), currency),
        "Conversations": formats.count(elevenlabs.total_conversations),
        "ElevenLabs cost": formats.money(known(elevenlabs.total_cost, elevenlabs.unpriced_conversations)),
    }


def _change(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _tell_of_unpriced(effects: Sequence[Effect]) -> None:
    legs = sum(max(effect.twilio.unpriced_calls, 0) for effect in effects)
    conversations = sum(max(effect.elevenlabs.unpriced_conversations, 0) for effect in effects)
    if legs or conversations:
        waiting = " and ".join(
            counted(number, noun) for number, noun in ((legs, "leg"), (conversations, "conversation")) if number
        )
        st.caption(f"{waiting} among them without a price so far: the cost goes to the new owner when it is known.")
