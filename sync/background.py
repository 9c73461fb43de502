"""Syncs that nobody waits for, started by a click or a request: in threads of their own, which no page change stops."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache, partial
from queue import SimpleQueue

from sync.bootstrap import Services
from sync.errors import AlreadyRunningError, VoiceLedgerError
from sync.models import Source, SyncRun
from sync.run_log import tell_end, tell_problem


class BackgroundSyncs:
    """One sync and one backfill per source at most. Progress is in the run history, where every session sees it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._threads: dict[Source, threading.Thread] = {}
        self._problems: dict[Source, str] = {}
        self._lock = threading.Lock()
        self._should_stop: dict[int, threading.Event] = {}
        self._backfills: dict[threading.Thread, threading.Event] = {}

    @property
    def problems(self) -> Mapping[Source, str]:
        """What went wrong in the last sync of a source, also when not even the run could be written down."""
        return dict(self._problems)

    def is_running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads.values())

    def start(self, source: Source | None = None) -> None:
        """Sync a source, or every configured one, if it is not being synced here already. Returns at once."""
        with self._lock:
            for name in [source] if source else self._services.sources():
                running = self._threads.get(name)
                if running and running.is_alive():
                    continue
                self._threads[name] = _in_background(partial(self._sync, name), f"sync-{name}")

    def start_backfill(self, source: Source, since: datetime, until: datetime | None = None) -> SyncRun:
        """Start a historical sync and return its run as soon as it is open, or raise why it cannot be."""
        begun: SimpleQueue[SyncRun | Exception] = SimpleQueue()
        should_stop = threading.Event()
        last: SyncRun | None = None

        def tell_first(run: SyncRun) -> None:
            nonlocal last
            last = run
            if run.id not in self._should_stop:
                self._should_stop[run.id] = should_stop
                begun.put(run)

        def backfill() -> None:
            try:
                run = self._services.backfill(source, since, until, should_stop, tell_first)
            except Exception as exc:  # noqa: BLE001  the edge of a thread: nobody above could catch it
                begun.put(exc)  # raised where it was started, if it is not too late for that
                tell_problem(source, exc, last)
            else:
                tell_end(run)
            finally:
                self._should_stop = {run: event for run, event in self._should_stop.items() if event is not should_stop}

        with self._lock:
            self._backfills = {thread: event for thread, event in self._backfills.items() if thread.is_alive()}
            self._backfills[_in_background(backfill, f"backfill-{source}")] = should_stop
        first = begun.get()
        if isinstance(first, Exception):
            raise first
        return first

    def stop(self, run_id: int) -> bool:
        """Ask a backfill that was started here to stop after its batch; tell whether there is such a one still."""
        should_stop = self._should_stop.get(run_id)
        if should_stop:
            should_stop.set()
        return should_stop is not None

    def stop_all(self) -> None:
        """Ask all syncs and backfills to stop, since the process is about to end."""
        self._services.should_stop.set()
        for should_stop in [*self._backfills.values()]:
            should_stop.set()

    def wait(self, at_most: timedelta) -> None:
        """Wait until all that was asked to stop has ended, and its runs are closed."""
        deadline = time.monotonic() + at_most.total_seconds()
        for thread in [*self._threads.values(), *self._backfills]:
            thread.join(max(deadline - time.monotonic(), 0))

    def _sync(self, source: Source) -> None:
        self._problems.pop(source, None)
        last: SyncRun | None = None

        def remember(run: SyncRun) -> None:
            nonlocal last
            last = run

        try:
            run = self._services.sync(source, on_progress=remember)
        except Exception as exc:  # noqa: BLE001  the edge of a thread: nobody above could catch it
            if not isinstance(exc, AlreadyRunningError):
                known = isinstance(exc, VoiceLedgerError)
                self._problems[source] = str(exc) if known else "An error in the program; see the log."
            tell_problem(source, exc, last)
        else:
            tell_end(run)


@cache
def background_syncs(services: Services) -> BackgroundSyncs:
    """Return the background syncs of these services: pages and API see and stop the same."""
    return BackgroundSyncs(services)


def _in_background(work: Callable[[], None], name: str) -> threading.Thread:
    """Start a daemon: the process may end at any moment, since a run that is cut off loses nothing."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread
