"""What does one client use, on which numbers and with which agents, and what does it cost?"""

from functools import partial

import streamlit as st

from dashboard import (
    both_providers,
    breakdowns,
    data,
    empty,
    filters,
    formats,
    headers,
    kpis,
    links,
    phone_list,
    sections,
    shares,
    staleness,
    tables,
)
from sync.models import SOURCES, UNASSIGNED

st.page_link(links.PAGES / "workspaces.py", label="All workspaces", icon=":material/arrow_back:")
heading, asked = st.container(), st.query_params.get(filters.WORKSPACE)
view = filters.choose(one_workspace=True)
if view.workspaces is None:
    heading.title("Workspace")
    empty.ask_for_workspace(asked)
    st.stop()
(workspace,), (name,) = view.workspaces, view.workspace_names
heading.title(formats.literal(name))

period = view.period
buckets = data.buckets(period)
with st.skeleton(height=600):
    both = both_providers.read(view, buckets)
if both is None:
    st.stop()
total = both.usage.total
missing = headers.unpriced(legs=total.twilio.unpriced_calls, conversations=total.elevenlabs.unpriced_conversations)
headers.caption(view, SOURCES, missing)
empty.warn_of_unconfigured(SOURCES)
staleness.warn(SOURCES, period.zone)
if workspace == UNASSIGNED:
    links.offer_registration()
if both.is_empty:
    empty.explain(SOURCES, period, view.workspace_names, is_fixed=True)
else:
    progress = data.progress(buckets, SOURCES)
    before = both.before.total if both.before else None
    kpis.show(both.metrics, total, both.usage.totals_over_time, progress, before=before)
    shares.show(view, both)
    both.draw_cost(buckets, progress)

    with st.container(horizontal=True):
        links.show_workspace_on("calls", "Its calls", name, icon=":material/list:")
        links.show_workspace_on("twilio", "Its part of Twilio", name, icon=":material/call:")
        links.show_workspace_on("elevenlabs", "Its part of ElevenLabs", name, icon=":material/graphic_eq:")

notes = partial(headers.notes, view=view, sources=SOURCES, missing=missing)
with sections.section("Numbers"):
    st.subheader("Numbers")
    phone_list.show(workspace, period.zone)

with sections.section("Agents", height=300):
    groups = data.conversations_by_agent(period, view.workspaces)
    if groups:
        st.subheader("Agents")
        tables.show(
            breakdowns.by_agent(groups, {workspace: name}),
            notes("Agents of a workspace"),
            name="Agents",
            file_name=f"voice-ledger-agents-{period.slug}.csv",
        )
