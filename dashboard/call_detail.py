"""One call: its legs, its conversation, what they cost together, and what was said, fetched when asked for."""

from collections.abc import Callable
from decimal import Decimal
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from dashboard import call_costs, callers, data, formats, llm_models, units
from dashboard.formats import UNKNOWN, literal
from sync.call_costs import CallCost, CallDetail
from sync.errors import VoiceLedgerError
from sync.models import CallLeg, Conversation, TranscriptTurn

SPEAKERS = {"agent": "Agent", "user": "Caller"}
AVATARS = {"agent": ":material/smart_toy:", "user": ":material/person:"}


def show(detail: CallDetail, zone: ZoneInfo, *, masked: bool) -> None:
    call = detail.call
    names = {workspace.id: workspace.name for workspace in data.workspaces()}
    said = [
        f"{call.started_at.astimezone(zone):%a %-d %b %Y, %H:%M:%S} ({zone})",
        call_costs.owners(call, names),
        call_costs.MATCHES[call.match],
    ]
    st.caption(literal(" · ".join(said)))
    _show_amounts(call)
    _show_costs(detail)
    if detail.legs:
        _show_legs(detail, zone, masked=masked)
    for talk in detail.conversations:
        _show_conversation(talk, zone)
    if not detail.conversations:
        st.info("No stored conversation names this call.", icon=":material/voice_over_off:")


def _show_amounts(call: CallCost) -> None:
    amounts = {
        "Total cost": (formats.money(call.total_cost, places=4), "Twilio and ElevenLabs together, in US dollars."),
        "Twilio": (formats.money(call.twilio_cost, call.price_unit or "USD", places=4), "Sum of all legs."),
        "ElevenLabs": (formats.money(call.elevenlabs_cost, places=4), "Sum of all conversations."),
        "Duration gap": (call_costs.gap(call.gap), "Talk time on the line less that of the conversation."),
    }
    with st.grid(len(amounts), min_column_width=165):
        for label, (text, help_) in amounts.items():
            st.metric(label, literal(text), help=help_, border=True, height="stretch")
    if lacking := call_costs.missing(call):
        st.warning(literal(f"There is no total yet. Missing: {'; '.join(lacking)}."), icon=":material/hourglass_top:")
    st.caption(literal(explained_gap(call)))


def explained_gap(call: CallCost) -> str:
    """Say how long the line was open and the conversation lasted, and where a difference comes from."""
    line, talk = formats.short_time(call.duration), formats.short_time(call.conversation_seconds)
    if call.gap is None:
        return "There is a duration gap only where both a call leg and a conversation have ended."
    both = f"The line was open for {line}, the conversation lasted {talk}"
    if call.gap == 0:
        return f"{both}: no gap."
    difference = formats.short_time(abs(call.gap))
    if call.gap > 0:
        reason = "connecting the agent, or a person the call was passed on to"
        return f"{both}: {difference} on the line without the agent, for example for {reason}."
    return f"{both}: ElevenLabs counts {difference} more than Twilio; it may begin to count before the answer."


def _show_costs(detail: CallDetail) -> None:
    st.subheader("Cost")
    rows = [*map(_cost_of_leg, enumerate(detail.legs, 1))]
    for talk in detail.conversations:
        rows += _costs_of_conversation(talk)
    rows.append(("Sum", "", formats.money(detail.call.total_cost, places=6)))
    frame = pd.DataFrame(rows, columns=["Part", "Of what", "Cost"])
    st.dataframe(
        frame,
        column_config={"Cost": st.column_config.TextColumn(alignment="right")},
        hide_index=True,
        height="content",
        alt="What each part of the call cost, and the sum",
        key="costs",
    )


def _cost_of_leg(numbered: tuple[int, CallLeg]) -> tuple[str, str, str]:
    place, leg = numbered
    return f"Twilio leg {place}", leg.direction, formats.money(leg.cost, leg.price_unit or "USD", places=6)


def _costs_of_conversation(talk: Conversation) -> list[tuple[str, str, str]]:
    of_what = talk.agent_name or talk.conversation_id
    rest = _not_itemised(talk)
    return [
        ("ElevenLabs voice", of_what, formats.money(talk.platform_price, places=6)),
        ("ElevenLabs LLM", of_what, formats.money(talk.llm_price, places=6)),
        *([("ElevenLabs, not itemised", of_what, formats.money(rest, places=6))] if rest is None or rest else []),
    ]


def _not_itemised(talk: Conversation) -> Decimal | None:
    """Return what the cost is beyond its two parts; unknown as long as the cost is."""
    if talk.cost is None:
        return None
    return talk.cost - (talk.platform_price or 0) - (talk.llm_price or 0)


def _show_legs(detail: CallDetail, zone: ZoneInfo, *, masked: bool) -> None:
    st.subheader("Call legs")
    rows = [
        (
            f"{leg.started_at.astimezone(zone):%H:%M:%S}",
            callers.number(leg.from_number, masked=masked),
            callers.number(leg.to_number, masked=masked),
            leg.direction,
            leg.status,
            formats.short_time(leg.duration),
            formats.money(leg.cost, leg.price_unit or "USD", places=4),
            leg.sid,
        )
        for leg in detail.legs
    ]
    frame = pd.DataFrame(rows, columns=["Start", "From", "To", "Direction", "Status", "Duration", "Cost", "Sid"])
    st.dataframe(frame, hide_index=True, height="content", alt="The legs of this call, in their order", key="legs")


def _show_conversation(talk: Conversation, zone: ZoneInfo) -> None:
    st.subheader(f"Conversation with {literal(talk.agent_name or UNKNOWN)}")
    facts = {
        "Start": f"{talk.started_at.astimezone(zone):%H:%M:%S}",
        "Status": talk.status,
        "Channel": talk.channel or UNKNOWN,
        "Duration": formats.short_time(talk.duration),
        "Cost": formats.money(talk.cost, places=6),
        "Credits": formats.credits_(talk.credits),
        "LLM charge": formats.credits_(talk.llm_charge),
        "Call charge": formats.credits_(talk.call_charge),
        "Free minutes": formats.minutes(talk.free_minutes_consumed),
        "Free LLM dollars": formats.money(talk.free_llm_dollars_consumed, places=6),
        "Discounted": "yes" if talk.dev_discount else "no",
        "Burst rate": "yes" if talk.is_burst else "no",
        "Ended by": talk.termination_reason or UNKNOWN,
        "Id": talk.conversation_id,
    }
    st.dataframe(
        pd.DataFrame(facts.items(), columns=["What", "Value"]),
        hide_index=True,
        height="content",
        alt="What ElevenLabs says of the conversation",
        key=f"facts {talk.conversation_id}",
    )
    if talk.llm_usage:
        _show_models(talk)
    _offer_transcript(talk.conversation_id)


def _show_models(talk: Conversation) -> None:
    table = llm_models.table(talk.llm_usage)
    st.dataframe(
        table.frame(),
        column_config={
            metric.label: st.column_config.NumberColumn(
                format=units.of(metric).column if units.of(metric) is units.COUNT else "$%,.6f"
            )
            for metric in table.metrics
        },
        hide_index=True,
        height="content",
        alt="Tokens and price by language model in this conversation",
        key=f"models {talk.conversation_id}",
    )


def _offer_transcript(conversation_id: str) -> None:
    """Fetch what was said on a click. It goes to this page alone: no store and no cache keeps it."""
    key = f"transcript {conversation_id}"
    if not st.button("Show transcript", key=key, icon=":material/chat:", help="Asks ElevenLabs; nothing is stored."):
        return
    with st.spinner("Asking ElevenLabs for the transcript…"):
        turns = _fetched(lambda: data.transcript(conversation_id))
    for turn in turns or []:
        _show_turn(turn)
    if turns == []:
        st.info("Nothing was said in this conversation.", icon=":material/speaker_notes_off:")


def _fetched(fetch: Callable[[], list[TranscriptTurn]]) -> list[TranscriptTurn] | None:
    try:
        return fetch()
    except VoiceLedgerError as exc:
        st.error(literal(f"The transcript cannot be shown: {exc}"), icon=":material/error:")
        return None


def _show_turn(turn: TranscriptTurn) -> None:
    who = SPEAKERS.get(turn.role, turn.role or "Unknown")
    with st.chat_message(who, avatar=AVATARS.get(turn.role, ":material/build:")):
        st.caption(literal(f"{who}, {formats.short_time(turn.seconds)}"))
        if turn.message:
            st.markdown(literal(turn.message))
        if turn.tools:
            st.caption(literal(f"Used {', '.join(turn.tools)}"))
