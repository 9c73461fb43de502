"""The numbers above the list of calls: how many found their counterpart, and what they add up to."""

from collections.abc import Mapping

import streamlit as st

from dashboard import formats
from dashboard.call_costs import MATCHES
from dashboard.formats import UNKNOWN, literal
from sync.call_costs import CallSummary, Match
from sync.metrics import elevenlabs_cost, twilio_cost

NARROWEST = 165  # pixels that the longest amount needs

AS_BOOKED = "Counted at the start and in the workspace of each record, as on the other pages."


def show(summary: CallSummary, currency: str) -> None:
    """Draw two rows of cards."""
    twilio, elevenlabs = twilio_cost(summary.twilio), elevenlabs_cost(summary.elevenlabs)
    both = twilio + elevenlabs if twilio is not None and elevenlabs is not None and currency == "USD" else None
    cards = {
        "Total cost": (formats.money(both), f"Twilio and ElevenLabs, in US dollars. {AS_BOOKED}"),
        "Twilio cost": (formats.money(twilio, currency), f"Sum of the prices of all legs. {AS_BOOKED}"),
        "ElevenLabs cost": (formats.money(elevenlabs), f"Sum of the cost of all conversations. {AS_BOOKED}"),
        "Match rate": (
            UNKNOWN if summary.match_rate is None else f"{summary.match_rate:.1%}",
            "Matched calls, divided by all that both providers should know: matched, call only and conversation only.",
        ),
        "Calls": (formats.count(summary.twilio.total_calls), f"Legs without a parent. {AS_BOOKED}"),
        "Conversations": (formats.count(summary.elevenlabs.total_conversations), f"All of them. {AS_BOOKED}"),
        **{MATCHES[match]: (_counted(summary, match), means) for match, means in _meanings(summary).items()},
    }
    with st.grid(5, min_column_width=NARROWEST):
        for label, (text, help_) in cards.items():
            st.metric(label, literal(text), help=literal(help_), border=True, height="stretch")


def _meanings(summary: CallSummary) -> Mapping[Match, str]:
    """Return what is counted on a card of its own, in words."""
    return {
        Match.MATCHED: "Calls with a conversation that names one of their legs.",
        Match.CALL_ONLY: "Answered calls that no stored conversation names. Calls that nobody answered are not among "
        f"them: {_counted(summary, Match.UNANSWERED)}.",
        Match.CONVERSATION_ONLY: "Conversations that came over Twilio, and whose call is not stored.",
        Match.NO_PHONE: "Conversations of widgets, WhatsApp and others, which never have a call.",
    }


def _counted(summary: CallSummary, match: Match) -> str:
    return formats.count(summary.of(match))
