"""Numbers that were used while nobody owned them: the job to do on this page."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import data, formats
from dashboard.registry import dates, names, proposals, used
from sync.models import Phone, UnregisteredNumber
from sync.registry import RegisterNumber
from sync.sentences import counted

PLACE = "unregistered numbers"
FIRST_USE, ALWAYS, A_DATE = "First use", "Always", "A date"
WIDTH = 290  # pixels
MOST_SAID = 4

Gap = tuple[datetime | None, datetime | None]


def show(numbers: Sequence[UnregisteredNumber], zone: ZoneInfo) -> None:
    """Draw the table, and what assigns some of its numbers to a workspace."""
    used.heading(numbers, "number", "What they cost is in Unassigned until you say whose they are.")
    called = names.of_numbers(number.phone_number for number in numbers)
    _show_table(numbers, called, zone)
    with proposals.row():
        chosen = st.multiselect(
            "Numbers to assign",
            [number.phone_number for number in numbers],
            format_func=lambda number: called.get(number, number),
            placeholder="Choose one or several",
            key=proposals.key(PLACE, "chosen"),
            width=WIDTH,
        )
        workspace = names.choose_workspace(proposals.key(PLACE, "workspace"))
        starts = _choose_starts([number for number in numbers if number.phone_number in chosen], zone)
        phones = data.phones()
        gaps = {number.phone_number: _gap(number, start, phones) for number, start in starts}
        changes = [
            RegisterNumber(workspace=workspace, phone_number=number, valid_from=start, valid_until=end)
            for number, (start, end) in gaps.items()
            if workspace
        ]
        is_asked = proposals.preview_button(PLACE, disabled=not changes)
    if gaps:
        st.caption(_said(gaps, called, zone))
    if is_asked:
        proposals.preview(PLACE, changes)
    what = counted(len(changes), "number")
    proposals.show(
        PLACE, changes, confirm=f"Assign {what} to {names.with_new(workspace)}", done=f"{what} assigned to {workspace}."
    )


def _show_table(numbers: Sequence[UnregisteredNumber], called: names.Names, zone: ZoneInfo) -> None:
    used.table(
        {
            "Number": [called[number.phone_number] for number in numbers],
            "Calls": [number.calls for number in numbers],
            "Conversations": [number.conversations for number in numbers],
            "Twilio cost": [used.amount(number.twilio_cost, of=1) for number in numbers],
            "ElevenLabs cost": [used.amount(number.elevenlabs_cost, of=number.conversations) for number in numbers],
            "Unpriced": [number.unpriced for number in numbers],
            "First used": [used.local(number.first_seen, zone) for number in numbers],
            "Last used": [used.local(number.last_seen, zone) for number in numbers],
        },
        alt="Numbers that were used and are not registered, the last used first",
    )


def _choose_starts(
    chosen: Sequence[UnregisteredNumber], zone: ZoneInfo
) -> list[tuple[UnregisteredNumber, datetime | None]]:
    """Draw the choice of the day from which the numbers are the workspace's; return it for each of them."""
    kind = st.segmented_control(
        "Theirs from",
        [FIRST_USE, ALWAYS, A_DATE],
        default=FIRST_USE,
        required=True,
        key=proposals.key(PLACE, "start"),
        help="The day when each was first used, always, or one date for all. Earlier calls stay Unassigned.",
    )
    if kind == ALWAYS:
        return [(number, None) for number in chosen]
    first = min((number.first_seen for number in chosen), default=data.now())
    if kind == A_DATE:
        day = dates.choose("Date", dates.day_of(first, zone), zone, key=proposals.key(PLACE, "date"))
        return [(number, dates.moment_of(day, zone)) for number in chosen if day]
    return [(number, dates.moment_of(dates.day_of(number.first_seen, zone), zone)) for number in chosen]


def _gap(number: UnregisteredNumber, start: datetime | None, phones: Sequence[Phone]) -> Gap:
    """Return from when to when nobody owns the number: what others had before and have after stays theirs."""
    used_at = max(number.first_seen, start) if start else number.first_seen
    others = [phone for phone in phones if phone.phone_number == number.phone_number]
    ends = [phone.valid_until for phone in others if phone.valid_until and phone.valid_until <= used_at]
    begins = [phone.valid_from for phone in others if phone.valid_from and phone.valid_from > used_at]
    return max([start, *ends] if start else ends, default=None), min(begins, default=None)


def _said(gaps: Mapping[str, Gap], called: names.Names, zone: ZoneInfo) -> str:
    """Return e.g. `+34 … 4567 from 1 Nov 2026`, for the first few of them."""
    said = [f"{called[number]} {dates.span(*gap, zone)}" for number, gap in gaps.items()]
    more = f" and {len(said) - MOST_SAID} more" if len(said) > MOST_SAID else ""
    return formats.literal("Theirs: " + ", ".join(said[:MOST_SAID]) + more)
