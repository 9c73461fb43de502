"""Which number is whose?"""

import streamlit as st

from dashboard import callers, filters
from dashboard.registry import (
    agents,
    configuration,
    csv_files,
    names,
    numbers,
    proposals,
    subaccounts,
    unregistered,
    workspaces,
)

st.title("Settings")
with proposals.row():
    zone = filters.choose_zone()
    callers.switch()
st.caption(f"Which number is whose? Dates are days in {zone}, from midnight on; they are stored in UTC.")
if not names.of_clients():
    st.info(unregistered.FIRST_STEPS, icon=":material/group_add:")

subaccounts.show()
unregistered.show(zone)
workspaces.show(zone)
numbers.show(zone)
agents.show()
csv_files.show()
configuration.show()
