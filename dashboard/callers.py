"""Who was on one side of a call: a number, masked until a reader asks for it, an address, or that it is hidden."""

import re

import streamlit as st

from dashboard import formats
from dashboard.formats import UNKNOWN
from sync.phone_numbers import WITHHELD, owned_number

FULL = "full numbers"  # in the state of a session


def switch() -> bool:
    """Draw the switch that shows numbers in full; return whether it is on."""
    return st.toggle("Show full numbers", key=FULL, help="Otherwise only their country and their last four digits.")


def are_in_full() -> bool:
    """Tell whether the switch, which may stand further down or on no page yet, is on."""
    return bool(st.session_state.get(FULL))


def number(text: str | None, *, masked: bool) -> str:
    """Return who was on one side; of a number only its country and last digits, unless it may be shown."""
    if not text:
        return UNKNOWN
    if text in WITHHELD:
        return WITHHELD[text]
    if not masked:
        return text
    shown = re.sub(r"\+?\d{6,}", lambda found: _masked(found[0]), text)
    return shown if shown != text else _masked_as_typed(text)


def _masked_as_typed(text: str) -> str:
    """Mask a text without a long row of digits: it may be a number in groups, such as 1 (202) 555-0155."""
    plain = owned_number(text, on_trunk=True)
    return _masked(plain) if plain else text


def _masked(digits: str) -> str:
    return formats.masked_number(digits) if digits.startswith("+") else f"… {digits[-4:]}"
