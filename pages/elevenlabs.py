"""What do the agents cost?"""

import streamlit as st

from dashboard import charts, data, empty, filters, headers, kpis, llm_models, metrics, parts, tables
from dashboard.usages import only_elevenlabs
from sync.models import Source

SOURCES: tuple[Source, ...] = ("elevenlabs",)

st.title("ElevenLabs")
period = filters.choose()
buckets = data.buckets(period)
usage = data.elevenlabs(period, buckets)
total, over_time = usage.total, usage.totals_over_time
headers.caption(period, SOURCES, headers.unpriced(total.unpriced_conversations, "conversation"))
empty.warn_of_unconfigured(SOURCES)
if not total.total_conversations:
    empty.explain(SOURCES, period)
    st.stop()

progress = buckets.progress(headers.data_through(SOURCES))
shown = metrics.elevenlabs()
kpis.show(shown[:4], total, over_time, progress)
kpis.show(shown[4:], total)

costs = only_elevenlabs(usage).totals_over_time
charts.show(charts.cost_bars("Cost", parts.elevenlabs_parts(costs), costs), buckets, progress, key="cost")

tables.show(
    tables.by_workspace(usage, shown, progress),
    headers.notes("ElevenLabs by workspace", period, SOURCES),
    name="ElevenLabs usage and cost by workspace",
    file_name=f"voice-ledger-elevenlabs-{period.slug}.csv",
)

st.subheader("Language models")
tables.show(
    llm_models.table(total.llm_usage),
    headers.notes("Language models", period, SOURCES),
    name="Tokens and price by language model",
    file_name=f"voice-ledger-models-{period.slug}.csv",
)
