"""Accounts below the configured one at Twilio: whose calls no sync sees."""

from concurrent.futures import Future

import streamlit as st

from dashboard import data, formats
from sync.sentences import subaccounts_left_out

LOOK_EVERY = 5  # seconds; Twilio is asked beside the page, which does not wait for it


def show() -> None:
    """Draw how many there are, as soon as Twilio has answered; nothing if there are none, or the key may not ask."""
    if "twilio" in data.services().sources():
        st.fragment(_show, run_every=LOOK_EVERY)(data.subaccounts())


def _show(asked: "Future[int | None]") -> None:
    if asked.done() and not asked.exception() and (count := asked.result()):
        st.warning(formats.literal(subaccounts_left_out(count)), icon=":material/account_tree:")
