"""What did this call really cost?"""

import streamlit as st

from dashboard import call_costs, call_detail, call_summary, callers, data, empty, filters, headers, staleness
from sync.models import SOURCES

CALL = "call"  # in the URL: the id of a leg or a conversation


def open_call(call_id: str) -> None:
    st.query_params[CALL] = call_id
    st.rerun()


def show_list() -> None:
    st.query_params.pop(CALL, None)


if asked := st.query_params.get(CALL):
    st.title("Call")
    zone = filters.current_zone()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("All calls", on_click=show_list, icon=":material/arrow_back:")
        masked = not callers.switch()
    detail = data.call(asked)
    if detail:
        call_detail.show(detail, zone, masked=masked)
    else:
        st.info("There is no stored call leg or conversation with this id.", icon=":material/search_off:")
    st.stop()

st.title("Calls")
view = filters.choose(compare=False)
question = call_costs.choose(view)
with st.skeleton(height=600):
    summary = data.call_summary(question.wanted)
missing = headers.unpriced(legs=summary.twilio.unpriced_calls, conversations=summary.elevenlabs.unpriced_conversations)
headers.caption(view, SOURCES, missing)
empty.warn_of_unconfigured(SOURCES)
staleness.warn(SOURCES, view.period.zone)

if not summary.count:
    found = question.wanted.searched_id and data.call(question.wanted.searched_id)
    if found:
        st.info("This call is in the ledger, but outside of the filters above.", icon=empty.FILTER)
        if st.button("Open it", icon=":material/open_in_new:"):
            open_call(found.call.call_id)
    elif question.wanted.is_narrow:
        st.info("No call in this period matches the filters.", icon=empty.FILTER)
        st.button("Reset the filters", on_click=call_costs.reset, icon=empty.FILTER)
    else:
        empty.explain(SOURCES, view.period, view.workspace_names)
    st.stop()

call_summary.show(summary, data.currency())
with st.container(horizontal=True, vertical_alignment="center"):
    masked = not callers.switch()
    st.caption("Select a row to open the call.", width="content")
call_costs.show(question, summary.count, view.period.zone, masked=masked, on_open=open_call)
st.download_button(
    "Download CSV",
    data=call_costs.csv(
        question,
        summary.count,
        headers.notes("Calls", view, SOURCES, missing),
        view.period.zone,
        masked=masked,
    ),
    file_name=f"voice-ledger-calls-{view.period.slug}.csv",
    mime="text/csv",
    icon=":material/download:",
    on_click="ignore",
    help=f"All calls that the filters select, at most {call_costs.MOST_ROWS:,}, in the order of the page.",
)
