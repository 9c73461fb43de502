"""A run in one line, for logs, terminals and pages."""

from sync.models import PROVIDER_NAMES, RunState, SyncRun


def describe(run: SyncRun) -> str:
    """Return e.g. `Twilio: 128 records saved in 2.1 s, 18:45 to 20:00 UTC`."""
    name = PROVIDER_NAMES[run.source]
    if run.state is RunState.OK:
        done = f"{name}: {_records(run.saved)} saved in {_seconds(run)}, {_window(run)}"
        return f"{done}; {run.message}" if run.message else done
    return f"{name} {run.state}: {run.message or _window(run)}"


def describe_progress(run: SyncRun) -> str:
    """Return e.g. `ElevenLabs: 2,400 of 9,652 records`; Twilio does not tell how many there are."""
    of_all = f" of {run.total:,}" if run.total else ""
    return f"{PROVIDER_NAMES[run.source]}: {run.done:,}{of_all} records"


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count:,} records"


def _seconds(run: SyncRun) -> str:
    took = ((run.finished_at or run.heartbeat_at) - run.started_at).total_seconds()
    return f"{took:.1f} s"


def _window(run: SyncRun) -> str:
    start, end = run.window_start, run.window_end
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M} to {until} UTC"
