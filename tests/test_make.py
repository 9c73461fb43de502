"""The first minute: what `make install` and `make run` say and do on machines of every kind, in a sentence each."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from sync import ports

ROOT = Path(__file__).parent.parent
TOOLS = ("sh", "make", "id", "sed", "cksum", "rm", "mkdir", "grep", "tail", "cat", "cp")
PATIENCE = 60  # seconds
OFFLINE = "WARNING: Retrying after connection broken by NewConnectionError: Failed to establish a new connection"

# A Python as the script meets it; its environments hold one whose pip says what the test wants.
PYTHON = """#!/bin/sh
case "$*" in
*ensurepip*) exit {lacks_venv} ;;
*"-m venv"*) mkdir -p .venv/bin && cp "{inner}" .venv/bin/python ;;
*"sys.exit("*) exit {is_too_old} ;;
*) echo {version} ;;
esac
"""
INNER = """#!/bin/sh
case "$*" in
*"pip install"*) echo x >>pip-calls; cat pip-says 2>/dev/null; exit $(cat pip-exits) ;;
*) echo "$PWD/.venv {version}" ;;
esac
"""


class Machine:
    """A folder with a Makefile, and the Python that is installed beside it."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "voice ledger"
        self.path = place / "bin"
        self.path.mkdir(parents=True)
        for tool in TOOLS:
            (self.path / tool).symlink_to(str(shutil.which(tool)))
        self.folder.mkdir()
        shutil.copy(ROOT / "Makefile", self.folder)
        shutil.copytree(ROOT / "scripts", self.folder / "scripts")
        (self.folder / "requirements.txt").write_text("one==1\n")
        self.pip()

    def python(self, name: str = "python3", *, version: str = "3.12", too_old: bool = False, venv: bool = True) -> Path:
        inner = self.path.parent / f"inner-{version}"
        self._program(inner, INNER.format(version=version))
        choices = {"lacks_venv": int(not venv), "is_too_old": int(too_old), "version": version, "inner": inner}
        return self._program(self.path / name, PYTHON.format(**choices))

    def _program(self, file: Path, text: str) -> Path:
        file.write_text(text)
        file.chmod(0o755)
        return file

    def pip(self, says: str = "", exits: int = 0) -> None:
        (self.folder / "pip-says").write_text(f"{says}\n")
        (self.folder / "pip-exits").write_text(str(exits))

    def pip_calls(self) -> int:
        calls = self.folder / "pip-calls"
        return len(calls.read_text().split()) if calls.exists() else 0

    def make(self, *arguments: str) -> tuple[int, list[str]]:
        """Return the code and the lines of `make install`, without the one in which make itself reports a failure."""
        done = subprocess.run(
            ["make", "install", *arguments],
            cwd=self.folder,
            env={"PATH": str(self.path), "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = done.stdout.splitlines()
        return done.returncode, lines[:-1] if done.returncode else lines

    def sentence(self, *arguments: str) -> str:
        code, lines = self.make(*arguments)
        assert code != 0
        return lines[-1]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_python_it_says_how_to_install_one(machine: Machine) -> None:
    assert machine.make()[1] == [
        "Voice Ledger needs Python 3.11 or newer, and there is none here: "
        "install it (Debian, Ubuntu: sudo apt-get install python3 python3-venv), then run make again."
    ]


def test_an_old_python_is_named_with_its_version(machine: Machine) -> None:
    machine.python(version="3.9", too_old=True)

    code, (sentence,) = machine.make()

    assert code != 0
    assert "python3 here is 3.9: install a newer one" in sentence


def test_a_newer_python_beside_an_old_one_is_taken(machine: Machine) -> None:
    machine.python(version="3.9", too_old=True)
    machine.python("python3.13", version="3.13")

    code, lines = machine.make()

    assert (code, lines[0]) == (0, "Making the environment .venv with Python 3.13.")


def test_a_python_that_was_asked_for_is_not_replaced_by_another(machine: Machine) -> None:
    old = machine.python("python3.8", version="3.8", too_old=True)
    machine.python()

    assert f"{old} is 3.8: name another" in machine.sentence(f"PYTHON={old}")
    assert "is not a Python that runs" in machine.sentence("PYTHON=/nowhere/python3")


def test_a_python_without_venv_says_what_to_install(machine: Machine) -> None:
    machine.python(venv=False)

    code, (sentence,) = machine.make()

    assert code != 0
    assert (
        "python3 lacks the module venv: install it (Debian, Ubuntu: sudo apt-get install python3.12-venv)" in sentence
    )


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        (OFFLINE, "The packages could not be downloaded: check this machine's network or proxy"),
        ("ERROR: [Errno 28] No space left on device", "The disk is full"),
        ("Collecting one\nERROR: No matching distribution\nhint", "could not be installed: ERROR: No matching distr"),
    ],
)
def test_an_installation_that_fails_says_why_and_is_begun_anew_by_the_next(
    machine: Machine, says: str, sentence: str
) -> None:
    machine.python()
    machine.pip(says, exits=1)

    failed = machine.sentence()
    machine.pip()
    code, lines = machine.make()

    assert sentence in failed
    assert (code, lines[0]) == (0, "Making .venv anew, since its installation had not come to an end.")


def test_a_finished_installation_is_left_alone(machine: Machine) -> None:
    machine.python()
    first, second = machine.make(), machine.make()

    assert first[0] == 0
    assert second == (0, [])
    assert machine.pip_calls() == 1


def test_changed_requirements_are_installed_into_the_same_environment(machine: Machine) -> None:
    machine.python()
    machine.make()
    (machine.folder / ".venv" / "kept").touch()
    (machine.folder / "requirements.txt").write_text("one==2\n")

    code, lines = machine.make()

    assert (code, lines[0]) == (0, "The requirements have changed since the last installation.")
    assert (machine.folder / ".venv" / "kept").exists()
    assert machine.make() == (0, [])


def test_an_environment_whose_python_is_gone_is_made_anew(machine: Machine) -> None:
    machine.python()
    machine.make()
    inner = machine.folder / ".venv" / "bin" / "python"
    inner.unlink()
    inner.symlink_to("/nowhere/python3")

    code, lines = machine.make()

    assert (code, lines[0]) == (0, "Making .venv anew, since its Python is gone.")
    assert machine.make() == (0, [])


def test_an_environment_in_a_folder_that_was_moved_is_made_anew(machine: Machine) -> None:
    machine.python()
    machine.make()
    machine.folder = machine.folder.rename(machine.folder.parent / "moved")

    code, lines = machine.make()

    assert (code, lines[0]) == (0, "Making .venv anew, since its folder was moved or its Python exchanged.")


class Start:
    """`python -m sync start`, which is what `make run` runs, in a folder that has neither an .env nor data yet."""

    def __init__(self, folder: Path, port: int, demo_port: int) -> None:
        self.folder, self.output = folder, folder / "output.txt"
        self.port, self.demo_port = port, demo_port
        folder.mkdir(exist_ok=True)
        for part in (".streamlit/config.toml", "streamlit_app.py", "sync", "dashboard", "pages", "demo"):
            (folder / part).parent.mkdir(exist_ok=True)
            (folder / part).symlink_to(ROOT / part)

    def begin(self) -> "subprocess.Popen[bytes]":
        variables = {"PATH": os.environ["PATH"], "DEMO_PORT": str(self.demo_port), "FIRST_SYNC_DAYS": "1"}
        command = [sys.executable, "-m", "sync", "start", "--port", str(self.port)]
        with self.output.open("wb") as output:
            return subprocess.Popen(
                command, cwd=self.folder, env=variables, stdout=output, stderr=output, start_new_session=True
            )

    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.said():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def runs(self) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self.folder / "data" / "demo.db")) as db:
            return db.execute("select source, state from sync_runs order by id").fetchall()


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return Start(tmp_path, ports.free_port(), ports.free_port())


@pytest.fixture
def started(start: Start) -> Iterator["subprocess.Popen[bytes]"]:
    process = start.begin()
    family: list[psutil.Process] = []
    try:
        start.wait_for(f"\nThe dashboard is at http://localhost:{start.port}\n")
        family = psutil.Process(process.pid).children(recursive=True)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
    assert psutil.wait_procs(family, timeout=5)[1] == [], "left behind"


def test_it_ends_with_the_address_once_the_first_sync_has_filled_it(
    start: Start, started: "subprocess.Popen[bytes]"
) -> None:
    said = start.said()

    assert said.splitlines()[0].startswith("There is no provider key in .env, so this is demo data")
    assert said.rstrip().endswith(f"The dashboard is at http://localhost:{start.port}")
    assert start.runs() == [("twilio", "ok"), ("elevenlabs", "ok")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_to_stop_ends_all_of_it(
    start: Start, started: "subprocess.Popen[bytes]", number: signal.Signals
) -> None:
    started.send_signal(number)
    started.send_signal(number)  # an impatient second one changes nothing

    assert started.wait(PATIENCE) == 0
    assert start.said().endswith("Stopping.\n")
    assert "Traceback" not in start.said()
    assert {state for _, state in start.runs()} == {"ok"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_killed_with_9_it_leaves_nothing_running(started: "subprocess.Popen[bytes]") -> None:
    family = psutil.Process(started.pid).children(recursive=True)

    started.kill()
    started.wait(PATIENCE)

    assert len(family) >= 3
    assert psutil.wait_procs(family, timeout=5)[1] == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that Postgres may look into, which runs as a user of its own."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_every_signal_ends_the_local_supabase_with_all_that_runs_on_it(
    open_folder: Path, number: signal.Signals
) -> None:
    start = Start(open_folder, ports.free_port(), ports.free_port())
    for part in ("tests", "supabase", "scripts"):
        (start.folder / part).symlink_to(ROOT / part)
    places = {"PATH": os.environ["PATH"], "PYTHONPATH": str(start.folder)}
    variables = {**places, "DEMO_PORT": str(start.demo_port), "FIRST_SYNC_DAYS": "1"}
    command = [sys.executable, "scripts/run_supabase.py", str(start.port)]
    with (
        start.output.open("wb") as output,
        subprocess.Popen(
            command, cwd=start.folder, env=variables, stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        try:
            start.wait_for(f"\nThe dashboard is at http://localhost:{start.port}\n")
            family = psutil.Process(process.pid).children(recursive=True)
        finally:
            os.killpg(process.pid, number)  # as a terminal does
        code = process.wait(PATIENCE)

    assert code == 0
    assert psutil.wait_procs(family, timeout=5)[1] == [], "left behind"
    assert start.said().endswith("Stopping.\n")


def test_a_second_start_says_that_one_is_running(start: Start, started: "subprocess.Popen[bytes]") -> None:
    second = Start(start.folder / "second", start.port, ports.free_port())

    code = second.begin().wait(PATIENCE)

    (sentence,) = second.said().splitlines()
    assert code == 1
    assert f"Voice Ledger is already running on http://localhost:{start.port}; to start it anew" in sentence
    (pid,) = re.findall(r"`kill (\d+)`", sentence)
    assert "streamlit_app.py" in psutil.Process(int(pid)).cmdline()


def test_when_one_process_ends_all_end_and_it_is_named(start: Start, started: "subprocess.Popen[bytes]") -> None:
    scheduler = next(each for each in psutil.Process(started.pid).children() if "scheduler" in each.cmdline())

    scheduler.kill()

    assert started.wait(PATIENCE) == 1
    assert "The scheduler ended, and its last lines say why; everything is being stopped." in start.said()


def test_a_port_that_another_program_has_is_one_sentence_and_nothing_starts(start: Start) -> None:
    with socket.create_server(("127.0.0.1", start.port)):
        code = start.begin().wait(PATIENCE)

    (sentence,) = start.said().splitlines()
    assert code == 1
    assert f"Port {start.port} is taken by " in sentence
    assert "make run PORT=" in sentence


def test_providers_move_to_another_port_when_theirs_is_taken(start: Start) -> None:
    with socket.create_server(("127.0.0.1", start.demo_port)):
        process = start.begin()
        try:
            start.wait_for(f"\nThe dashboard is at http://localhost:{start.port}\n")
        finally:
            process.terminate()
            process.wait(PATIENCE)

    assert f"Port {start.demo_port} is taken, so the simulated providers listen on " in start.said()


@pytest.mark.parametrize("path", ["ledger", "/ledger/"])
def test_a_dashboard_below_a_path_is_refused_by_make_run_too(start: Start, path: str) -> None:
    config = start.folder / ".streamlit" / "config.toml"
    told = config.read_text().replace("[server]\n", f'[server]\nbaseUrlPath = "{path}"\n')
    config.unlink()  # a link to ours
    config.write_text(told)

    code = start.begin().wait(PATIENCE)

    assert code == 1
    assert "Voice Ledger cannot start: server.baseUrlPath is set" in start.said()


def test_a_port_that_is_held_without_listening_is_taken_and_a_free_one_is_not() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))

        assert ports.is_taken(holder.getsockname()[1])
    assert not ports.is_taken(ports.free_port())
