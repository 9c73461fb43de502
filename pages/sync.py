"""Is it current, did anything fail?"""

import streamlit as st

from dashboard import access, empty, filters
from dashboard.runs import backfill_form, cards, details, failed_records, history, live, verification
from dashboard.sections import section
from sync.models import SOURCES

st.title("Sync")
zone = filters.choose_zone()
st.caption(f"Is it current, did anything fail? Times are in {zone}.")
empty.warn_of_unconfigured(SOURCES)
cards.tell_of_switch()

live.show(zone)
if access.current_user().is_admin:
    with section("Historical sync"):
        backfill_form.show(zone)
with section("Runs"):
    chosen = history.show(zone)
    if chosen is not None:
        details.show(chosen, zone)
with section("Failed records"):
    failed_records.show(zone)
with section("Verification"):
    verification.show(zone)
