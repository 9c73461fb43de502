"""Real servers and a real Chromium: simulated providers, a filled dashboard, and an empty one that syncs slowly."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

from demo import credentials
from demo.fleet import WORKSPACES
from tests.chromium import launch as launch  # for those who open a browser of their own

ROOT = Path(__file__).parent.parent.parent
CLIENT = next(workspace for workspace in WORKSPACES if workspace.name == "Fernway Outfitters")
EVENING = 20  # o'clock
STARTED_WITHIN = 60  # seconds
SHOWN_WITHIN = 30_000  # milliseconds
DESKTOP = ViewportSize(width=1440, height=900)

PAGE_WIDTH = "document.documentElement.scrollWidth"
READY = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
TABLE = "[data-testid=stDataFrame] canvas"
DRAWN = (".stPlotlyChart .main-svg", TABLE, "[data-testid=stMetricChart]")


def evening_zone() -> str:
    """Return a time zone in which it is evening now: `Today` has calls there, also just after midnight UTC."""
    ahead = (EVENING - datetime.now(UTC).hour) % 24
    ahead -= 24 if ahead > 14 else 0  # no zone is further east
    return f"Etc/GMT{-ahead:+}"  # zones of this kind are named the wrong way round: Etc/GMT-3 is three hours ahead


Seen = TypeVar("Seen")


@dataclass
class Visitor:
    """Somebody with a browser, who remembers what it complained about and where it went."""

    context: BrowserContext
    address: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(
        self,
        path: str,
        *drawn: str,
        scheme: Literal["light", "dark"] = "light",
        size: ViewportSize | None = None,
    ) -> Page:
        """Open a path in a new tab and wait until the page is drawn, `drawn` included."""
        page = self.context.new_page()
        if size:
            page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        page.set_default_timeout(SHOWN_WITHIN)
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(self.address + path)
        wait_until_drawn(page, *drawn)
        return page


def wait_until_drawn(page: Page, *drawn: str) -> None:
    page.wait_for_selector(READY)
    for selector in drawn:
        page.locator(selector).first.wait_for()


def seen_at_last(page: Page, look: Callable[[], Seen], is_right: Callable[[Seen], bool]) -> Seen:
    """Return what is seen as soon as it is right, or what is seen in the end: a page that changes is laid out anew."""
    deadline = time.monotonic() + SHOWN_WITHIN / 1000
    while not is_right(seen := look()) and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    return seen


def fits(page: Page, width: int) -> bool:
    """Tell whether nothing of the page reaches beyond this width."""
    seen = seen_at_last(page, lambda: int(page.evaluate(PAGE_WIDTH)), lambda found: found <= width)
    return seen <= width


def query_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def expect_query(page: Page, expected: dict[str, list[str]]) -> None:
    """Assert that the address says this, at once or soon: it follows the page."""
    assert seen_at_last(page, lambda: query_of(page), lambda found: found == expected) == expected


@contextmanager
def ended_afterwards(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def providers(*options: str) -> Iterator[str]:
    """Run the simulated providers and give their address."""
    command = [sys.executable, "-m", "demo", "--port", "0", "--until-stdin-closes", *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with ended_afterwards(subprocess.Popen(command, text=True, cwd=ROOT, **pipes)) as process:
        assert process.stdout
        yield process.stdout.readline().split()[-1]


def environment(folder: Path, provider: str) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_PATH": str(folder / "ledger.db"),
        "TWILIO_ACCOUNT_SID": credentials.ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": credentials.AUTH_TOKEN,
        "TWILIO_BASE_URL": provider,
        "ELEVENLABS_API_KEY": credentials.ELEVENLABS_API_KEY,
        "ELEVENLABS_BASE_URL": provider,
        "CRON_SECRET": "a-secret-of-the-tests",
        "FIRST_SYNC_DAYS": "3",
        "TIMEZONE": "UTC",
    }


@contextmanager
def dashboard(
    variables: dict[str, str], *options: str, port: int | None = None, log: Path | None = None
) -> Iterator[str]:
    """Run the dashboard on a free port and give its address when it answers. What it writes goes into `log`."""
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", f"--server.port={port}", *options]
    address = f"http://127.0.0.1:{port}"
    with (
        log.open("wb") if log else nullcontext() as output,
        ended_afterwards(
            subprocess.Popen(command, text=True, cwd=ROOT, env=variables, stdout=output, stderr=output)
        ) as process,
    ):
        wait_for_answer(f"{address}/api/health", process)
        yield address


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for_answer(address: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(address, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"Nothing answers on {address}.")


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a dashboard that shows three days of the simulated fleet, of which one client is known."""
    folder = tmp_path_factory.mktemp("filled")
    numbers = folder / "numbers.csv"
    numbers.write_text(
        "\n".join(["workspace,phone_number", *(f"{CLIENT.name},{line.number}" for line in CLIENT.lines)])
    )
    with providers("--days", "3", "--scale", "0.3") as provider:
        variables = environment(folder, provider)
        for command in (["all"], ["phones", "import", str(numbers)]):
            subprocess.run(
                [sys.executable, "-m", "sync", *command], cwd=ROOT, env=variables, check=True, capture_output=True
            )
        with dashboard(variables) as address:
            yield address


@pytest.fixture
def never_synced(tmp_path: Path) -> Iterator[str]:
    """Give the address of a dashboard without data, whose providers take their time."""
    with (
        providers("--days", "3", "--scale", "0.3", "--latency-ms", "700") as provider,
        dashboard(environment(tmp_path, provider)) as address,
    ):
        yield address


@pytest.fixture(scope="session")
def desk(chromium: Browser) -> Iterator[BrowserContext]:
    """Give a browser that keeps what it loaded, as a reader's does; each tab is a session of its own all the same."""
    context = chromium.new_context(viewport=DESKTOP)
    yield context
    context.close()


@pytest.fixture
def visitor(desk: BrowserContext, filled: str) -> Iterator[Visitor]:
    yield Visitor(desk, filled)
    for page in desk.pages:
        page.close()
