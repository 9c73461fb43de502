"""The bar on a terminal: how many records, at what speed, how far, how long still; nothing where nobody looks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

from rich.console import Console

from sync.models import RunKind, RunState, SyncRun
from sync.progress import shown_progress

NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
WALK = SyncRun(
    id=1,
    source="twilio",
    kind=RunKind.BACKFILL,
    state=RunState.RUNNING,
    window_start=NOW - timedelta(days=100),
    window_end=NOW,
    started_at=NOW,
    heartbeat_at=NOW,
)


def drawn(*runs: SyncRun, is_terminal: bool = True) -> str:
    """Return all that was written while these runs were shown one after the other."""
    file = StringIO()
    console = Console(file=file, force_terminal=is_terminal, width=120, color_system=None)
    with shown_progress(console, "Twilio") as show:
        for run in runs:
            show(run)
    return file.getvalue()


def test_a_walk_whose_records_nobody_counted_is_measured_by_its_period() -> None:
    quarter = replace(WALK, done=2500, position=NOW - timedelta(days=25), heartbeat_at=NOW + timedelta(seconds=5))

    text = drawn(WALK, quarter)

    assert "2,500 500/s, 25% of the period" in text


def test_counted_records_are_told_beside_those_that_are_done() -> None:
    hourly = replace(WALK, kind=RunKind.HOURLY, done=40, total=1600, heartbeat_at=NOW + timedelta(seconds=4))

    assert "40 of 1,600 10/s" in drawn(hourly)


def test_nothing_is_drawn_where_nobody_looks() -> None:
    assert drawn(replace(WALK, done=7), is_terminal=False).strip() == ""
