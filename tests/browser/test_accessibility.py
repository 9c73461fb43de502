"""Every page for those who see little or use no mouse: what axe-core finds, and how far the keyboard reaches."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.accessibility import Violation, violations
from tests.browser.conftest import (
    DRAWN,
    TABLE,
    Visitor,
    ended_afterwards,
    evening_zone,
    free_port,
    wait_for_answer,
)

BARE_PAGE = Path(__file__).parent / "bare_page.py"
CLIENT = "/workspace?workspace=Fernway+Outfitters&period=All"
PAGES: Mapping[str, tuple[str, ...]] = {
    "/?period=All&compare=true": DRAWN,
    CLIENT: DRAWN,
    "/twilio?period=Today&compare=true&zone=EVENING": DRAWN,
    "/elevenlabs?period=All": DRAWN,
    "/calls?period=All": (TABLE,),
    "/sync": (TABLE,),
    "/settings": (TABLE,),
}
MOST_STOPS = 60

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
FADED = 500  # milliseconds, in which colours change
HAS_THEME = """scheme => {
    const background = getComputedStyle(document.querySelector("[data-testid=stApp]")).backgroundColor;
    return (Number(background.match(/\\d+/)[0]) > 127) === (scheme === "light");
}"""


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a page of plain Streamlit, without this project's theme."""
    port = free_port()
    options = ["--server.address=127.0.0.1", "--server.headless=true", "--browser.gatherUsageStats=false"]
    command = [sys.executable, "-m", "streamlit", "run", str(BARE_PAGE), f"--server.port={port}", *options]
    folder, address = tmp_path_factory.mktemp("bare"), f"http://127.0.0.1:{port}"
    with ended_afterwards(subprocess.Popen(command, text=True, cwd=folder, env=os.environ)) as process:
        wait_for_answer(f"{address}/_stcore/health", process)
        yield address


@pytest.fixture(scope="session")
def of_streamlit(desk: BrowserContext, bare: str) -> dict[Scheme, set[Violation]]:
    """Give what Streamlit itself does wrong in each theme."""
    page = Visitor(desk, bare).open("/", *DRAWN)
    found = {scheme: set(violations_in(page, scheme)) for scheme in SCHEMES}
    page.close()
    return found


def violations_in(page: Page, scheme: Scheme) -> dict[Violation, str]:
    """Let the page change its theme, as it does when the reader's system does, and look at it."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(HAS_THEME, arg=scheme)
    page.wait_for_timeout(FADED)
    return violations(page)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_serious_violation_that_streamlit_has_not(
    visitor: Visitor, of_streamlit: dict[Scheme, set[Violation]], path: str
) -> None:
    page = visitor.open(path.replace("EVENING", quote(evening_zone())), *PAGES[path])

    for scheme in SCHEMES:
        found = violations_in(page, scheme)

        assert {which: example for which, example in found.items() if which not in of_streamlit[scheme]} == {}


@pytest.mark.parametrize("path", ["/", "/twilio", "/calls", CLIENT])
def test_the_keyboard_reaches_filters_then_tables_in_the_order_of_the_screen(visitor: Visitor, path: str) -> None:
    page = visitor.open(f"{path}{'&' if '?' in path else '?'}period=All", *PAGES.get(path, (TABLE,)))
    wanted = [page.get_by_role("combobox", name=name) for name in ("Period", "Time zone")]

    stops = stops_of(page, [*wanted, page.locator(TABLE).first])

    assert stops == sorted(stops)


def stops_of(page: Page, wanted: list[Locator]) -> list[int]:
    """Press Tab until all of the elements had the focus; return after how many presses each had it."""
    elements = [locator.element_handle() for locator in wanted]
    stops: dict[int, int] = {}
    for presses in range(MOST_STOPS):
        page.keyboard.press("Tab")
        for place, element in enumerate(elements):
            if place not in stops and element and element.evaluate("element => element === document.activeElement"):
                stops[place] = presses
        if len(stops) == len(elements):
            return [stops[place] for place in range(len(elements))]
    raise AssertionError(f"Of {wanted}, the keyboard reached only {sorted(stops)}.")


def test_a_period_is_chosen_with_the_keyboard(visitor: Visitor) -> None:
    page = visitor.open("/", *DRAWN)

    page.get_by_role("combobox", name="Period").focus()
    page.keyboard.type("Yest")
    page.keyboard.press("Enter")

    page.wait_for_url("**period=Yesterday")
    expect(page.get_by_test_id("stMetric").first).to_be_visible()


def test_enter_starts_a_search(visitor: Visitor) -> None:
    page = visitor.open("/calls?period=All", TABLE)

    page.get_by_role("textbox", name="Search").fill("nobody has this id")
    page.keyboard.press("Enter")

    expect(page.get_by_text("No call in this period matches the filters.")).to_be_visible()
