"""What do the phone lines cost?"""

from functools import partial

import streamlit as st

from dashboard import (
    breakdowns,
    charts,
    colours,
    data,
    empty,
    filters,
    headers,
    heatmap,
    kpis,
    links,
    parts,
    sections,
    staleness,
    tables,
)
from dashboard.usages import only_twilio
from sync import metrics
from sync.models import UNASSIGNED, Source

SOURCES: tuple[Source, ...] = ("twilio",)

st.title("Twilio")
view = filters.choose(sources=SOURCES)
period, workspaces = view.period, view.workspaces
buckets = data.buckets(period)
with st.skeleton(height=600):
    usage = data.twilio(period, buckets, workspaces)
    before = data.twilio(view.compared_with, None, workspaces) if view.compared_with else None
total, over_time, currency = usage.total, usage.totals_over_time, data.currency()
missing = headers.unpriced(legs=total.unpriced_calls)
headers.caption(view, SOURCES, missing)
empty.warn_of_unconfigured(SOURCES)
staleness.warn(SOURCES, period.zone)
if not total.total_legs:
    empty.explain(SOURCES, period, view.workspace_names)
    st.stop()

through = data.data_through(SOURCES)
progress = data.progress(buckets, SOURCES)
shown = metrics.twilio(currency)
kpis.show(shown[:4], total, over_time, progress, before=before.total if before else None)
kpis.show(shown[4:], total, before=before.total if before else None)

cost, calls = st.columns(2)
with cost:
    bars = charts.cost_bars("Cost", [parts.twilio_part(currency)], only_twilio(usage).totals_over_time, currency)
    charts.show(bars, buckets, progress, key="cost")
with calls:
    bars = charts.count_bars("Calls", colours.TWILIO, [totals.total_calls for totals in over_time])
    charts.show(bars, buckets, progress, key="calls")

notes = partial(headers.notes, view=view, sources=SOURCES, missing=missing)
tables.show(
    tables.by_workspace(usage, shown, progress, workspaces=workspaces, before=before),
    notes("Twilio by workspace"),
    name="Twilio usage and cost by workspace",
    file_name=f"voice-ledger-twilio-{period.slug}.csv",
    on_open=links.open_workspace,
)
if usage.of(UNASSIGNED) != usage.nothing:
    links.offer_registration()

with sections.section("When calls come", height=heatmap.HEIGHT):
    quarters = data.calls_by_quarter_hour(period, workspaces)
    heatmap.show(heatmap.cells(quarters, buckets, through), period.zone, key="heatmap")

with sections.section("Direction and status", height=300):
    groups = data.calls_by_kind(period, workspaces)
    for heading, table in (
        ("direction", breakdowns.by_direction(groups, currency)),
        ("status", breakdowns.by_status(groups, currency)),
    ):
        st.subheader(f"By {heading}")
        tables.show(
            table,
            notes(f"Twilio by {heading}"),
            name=f"Twilio usage and cost by {heading}",
            file_name=f"voice-ledger-twilio-{heading}-{period.slug}.csv",
        )
