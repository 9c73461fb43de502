"""The demo providers in a process of their own, with latency and a limit and their records made, as a far one is."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

LATENCY, CONCURRENCY = 0.03, 20


@contextmanager
def demo_providers(*, days: int) -> Iterator[str]:
    """Yield the address of a server that holds `days` of history."""
    lasting = ["--port", "0", "--until-stdin-closes", "--made-beforehand", "--days", str(days)]
    speed = ["--latency-ms", str(int(LATENCY * 1000)), "--max-concurrency", str(CONCURRENCY)]
    command = [sys.executable, "-m", "demo", *lasting, *speed]
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
