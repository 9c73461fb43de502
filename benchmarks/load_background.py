"""What works beside the readers under load: hourly syncs, a historical sync, a browser, and a look at the memory."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, cycle

import httpx
import psutil
from playwright.sync_api import Error, sync_playwright

from benchmarks.load_times import Sample
from benchmarks.page_speed_browser import Contents, opened
from tests.browser.conftest import DESKTOP, ROOT, launch

MINUTE = 60.0
HOUR_OF_THE_LOAD = 100.0  # seconds
HOURLY = ("sync-hourly", "sync-elevenlabs-hourly")
PATIENCE = 120.0
MEGABYTE = 2**20
DRAWN_BY_CHROMIUM = {
    "/": Contents(metrics=4, charts=2, tables=[[]]),
    "/calls?period=7+days": Contents(metrics=4, charts=0, tables=[[]]),
}


@contextmanager
def meanwhile(*works: Callable[[threading.Event], None]) -> Iterator[None]:
    """Let each work in a thread of its own until the block ends, when it is told to stop."""
    is_over = threading.Event()
    threads = [threading.Thread(target=work, args=(is_over,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def sync_again_and_again(address: str, secret: str, samples: list[Sample]) -> Callable[[threading.Event], None]:
    """Ask the dashboard for both hourly syncs, as a crontab would, but more often."""

    def work(is_over: threading.Event) -> None:
        headers = {"Authorization": f"Bearer {secret}"}
        with httpx.Client(headers=headers, timeout=PATIENCE, trust_env=False) as client:
            while not is_over.is_set():
                for name in HOURLY:
                    start = time.monotonic()
                    # A historical sync may hold the lock of its source: 409 is an answer.
                    is_error = client.post(f"{address}/api/{name}").status_code not in (200, 409)
                    samples.append(Sample(name=name, seconds=time.monotonic() - start, is_error=is_error))
                is_over.wait(HOUR_OF_THE_LOAD)

    return work


def backfill(variables: dict[str, str], days: int, samples: list[Sample]) -> Callable[[threading.Event], None]:
    """Run historical syncs of both providers in turn, each as a command of its own, and the next when one has ended."""

    def work(is_over: threading.Event) -> None:
        since = f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}"
        for source in cycle(("elevenlabs", "twilio")):
            if is_over.is_set():
                return
            command = [sys.executable, "-m", "sync", "backfill", source, "--since", since]
            start = time.monotonic()
            with subprocess.Popen(  # noqa: S603  our own module
                command, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as process:
                while process.poll() is None and not is_over.wait(0.1):
                    pass
                is_stopped = process.poll() is None
                process.terminate()
            is_error = bool(process.returncode) and not is_stopped
            samples.append(Sample(name=f"backfill {source}", seconds=time.monotonic() - start, is_error=is_error))

    return work


def browse(address: str, every: float, samples: list[Sample]) -> Callable[[threading.Event], None]:
    """Open pages in Chromium, one at a time, and note when the last element was drawn."""

    def work(is_over: threading.Event) -> None:
        with sync_playwright() as playwright:
            reader = launch(playwright).new_context(viewport=DESKTOP)
            for path in cycle(DRAWN_BY_CHROMIUM):
                start = time.monotonic()
                try:
                    opened(reader, address + path, DRAWN_BY_CHROMIUM[path])
                    is_error = False
                except Error:  # a timeout is one, too
                    is_error = True
                samples.append(Sample(name=f"Chromium {path}", seconds=time.monotonic() - start, is_error=is_error))
                if is_over.wait(every):
                    reader.close()
                    return

    return work


def watch_memory(process: psutil.Process, every: float) -> tuple[list[str], Callable[[threading.Event], None]]:
    """Return a list of what the process holds, which grows with each look, and what looks."""
    looks: list[str] = []

    def work(is_over: threading.Event) -> None:
        for number in count():
            looks.append(f"{number * every / MINUTE:g} min {process.memory_info().rss / MEGABYTE:.0f} MB")
            if is_over.wait(every):
                return

    return looks, work
