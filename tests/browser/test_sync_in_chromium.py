"""The page Sync in real browsers: syncs that others see and that no page change stops, and a historical sync."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Position, ViewportSize, expect

from tests.browser.conftest import Visitor, dashboard, environment, providers

PATIENCE = 60_000  # milliseconds
TALL = ViewportSize(width=1440, height=2000)  # the table of runs is drawn only where it can be seen
FIRST_ROW = Position(x=16, y=52)  # its checkbox, in pixels


@pytest.fixture
def both(request: pytest.FixtureRequest, chromium: Browser, tmp_path: Path) -> Iterator[tuple[Page, Page]]:
    """Give the page as two readers have it open, each with a browser of their own, of a program without data."""
    with (
        providers("--days", "3", "--scale", "0.3", "--latency-ms", str(request.param)) as provider,
        dashboard(environment(tmp_path, provider)) as address,
    ):
        readers = [Visitor(chromium.new_context(viewport=TALL), address) for _ in range(2)]
        mine, theirs = (reader.open("/sync") for reader in readers)
        yield mine, theirs
        for reader in readers:
            assert [error for error in reader.errors if "404" not in error] == []
            reader.context.close()


def with_latency(milliseconds: int) -> pytest.MarkDecorator:
    """Let the providers take that long for an answer, so that a run can be watched."""
    return pytest.mark.parametrize("both", [milliseconds], indirect=True)


def words(page: Page, pattern: str) -> Locator:
    return page.get_by_test_id("stMain").get_by_text(re.compile(pattern))


def button(page: Page, name: str) -> Locator:
    return page.get_by_test_id("stMain").get_by_role("button", name=name)


def is_shown(*locators: Locator) -> None:
    for locator in locators:
        expect(locator).to_be_visible(timeout=PATIENCE)


def go_to(page: Page, title: str) -> None:
    page.get_by_test_id("stSidebarNavLink").filter(has_text=re.compile(f"{title}$")).click()
    is_shown(page.get_by_role("heading", name=title, exact=True))


@with_latency(3000)
def test_sync_now_shows_its_progress_to_everybody_and_survives_a_page_change(both: tuple[Page, Page]) -> None:
    mine, theirs = both
    expect(words(mine, "Never synced")).to_have_count(2)

    button(mine, "Sync both now").click()
    is_shown(*(page.get_by_role("heading", name="Running now") for page in both))
    go_to(mine, "Twilio")
    go_to(mine, "Sync")
    is_shown(*(words(page, "ElevenLabs, daily sweep") for page in both))
    is_shown(*(words(page, r"\d+ of [\d,]+ records") for page in both))
    expect(button(theirs, "Syncing ElevenLabs…")).to_be_disabled()

    for page in both:  # neither reloads: what came of it shows by itself
        expect(button(page, "Sync both now")).to_be_enabled(timeout=PATIENCE)
        expect(words(page, "Last run:.*Succeeded")).to_have_count(2, timeout=PATIENCE)
        expect(words(page, "Current")).to_have_count(2)


@with_latency(700)
def test_a_historical_sync_is_seen_stopped_and_goes_on(both: tuple[Page, Page]) -> None:
    mine, theirs = both

    button(mine, "Start historical sync").click()
    is_shown(*(words(page, "Twilio, historical") for page in both))
    is_shown(words(mine, r"[1-9]\d?% of the period, about .* left"))
    button(theirs, "Stop").click()  # anybody may
    is_shown(*(button(page, "Go on") for page in both))
    is_shown(*(words(page, r"It had got through [1-9]\d?% of the period") for page in both))

    button(mine, "Go on").click()
    is_shown(*(words(page, "everything since .* is here") for page in both))
    go_to(mine, "Twilio")
    is_shown(mine.get_by_test_id("stSidebar").get_by_text(re.compile("Twilio history: ")))
    go_to(mine, "Sync")
    button(mine, "Stop").click()
    is_shown(button(mine, "Go on"))

    mine.get_by_test_id("stDataFrame").first.click(position=FIRST_ROW)
    is_shown(mine.get_by_role("heading", name=re.compile("^Run 2: Twilio, historical")))
    mine.wait_for_url("**run=2*")
