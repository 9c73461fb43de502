"""`python -m demo` says where it listens, and ends when it should."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from demo.credentials import ELEVENLABS_API_KEY

COMMAND = [sys.executable, "-m", "demo", "--days", "1"]


@contextmanager
def started(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield the process and the first line that it printed."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, *options], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_it_answers_where_its_first_line_says_and_ends_quietly_on_sigterm() -> None:
    with started("--port", "0") as (process, line):
        url = line.removeprefix("Demo providers on ")
        answer = httpx.get(f"{url}/v1/convai/agents", headers={"xi-api-key": ELEVENLABS_API_KEY}, trust_env=False)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=5)

    assert answer.status_code == 200
    assert (process.returncode, out, err) == (0, "", "")


def test_it_ends_with_its_parent_when_asked_to() -> None:
    with started("--port", "0", "--until-stdin-closes") as (process, line):
        assert line.startswith("Demo providers on http://127.0.0.1:")
        out, err = process.communicate(timeout=5)

    assert (process.returncode, out, err) == (0, "", "")


def test_a_taken_port_is_one_sentence_and_exit_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, check=False, timeout=10)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert port in done.stderr
    assert "--port" in done.stderr


def test_an_unknown_fault_is_named() -> None:
    done = subprocess.run([*COMMAND, "--faults", "nonsense=1"], capture_output=True, text=True, check=False, timeout=10)

    assert done.returncode == 2
    assert "nonsense" in done.stderr
