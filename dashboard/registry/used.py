"""What the tables of used and unregistered numbers and agents share: columns, heights, and how many there are."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard import data, units
from dashboard.formats import UNKNOWN
from sync.sentences import counted
from sync.store import MOST_UNREGISTERED

MOST_ROWS, TALLEST = 8, 320  # rows that are all shown; pixels of a table with more

DATE = "D MMM YYYY"


def heading(listed: Sequence[object], noun: str, explanation: str) -> None:
    """Say how many of them have no owner."""
    if len(listed) < MOST_UNREGISTERED:
        st.markdown(f"**{counted(len(listed), noun)} without an owner.** {explanation}")
    else:
        most = f"The {MOST_UNREGISTERED} most recently used {noun}s without an owner"
        st.markdown(f"**{most};** others follow. {explanation}")


def table(columns: dict[str, list[object]], alt: str) -> None:
    """Draw a table of numbers or agents."""
    frame = pd.DataFrame(columns)
    height: int | Literal["content"] = TALLEST if len(frame) > MOST_ROWS else "content"
    st.dataframe(
        frame, column_config=_config(), hide_index=True, height=height, placeholder=UNKNOWN, alt=alt, key=f"table {alt}"
    )


def amount(cost: Decimal | None, *, of: int) -> float | None:
    """Return what `of` records cost, None if that is not known."""
    return float(cost) if cost is not None else None if of else 0.0


def local(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment by the clocks of that zone: a table would show it by those of the reader."""
    return moment.astimezone(zone).replace(tzinfo=None)


def _config() -> dict[str, ColumnConfig]:
    count = st.column_config.NumberColumn(format=units.COUNT.column)
    day = st.column_config.DatetimeColumn(format=DATE)
    return {
        "Number": st.column_config.TextColumn(pinned=True),
        "Agent": st.column_config.TextColumn(pinned=True),
        "Calls": count,
        "Conversations": count,
        "Twilio cost": st.column_config.NumberColumn(format=units.money(data.currency()).column),
        "ElevenLabs cost": st.column_config.NumberColumn(format=units.money("USD").column),
        "Unpriced": st.column_config.NumberColumn(
            format=units.COUNT.column, help="Legs and conversations that await a price."
        ),
        "First used": day,
        "Last used": day,
    }
