"""Pages without numbers: they say which of several reasons it has, and what to do."""

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard import access, data, filters, formats, links
from dashboard.periods import Period
from sync.models import Source
from sync.settings import NOT_CONFIGURED

CALENDAR, CLOUD, FILTER = ":material/date_range:", ":material/cloud_download:", ":material/filter_alt_off:"

TITLE = "**No data available.** "


def warn_of_unconfigured(sources: Sequence[Source]) -> None:
    """Say for each of the sources without credentials what to set."""
    for source in _unconfigured(sources):
        st.warning(formats.literal(NOT_CONFIGURED[source]), icon=":material/key_off:")


def explain(
    sources: Sequence[Source], period: Period, workspaces: Sequence[str] = (), *, is_fixed: bool = False
) -> None:
    """Say why there is nothing to show of these workspaces (none are all), and offer the way out.

    On a page about one workspace it `is_fixed`: only another period can have more.
    """
    active = [hour for hour in map(data.last_active_hour, sources) if hour]
    if workspaces and _is_active(sources, period):
        _explain_filter(workspaces, is_fixed=is_fixed)
    elif active and (began := _begins_after(period, sources)):
        st.info(
            f"{TITLE}Nothing was synced from before {began.astimezone(period.zone):%-d %b %Y}, so what happened in this"
            " period is not known. A historical sync fetches what the providers still have.",
            icon=CALENDAR,
        )
        links.offer_history()
    elif active:
        last = max(active).astimezone(period.zone)
        st.info(f"{TITLE}Nothing happened in this period. The last active day is {last:%-d %b %Y}.", icon=CALENDAR)
        _offer_all_time()
    elif _unconfigured(sources) == list(sources):
        st.info(f"{TITLE}Add the credentials named above, start Voice Ledger again, then choose Sync now.")
        links.offer_settings()
    elif all(state.through is None for state in data.freshness_by_source() if state.source in sources):
        _offer_first_sync()
    else:
        st.info(f"{TITLE}The syncs went well, but the provider has no records yet.", icon=":material/hourglass_empty:")


def ask_for_workspace(asked: str | None) -> None:
    """Say that a link named no workspace, or one that does not exist."""
    if asked:
        st.info(f"There is no workspace {formats.literal(asked)}; it may have another name now.", icon=FILTER)
    else:
        st.info("Choose a workspace above.", icon=":material/workspaces:")


def _is_active(sources: Sequence[Source], period: Period) -> bool:
    return ("twilio" in sources and data.twilio(period).total.total_legs > 0) or (
        "elevenlabs" in sources and data.elevenlabs(period).total.total_conversations > 0
    )


def _begins_after(period: Period, sources: Sequence[Source]) -> datetime | None:
    """Return since when there is data, if that is after the end of the period for all of the sources."""
    first = min(filter(None, map(data.synced_since, sources)), default=None)
    return first if first and period.until and period.until <= first else None


def _explain_filter(workspaces: Sequence[str], *, is_fixed: bool) -> None:
    has = "has" if len(workspaces) == 1 else "have"
    named = formats.literal(_list(workspaces))
    st.info(f"{TITLE}{named} {has} nothing in this period; other workspaces do.", icon=FILTER)
    if is_fixed:
        _offer_all_time()
    else:
        st.button("Show all workspaces", on_click=filters.show_all_workspaces, icon=FILTER)


def _offer_all_time() -> None:
    st.button("Show all time", on_click=filters.widen, icon=":material/zoom_out_map:")


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _offer_first_sync() -> None:
    if not access.current_user().is_admin:
        st.info(f"{TITLE}Nothing has been synced yet; an administrator starts the first sync.", icon=CLOUD)
        return
    if data.sync_status().is_busy:
        st.info(f"{TITLE}The first sync is running; the numbers appear here when it is done.", icon=":material/sync:")
        return
    st.info(
        f"{TITLE}Nothing has been synced yet. Sync now fetches the records, which may take some minutes.", icon=CLOUD
    )
    st.button("Sync now", on_click=data.start_syncs, type="primary", icon=":material/sync:", key="first sync")


def _unconfigured(sources: Sequence[Source]) -> list[Source]:
    configured = data.services().sources()
    return [source for source in sources if source not in configured]
