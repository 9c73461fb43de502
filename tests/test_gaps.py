"""Gaps are the hours that no successful run covers, whatever the order in which runs ended or were copied."""

from collections.abc import Callable, Iterable
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from sync.models import RunKind, RunState, SyncRun
from sync.store import Store
from tests.records import HOUR, TEN, Sql

OpenStore = Callable[[], tuple[Store, Sql]]
Gap = tuple[datetime, datetime]

HOURS = 12  # in which the windows lie


@st.composite
def runs(draw: st.DrawFn) -> list[SyncRun]:
    """Draw closed runs over windows of whole hours, each begun at a moment of its own."""
    drawn = []
    for number in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, HOURS - 1))
        end = draw(st.integers(start + 1, HOURS))
        run = SyncRun(
            id=number + 1,
            source="twilio",
            kind=draw(st.sampled_from([RunKind.HOURLY, RunKind.BACKFILL])),
            state=draw(st.sampled_from([RunState.OK, RunState.OK, RunState.FAILED])),
            window_start=TEN + start * HOUR,
            window_end=TEN + end * HOUR,
            started_at=TEN + (HOURS + number) * HOUR,
            heartbeat_at=TEN + (HOURS + number) * HOUR,
        )
        drawn.append(run)
    return drawn


def uncovered(runs: Iterable[SyncRun], since: datetime) -> list[Gap]:
    """Return the gaps as the contract says it, hour by hour."""
    good = [run for run in runs if run.state is RunState.OK]
    found: list[Gap] = []
    for hour in (TEN + number * HOUR for number in range(HOURS)):
        is_after_the_first = any(run.window_start < hour for run in good)
        is_before_the_last = any(run.window_start > hour for run in good)
        is_covered = any(run.window_start <= hour < run.window_end for run in good)
        if is_after_the_first and is_before_the_last and not is_covered and hour >= since:
            if found and found[-1][1] == hour:
                found[-1] = (found[-1][0], hour + HOUR)
            else:
                found.append((hour, hour + HOUR))
    return found


@given(runs(), st.integers(0, 8), st.integers(-1, HOURS))
def test_gaps_are_the_hours_that_no_successful_run_covers(
    open_store: OpenStore, all_runs: list[SyncRun], copied: int, hours: int
) -> None:
    store, _ = open_store()
    since = TEN + hours * HOUR

    store.add_runs(all_runs[:copied])
    for run in all_runs[copied:]:
        window, now = (run.window_start, run.window_end), run.started_at
        begun = store.begin_run("twilio", run.kind, window, owner="test", now=now, stale_before=now)
        store.finish_run(begun.id, run.state, None, now=now)

    assert store.gaps("twilio", since=since) == uncovered(all_runs, since)
    assert store.gaps("elevenlabs", since=since) == []
    store.close()
