"""What do the agents cost?"""

from dataclasses import replace
from functools import partial

import streamlit as st

from dashboard import (
    allowances,
    breakdowns,
    charts,
    data,
    empty,
    filters,
    headers,
    kpis,
    links,
    llm_models,
    parts,
    sections,
    staleness,
    tables,
)
from dashboard.usages import only_elevenlabs
from sync import elevenlabs_metrics
from sync.models import UNASSIGNED, Source

SOURCES: tuple[Source, ...] = ("elevenlabs",)

st.title("ElevenLabs")
view = filters.choose(sources=SOURCES)
period, workspaces = view.period, view.workspaces
buckets = data.buckets(period)
with st.skeleton(height=600):
    usage = data.elevenlabs(period, buckets, workspaces)
    before = data.elevenlabs(view.compared_with, None, workspaces) if view.compared_with else None
total, over_time = usage.total, usage.totals_over_time
missing = headers.unpriced(conversations=total.unpriced_conversations)
headers.caption(view, SOURCES, missing)
empty.warn_of_unconfigured(SOURCES)
staleness.warn(SOURCES, period.zone)
if not total.total_conversations:
    empty.explain(SOURCES, period, view.workspace_names)
    st.stop()

progress = data.progress(buckets, SOURCES)
shown = elevenlabs_metrics.elevenlabs()
kpis.show(shown[:4], total, over_time, progress, before=before.total if before else None)
kpis.show(shown[4:], total, before=before.total if before else None)

costs = only_elevenlabs(usage).totals_over_time
charts.show(charts.cost_bars("Cost", parts.elevenlabs_parts(costs), costs), buckets, progress, key="cost")

notes = partial(headers.notes, view=view, sources=SOURCES, missing=missing)
tables.show(
    tables.by_workspace(usage, shown, progress, workspaces=workspaces, before=before),
    notes("ElevenLabs by workspace"),
    name="ElevenLabs usage and cost by workspace",
    file_name=f"voice-ledger-elevenlabs-{period.slug}.csv",
    on_open=links.open_workspace,
)
if usage.of(UNASSIGNED) != usage.nothing:
    links.offer_registration()

llm_usage = data.llm_usage(period, workspaces)
st.subheader("Without the free allowances")
allowances.show(
    replace(total, llm_usage=llm_usage),
    replace(before.total, llm_usage=data.llm_usage(view.compared_with, workspaces))
    if before and view.compared_with
    else None,
)

st.subheader("Language models")
tables.show(
    llm_models.table(llm_usage),
    notes("Language models"),
    name="Tokens and price by language model",
    file_name=f"voice-ledger-models-{period.slug}.csv",
)

with sections.section("Agents", height=300):
    groups = data.conversations_by_agent(period, workspaces)
    st.subheader("Agents")
    tables.show(
        breakdowns.by_agent(groups, {workspace.id: workspace.name for workspace in data.workspaces()}),
        notes("ElevenLabs by agent"),
        name="ElevenLabs usage and cost by agent",
        file_name=f"voice-ledger-agents-{period.slug}.csv",
    )
