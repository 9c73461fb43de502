"""Runs in words: kinds, states, durations, and how far one is."""

from collections.abc import Mapping
from datetime import datetime

from dashboard import formats
from dashboard.formats import EN_DASH, UNKNOWN
from sync.models import PROVIDER_NAMES, RunKind, RunState, SyncRun
from sync.runs import is_alive
from sync.sentences import counted, describe_count, pace

KINDS: Mapping[RunKind, str] = {
    RunKind.HOURLY: "Hourly",
    RunKind.SWEEP: "Daily sweep",
    RunKind.BACKFILL: "Historical",
}
KINDS_HELP = (
    "Hourly lists what is new; the daily sweep lists the last three days again; historical goes through a stretch of"
    " the past."
)
STATES: Mapping[RunState, str] = {
    RunState.OK: "Succeeded",
    RunState.FAILED: "Failed",
    RunState.INTERRUPTED: "Interrupted",
    RunState.SKIPPED: "Skipped",
    RunState.RUNNING: "Running",
}
CUT_OFF = "Cut off"  # left open by a process that has ended

# A table cannot draw icons, so it gets signs.
_BADGES = {
    "Succeeded": ("green", "check_circle", "\N{CHECK MARK}"),
    "Failed": ("red", "error", "\N{BALLOT X}"),
    "Interrupted": ("orange", "stop_circle", "\N{BLACK SQUARE}"),
    "Skipped": ("gray", "skip_next", EN_DASH),
    "Running": ("blue", "sync", "\N{HORIZONTAL ELLIPSIS}"),
    CUT_OFF: ("orange", "power_off", "\N{BLACK SQUARE}"),
}


def state(run: SyncRun, now: datetime) -> str:
    if run.state is RunState.RUNNING and not is_alive(run, now):
        return CUT_OFF
    return STATES[run.state]


def badge(run: SyncRun, now: datetime) -> str:
    """Return Markdown in which colour, icon and word each say the same."""
    word = state(run, now)
    colour, icon, _ = _BADGES[word]
    return f":{colour}-badge[:material/{icon}: {word}]"


def sign(run: SyncRun, now: datetime) -> str:
    """Return e.g. `✓ Succeeded`."""
    word = state(run, now)
    return f"{_BADGES[word][2]} {word}"


def name(run: SyncRun) -> str:
    """Return e.g. `Twilio, historical`."""
    return f"{PROVIDER_NAMES[run.source]}, {KINDS[run.kind].lower()}"


def took(run: SyncRun) -> str:
    """Return e.g. `2.1 s` or `3 m 20 s`, and of a running one `3 m 20 s so far`."""
    seconds = run.duration.total_seconds()
    time = f"{seconds:.1f} s" if seconds < 10 else formats.hours(int(seconds))
    return f"{time} so far" if run.state is RunState.RUNNING else time


def sentence(run: SyncRun) -> str:
    """Return what a run has to say: why it ended as it did, else what it saved."""
    if run.state not in (RunState.OK, RunState.RUNNING):
        return run.message or UNKNOWN
    saved = f"{counted(run.saved, 'record')} saved."
    return f"{saved} {run.message}" if run.message else saved


def progress(run: SyncRun) -> str:
    """Return e.g. `ElevenLabs: 2,400 of 9,652 records`, and for a historical sync how much it has walked."""
    if run.kind is RunKind.BACKFILL:
        done = counted(run.done, "record")
        return f"{PROVIDER_NAMES[run.source]} history: {done}, {run.share_walked or 0:.0%}"
    return describe_count(run)


def details_of_progress(run: SyncRun, seconds_left: int | None) -> str:
    """Return e.g. `2,400 of 9,652 records, 612/s, about 12 s left`, as far as each is known."""
    done = counted(run.done, "record")
    if run.total:
        listed = f"{run.total:,} listed so far" if run.kind is RunKind.BACKFILL else counted(run.total, "record")
        done = f"{run.done:,} of {listed}"
    left = f"about {formats.hours(seconds_left)} left" if seconds_left is not None else ""
    return ", ".join(filter(None, [done, pace(run), left]))


def share_done(run: SyncRun) -> float | None:
    """Return how far a run is, from 0 to 1: a historical one by the time that it has walked."""
    if run.kind is RunKind.BACKFILL:
        return run.share_walked
    return min(run.done / run.total, 1.0) if run.total else None
