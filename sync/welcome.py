"""What a terminal says once everything runs: the address, and how the first sync went."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import httpx

from sync.bootstrap import Services
from sync.errors import VoiceLedgerError
from sync.freshness import freshness
from sync.models import RunState, SyncRun

LOOK_EVERY = timedelta(seconds=0.3)


def announce(services: Services, port: int, begun: datetime, over: threading.Event, say: Callable[[str], None]) -> None:
    """Say where the dashboard is as soon as it answers, and again when every source was synced since `begun`."""
    address = f"http://localhost:{port}"
    if not _wait_until(lambda: _answers(address), over):
        return
    if _first_runs(services, begun) is None:
        say(f"\nThe dashboard is at {address} and fills while the first sync goes on.\n")
    if not _wait_until(lambda: _first_runs(services, begun) is not None, over):
        return
    for run in _first_runs(services, begun) or []:
        if run.state is RunState.FAILED:
            say(f"\n{run.message}")
    say(f"\nThe dashboard is at {address}\n")


def _wait_until(is_so: Callable[[], bool], over: threading.Event) -> bool:
    """Wait until it is so; return False when everything ends before."""
    while not over.is_set():
        if is_so():
            return True
        over.wait(LOOK_EVERY.total_seconds())
    return False


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/api/health", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _first_runs(services: Services, begun: datetime) -> list[SyncRun] | None:
    """Return the run of every source that ended since `begun`; None as long as one is missing."""
    try:
        states = [freshness(services.store, source, now=services.clock()) for source in services.sources()]
    except VoiceLedgerError:
        return None  # the database is busy for the moment
    runs = [state.latest for state in states if state.latest and (state.latest.finished_at or begun) > begun]
    return runs if len(runs) == len(states) else None
