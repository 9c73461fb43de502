"""The list of calls with what they cost in all: how it is asked for, read page by page, drawn and downloaded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import callers, data, formats
from dashboard.csv_export import Cell, to_csv
from dashboard.filters import View
from dashboard.formats import UNKNOWN
from sync.call_costs import CallCost, CallFilter, Direction, Match, SortKey
from sync.models import FINAL_CALL_STATUSES, FINAL_CONVERSATION_STATUSES
from sync.sentences import counted

SEARCHED = "calls searched"  # what for, in the state of a session, which keeps it when the page is left
OPENED = "calls opened"  # how many, in the state of a session
ROWS = 50  # on a page
GAP_WIDTH = 80  # pixels; few rows have a long one, so that Streamlit would measure too little
MOST_ROWS, CHUNK = 50_000, 5_000  # of a download

MATCHES: Mapping[Match, str] = {
    Match.MATCHED: "Matched",
    Match.CALL_ONLY: "Call only",
    Match.UNANSWERED: "Call not answered",
    Match.CONVERSATION_ONLY: "Conversation only",
    Match.NO_PHONE: "Not by phone",
}
DIRECTIONS: Mapping[Direction, str] = {"inbound": "Inbound", "outbound": "Outbound"}
STATUSES = (*FINAL_CALL_STATUSES, "queued", "ringing", "in-progress", *FINAL_CONVERSATION_STATUSES, "processing")
ORDERS: Mapping[str, tuple[SortKey, bool]] = {
    "Newest first": (SortKey.START, True),
    "Oldest first": (SortKey.START, False),
    "Highest cost first": (SortKey.COST, True),
    "Lowest cost first": (SortKey.COST, False),
    "Longest first": (SortKey.DURATION, True),
    "Shortest first": (SortKey.DURATION, False),
    "Largest gap first": (SortKey.GAP, True),
    "Smallest gap first": (SortKey.GAP, False),
}
SEARCH, MATCH, DIRECTION, STATUS, ORDER = "search", "match", "direction", "status", "order"  # names in the URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which calls a reader asks for, and in which order."""

    wanted: CallFilter
    order: str
    key: SortKey
    descending: bool


def choose(view: View) -> Question:
    """Draw the filters of this page and return what they ask for, within the period and the workspaces."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = _choose_search()
        match = _choose("Match", {text: match for match, text in MATCHES.items()}, MATCH, width=220)
        direction = _choose("Direction", {text: way for way, text in DIRECTIONS.items()}, DIRECTION, width=120)
        status = _choose("Status", {text: text for text in dict.fromkeys(STATUSES)}, STATUS, width=130)
        order = st.selectbox("Sort", ORDERS, key=ORDER, bind="query-params", width=185)
    wanted = CallFilter(
        since=view.period.since,
        until=view.period.until,
        workspaces=view.workspaces,
        match=match,
        direction=direction,
        status=status,
        search=search,
    )
    key, descending = ORDERS[order]
    return Question(wanted=wanted, order=order, key=key, descending=descending)


def _choose_search() -> str:
    """Draw the field for an id or a phone number. An id stands in the URL; a number does not, since URLs are logged."""
    st.session_state.setdefault(SEARCH, st.query_params.get(SEARCH) or st.session_state.get(SEARCHED, ""))
    text = st.text_input(
        "Search",
        key=SEARCH,
        placeholder="Id or phone number",
        help="The whole id of a call leg or conversation, of today or older, or a phone number or its last digits.",
        width=210,
    ).strip()
    st.session_state[SEARCHED] = text
    if CallFilter(search=text).searched_id:
        st.query_params[SEARCH] = text
    else:
        st.query_params.pop(SEARCH, None)
    return text


def _choose(label: str, options: Mapping[str, str], key: str, *, width: int) -> str | None:
    chosen = st.selectbox(label, options, index=None, key=key, bind="query-params", placeholder="Any", width=width)
    return options[chosen] if chosen else None


def reset() -> None:
    """Ask for all calls of the period and the workspaces, as a click on a button does."""
    st.session_state[SEARCH] = ""
    for key in (MATCH, DIRECTION, STATUS):
        st.session_state[key] = None


def show(question: Question, count: int, zone: ZoneInfo, *, masked: bool, on_open: Callable[[str], object]) -> None:
    """Draw one page of the list, and where to turn it; `on_open` is called with the id of a call that was chosen."""
    pages = -(-count // ROWS)
    page = 1
    if pages > 1:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            # Another question is another widget, which begins at the first page.
            page = int(st.number_input(f"Page, of {pages:,}", 1, pages, key=f"page of {question}", width=150))
            st.caption(f"Rows {(page - 1) * ROWS + 1:,} to {min(page * ROWS, count):,} of {count:,}", width="content")
    calls = data.call_costs(
        question.wanted, question.key, descending=question.descending, limit=ROWS, offset=(page - 1) * ROWS
    )
    names = {workspace.id: workspace.name for workspace in data.workspaces()}
    drawn = st.dataframe(
        pd.DataFrame([_drawn(call, zone, names, masked=masked) for call in calls], columns=[*HEADINGS]),
        column_config={
            "Start": st.column_config.TextColumn(pinned=True, width=150),
            "Match": st.column_config.TextColumn(width=150),
            "Status": st.column_config.TextColumn(width=95),
        }
        | {
            name: st.column_config.TextColumn(alignment="right", help=help_, width=GAP_WIDTH if name == "Gap" else None)
            for name, help_ in AMOUNTS.items()
        },
        hide_index=True,
        height="content",
        placeholder=UNKNOWN,
        on_select="rerun",
        selection_mode="single-row",
        alt=f"Calls, {question.order.lower()}: what each cost at Twilio, at ElevenLabs and in all",
        # Another widget for each time that a call was opened: the row chosen then would open it again on the way back.
        key=f"calls {page} of {question}, {st.session_state.get(OPENED, 0)}",
    )
    chosen = [] if isinstance(drawn, DeltaGenerator) else drawn.selection.rows
    if chosen and chosen[0] < len(calls):
        st.session_state[OPENED] = st.session_state.get(OPENED, 0) + 1
        on_open(calls[chosen[0]].call_id)


HEADINGS = (
    *("Start", "Total", "Twilio", "ElevenLabs", "Match", "Duration", "Gap", "From", "To", "Direction", "Status"),
    *("Missing", "Voice", "LLM", "Legs", "Agent", "Workspace"),
)
AMOUNTS: Mapping[str, str] = {
    "Duration": "Talk time of the first leg, or of the conversation where there is no leg.",
    "Twilio": "Sum of the prices of all legs.",
    "Voice": "The part of ElevenLabs that voice takes, in US dollars.",
    "LLM": "The part of ElevenLabs that language models take, in US dollars.",
    "ElevenLabs": "Cost of the conversations, in US dollars.",
    "Total": "Twilio and ElevenLabs, in US dollars; a dash while a part is not known, which Missing names.",
    "Gap": "Talk time on the line less that of the conversation.",
    "Legs": "Call legs, each of which Twilio bills.",
}


def _drawn(call: CallCost, zone: ZoneInfo, names: Mapping[int, str], *, masked: bool) -> list[str]:
    return [
        f"{call.started_at.astimezone(zone):%-d %b %Y, %H:%M:%S}",
        formats.money(call.total_cost, places=4),
        formats.money(call.twilio_cost, call.price_unit or "USD", places=4),
        formats.money(call.elevenlabs_cost, places=4),
        MATCHES[call.match],
        formats.short_time(call.duration),
        gap(call.gap),
        callers.number(call.from_number, masked=masked),
        callers.number(call.to_number, masked=masked),
        call.direction or UNKNOWN,
        call.status,
        "; ".join(missing(call)),
        formats.money(call.platform_price, places=4),
        formats.money(call.llm_price, places=6),
        formats.count(call.legs),
        call.agent_name or UNKNOWN,
        owners(call, names),
    ]


def missing(call: CallCost) -> list[str]:
    """Say why a call has no sum."""
    return [
        *([f"{counted(call.unpriced_legs, 'leg')} without a price"] if call.unpriced_legs else []),
        *(
            [f"{counted(call.unpriced_conversations, 'conversation')} without a price"]
            if call.unpriced_conversations
            else []
        ),
        *(["the call leg"] if call.match is Match.CONVERSATION_ONLY else []),
        *([f"{call.price_unit} is not added to USD"] if call.has_foreign_currency else []),
    ]


def owners(call: CallCost, names: Mapping[int, str]) -> str:
    """Name the workspace of the call, and that of its conversation if it is another one."""
    owner = names.get(call.workspace_id, UNKNOWN)
    other = call.conversation_workspace_id
    if other is None or other == call.workspace_id:
        return owner
    return f"{owner}; conversation: {names.get(other, UNKNOWN)}"


def gap(seconds: int | None) -> str:
    if seconds is None:
        return UNKNOWN
    return f"{formats.MINUS if seconds < 0 else ''}{formats.short_time(abs(seconds))}"


CSV_HEADINGS = (
    *("Start", "Call", "Conversation", "From", "To", "Direction", "Status", "Match", "Workspace", "Agent"),
    *("Legs (count)", "Conversations (count)", "Duration (seconds)", "Conversation (seconds)", "Gap (seconds)"),
    *("Twilio (Twilio currency)", "Twilio currency", "Voice (USD)", "LLM (USD)", "ElevenLabs (USD)"),
    *("ElevenLabs (credits)", "Total (USD)", "Missing"),
)


def csv(
    question: Question, count: int, notes: Sequence[tuple[str, str]], zone: ZoneInfo, *, masked: bool
) -> Callable[[], bytes]:
    """Return what makes a CSV of all that the filters select, up to the limit, read from the store piece by piece.

    It is called on a click, outside of any session: what depends on the reader is settled now.
    """
    names = {workspace.id: workspace.name for workspace in data.workspaces()}
    wanted = question.wanted
    about = [
        *notes,
        ("Search", _searched(wanted, masked=masked)),
        ("Match", MATCHES[wanted.match] if wanted.match else "any"),
        ("Direction", wanted.direction or "any"),
        ("Status", wanted.status or "any"),
        ("Sorted", question.order),
        ("Rows", f"{min(count, MOST_ROWS):,} of {count:,}"),
        ("Numbers", "masked" if masked else "in full"),
    ]
    read = data.call_reader(wanted, question.key, descending=question.descending)

    def make() -> bytes:
        rows = (_cells(call, zone, names, masked=masked) for call in chain.from_iterable(_pieces(read)))
        return to_csv(about, CSV_HEADINGS, rows)

    return make


def _searched(wanted: CallFilter, *, masked: bool) -> str:
    return callers.number(wanted.search, masked=masked and wanted.searched_id is None) if wanted.search else "nothing"


def _pieces(read: Callable[[int, int], list[CallCost]]) -> Iterator[list[CallCost]]:
    for offset in range(0, MOST_ROWS, CHUNK):
        piece = read(CHUNK, offset)
        yield piece
        if len(piece) < CHUNK:
            return


def _cells(call: CallCost, zone: ZoneInfo, names: Mapping[int, str], *, masked: bool) -> list[Cell]:
    return [
        call.started_at.astimezone(zone).isoformat(sep=" ", timespec="seconds"),
        call.call_id if call.legs else None,
        call.conversation_id,
        callers.number(call.from_number, masked=masked),
        callers.number(call.to_number, masked=masked),
        call.direction,
        call.status,
        MATCHES[call.match],
        owners(call, names),
        call.agent_name,
        call.legs,
        call.conversations,
        call.duration,
        call.conversation_seconds,
        call.gap,
        call.twilio_cost,
        call.price_unit,
        call.platform_price,
        call.llm_price,
        call.elevenlabs_cost,
        call.credits,
        call.total_cost,
        "; ".join(missing(call)),
    ]
