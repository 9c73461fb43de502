"""One run in full, with the records that it could not fetch or read."""

from zoneinfo import ZoneInfo

import streamlit as st

from dashboard import data, formats
from dashboard.runs import failed_records, words
from sync.models import RunKind, StoredFailure, SyncRun
from sync.sentences import counted


def show(run_id: int, zone: ZoneInfo) -> None:
    """Draw the run, or say that there is none."""
    run = data.run(run_id)
    if run is None:
        st.info(f"There is no run {run_id}.", icon=":material/search_off:")
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"#### Run {run.id}: {words.name(run)} {words.badge(run, data.now())}")
        st.markdown(formats.literal(words.sentence(run)))
        st.markdown(formats.literal(_times(run, zone)))
        st.markdown(formats.literal(_counts(run)))
        if run.failed:
            _show_failures(run, zone)


def _times(run: SyncRun, zone: ZoneInfo) -> str:
    now = data.now()
    started, start, end = (formats.clock(m, zone, now=now) for m in (run.started_at, run.window_start, run.window_end))
    walked = run.kind is RunKind.BACKFILL and run.position
    until = f", walked back to {formats.clock(walked, zone, now=now)}" if walked else ""
    return f"Started {started}, took {words.took(run)}. Its window is {start} to {end}{until}."


def _counts(run: SyncRun) -> str:
    fetched = counted(run.done, "record")
    of_total = f" of {run.total:,} that were listed" if run.total is not None else ""
    return f"{fetched} fetched{of_total}, {run.saved:,} saved, {run.failed:,} failed.{_refusals(run)}"


def _refusals(run: SyncRun) -> str:
    if not run.refused:
        return ""
    requests = counted(run.refused, "request")
    return f" {requests} met the provider's limit (429) and {'was' if run.refused == 1 else 'were'} sent again."


def _show_failures(run: SyncRun, zone: ZoneInfo) -> None:
    """Show which records still fail of those that did; the list has no more than the last failed ones."""
    still = [failure for failure in data.failures(run.source) if _met(run, failure)]
    if not still:
        st.caption("The records that failed have worked since, or failed again in a later run.")
        return
    st.caption("These failed in this run and have not been tried again.")
    failed_records.show_table(still, zone, key=f"failures of run {run.id}")


def _met(run: SyncRun, failure: StoredFailure) -> bool:
    return run.started_at <= failure.last_failed_at <= (run.finished_at or data.now())
