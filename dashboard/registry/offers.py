"""What the providers list as the account's own: asked for by a click, and offered where something is registered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

import streamlit as st

from dashboard import data, formats
from sync.errors import VoiceLedgerError
from sync.models import PROVIDER_NAMES, ListedAgent, ListedNumber
from sync.sentences import counted

OFFERS = "listed by the providers"

Listed = TypeVar("Listed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What came of the last click; nothing before it."""

    numbers: Sequence[ListedNumber] = ()
    agents: Sequence[ListedAgent] = ()
    problems: Sequence[str] = ()
    fetched_at: datetime | None = None


def current() -> Offers:
    """Return what was fetched in this session."""
    offers: Offers = st.session_state.get(OFFERS, Offers())
    return offers


def show() -> None:
    """Draw the button, and what came of it."""
    if st.button(
        "Look up numbers and agents at the providers",
        disabled=not data.services().sources(),
        icon=":material/cloud_download:",
        help="Twilio's numbers, ElevenLabs' numbers and agents: offered below. They are kept for five minutes.",
        key="look up",
    ):
        with st.spinner("Asking the providers…"):
            st.session_state[OFFERS] = _fetch()
    offers = current()
    for problem in offers.problems:
        st.warning(formats.literal(problem), icon=":material/cloud_off:")
    if offers.fetched_at:
        found = (counted(len(offers.numbers), "number"), counted(len(offers.agents), "agent"))
        st.caption(f"Found {found[0]} and {found[1]}, {formats.age(data.now() - offers.fetched_at)}.")


def _fetch() -> Offers:
    problems: list[str] = []
    numbers: dict[str, ListedNumber] = {}  # the same number is at both providers, with two labels
    for source in data.services().sources():
        for number in _tried(partial(data.listed_numbers, source), PROVIDER_NAMES[source], problems):
            numbers.setdefault(number.phone_number, number)
    agents: list[ListedAgent] = []
    if "elevenlabs" in data.services().sources():
        agents = _tried(data.listed_agents, "ElevenLabs", problems)
    return Offers(
        numbers=list(numbers.values()), agents=agents, problems=list(dict.fromkeys(problems)), fetched_at=data.now()
    )


def _tried(fetch: Callable[[], list[Listed]], provider: str, problems: list[str]) -> list[Listed]:
    try:
        return fetch()
    except VoiceLedgerError as exc:
        problems.append(f"{provider} could not be asked. {exc} Everything else on this page works without it.")
        return []
