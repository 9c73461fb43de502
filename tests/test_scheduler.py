"""The scheduler: its minutes in every time zone, its patience with failing jobs, and how it ends."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from demo.faults import Faults
from demo.fleet import Fleet
from demo.server import create_app, running
from sync.errors import (
    AlreadyRunningError,
    NotConfiguredError,
    ProviderDownError,
    StoppedError,
    StoreError,
)
from sync.models import SOURCES, RunKind, RunState, Source, SyncRun
from sync.scheduler import run_forever, run_once, timetable
from sync.times import utc_now

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
PATIENCE = 20  # seconds


def make_run(source: Source, state: RunState = RunState.OK) -> SyncRun:
    return SyncRun(
        id=1,
        source=source,
        kind=RunKind.HOURLY,
        state=state,
        window_start=NOW - timedelta(hours=1),
        window_end=NOW,
        saved=3,
        started_at=NOW,
        heartbeat_at=NOW,
        finished_at=NOW + timedelta(seconds=2),
    )


class FakeServices:
    """Two sources whose syncs end as told; the event is set after `calls` of them."""

    def __init__(self, problems: dict[Source, Exception] | None = None, *, calls: int = 99) -> None:
        self.synced: list[Source] = []
        self.should_stop = Event()
        self.clock = utc_now
        self._problems = problems or {}
        self._calls = calls

    def sources(self) -> list[Source]:
        return list(SOURCES)

    def sync(self, source: Source, should_stop: Event, on_progress: object) -> SyncRun:
        self.synced.append(source)
        if len(self.synced) == self._calls:
            should_stop.set()
        if source in self._problems:
            raise self._problems[source]
        return make_run(source)


@pytest.fixture(
    params=["UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Europe/Madrid"]
)
def local_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("local_zone")
def test_twilio_is_due_at_minute_0_and_elevenlabs_at_minute_5_in_utc_wherever_the_machine_is() -> None:
    services = FakeServices()
    scheduler = timetable(services, services.should_stop)  # type: ignore[arg-type]  # a fake

    for _ in range(2):
        due = [job.next_run.astimezone(UTC) for job in scheduler.jobs if job.next_run]  # naive, in local time

        assert [(moment.minute, moment.second) for moment in due] == [(0, 0), (5, 0)]
        assert all(timedelta(0) < moment - utc_now() <= timedelta(hours=1) for moment in due)
        with capture_logs():
            scheduler.run_all()

    assert services.synced == ["twilio", "elevenlabs"] * 2


def test_a_start_catches_up_with_every_source_at_once() -> None:
    services = FakeServices(calls=2)

    with capture_logs() as logged:
        run_forever(services, services.should_stop)  # type: ignore[arg-type]  # a fake

    assert services.synced == ["twilio", "elevenlabs"]
    assert [line["event"] for line in logged] == [
        "Twilio: sync started",
        "Twilio: 3 records saved in 2.0 s, 2026-11-18 15:20 to 16:20 UTC",
        "ElevenLabs: sync started",
        "ElevenLabs: 3 records saved in 2.0 s, 2026-11-18 15:20 to 16:20 UTC",
    ]


def test_a_stop_during_the_first_sync_leaves_the_second_for_the_next_start() -> None:
    services = FakeServices(calls=1)

    with capture_logs():
        run_forever(services, services.should_stop)  # type: ignore[arg-type]  # a fake

    assert services.synced == ["twilio"]


PROBLEMS = [
    (ProviderDownError("Twilio has a problem."), "error", "Twilio: Twilio has a problem."),
    (StoreError("The disk is full."), "error", "Twilio: The disk is full."),
    (NotConfiguredError("No key."), "error", "Twilio: No key."),
    (StoppedError("It was stopped."), "info", "Twilio: It was stopped."),
    (
        AlreadyRunningError(make_run("twilio", RunState.RUNNING)),
        "info",
        "Twilio: A sync of Twilio that began at 16:20:00 UTC is still running; wait for it to finish.",
    ),
    (RuntimeError("a bug"), "error", "Twilio: an error in the program; the next run goes on"),
    (KeyError("a bug"), "error", "Twilio: an error in the program; the next run goes on"),
]


@pytest.mark.parametrize(("problem", "level", "sentence"), PROBLEMS)
def test_a_failing_job_leaves_one_line_and_stops_nothing(problem: Exception, level: str, sentence: str) -> None:
    services = FakeServices({"twilio": problem}, calls=2)

    with capture_logs() as logged:
        run_forever(services, services.should_stop)  # type: ignore[arg-type]  # a fake

    told = logged[1]
    assert services.synced == ["twilio", "elevenlabs"]
    assert (told["log_level"], told["event"]) == (level, sentence)
    assert bool(told.get("exc_info")) == isinstance(problem, RuntimeError | KeyError), "a traceback for bugs only"


@pytest.mark.parametrize("problem", [ProviderDownError("It has a problem."), RuntimeError("a bug")])
def test_a_job_that_failed_is_due_again_in_the_next_hour(problem: Exception) -> None:
    services = FakeServices(dict.fromkeys(SOURCES, problem))
    scheduler = timetable(services, services.should_stop)  # type: ignore[arg-type]  # a fake

    with capture_logs():
        scheduler.run_all()
        scheduler.run_all()

    assert services.synced == ["twilio", "elevenlabs"] * 2
    assert len(scheduler.jobs) == 2


def test_a_long_run_tells_how_far_it_is_every_few_seconds() -> None:
    now = NOW

    class Slow(FakeServices):
        def sync(self, source: Source, should_stop: Event, on_progress: Any) -> SyncRun:
            nonlocal now
            for done in range(0, 500, 100):
                on_progress(SyncRun(**{**as_dict(make_run(source)), "done": done, "total": 500}))
                now += timedelta(seconds=1)
            return make_run(source)

    services = Slow()
    services.clock = lambda: now

    with capture_logs() as logged:
        run_once(services, "elevenlabs", Event())  # type: ignore[arg-type]  # a fake

    assert [line["event"] for line in logged[1:-1]] == ["ElevenLabs: 300 of 500 records, 150/s"]


def as_dict(run: SyncRun) -> dict[str, Any]:
    return {name: getattr(run, name) for name in SyncRun.__slots__}


# The process itself


@contextmanager
def scheduler_process(folder: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATABASE_PATH": str(folder / "ledger.db")}
    process = subprocess.Popen(
        [sys.executable, "-m", "sync", "scheduler"],
        cwd=folder,
        env=plain | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def runs_in(folder: Path) -> list[tuple[str, str, int]]:
    """Return source, state and saved records of every run so far."""
    path = folder / "ledger.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as db:
        has_table = db.execute("select 1 from sqlite_master where name = 'sync_runs'").fetchone()
        return db.execute("select source, state, saved from sync_runs order by id").fetchall() if has_table else []


def conversations_in(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        [count] = db.execute("select count(*) from elevenlabs_conversations").fetchone()
    return int(count)


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_signal_ends_the_process_in_the_middle_of_a_run_and_leaves_no_lock(tmp_path: Path) -> None:
    opened_at = utc_now()
    fleet = Fleet(opened_at=opened_at, days=3, scale=3)
    app = create_app(fleet, faults=Faults(latency=0.03), clock=lambda: opened_at)
    with (
        running(app) as url,
        scheduler_process(
            tmp_path,
            TWILIO_ACCOUNT_SID=ACCOUNT_SID,
            TWILIO_AUTH_TOKEN=AUTH_TOKEN,
            TWILIO_BASE_URL=url,
            ELEVENLABS_API_KEY=ELEVENLABS_API_KEY,
            ELEVENLABS_BASE_URL=url,
            FIRST_SYNC_DAYS="3",
        ) as process,
    ):
        wait_until(lambda: any(source == "elevenlabs" and saved for source, _, saved in runs_in(tmp_path)))
        process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        said, _ = process.communicate(timeout=PATIENCE)

    (_, twilio_state, _), (_, elevenlabs_state, saved) = runs_in(tmp_path)
    assert process.returncode == 0
    assert time.monotonic() - begin < 6
    assert (twilio_state, elevenlabs_state) == ("ok", "interrupted")
    assert saved == conversations_in(tmp_path), "what had come is saved whole, and counted"
    assert "ElevenLabs: The run was stopped; what it had saved is kept, the next run goes on." in said
    assert "Traceback" not in said


def test_a_signal_ends_a_waiting_process_and_the_simulated_providers_that_it_started(tmp_path: Path) -> None:
    with scheduler_process(tmp_path, FIRST_SYNC_DAYS="1") as process:
        wait_until(lambda: [state for _, state, _ in runs_in(tmp_path)] == ["ok", "ok"])
        children = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        said, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0
    assert time.monotonic() - begin < 4
    assert len(children) == 1
    assert psutil.wait_procs(children, timeout=3)[1] == []
    assert "Traceback" not in said


BUG = """
from datetime import UTC, datetime
from threading import Event
from sync import logs, scheduler

class Services:
    def clock(self):
        return datetime.now(UTC)
    def sync(self, source, should_stop, on_progress):
        key = "-".join(["secret", "7c21"])
        raise RuntimeError("a bug")

logs.configure("text")
scheduler.run_once(Services(), "twilio", Event())
"""


def test_the_log_of_a_program_error_shows_where_it_was_and_no_values(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", BUG],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert process.stdout == "", "answers only"
    assert "Twilio: an error in the program; the next run goes on" in process.stderr
    assert "RuntimeError: a bug" in process.stderr
    assert "secret-7c21" not in process.stderr


def test_settings_that_are_wrong_end_the_process_with_one_line(tmp_path: Path) -> None:
    with scheduler_process(tmp_path, TIMEZONE="Middle/Earth", LOG_FORMAT="text") as process:
        said, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 1
    assert said.startswith("Error: TIMEZONE must be a time zone such as Europe/Madrid.")
    assert said.count("\n") == 1
