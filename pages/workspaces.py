"""Who uses how much, what does it cost, is it current?"""

import streamlit as st

from dashboard import both_providers, data, empty, filters, headers, kpis, links, rankings, staleness, tables
from sync.models import SOURCES, UNASSIGNED

st.title("Workspaces")
view = filters.choose()
period = view.period
buckets = data.buckets(period)
with st.skeleton(height=600):
    both = both_providers.read(view, buckets)
if both is None:
    st.stop()
usage, total = both.usage, both.usage.total
missing = headers.unpriced(legs=total.twilio.unpriced_calls, conversations=total.elevenlabs.unpriced_conversations)
headers.caption(view, SOURCES, missing)
empty.warn_of_unconfigured(SOURCES)
staleness.warn(SOURCES, period.zone)
if both.is_empty:
    empty.explain(SOURCES, period, view.workspace_names)
    st.stop()

progress = data.progress(buckets, SOURCES)
before = both.before.total if both.before else None
kpis.show(both.metrics, total, usage.totals_over_time, progress, before=before)

over_time, by_workspace = st.columns([3, 2])
with over_time:
    both.draw_cost(buckets, progress)
with by_workspace:
    rankings.show(usage, both.metrics[0], data.workspaces(), key="by workspace")

st.caption("Choose a row to open its workspace.")
tables.show(
    tables.by_workspace(usage, both.columns, progress, workspaces=view.workspaces, before=both.before),
    headers.notes("Usage and cost by workspace", view, SOURCES, missing),
    name="Usage and cost by workspace",
    file_name=f"voice-ledger-workspaces-{period.slug}.csv",
    on_open=links.open_workspace,
)
if usage.of(UNASSIGNED) != usage.nothing:
    links.offer_registration()
