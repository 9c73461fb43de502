"""The demo providers in a process of their own, with latency and a limit and their records made, as a far one is."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

LATENCY, CONCURRENCY = 0.03, 20


@contextmanager
def demo_providers(*, days: int, is_elsewhere: bool = False) -> Iterator[str]:
    """Yield the address of a server that holds `days` of history.

    One that `is_elsewhere` leaves the processors of this machine to the others, as if it had its own.
    """
    options = ["--days", str(days), "--latency-ms", str(int(LATENCY * 1000)), "--max-concurrency", str(CONCURRENCY)]
    priority = ["nice", "-n", "19"] if is_elsewhere else []
    command = [
        *priority,
        sys.executable,
        "-m",
        "demo",
        "--port",
        "0",
        "--until-stdin-closes",
        "--made-beforehand",
        *options,
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603  ours
    assert process.stdin  # noqa: S101  both are pipes
    assert process.stdout  # noqa: S101
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.stdin.close()
        process.wait()


def requests_of(address: str, provider: str) -> dict[str, int]:
    """Return how often the server was asked: `list`, `detail`, `refused`."""
    counts: dict[str, int] = httpx.get(f"{address}/demo/requests").json()[provider]
    return {name: counts.get(name, 0) for name in ("list", "detail", "refused")}
