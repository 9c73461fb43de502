"""SIGTERM and Ctrl-C end every process within seconds, whatever it waits for, and its runs say so."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from sync.errors import StoppedError
from sync.http import JsonClient
from sync.ports import free_port
from sync.sqlite_store import SqliteStore
from tests.scripted_server import Answer, ScriptedServer

ROOT = Path(__file__).parent.parent
PATIENCE = 60  # seconds, for what happens before a signal
AT_MOST = 5  # seconds, from a signal to the end
STOPPED = "The run was stopped; what it had saved is kept, the next run goes on."
LONG = 100  # seconds
OUTAGES = {
    "503": Answer(status=503),
    "429 for a minute": Answer(status=429, headers={"Retry-After": "56"}),
    "silence": Answer(delay=LONG),
}
CALLS, CONVERSATIONS = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json", "/v1/convai/conversations"


@dataclass
class Place:
    """A folder with a ledger, and providers that are down in one way or another."""

    folder: Path
    url: str
    asked: Callable[[], bool]
    variables: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def started(self, *command: str, **changes: str) -> Iterator["subprocess.Popen[str]"]:
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "DATABASE_PATH": str(self.folder / "ledger.db"),
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_BASE_URL": self.url,
            "ELEVENLABS_API_KEY": ELEVENLABS_API_KEY,
            "ELEVENLABS_BASE_URL": self.url,
            "CRON_SECRET": "secret-7c21-9d40",
            "LOG_FORMAT": "text",
        }
        with subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT if "streamlit_app.py" in command else self.folder,
            env={name: value for name, value in (variables | changes).items() if value},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def runs(self) -> list[tuple[str, str, str]]:
        try:
            with closing(sqlite3.connect(self.folder / "ledger.db")) as db:
                return db.execute("select source, state, coalesce(message, '') from sync_runs order by id").fetchall()
        except sqlite3.OperationalError:
            return []

    def is_waiting(self) -> bool:
        return bool(self.runs()) and self.asked()


@pytest.fixture(params=[*OUTAGES, "refusal"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    server = ScriptedServer()
    if request.param == "refusal":
        try:
            yield Place(tmp_path, server.url, asked=lambda: True)
        finally:
            server.close()
        return
    with server:
        for path in (CALLS, CONVERSATIONS):
            server.on(path, OUTAGES[request.param])
        yield Place(tmp_path, server.url, asked=lambda: bool(server.requests))


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Place]:
    """Give providers that take a request and say nothing."""
    with ScriptedServer() as server:
        for path in (CALLS, CONVERSATIONS):
            server.on(path, OUTAGES["silence"])
        yield Place(tmp_path, server.url, asked=lambda: bool(server.requests))


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def end(process: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> tuple[float, str]:
    """Return how long a process took to end, and what it had said."""
    begin = time.monotonic()
    process.send_signal(number)
    said, _ = process.communicate(timeout=PATIENCE)
    return time.monotonic() - begin, said


COMMANDS = {
    "scheduler": ("sync", "scheduler"),
    "all": ("sync", "all"),
    "backfill twilio": ("sync", "backfill", "twilio", "--since", "2026-01-01"),
    "backfill elevenlabs": ("sync", "backfill", "elevenlabs", "--since", "2026-01-01"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_ends_soon_although_the_provider_is_down(place: Place, name: str, number: int) -> None:
    with place.started(*COMMANDS[name]) as process:
        wait_until(place.is_waiting)
        took, said = end(process, number)

    assert took < AT_MOST
    assert process.returncode == (0 if name == "scheduler" else 1)
    assert [(state, message) for _, state, message in place.runs()] == [("interrupted", STOPPED)]
    assert "Traceback" not in said


def test_the_dashboard_ends_soon_while_a_sync_and_a_backfill_go_on(place: Place) -> None:
    port = free_port()
    with (
        place.started("streamlit", "run", "streamlit_app.py", f"--server.port={port}") as process,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}/api",
            headers={"Authorization": "Bearer secret-7c21-9d40"},
            timeout=PATIENCE,
            trust_env=False,
        ) as api,
    ):
        wait_until(lambda: answers(api))
        assert api.post("/sync-elevenlabs", params={"since": "2026-01-01"}).status_code == 202
        hourly: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: hourly.append(api.post("/sync-hourly")))
        asking.start()
        wait_until(lambda: len(place.runs()) == 2 and place.asked())

        took, said = end(process)
        asking.join(PATIENCE)

    assert took < AT_MOST
    assert sorted(place.runs()) == [("elevenlabs", "interrupted", STOPPED), ("twilio", "interrupted", STOPPED)]
    assert [(answer.status_code, answer.json()) for answer in hourly] == [(503, {"error": STOPPED})]
    assert "Traceback" not in said


def answers(api: httpx.Client) -> bool:
    try:
        return api.get("/health").is_success
    except httpx.HTTPError:
        return False


def test_all_that_make_run_started_ends_soon(place: Place) -> None:
    for part in (".streamlit/config.toml", "streamlit_app.py", "sync", "dashboard", "pages", "demo"):
        (place.folder / part).parent.mkdir(exist_ok=True)
        (place.folder / part).symlink_to(ROOT / part)
    with place.started("sync", "start", "--port", str(free_port())) as process:
        wait_until(place.is_waiting)
        family = psutil.Process(process.pid).children(recursive=True)
        took, said = end(process)

    assert took < AT_MOST
    assert process.returncode == 0
    assert psutil.wait_procs(family, timeout=0)[1] == []
    assert place.runs() == [("twilio", "interrupted", STOPPED)]
    assert "Traceback" not in said


def test_ctrl_c_in_a_terminal_which_reaches_the_simulated_providers_too_ends_all(tmp_path: Path) -> None:
    place = Place(tmp_path, "", asked=lambda: True)
    with place.started(
        *COMMANDS["scheduler"], TWILIO_ACCOUNT_SID="", TWILIO_AUTH_TOKEN="", ELEVENLABS_API_KEY=""
    ) as process:
        wait_until(place.is_waiting)  # in the middle of the first fill
        family = psutil.Process(process.pid).children(recursive=True)
        begin = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE)
        took = time.monotonic() - begin

    assert took < AT_MOST
    assert process.returncode == 0
    assert psutil.wait_procs(family, timeout=AT_MOST)[1] == []
    assert {state for _, state, _ in place.runs()} <= {"ok", "interrupted"}
    assert "Traceback" not in said


def test_what_was_not_begun_when_the_signal_came_is_not_begun(silent: Place) -> None:
    with silent.started(*COMMANDS["all"]) as process:
        wait_until(silent.is_waiting)
        end(process)

    assert [source for source, _, _ in silent.runs()] == ["twilio"]


def test_a_stop_that_the_database_holds_up_ends_all_the_same_and_the_next_run_takes_over(silent: Place) -> None:
    with silent.started(*COMMANDS["scheduler"]) as process:
        wait_until(silent.is_waiting)
        with closing(sqlite3.connect(silent.folder / "ledger.db", isolation_level=None)) as db:
            db.execute("begin immediate")  # so that the run cannot be closed
            took, said = end(process)

    assert took < AT_MOST
    assert process.returncode == 128 + signal.SIGTERM
    assert "It did not stop within 3.5 s, and is ended; what was saved is kept." in said
    with silent.started(*COMMANDS["all"]) as process:
        wait_until(lambda: len(silent.runs()) == 2)
        end(process)
    assert [state for _, state, _ in silent.runs()] == ["interrupted", "interrupted"]


def test_a_second_signal_ends_the_process_at_once(silent: Place) -> None:
    with silent.started(*COMMANDS["scheduler"]) as process:
        wait_until(silent.is_waiting)
        with closing(sqlite3.connect(silent.folder / "ledger.db", isolation_level=None)) as db:
            db.execute("begin immediate")
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            took, _ = end(process)

    assert took < 1
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "command",
    [("copy", "--from", "sqlite", "--to", "supabase"), ("backup", "backup.db"), ("verify",), ("doctor",)],
    ids=lambda command: command[0],
)
def test_a_command_that_waits_for_a_silent_supabase_ends_soon_and_leaves_nothing_half_written(
    tmp_path: Path, command: tuple[str, ...], number: int
) -> None:
    with closing(SqliteStore(tmp_path / "ledger.db")) as store:
        store.claim_for("real")
    with socket.create_server(("127.0.0.1", 0)) as supabase:
        place = Place(tmp_path, "http://127.0.0.1:9", asked=lambda: True)
        url = f"http://127.0.0.1:{supabase.getsockname()[1]}"
        with place.started("sync", *command, SUPABASE_URL=url, SUPABASE_KEY="sb_secret_7c21") as process:
            connection, _ = supabase.accept()
            with connection:
                time.sleep(0.2)
                took, said = end(process, number)

    assert took < AT_MOST
    assert process.returncode == 130
    assert "Stopped; the same command may be given again." in said
    assert "Traceback" not in said
    assert {path.name for path in tmp_path.iterdir()} <= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}


@pytest.mark.parametrize("arguments", [("--faults", "hang=1"), ("--made-beforehand", "--days", "3000", "--scale", "9")])
def test_the_simulated_providers_end_soon(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    place, port = Place(tmp_path, "", asked=lambda: True), free_port()
    with place.started("demo", "--port", str(port), *arguments) as process:
        if "hang=1" in arguments:
            wait_until(lambda: listens(port))
            with pytest.raises(httpx.TimeoutException):
                httpx.get(f"http://127.0.0.1:{port}/v1/convai/agents", timeout=0.5, trust_env=False)
        else:
            time.sleep(3)  # in the middle of making the history
        took, said = end(process)

    assert took < AT_MOST
    assert process.returncode == 0
    assert "Traceback" not in said


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("answer", OUTAGES.values(), ids=OUTAGES)
def test_a_stop_breaks_off_requests_and_pauses_of_all_threads(answer: Answer) -> None:
    should_stop = threading.Event()
    told: list[BaseException] = []
    with ScriptedServer() as server:
        server.on("/calls", answer)
        client = JsonClient(
            "Acme", server.url, explain=lambda _: None, setting="ACME_BASE_URL", headers={}, should_stop=should_stop
        )

        def ask() -> None:
            try:
                client.get("/calls")
            except StoppedError as exc:
                told.append(exc)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(server.requests) >= 4)  # the other half waits for a free place
        should_stop.set()
        begin = time.monotonic()
        for thread in threads:
            thread.join(PATIENCE)
        took = time.monotonic() - begin

        assert took < 1
        assert [str(exc) for exc in told] == [STOPPED] * 8
        with pytest.raises(StoppedError):
            client.get("/calls")
        client.close()
