"""A run: one at a time per source, alive by its heartbeat, taken over when its process is gone, always closed."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Event
from time import monotonic, sleep

import psutil
import pytest

from sync.errors import (
    AlreadyRunningError,
    LostLockError,
    ProviderDownError,
    StoppedError,
    StoreError,
)
from sync.models import RunKind, RunState, Source, SyncRun
from sync.runs import STALE_AFTER, Conditions, Run, has_ended, open_run, this_process
from sync.sqlite_store import SqliteStore
from sync.store import Store

NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
WINDOW = (NOW - HOUR, NOW)
ELSEWHERE = "another-machine:4711:1700000000"
STOPPED = "The run was stopped; what it had saved is kept, the next run goes on."


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def conditions(clock: Clock) -> Conditions:
    return Conditions(first_sync=HOUR, clock=clock)


def begun_by(owner: str, store: Store, source: Source = "twilio") -> SyncRun:
    """Open a run as another process would, and leave it open."""
    return store.begin_run(source, RunKind.HOURLY, WINDOW, owner=owner, now=NOW, stale_before=NOW - STALE_AFTER)


def stored(store: Store, run: Run | SyncRun) -> SyncRun:
    found = store.run(run.id)
    assert found is not None
    return found


@pytest.fixture
def neighbour() -> Iterator[subprocess.Popen[bytes]]:
    """Give another living process of this machine."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def owner_string(process: subprocess.Popen[bytes]) -> str:
    since_boot = psutil.Process(process.pid).create_time() - psutil.boot_time()
    return f"{socket.gethostname()}:{process.pid}:{since_boot:.2f}"


def test_a_run_is_open_inside_the_block_and_closed_after_it(store: Store, conditions: Conditions, clock: Clock) -> None:
    with open_run(store, "twilio", RunKind.SWEEP, WINDOW, conditions) as run:
        inside = stored(store, run)
        run.expect(3)
        run.count(done=2, saved=2)
        run.count(done=1, failed=1)
        clock.now = NOW + 9 * SECOND

    closed = stored(store, run)
    assert (inside.state, inside.finished_at, inside.owner) == (RunState.RUNNING, None, this_process())
    assert (closed.state, closed.kind, (closed.window_start, closed.window_end)) == (
        RunState.OK,
        RunKind.SWEEP,
        WINDOW,
    )
    assert (closed.total, closed.done, closed.saved, closed.failed) == (3, 3, 2, 1)
    assert (closed.started_at, closed.finished_at) == (NOW, NOW + 9 * SECOND)


def test_who_watches_a_run_is_told_its_speed_and_the_time_left(store: Store, clock: Clock) -> None:
    told: list[SyncRun] = []
    conditions = Conditions(first_sync=HOUR, clock=clock, on_progress=told.append)

    with open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions) as run:
        run.expect(100)
        clock.now = NOW + 4 * SECOND
        run.count(done=20, saved=20)

    assert (told[-1].records_per_second, told[-1].seconds_left) == (5, 16)


@pytest.mark.parametrize(
    ("failed", "message"),
    [
        (0, None),
        (1, "1 record could not be fetched or read; it is listed, and tried again with the next run."),
        (7, "7 records could not be fetched or read; they are listed, and tried again with the next run."),
    ],
)
def test_a_successful_run_says_how_many_records_it_left_out(
    store: Store, conditions: Conditions, failed: int, message: str | None
) -> None:
    with open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions) as run:
        run.count(failed=failed)

    assert (stored(store, run).state, stored(store, run).message) == (RunState.OK, message)


@pytest.mark.parametrize(
    ("problem", "state", "message"),
    [
        (ProviderDownError("Twilio has a problem."), RunState.FAILED, "Twilio has a problem."),
        (StoppedError("It was stopped."), RunState.INTERRUPTED, "It was stopped."),
        (
            ValueError("+34600111222"),
            RunState.FAILED,
            "An error in the program (ValueError); see the log, the next run goes on.",
        ),
        (KeyboardInterrupt(), RunState.INTERRUPTED, STOPPED),
        (SystemExit(1), RunState.INTERRUPTED, STOPPED),
    ],
)
def test_a_run_that_ends_with_an_error_is_closed_with_its_sentence(
    store: Store, conditions: Conditions, problem: BaseException, state: RunState, message: str
) -> None:
    def work() -> None:
        with open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions) as run:
            run.count(done=5, saved=5)
            raise problem

    with pytest.raises(type(problem)) as caught:
        work()

    (closed,) = store.runs("twilio")
    assert caught.value is problem
    assert (closed.state, closed.message, closed.saved, closed.finished_at) == (state, message, 5, NOW)
    assert store.last_success("twilio") is None


def test_a_run_of_the_same_source_is_refused_while_one_is_open(
    store: Store, conditions: Conditions, clock: Clock
) -> None:
    with open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions) as first:
        clock.now = NOW + SECOND
        with pytest.raises(AlreadyRunningError) as caught:
            open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions).__enter__()
        with open_run(store, "elevenlabs", RunKind.HOURLY, WINDOW, conditions):
            pass

    assert caught.value.run.id == first.id
    assert str(caught.value) == ("A sync of Twilio that began at 16:20:00 UTC is still running; wait for it to finish.")
    with open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions):
        pass


def test_of_many_that_begin_together_one_gets_the_run(store: Store) -> None:
    at_once, release, conditions = Barrier(8), Event(), Conditions(first_sync=HOUR)

    def attempt(_: int) -> bool:
        at_once.wait()
        try:
            with open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions):
                release.wait(5)
                return True
        except AlreadyRunningError:
            return False

    with ThreadPoolExecutor(8) as pool:
        attempts = [pool.submit(attempt, number) for number in range(8)]
        while sum(each.done() for each in attempts) < 7:
            sleep(0.01)
        release.set()

    assert sorted(each.result() for each in attempts) == [False] * 7 + [True]
    assert len(store.runs("twilio")) == 1


def test_a_run_elsewhere_that_shows_no_sign_of_life_is_taken_over(
    store: Store, conditions: Conditions, clock: Clock
) -> None:
    silent = begun_by(ELSEWHERE, store)
    clock.now = NOW + STALE_AFTER + SECOND

    with open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions) as run:
        pass

    left = stored(store, silent)
    assert (left.state, left.message) == (RunState.INTERRUPTED, "The process ended without closing this run.")
    assert stored(store, run).state is RunState.OK


def test_a_run_elsewhere_with_a_recent_heartbeat_is_left_alone(
    store: Store, conditions: Conditions, clock: Clock
) -> None:
    living = begun_by(ELSEWHERE, store)
    clock.now = NOW + STALE_AFTER - SECOND

    with pytest.raises(AlreadyRunningError):
        open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions).__enter__()

    assert stored(store, living).state is RunState.RUNNING


def test_a_run_of_a_living_process_of_this_machine_is_left_alone(
    store: Store, conditions: Conditions, neighbour: subprocess.Popen[bytes]
) -> None:
    begun_by(owner_string(neighbour), store)

    with pytest.raises(AlreadyRunningError):
        open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions).__enter__()


def test_a_run_of_a_dead_process_of_this_machine_is_taken_over_at_once(
    store: Store, conditions: Conditions, neighbour: subprocess.Popen[bytes]
) -> None:
    abandoned = begun_by(owner_string(neighbour), store)
    neighbour.kill()
    neighbour.wait()

    with open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions) as run:
        pass

    assert stored(store, abandoned).state is RunState.INTERRUPTED
    assert stored(store, run).state is RunState.OK


def test_a_run_that_was_taken_over_stops_at_its_next_step_and_leaves_the_new_one_alone(
    store: Store, conditions: Conditions, clock: Clock
) -> None:
    def work() -> None:
        with open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions) as run:
            clock.now = NOW + STALE_AFTER + SECOND
            store.begin_run(
                "twilio", RunKind.HOURLY, WINDOW, owner=ELSEWHERE, now=clock.now, stale_before=clock.now - STALE_AFTER
            )
            run.count(done=1)

    with pytest.raises(LostLockError):
        work()

    second, first = store.runs("twilio")
    assert first.state is RunState.INTERRUPTED
    assert second.state is RunState.RUNNING


def test_a_process_is_known_by_more_than_its_number() -> None:
    own = this_process()
    host, pid, _ = own.rsplit(":", 2)

    assert not has_ended(own)
    assert has_ended(f"{host}:{pid}:1000000000"), "the number was given to another process since"
    assert not has_ended(ELSEWHERE), "only its heartbeat can tell"
    assert not has_ended("")
    assert own.startswith(f"{socket.gethostname()}:{os.getpid()}:")


def test_a_process_is_still_known_when_the_machines_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    own, boot_time = this_process(), psutil.boot_time()

    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot_time + 3600)  # what Linux then tells, and psutil adds

    assert not has_ended(own)


def test_a_run_shows_that_it_lives_while_it_waits(tmp_path: Path, conditions: Conditions, clock: Clock) -> None:
    store = SqliteStore(tmp_path / "ledger.db")
    with open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions) as run:
        clock.now = NOW + 42 * SECOND
        patience = monotonic() + 12
        while stored(store, run).heartbeat_at == NOW and monotonic() < patience:
            sleep(0.05)
        beaten = stored(store, run).heartbeat_at
    store.close()

    assert beaten == NOW + 42 * SECOND


def test_every_count_is_told_to_who_watches(store: Store, clock: Clock) -> None:
    told: list[SyncRun] = []
    conditions = Conditions(first_sync=HOUR, clock=clock, on_progress=told.append)

    with open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions) as run:
        run.expect(2)
        run.count(done=1, saved=1)
        run.expect(3)
        run.count(done=4, saved=3, failed=1)

    assert [(each.done, each.total, each.saved, each.failed) for each in told] == [
        (0, None, 0, 0),
        (0, 2, 0, 0),
        (1, 2, 1, 0),
        (1, 5, 1, 0),
        (5, 5, 4, 1),
    ]


def test_a_wish_to_stop_is_met_at_the_next_count_after_it_was_written(store: Store, clock: Clock) -> None:
    should_stop = Event()
    conditions = Conditions(first_sync=HOUR, clock=clock, should_stop=should_stop)

    def work() -> None:
        with open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions) as run:
            run.count(done=1, saved=1)
            should_stop.set()
            run.count(done=2, saved=2)

    with pytest.raises(StoppedError, match="what it had saved is kept"):
        work()

    (run,) = store.runs("twilio")
    assert (run.state, run.saved) == (RunState.INTERRUPTED, 3)


def test_an_error_is_not_hidden_by_a_store_that_fails_too(tmp_path: Path, conditions: Conditions) -> None:
    class FailingAtTheEnd(SqliteStore):
        def save_progress(self, run: SyncRun, *, now: datetime) -> None:
            raise StoreError("The disk is full.")

    store = FailingAtTheEnd(tmp_path / "ledger.db")

    with pytest.raises(ProviderDownError), open_run(store, "twilio", RunKind.HOURLY, WINDOW, conditions):
        raise ProviderDownError("Twilio has a problem.")

    assert store.runs("twilio")[0].state is RunState.RUNNING, "the next run finds its process gone, and takes over"
    store.close()
