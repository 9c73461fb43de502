"""How long a run will still take."""

from datetime import timedelta
from typing import NamedTuple

import streamlit as st

from sync.models import RunKind, SyncRun

OBSERVED = "observed walk"


class _Sight(NamedTuple):
    share: float
    after: timedelta


def seconds_left(run: SyncRun) -> int | None:
    """Return the time that a run will still take, or None before that can be told.

    A historical sync does not list everything ahead, and one that goes on where another stopped begins in the middle of
    its period: so what counts is how fast it walks while this session watches.
    """
    if run.kind is not RunKind.BACKFILL:
        return run.seconds_left
    now = _Sight(run.share_walked or 0.0, run.heartbeat_at - run.started_at)
    first: _Sight = st.session_state.setdefault(f"{OBSERVED} {run.id}", now)
    if now.share <= first.share:
        return None
    walking = (now.after - first.after).total_seconds() / (now.share - first.share) * (1 - now.share)
    return int(max(walking, run.seconds_left or 0))
