"""What `make run` starts: dashboard, scheduler and, without keys, the simulated providers, until Ctrl-C."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

import httpx

from sync import ports
from sync.bootstrap import Services
from sync.errors import ConfigurationError
from sync.stopping import GRACE, unwatch
from sync.welcome import announce

PATIENCE = GRACE + timedelta(seconds=0.7)  # a process that was told to end, and has not by then, is killed
LOOK_EVERY = timedelta(seconds=0.1)
HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)  # the terminal was closed

Say = Callable[[str], None]
Processes = Mapping[str, "subprocess.Popen[bytes]"]


def run(services: Services, port: int, say: Say) -> bool:
    """Run all until a signal comes, or one of them ends by itself; return whether it was a signal.

    Raises ConfigurationError if the dashboard's port is taken; nothing was started then.
    """
    _refuse_taken(port)
    commands = _commands(services, port, say)
    *others, last = commands
    say(f"Starting {', '.join(others)} and {last}; Ctrl-C ends them.")
    begun = services.clock()
    told, told_twice = _told_by_signals()
    with _running(commands, told_twice) as processes:
        welcome = threading.Thread(target=announce, args=(services, port, begun, told, say), daemon=True)
        welcome.start()
        ended = _first_that_ends(processes, told)
        told.set()
        welcome.join(LOOK_EVERY.total_seconds())
        say(f"The {ended} ended, and its last lines say why; everything is being stopped." if ended else "Stopping.")
    return ended is None


def _refuse_taken(port: int) -> None:
    if not ports.is_taken(port):
        return
    other = ports.listener_on(port)
    if _is_ours(port):
        how = f"Ctrl-C or `kill {other.pid}`" if other else "Ctrl-C"
        raise ConfigurationError(
            f"Voice Ledger is already running on http://localhost:{port}; "
            f"to start it anew, with changed settings for example, end that one with {how} first."
        )
    who = f"{other.name} (process {other.pid})" if other else "another program"
    raise ConfigurationError(
        f"Port {port} is taken by {who}; end that, or choose another port: make run PORT={ports.free_port()}."
    )


def _is_ours(port: int) -> bool:
    """Tell whether it is a dashboard that answers there."""
    try:
        answer = httpx.get(f"http://localhost:{port}/api/health", timeout=5, trust_env=False)
        return "store" in answer.json()
    except (httpx.HTTPError, ValueError, TypeError):
        return False


def _commands(services: Services, port: int, say: Say) -> dict[str, list[str]]:
    python = sys.executable
    dashboard = [python, "-m", "streamlit", "run", "streamlit_app.py", f"--server.port={port}"]
    scheduler = [python, "-m", "sync", "scheduler"]
    if not services.settings.is_demo:
        return {"dashboard": dashboard, "scheduler": scheduler}
    say("There is no provider key in .env, so this is demo data; your own will be kept apart from it.")
    wanted = services.settings.demo_port or ports.free_port()
    demo_port = wanted if not ports.is_taken(wanted) else ports.free_port()
    if demo_port != wanted:
        say(f"Port {wanted} is taken, so the simulated providers listen on {demo_port} this time.")
    told = ["env", f"DEMO_PORT={demo_port}"]  # the environment is the settings' to read; this only adds to it
    return {
        "simulated providers": [python, "-m", "demo", f"--port={demo_port}"],
        "dashboard": [*told, *dashboard],
        "scheduler": [*told, *scheduler],
    }


def _told_by_signals() -> tuple[threading.Event, threading.Event]:
    """Return what Ctrl-C, SIGTERM or a closed terminal sets, and what a second one of these sets."""
    told, told_twice = threading.Event(), threading.Event()

    def stop(number: int, _: FrameType | None) -> None:
        (told_twice if told.is_set() else told).set()

    unwatch()  # we end after those that we started, and never without them
    for number in (signal.SIGINT, signal.SIGTERM, HANGUP):
        signal.signal(number, stop)
    return told, told_twice


@contextmanager
def _running(commands: Mapping[str, list[str]], told_twice: threading.Event) -> Iterator[Processes]:
    """Run the commands for the length of the block, and leave none of them, nor of what they started, behind."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            # In sessions of their own, the signals of the terminal reach this process alone, which passes them on.
            processes[name] = subprocess.Popen([*_ends_with_us(), *command], start_new_session=True)  # noqa: S603  ours
        yield processes
    finally:
        for process in processes.values():
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE.total_seconds()
        while any(process.poll() is None for process in processes.values()) and time.monotonic() < deadline:
            if told_twice.wait(LOOK_EVERY.total_seconds()):
                break
        for process in processes.values():
            _signal(process, signal.SIGKILL)
            process.wait()


def _ends_with_us() -> list[str]:
    """Return what makes a command end when this process is killed and can pass on nothing; only Linux has it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def _first_that_ends(processes: Processes, told: threading.Event) -> str | None:
    while not told.wait(LOOK_EVERY.total_seconds()):
        for name, process in processes.items():
            if process.poll() is not None:
                return name
    return None


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to a process and to what it started."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # it has ended
