"""Chromium for page_speed.py: the time to the last element of a page, and of a click on a filter."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import typer
from playwright.sync_api import BrowserContext, Locator, Page, sync_playwright

from tests.browser.conftest import DESKTOP, ROOT, ended_afterwards, free_port, launch, wait_for_answer

TIMES = 5
BARE_PAGE = Path(__file__).with_name("page_speed_bare.py")

# The script has ended, nothing on the page is of the run before it, and as much is drawn as there is to draw.
IS_DRAWN = """([metrics, charts, tables]) => {
    const app = document.querySelector('[data-testid="stApp"]')
    const count = (selector) => document.querySelectorAll(selector).length
    return app?.dataset.testScriptState === 'notRunning' && app.dataset.testConnectionState === 'CONNECTED'
        && !count('[data-testid="stSkeleton"]') && !count('[data-stale="true"]')
        && count('[data-testid="stMetric"]') >= metrics
        && count('.stPlotlyChart:has(.main-svg)') >= charts
        && count('[data-testid="stDataFrame"]:has(canvas)') >= tables
}"""
HAS_BEGUN = """() => document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState !== 'notRunning'"""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """How much a page shows."""

    metrics: int
    charts: int
    tables: list[list[int]]

    @property
    def counts(self) -> list[int]:
        return [self.metrics, self.charts, len(self.tables)]

    @property
    def url_of_bare_page(self) -> str:
        shapes = [("table", f"{rows}x{columns}") for rows, columns in self.tables]
        return "/?" + urlencode([("metrics", self.metrics), ("charts", self.charts), *shapes])


def compare(environment: dict[str, str], reads: dict[str, dict[str, Any]]) -> None:
    """Print for each page its time, that of a bare page with as much on it, and how long a click takes."""
    with ExitStack() as servers, sync_playwright() as playwright:
        pages = servers.enter_context(streamlit("streamlit_app.py", environment))
        bare_pages = servers.enter_context(streamlit(str(BARE_PAGE), environment))
        chromium = launch(playwright)
        reader = chromium.new_context(viewport=DESKTOP)
        typer.echo(f"{'page':<34}{'drawn':>9}{'bare':>9}{'ratio':>7}{'click':>9}")
        for url, read in reads.items():
            contents = Contents(metrics=read["metrics"], charts=read["charts"], tables=read["tables"])
            shown, bare = side_by_side(reader, pages + url, bare_pages + contents.url_of_bare_page, contents)
            click = f"{clicked(reader, pages + url):>6.0f} ms" if contents.metrics else ""
            typer.echo(f"{url:<34}{shown:>6.0f} ms{bare:>6.0f} ms{shown / bare:>7.2f}{click:>9}")
        chromium.close()


def side_by_side(reader: BrowserContext, url: str, bare_url: str, contents: Contents) -> tuple[float, float]:
    """Return the median milliseconds of both, opened in turns; the first turn warms both up."""
    turns = [(opened(reader, url, contents), opened(reader, bare_url, contents)) for _ in range(TIMES + 1)][1:]
    shown, bare = zip(*turns, strict=True)
    return statistics.median(shown), statistics.median(bare)


def opened(reader: BrowserContext, url: str, contents: Contents) -> float:
    """Open a page in a new tab and return the milliseconds until its last element is drawn."""
    with tab(reader) as page:
        return timed(lambda: (page.goto(url), page.wait_for_function(IS_DRAWN, arg=contents.counts)))


def clicked(reader: BrowserContext, url: str) -> float:
    """Return the median milliseconds from a click on another period to the last element; each opens its own tab."""
    times = []
    for _ in range(TIMES):
        with tab(reader) as page:
            page.goto(url)
            page.wait_for_function(IS_DRAWN, arg=[1, 0, 0])
            page.get_by_role("combobox", name="Period").click()
            week = page.get_by_role("option", name="7 days", exact=True)
            week.wait_for()
            times.append(timed(partial(choose, week, page)))
    return statistics.median(times)


def choose(period: Locator, page: Page) -> None:
    period.click()
    page.wait_for_function(HAS_BEGUN)
    page.wait_for_function(IS_DRAWN, arg=[1, 0, 0])


@contextmanager
def tab(reader: BrowserContext) -> Iterator[Page]:
    page = reader.new_page()
    try:
        yield page
    finally:
        page.close()


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


@contextmanager
def streamlit(script: str, environment: dict[str, str]) -> Iterator[str]:
    """Run a Streamlit app on a free port and give its address when it answers."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", script, f"--server.port={port}"]
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(  # noqa: S603 - scripts of our own
        command, text=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with ended_afterwards(server) as process:
        wait_for_answer(address, process)
        yield address
