"""Child processes that end when this one does, and the wait until they are ready."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

READY_WITHIN = 30.0  # seconds
STOPS_WITHIN = 10.0


class CannotStartError(RuntimeError):
    """Something that the local Supabase needs is missing or does not start; the message says what to do."""


class Child:
    """A running program. `stop_with` is the signal that ends it in an orderly way."""

    def __init__(
        self,
        command: list[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        stop_with: signal.Signals = signal.SIGTERM,
        user: str | None = None,
    ) -> None:
        self._name = Path(command[0]).name
        self._log = log
        self._stop_with = stop_with
        # The kernel sends the signal when the starting thread ends, even if this process is killed: no orphans.
        dies_with_us = ["setpriv", "--pdeathsig", stop_with.name.removeprefix("SIG")]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*dies_with_us, *as_user(user), *command], stdout=output, stderr=output, env=environment, cwd="/"
            )

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise CannotStartError(f"{self._name} did not start: {last_line(self._log.read_text())}")
            time.sleep(0.01)

    def stop(self) -> None:
        self._process.send_signal(self._stop_with)
        try:
            self._process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def as_user(user: str | None) -> list[str]:
    """Return what makes setpriv run a program as this user; root may, others can only be themselves."""
    if user is None or os.geteuid() != 0:
        return []
    return ["--reuid", user, "--regid", user, "--clear-groups"]


def last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
