"""What changes one period of a number: its label and dates, its owner, its end, its deletion."""

from collections.abc import Callable, Mapping, Sequence
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import data, formats
from dashboard.registry import dates, names, proposals
from sync.models import Phone
from sync.registry import DeleteNumber, EditNumber, MoveNumber, RegistryChange

PLACE = "change number"
WIDTH, TEXT_WIDTH = 460, 200  # pixels


def is_current(phone: Phone) -> bool:
    now = data.now()
    return (phone.valid_from is None or phone.valid_from <= now) and (
        phone.valid_until is None or phone.valid_until > now
    )


def show(phones: Sequence[Phone], owners: Mapping[int, str], zone: ZoneInfo) -> None:
    """Draw the choice of a period and of what to do, then the form for it."""
    called = names.of_numbers(phone.phone_number for phone in phones)
    by_id = {phone.id: phone for phone in phones}

    def name(phone_id: int) -> str:
        phone = by_id.get(phone_id)
        if phone is None:
            return ""
        owner = owners.get(phone.workspace_id, "")
        return f"{called[phone.phone_number]} · {owner}, {dates.span(phone.valid_from, phone.valid_until, zone)}"

    with proposals.row():
        chosen = st.selectbox(
            "Change a number",
            list(by_id),
            index=None,
            format_func=name,
            placeholder="Choose a number",
            key=proposals.key(PLACE, "chosen"),
            width=WIDTH,
        )
        action = proposals.choose_action(PLACE, list(ACTIONS), chosen if chosen in by_id else None)
    if chosen not in by_id:
        return
    ACTIONS[action](by_id[chosen], owners.get(by_id[chosen].workspace_id, ""), zone)


def _edit(phone: Phone, owner: str, zone: ZoneInfo) -> None:
    with st.form(_key(phone, "edit")), proposals.row():
        label = st.text_input("Label", phone.label or "", key=_key(phone, "label"), width=TEXT_WIDTH)
        start, end = dates.choose_span(phone.valid_from, phone.valid_until, zone, key=_key(phone, "dates"))
        is_sent = st.form_submit_button("Preview", icon=":material/visibility:")
    change = EditNumber(phone_id=phone.id, label=label or None, valid_from=start, valid_until=end)
    _propose(change, is_sent, confirm="Save", done="Number saved.")


def _move(phone: Phone, owner: str, zone: ZoneInfo) -> None:
    with st.form(_key(phone, "move")), proposals.row():
        workspace = names.choose_workspace(_key(phone, "to"))
        day = dates.choose("From", dates.today(zone), zone, key=_key(phone, "from"), help="What came before stays.")
        is_sent = st.form_submit_button("Preview", icon=":material/visibility:")
    start = dates.moment_of(day, zone)
    if start is None:
        st.caption("Choose the date from which it belongs to the other workspace.")
        return
    change = MoveNumber(workspace=workspace, phone_number=phone.phone_number, valid_from=start)
    _propose(change, is_sent, confirm=f"Move to {names.with_new(workspace)}", done=f"Number moved to {workspace}.")


def _release(phone: Phone, owner: str, zone: ZoneInfo) -> None:
    with st.form(_key(phone, "release")), proposals.row():
        day = dates.choose("Until", dates.today(zone), zone, key=_key(phone, "end"), help=dates.NO_LONGER)
        is_sent = st.form_submit_button("Preview", icon=":material/visibility:")
    end = dates.moment_of(day, zone, phone.valid_until)
    if end is None:
        st.caption("Choose the date from which nobody owns it.")
        return
    change = EditNumber(phone_id=phone.id, label=phone.label, valid_from=phone.valid_from, valid_until=end)
    _propose(change, is_sent, confirm="Release", done=f"Number released by {owner}.")


def _delete(phone: Phone, owner: str, zone: ZoneInfo) -> None:
    span = dates.span(phone.valid_from, phone.valid_until, zone)
    st.warning(
        formats.literal(
            f"This removes {owner}'s registration of the number ({span}), as if it had never been there. Its calls and"
            " conversations of that time stay, and become Unassigned. To end it from a date on, release it instead."
        ),
        icon=":material/warning:",
    )
    is_sent = proposals.preview_button(PLACE)
    _propose(DeleteNumber(phone_id=phone.id), is_sent, confirm="Delete", done=f"Number of {owner} deleted.")


def _propose(change: RegistryChange, is_sent: bool, *, confirm: str, done: str) -> None:
    if is_sent:
        proposals.preview(PLACE, [change])
    proposals.show(PLACE, [change], confirm=confirm, done=done)


def _key(phone: Phone, name: str) -> str:
    return proposals.key(PLACE, f"{name} {phone.id}")


ACTIONS: Mapping[str, Callable[[Phone, str, ZoneInfo], None]] = {
    "Edit": _edit,
    "Move": _move,
    "Release": _release,
    "Delete": _delete,
}
