"""The numbers that a workspace owns or owned, with their dates; masked unless the reader asks to see them."""

from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from dashboard import callers, data
from dashboard.formats import UNKNOWN
from dashboard.registry import dates, names
from sync.models import Phone


def show(workspace_id: int, zone: ZoneInfo) -> None:
    """Draw them, the current ones first; masked unless the reader asks to see them."""
    phones = [phone for phone in data.phones() if phone.workspace_id == workspace_id]
    if not phones:
        st.caption("No number is registered for it.")
        return
    callers.switch()
    called = names.of_numbers(phone.phone_number for phone in phones)
    phones.sort(key=lambda phone: (phone.valid_until is not None, phone.phone_number))
    frame = pd.DataFrame([_row(phone, called[phone.phone_number], zone) for phone in phones])
    st.dataframe(frame, hide_index=True, height="content", placeholder=UNKNOWN, alt="Numbers", width="content")


def _row(phone: Phone, called: str, zone: ZoneInfo) -> dict[str, str | None]:
    return {
        "Number": called,
        "Label": phone.label,
        "From": dates.words(phone.valid_from, zone, if_none="always"),
        "Until": dates.words(phone.valid_until, zone, if_none="now"),
    }
