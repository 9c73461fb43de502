"""Records that could not be fetched or read: which, why, and when they are tried again."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from dashboard import data
from sync.models import PROVIDER_NAMES, StoredFailure
from sync.refetch import DAILY_FOR, HOURLY_FOR

EXPLANATION = (
    "Each sync tries them again by itself: every hour in the first 48 hours, then once a day until they are 7 days old."
    " What works leaves this list. An older one is tried again by a historical sync of the day it is from."
)
MOST_ROWS, TALLEST = 10, 390


def show(zone: ZoneInfo) -> None:
    """Draw the section."""
    st.subheader("Failed records", anchor="failed-records")
    failures = [failure for source in data.services().sources() for failure in data.failures(source)]
    if not failures:
        st.caption(":material/check_circle: Every record could be fetched and read.")
        return
    st.caption(EXPLANATION)
    show_table(failures, zone, key="failed records")


def show_table(failures: Sequence[StoredFailure], zone: ZoneInfo, *, key: str) -> None:
    st.dataframe(
        pd.DataFrame(
            {
                "Provider": [PROVIDER_NAMES[failure.source] for failure in failures],
                "Record": [failure.record_id for failure in failures],
                "Message": [failure.error for failure in failures],
                "Attempts": [failure.attempts for failure in failures],
                "First failed": pd.to_datetime([f.first_failed_at for f in failures], utc=True).tz_convert(zone),
                "Last failed": pd.to_datetime([f.last_failed_at for f in failures], utc=True).tz_convert(zone),
                "Tried again": [_tried_again(failure) for failure in failures],
            }
        ),
        column_config={
            "Message": st.column_config.TextColumn(width="large"),
            "First failed": st.column_config.DatetimeColumn(format="D MMM YYYY HH:mm"),
            "Last failed": st.column_config.DatetimeColumn(format="D MMM YYYY HH:mm"),
        },
        hide_index=True,
        height=TALLEST if len(failures) > MOST_ROWS else "content",
        alt="Records that could not be fetched or read",
        key=f"table {key}",
    )


def _tried_again(failure: StoredFailure) -> str:
    age = data.now() - failure.first_failed_at
    if age <= HOURLY_FOR:
        return "with each sync"
    return "once a day" if age <= DAILY_FOR else "by a historical sync"
