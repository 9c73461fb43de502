"""`make run-supabase`: a Supabase project of this machine, and the program on it, until Ctrl-C or SIGTERM."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

PROJECT = [sys.executable, "-m", "tests.local_supabase", "--data", "data/supabase"]
PROGRAM = [sys.executable, "-m", "sync", "start", "--port"]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(port: str) -> int:
    for number in SIGNALS:
        signal.signal(number, _stop)
    with _running(PROJECT, stdout=subprocess.PIPE) as project:
        settings = _settings(project)
        if not settings:
            return project.wait() or 1  # it has said why
        with _running([*PROGRAM, port], env=os.environ | settings) as program:
            return program.wait()


def _stop(*_: int | FrameType | None) -> None:
    sys.exit()


def _settings(project: "subprocess.Popen[bytes]") -> Mapping[str, str]:
    """Return the project's address and key, which are its first two lines."""
    lines = [project.stdout.readline().decode().strip() for _ in range(2)] if project.stdout else []
    return dict(line.split("=", 1) for line in lines if line)


@contextmanager
def _running(
    command: list[str], *, stdout: int | None = None, env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command for the length of the block, in a session of its own: the terminal's Ctrl-C reaches us alone."""
    process = subprocess.Popen(command, stdout=stdout, env=env, start_new_session=True)  # noqa: S603  our own words
    try:
        yield process
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C leaves nothing behind either
        process.terminate()
        process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
