"""Numbers: who owns which of them when, and the form that registers one."""

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.registry import dates, names, number_changes, offers, proposals
from sync.models import E164, ListedNumber, Phone
from sync.registry import RegisterNumber

PLACE = "register number"
MOST_ROWS, TALLEST = 10, 390
TEXT_WIDTH, OFFERS_WIDTH = 240, 360  # pixels


def show(zone: ZoneInfo) -> None:
    """Draw the section."""
    st.subheader("Numbers", anchor="numbers")
    offers.show()
    phones, owners = data.phones(), names.of_clients()
    if phones:
        _show_table(phones, owners, zone)
    else:
        st.caption("No number is registered yet.")
    with st.expander("Register a number", icon=":material/add_call:", expanded=not phones, key="expand number"):
        _show_form(phones, zone)
    proposals.tell(number_changes.PLACE)  # here, since the last number may be the one that was deleted
    if phones:
        number_changes.show(phones, owners, zone)


def _show_table(phones: Sequence[Phone], owners: Mapping[int, str], zone: ZoneInfo) -> None:
    called = names.of_numbers(phone.phone_number for phone in phones)
    ordered = sorted(phones, key=lambda phone: (owners.get(phone.workspace_id, ""), phone.phone_number))
    st.dataframe(
        pd.DataFrame(
            {
                "Number": [called[phone.phone_number] for phone in ordered],
                "Workspace": [owners.get(phone.workspace_id, "") for phone in ordered],
                "Label": [phone.label or "" for phone in ordered],
                "From": [dates.words(phone.valid_from, zone, if_none="always") for phone in ordered],
                "Until": [dates.words(phone.valid_until, zone, if_none="now") for phone in ordered],
            }
        ),
        column_config={"Number": st.column_config.TextColumn(pinned=True)},
        hide_index=True,
        height=TALLEST if len(ordered) > MOST_ROWS else "content",
        alt="Registered numbers with their workspace, label and dates",
        key="table numbers",
    )


def _show_form(phones: Sequence[Phone], zone: ZoneInfo) -> None:
    number_key, label_key = proposals.key(PLACE, "number"), proposals.key(PLACE, "label")
    _show_offers(phones, number_key, label_key)
    with st.form(proposals.key(PLACE, "form")), proposals.row():
        number = st.text_input("Number", placeholder="+34911234567", type="phone", key=number_key, width=TEXT_WIDTH)
        workspace = names.choose_workspace(proposals.key(PLACE, "workspace"))
        label = st.text_input("Label", placeholder="Reception", key=label_key, width=TEXT_WIDTH)
        start, end = dates.choose_span(None, None, zone, key=proposals.key(PLACE, "dates"))
        is_sent = st.form_submit_button("Preview", icon=":material/visibility:")
    changes = [RegisterNumber(workspace=workspace, phone_number=number, label=label, valid_from=start, valid_until=end)]
    if is_sent:
        proposals.preview(PLACE, changes)
    proposals.show(
        PLACE, changes, confirm=f"Register for {names.with_new(workspace)}", done=f"Number registered for {workspace}."
    )


def _show_offers(phones: Sequence[Phone], number_key: str, label_key: str) -> None:
    """Draw what the providers list and nobody owns now; what is chosen goes into the form."""
    owned = {phone.phone_number for phone in phones if number_changes.is_current(phone)}
    listed = {
        number.phone_number: number
        for number in offers.current().numbers
        if number.phone_number not in owned and E164.fullmatch(number.phone_number)
    }
    if not listed:
        return
    called = names.of_numbers(listed)
    key = proposals.key(PLACE, "offer")

    def fill_in() -> None:
        number = listed.get(st.session_state[key], ListedNumber(phone_number=""))
        st.session_state[number_key], st.session_state[label_key] = number.phone_number, number.label or ""

    st.selectbox(
        "Listed by a provider, without an owner",
        list(listed),
        index=None,
        format_func=lambda number: f"{called.get(number, number)} {listed[number].label or ''}".strip(),
        placeholder="Choose one to fill in the form",
        on_change=fill_in,
        key=key,
        width=OFFERS_WIDTH,
    )
