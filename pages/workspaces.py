"""Who uses how much, what does it cost, is it current?"""

import streamlit as st

from dashboard import charts, data, empty, filters, headers, kpis, metrics, parts, tables
from dashboard.usages import combined
from sync.models import SOURCES

st.title("Workspaces")
period = filters.choose()
buckets = data.buckets(period)
usage = combined(data.twilio(period, buckets), data.elevenlabs(period, buckets))
total, over_time, currency = usage.total, usage.totals_over_time, data.currency()
missing = [
    *headers.unpriced(total.twilio.unpriced_calls, "call leg"),
    *headers.unpriced(total.elevenlabs.unpriced_conversations, "conversation"),
]
headers.caption(period, SOURCES, missing)
empty.warn_of_unconfigured(SOURCES)
if not total.twilio.total_legs and not total.elevenlabs.total_conversations:
    empty.explain(SOURCES, period)
    st.stop()

progress = buckets.progress(headers.data_through(SOURCES))
kpis.show(metrics.workspaces(currency), total, over_time, progress)

of_elevenlabs = parts.elevenlabs_parts([*over_time, *usage.by_workspace.values()])
stacked = [parts.TWILIO, *of_elevenlabs] if currency == "USD" else of_elevenlabs
if currency != "USD":
    charts.show(
        charts.cost_bars("Twilio cost", [parts.TWILIO], over_time, currency), buckets, progress, key="twilio cost"
    )
charts.show(charts.cost_bars("Cost", stacked, over_time), buckets, progress, key="cost")

columns = metrics.of_workspace(currency, [part.as_metric() for part in stacked])
tables.show(
    tables.by_workspace(usage, columns, progress),
    headers.notes("Usage and cost by workspace", period, SOURCES),
    name="Usage and cost by workspace",
    file_name=f"voice-ledger-workspaces-{period.slug}.csv",
)
