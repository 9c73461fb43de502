"""What was used while nobody owned it: the job to do on this page."""

from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import data
from dashboard.registry import proposals, unregistered_agents, unregistered_numbers
from sync.models import SOURCES

ALL_REGISTERED = "Every number and every agent that was used belongs to a workspace."
NOTHING_YET = "No call and no conversation is stored yet; after the first sync, what has no owner is listed here."
FIRST_STEPS = (
    "**No workspace yet.** A workspace is a client, and owns numbers and agents. Assign a number below to a new"
    " workspace, import a list of numbers (CSV), or add a workspace and register its numbers."
)


def show(zone: ZoneInfo) -> None:
    """Draw the section."""
    st.subheader("Not registered yet", anchor="unregistered")
    numbers, agents = data.unregistered_numbers(), data.unregistered_agents()
    for place in (unregistered_numbers.PLACE, unregistered_agents.PLACE):
        proposals.tell(place)  # here, since what it was about may have gone
    if numbers:
        unregistered_numbers.show(numbers, zone)
    if agents:
        unregistered_agents.show(agents, zone)
    if not numbers and not agents:
        st.caption(ALL_REGISTERED if any(map(data.last_active_hour, SOURCES)) else NOTHING_YET)
