"""A busy day in five minutes: readers, callers of the API, hourly syncs and a backfill at once, beside an idle one.

python -m benchmarks.load [--minutes 5] [--rate 200] [--sessions 50] [--think 20] [--no-browser]

A real dashboard on SQLite, filled from the simulated providers. The callers keep to a timetable of `rate` requests a
second; each session reads a page every `think` seconds or so, and its badge refreshes by itself in between. Every 100
seconds the API is asked for both hourly syncs, and historical syncs run one after the other beside it. "alone" is the
time of the same in the same dashboard before the load, asked for one by one.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from subprocess import DEVNULL
from typing import Annotated

import psutil
import typer

from benchmarks.demo_process import demo_providers
from benchmarks.load_api import call_on_time, call_one_by_one
from benchmarks.load_background import MINUTE, backfill, browse, meanwhile, sync_again_and_again, watch_memory
from benchmarks.load_sessions import read_each_page, read_pages
from benchmarks.load_times import Sample, show
from demo.fleet import WORKSPACES
from tests.browser.conftest import ROOT, ended_afterwards, environment, free_port, wait_for_answer

HISTORY = 180  # days at the providers; the first sync fetches the last of them
FIRST_SYNC_DAYS = 60
CHROMIUM_EVERY = 15.0  # seconds


def main(
    minutes: Annotated[float, typer.Option(help="How long the load lasts.")] = 5.0,
    rate: Annotated[float, typer.Option(help="Requests to the API per second.")] = 200.0,
    sessions: Annotated[int, typer.Option(help="Readers at the same time.")] = 50,
    think: Annotated[float, typer.Option(help="Seconds that a reader looks at a page.")] = 20.0,
    browser: Annotated[bool, typer.Option(help="Open pages in Chromium, too.")] = True,
) -> None:
    """Print the times of all that was asked for, errors, and the dashboard's memory and processor time."""
    typer.echo(f"Load of this machine before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder, demo_providers(days=HISTORY) as provider:
        variables = environment(Path(folder), provider) | {"FIRST_SYNC_DAYS": str(FIRST_SYNC_DAYS)}
        fill(Path(folder), variables)
        with dashboard(variables) as (address, process):
            secret = variables["CRON_SECRET"]
            pages_alone, api_alone = read_each_page(address), call_one_by_one(address, secret)
            beside: list[Sample] = []
            looks, watch = watch_memory(process, min(MINUTE, minutes * MINUTE / 2))
            works = [watch, sync_again_and_again(address, secret, beside), backfill(variables, HISTORY, beside)]
            if browser:
                works.append(browse(address, CHROMIUM_EVERY, beside))
            before = process.cpu_times()
            with meanwhile(*works), ProcessPoolExecutor(2, mp_context=get_context("spawn")) as others:
                api = others.submit(call_on_time, address, secret, rate, minutes * MINUTE)
                pages = others.submit(read_pages, address, sessions, think, minutes * MINUTE)
                asked, read = api.result(), pages.result()
            spent = sum(process.cpu_times()[:2]) - sum(before[:2])
    show(f"API, {rate:g} a second", asked, api_alone)
    show(f"Pages in {sessions} sessions", read, pages_alone)
    show("Beside them", beside, [])
    typer.echo(f"\nMemory of the dashboard: {', '.join(looks)}")
    typer.echo(f"Processor time of the dashboard: {spent:.0f} s in {minutes * MINUTE:.0f} s")
    typer.echo(f"Load of this machine at the end: {os.getloadavg()[0]:.2f}")


def fill(folder: Path, variables: dict[str, str]) -> None:
    """Do the first sync, and register whose number is whose."""
    numbers = folder / "numbers.csv"
    rows = [f"{workspace.name},{line.number}" for workspace in WORKSPACES for line in workspace.lines]
    numbers.write_text("\n".join(["workspace,phone_number", *rows]))
    for command in (["all"], ["phones", "import", str(numbers)]):
        subprocess.run([sys.executable, "-m", "sync", *command], cwd=ROOT, env=variables, check=True, stdout=DEVNULL)  # noqa: S603  ours


@contextmanager
def dashboard(variables: dict[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    """Run the dashboard and give its address and its process."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", f"--server.port={port}"]
    server = subprocess.Popen(  # noqa: S603  ours
        command, text=True, cwd=ROOT, env=variables, stdout=DEVNULL, stderr=DEVNULL
    )
    with ended_afterwards(server) as process:
        wait_for_answer(f"{address}/api/health", process)
        yield address, psutil.Process(process.pid)


if __name__ == "__main__":
    typer.run(main)
