"""Registering a number as a reader does it: assign it on the page Settings, and watch totals move on Workspaces."""

import csv
import io
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import (
    DESKTOP,
    DRAWN,
    ROOT,
    Visitor,
    dashboard,
    environment,
    fits,
    providers,
    wait_until_drawn,
)

TABLE = "[data-testid=stDataFrame] canvas"
COUNTED = ("total_cost", "total_calls")
WHOLE_WEEK = "8"  # days: a dentist's number is not called on a weekend, and would not be offered on a Monday


@pytest.fixture(scope="module")
def unregistered(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Visitor]:
    """Give a visitor of a dashboard of its own, on which nothing is registered."""
    folder = tmp_path_factory.mktemp("unregistered")
    with providers("--days", WHOLE_WEEK, "--scale", "0.3") as provider:
        variables = {**environment(folder, provider), "FIRST_SYNC_DAYS": WHOLE_WEEK}
        subprocess.run([sys.executable, "-m", "sync", "all"], cwd=ROOT, env=variables, check=True, capture_output=True)
        with dashboard(variables) as address:
            visitor = Visitor(chromium.new_context(viewport=DESKTOP), address)
            yield visitor
            visitor.context.close()


def go_to(page: Page, title: str, drawn: str) -> None:
    page.get_by_test_id("stSidebarNavLink").filter(has_text=title).click()
    expect(page.get_by_role("heading", name=title, exact=True).first).to_be_visible()
    wait_until_drawn(page, drawn)


def totals(page: Page) -> dict[str, tuple[Decimal, ...]]:
    """Return cost and calls by workspace, as the page Workspaces gives them for download."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text.split("\n\n", 1)[1])))
    names = [heading.lower().replace(" ", "_") for heading in rows[0]]
    places = [next(place for place, name in enumerate(names) if name.startswith(column)) for column in COUNTED]
    return {row[0]: tuple(Decimal(row[place] or 0) for place in places) for row in rows[1:]}


def test_a_number_that_is_assigned_takes_its_totals_along(unregistered: Visitor) -> None:
    page = unregistered.open("/?period=All", *DRAWN)
    before = totals(page)

    go_to(page, "Settings", TABLE)
    page.get_by_label("Numbers to assign").click()
    page.keyboard.type("0101")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.get_by_label("Workspace", exact=True).first.click()
    page.keyboard.type("Acme")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Preview").first.click()
    page.get_by_role("button", name="Assign 1 number to new workspace Acme").dblclick()
    expect(page.get_by_role("button", name="Assign 1 number")).to_have_count(0)
    expect(page.get_by_text("No workspace yet")).to_have_count(0)

    go_to(page, "Workspaces", DRAWN[0])
    after = totals(page)
    gained = after["Acme"]
    assert all(gained)
    assert tuple(old - new for old, new in zip(before["Unassigned"], after["Unassigned"], strict=True)) == gained
    assert after["Total"] == before["Total"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_desk_and_phone(unregistered: Visitor, scheme: Literal["light", "dark"]) -> None:
    page = unregistered.open("/settings", TABLE, scheme=scheme)

    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        expect(page.get_by_text("Show full numbers")).to_be_visible()
        assert fits(page, width)


def test_enter_sends_a_form_and_every_input_has_a_name(unregistered: Visitor) -> None:
    page = unregistered.open("/settings", TABLE)

    page.get_by_label("New workspace").fill("Borealis")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Borealis added.")).to_be_visible()
    nameless = page.locator("input:visible:not([aria-label], [id], [aria-hidden=true] *)")
    expect(nameless).to_have_count(0)


def test_a_file_of_numbers_is_shown_before_it_is_imported(unregistered: Visitor, tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text("workspace,phone_number\nLighthouse Law,+12025550999\n")
    page = unregistered.open("/settings", TABLE)

    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text("This file would do the following.")).to_be_visible()
    page.get_by_role("button", name="Import 1 row").click()

    expect(page.get_by_text("Imported. 1 row: 1 registered.")).to_be_visible()
