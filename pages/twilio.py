"""What do the phone lines cost?"""

import streamlit as st

from dashboard import charts, data, empty, filters, headers, kpis, metrics, parts, tables
from dashboard.usages import only_twilio
from sync.models import Source

SOURCES: tuple[Source, ...] = ("twilio",)

st.title("Twilio")
period = filters.choose()
buckets = data.buckets(period)
usage = data.twilio(period, buckets)
total, over_time, currency = usage.total, usage.totals_over_time, data.currency()
headers.caption(period, SOURCES, headers.unpriced(total.unpriced_calls, "call leg"))
empty.warn_of_unconfigured(SOURCES)
if not total.total_legs:
    empty.explain(SOURCES, period)
    st.stop()

progress = buckets.progress(headers.data_through(SOURCES))
shown = metrics.twilio(currency)
kpis.show(shown[:4], total, over_time, progress)
kpis.show(shown[4:], total)

cost, calls = st.columns(2)
with cost:
    bars = charts.cost_bars("Cost", [parts.TWILIO], only_twilio(usage).totals_over_time, currency)
    charts.show(bars, buckets, progress, key="cost")
with calls:
    bars = charts.count_bars("Calls", parts.TWILIO.colour, [totals.total_calls for totals in over_time])
    charts.show(bars, buckets, progress, key="calls")

tables.show(
    tables.by_workspace(usage, shown, progress),
    headers.notes("Twilio by workspace", period, SOURCES),
    name="Twilio usage and cost by workspace",
    file_name=f"voice-ledger-twilio-{period.slug}.csv",
)
