"""The numbers above the list of calls: how many found their counterpart, and what they add up to."""

from decimal import Decimal

import streamlit as st

from dashboard import formats
from dashboard.formats import UNKNOWN, literal
from sync.call_costs import CallSummary, Match

NARROWEST = 165  # pixels that the longest amount needs

AS_BOOKED = "Counted at the start and in the workspace of each record, as on the other pages."


def show(summary: CallSummary, currency: str) -> None:
    """Draw two rows of cards."""
    twilio, elevenlabs = _cost_of_twilio(summary), _cost_of_elevenlabs(summary)
    both = twilio + elevenlabs if twilio is not None and elevenlabs is not None and currency == "USD" else None
    cards = {
        "Total cost": (formats.money(both), f"Twilio and ElevenLabs, in US dollars. {AS_BOOKED}"),
        "Twilio cost": (formats.money(twilio, currency), f"Sum of the prices of all legs. {AS_BOOKED}"),
        "ElevenLabs cost": (formats.money(elevenlabs), f"Sum of the cost of all conversations. {AS_BOOKED}"),
        "Match rate": (
            UNKNOWN if summary.match_rate is None else f"{summary.match_rate:.1%}",
            "Matched calls, divided by all that both providers should know: matched, calls without conversation and "
            "conversations without call.",
        ),
        "Calls": (formats.count(summary.twilio.total_calls), f"Legs without a parent. {AS_BOOKED}"),
        "Conversations": (formats.count(summary.elevenlabs.total_conversations), f"All of them. {AS_BOOKED}"),
        "Matched": (_counted(summary, Match.MATCHED), "Calls with a conversation that names one of their legs."),
        "No conversation": (
            _counted(summary, Match.CALL_ONLY),
            "Answered calls that no stored conversation names. Calls that nobody answered are not among them: "
            f"{_counted(summary, Match.UNANSWERED)}.",
        ),
        "No call": (
            _counted(summary, Match.CONVERSATION_ONLY),
            "Conversations that came over Twilio, and whose call is not stored.",
        ),
        "No phone": (
            _counted(summary, Match.NO_PHONE),
            "Conversations of widgets, WhatsApp and others, which never have a call.",
        ),
    }
    with st.grid(5, min_column_width=NARROWEST):
        for label, (text, help_) in cards.items():
            st.metric(label, literal(text), help=literal(help_), border=True, height="stretch")


def _counted(summary: CallSummary, match: Match) -> str:
    return formats.count(summary.of(match))


def _cost_of_twilio(summary: CallSummary) -> Decimal | None:
    """Return the cost, unknown where there is nothing but legs without a price."""
    totals = summary.twilio
    return None if not totals.total_cost and totals.unpriced_calls else totals.total_cost


def _cost_of_elevenlabs(summary: CallSummary) -> Decimal | None:
    totals = summary.elevenlabs
    return None if not totals.total_cost and totals.unpriced_conversations else totals.total_cost
