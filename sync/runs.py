"""A run as its job sees it: opened with a window, kept alive by a heartbeat, closed with a state and a sentence."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import psutil

from sync.errors import STOPPED, AlreadyRunningError, LostLockError, StoppedError, StoreError, VoiceLedgerError
from sync.models import RunKind, RunState, Source, SyncRun, Window
from sync.sentences import counted
from sync.store import Runs, Store
from sync.times import utc_now
from sync.traffic import Traffic

HEARTBEAT = timedelta(seconds=5)
STALE_AFTER = timedelta(seconds=60)
CLOCKS_DIFFER = timedelta(minutes=1)  # those of two machines that are both right
LOOKED_THROUGH = 5000  # runs back, behind those of a clock that was ahead


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a job runs under: how far the first run reaches back, the clock, the wish to stop, who watches.

    The job's client counts its requests in `traffic`.
    """

    first_sync: timedelta
    clock: Callable[[], datetime] = utc_now
    should_stop: threading.Event = field(default_factory=threading.Event)
    on_progress: Callable[[SyncRun], None] = lambda run: None
    traffic: Traffic = field(default_factory=Traffic)


class Run:
    """The open run. Its record is replaced, never changed: the heartbeat reads it from a thread of its own."""

    def __init__(self, store: Store, record: SyncRun, conditions: Conditions) -> None:
        self.record = record
        self._store = store
        self._conditions = conditions

    @property
    def id(self) -> int:
        return self.record.id

    def count(
        self,
        *,
        done: int = 0,
        saved: int = 0,
        failed: int = 0,
        total: int | None = None,
        position: datetime | None = None,
    ) -> None:
        """Add to the counts, write them, and raise StoppedError or LostLockError if the run may not go on.

        `total` and `position` are not added but take the place of the former ones.
        """
        self.record = replace(
            self.record,
            done=self.record.done + done,
            saved=self.record.saved + saved,
            failed=self.record.failed + failed,
            total=self.record.total if total is None else total,
            position=position or self.record.position,
            heartbeat_at=self._conditions.clock(),
        )
        self.beat()
        self._conditions.on_progress(self._with_traffic())
        if self._conditions.should_stop.is_set():
            raise StoppedError

    def expect(self, total: int) -> None:
        """Tell how many records there will be, now that the provider has listed them."""
        self.count(total=(self.record.total or 0) + total)

    def beat(self) -> None:
        self._store.save_progress(self._with_traffic(), now=self._conditions.clock())

    def _with_traffic(self) -> SyncRun:
        traffic = self._conditions.traffic
        return replace(self.record, refused=traffic.refused, in_flight=traffic.in_flight)


@contextmanager
def open_run(
    store: Store,
    source: Source,
    kind: RunKind,
    window: Window,
    conditions: Conditions,
) -> Iterator[Run]:
    """Hold the lock of a source for the length of the block, and close the run whatever happens in it."""
    clock = conditions.clock
    run = Run(store, _begin(store, source, kind, window, clock), conditions)
    conditions.on_progress(run.record)
    ended = threading.Event()
    heart = threading.Thread(target=_beat_until, args=(run, ended), name=f"heartbeat-{source}", daemon=True)
    heart.start()
    try:
        yield run
    except BaseException as exc:
        _end(heart, ended)
        _close(store, run, *_outcome(exc), now=clock())
        raise
    _end(heart, ended)
    run.beat()
    store.finish_run(run.id, RunState.OK, _left_out(run.record), now=clock())


def _begin(store: Store, source: Source, kind: RunKind, window: Window, clock: Callable[[], datetime]) -> SyncRun:
    def begin() -> SyncRun:
        now = clock()
        return store.begin_run(source, kind, window, owner=this_process(), now=now, stale_before=now - STALE_AFTER)

    try:
        return begin()
    except AlreadyRunningError as exc:
        if not has_ended(exc.run.owner):
            raise
        store.finish_run(exc.run.id, RunState.INTERRUPTED, "The process ended without closing this run.", now=clock())
        return begin()


def _beat_until(run: Run, ended: threading.Event) -> None:
    while not ended.wait(HEARTBEAT.total_seconds()):
        try:
            run.beat()
        except LostLockError:
            return  # the job meets the same error at its next count, and stops there
        except StoreError:
            continue  # locked or full for the moment; only a minute of silence costs the lock


def _end(heart: threading.Thread, ended: threading.Event) -> None:
    ended.set()
    heart.join()


def _outcome(exc: BaseException) -> tuple[RunState, str]:
    if isinstance(exc, StoppedError):
        return RunState.INTERRUPTED, str(exc)
    if isinstance(exc, VoiceLedgerError):
        return RunState.FAILED, str(exc)
    if isinstance(exc, Exception):
        return RunState.FAILED, f"An error in the program ({type(exc).__name__}); see the log, the next run goes on."
    return RunState.INTERRUPTED, STOPPED


def _close(store: Store, run: Run, state: RunState, message: str, *, now: datetime) -> None:
    try:
        run.beat()
        store.finish_run(run.id, state, message, now=now)
    except (StoreError, LostLockError):
        return  # what stopped the run also keeps it from being closed; the next run takes it over


def _left_out(record: SyncRun) -> str | None:
    if not record.failed:
        return None
    they_are = "it is" if record.failed == 1 else "they are"
    return (
        f"{counted(record.failed, 'record')} could not be fetched or read; {they_are} listed, and tried again "
        "with the next run."
    )


def is_ahead(run: SyncRun, now: datetime) -> bool:
    """Tell whether a run reaches or ended later than now, so that the clock it was made by must have been wrong."""
    return max(run.window_end, run.finished_at or run.window_end) > now + CLOCKS_DIFFER


def last_success(store: Runs, source: Source, kind: RunKind | None = None, *, now: datetime) -> SyncRun | None:
    """Return the latest successful run whose clock was not ahead. Without `kind`, no backfill."""
    newest = store.last_success(source, kind)
    if newest is None or not is_ahead(newest, now):
        return newest
    kinds = (kind,) if kind else (RunKind.HOURLY, RunKind.SWEEP)
    return next(
        (
            run
            for run in store.runs(source, kind=kind, limit=LOOKED_THROUGH)
            if run.state is RunState.OK and run.kind in kinds and not is_ahead(run, now)
        ),
        None,
    )


def is_alive(run: SyncRun, now: datetime) -> bool:
    """Tell whether a run is going on, and not just left open by a process that has ended."""
    return run.state is RunState.RUNNING and now - run.heartbeat_at < STALE_AFTER and not has_ended(run.owner)


def this_process() -> str:
    """Return host, process id and the time the process started, which together name a process for good."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def has_ended(owner: str) -> bool:
    """Tell whether a process of this machine is gone. One of another machine may still live: its heartbeat decides."""
    host, _, process = owner.partition(":")
    pid, _, started = process.partition(":")
    return host == socket.gethostname() and pid.isdigit() and _started(int(pid)) != started


def _started(pid: int) -> str:
    """Return when a process started, in seconds since the machine did: a clock that is set does not change it."""
    try:
        process = psutil.Process(pid)
        since_boot = process.create_time() - psutil.boot_time()
        return "ended" if process.status() == psutil.STATUS_ZOMBIE else f"{since_boot:.2f}"
    except psutil.NoSuchProcess:
        return "ended"
