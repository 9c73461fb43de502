"""Pictures of every page, from demo data: light, dark and on a phone. `make screenshots` draws them all."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, Position, ViewportSize, sync_playwright

from tests.browser.conftest import DESKTOP, DRAWN, ROOT, TABLE, Visitor, dashboard, providers
from tests.chromium import launch

ALL, README = ROOT / "screenshots", ROOT / "docs" / "images"
PHONE = ViewportSize(width=390, height=844)
TALLEST = 6000  # pixels
SETTLED = 1500  # milliseconds, in which charts and tables find their size
FIRST_ROW = Position(x=15, y=52)  # its checkbox
CLIENT = "/workspace?workspace=Fernway+Outfitters"

Scheme = Literal["light", "dark"]


def open_first_call(page: Page) -> None:
    """Open the first row of the list, and what was said in that call."""
    page.get_by_test_id("stDataFrame").first.click(position=FIRST_ROW)
    page.get_by_role("button", name="Show transcript").click()
    page.get_by_test_id("stChatMessage").first.wait_for()
    page.mouse.move(0, 0)  # away from the button, whose help would be in the picture


def preview_an_assignment(page: Page) -> None:
    """Ask what would move if the first unregistered number were a new client's."""
    page.get_by_label("Numbers to assign").click()
    page.get_by_role("option").nth(1).click()
    page.keyboard.press("Escape")
    page.get_by_label("Workspace", exact=True).first.click()
    page.keyboard.type("Borealis Dental")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Preview").first.click()
    page.get_by_role("button", name="Assign 1 number").wait_for()


def start_a_historical_sync(page: Page) -> None:
    start = page.get_by_role("button", name="Start historical sync")
    running = page.get_by_role("heading", name="Running now")
    start.or_(running).first.wait_for()
    if not running.is_visible():  # the one that was started for another picture
        start.click()
    running.wait_for()


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A page as a link opens it, what must be drawn, and what is done on it before the picture is taken."""

    name: str
    path: str
    drawn: tuple[str, ...] = DRAWN
    act: Callable[[Page], None] | None = None


PICTURES = (
    Picture(name="workspaces", path="/"),
    Picture(name="workspaces-compared", path="/?compare=true&period=7+days"),
    Picture(name="workspace", path=CLIENT),
    Picture(name="twilio", path="/twilio"),
    Picture(name="elevenlabs", path="/elevenlabs"),
    Picture(name="elevenlabs-custom-compared", path="/elevenlabs?period=Custom&compare=true"),
    Picture(name="calls", path="/calls", drawn=(TABLE,)),
    Picture(name="call", path="/calls?match=Matched&order=Highest+cost+first", drawn=(TABLE,), act=open_first_call),
    Picture(name="sync", path="/sync", drawn=(TABLE,)),
    Picture(name="settings", path="/settings", drawn=(TABLE,)),
    Picture(name="settings-preview", path="/settings", drawn=(TABLE,), act=preview_an_assignment),
    Picture(
        name="sync-running", path="/sync", drawn=(TABLE,), act=start_a_historical_sync
    ),  # last: others would show it too
)
IN_README = ("workspaces", "calls")


def take_all(visitor: Visitor, folder: Path) -> None:
    """Take every picture in both themes, and as a phone shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        for scheme, size, suffix in (("light", DESKTOP, "light"), ("dark", DESKTOP, "dark"), ("light", PHONE, "390")):
            with opened(visitor, picture, size, scheme) as page:
                stretch(page)
                page.screenshot(path=folder / f"{picture.name}-{suffix}.png")


def take_for_readme(visitor: Visitor, folder: Path) -> None:
    """Take those that the README shows, as a window shows them without scrolling."""
    for picture in PICTURES:
        if picture.name in IN_README:
            with opened(visitor, picture, DESKTOP, "light") as page:
                page.wait_for_timeout(SETTLED)
                page.screenshot(path=folder / f"{picture.name}.png")


@contextmanager
def opened(visitor: Visitor, picture: Picture, size: ViewportSize, scheme: Scheme) -> Iterator[Page]:
    page = visitor.open(picture.path, *picture.drawn, scheme=scheme, size=size)
    if picture.act:
        picture.act(page)
    yield page
    page.close()


def stretch(page: Page) -> None:
    """Make the window as high as the page, which scrolls inside of it; parts that are drawn late make it higher."""
    width = page.viewport_size["width"] if page.viewport_size else DESKTOP["width"]
    for _ in range(2):
        height = page.get_by_test_id("stMain").evaluate("main => main.scrollHeight")
        page.set_viewport_size({"width": width, "height": min(height, TALLEST)})
        page.wait_for_timeout(SETTLED)


@contextmanager
def demo() -> Iterator[str]:
    """Give the address of a dashboard that is filled as that of a new user; further syncs take their time."""
    with tempfile.TemporaryDirectory() as folder, providers() as fast, providers("--latency-ms", "300") as slow:
        variables = {**os.environ, "DATABASE_PATH": str(Path(folder) / "ledger.db"), "TIMEZONE": "UTC"}
        subprocess.run(
            [sys.executable, "-m", "sync", "all"],
            cwd=ROOT,
            env={**variables, "DEMO_PORT": port_of(fast)},
            check=True,
            capture_output=True,
        )
        with dashboard({**variables, "DEMO_PORT": port_of(slow)}) as address:
            yield address


def port_of(address: str) -> str:
    return address.rpartition(":")[2]


if __name__ == "__main__":
    with sync_playwright() as playwright, demo() as address:
        browser = launch(playwright)
        visitor = Visitor(browser.new_context(viewport=DESKTOP, timezone_id="UTC"), address)
        take_for_readme(visitor, README)
        take_all(visitor, ALL)
        browser.close()
