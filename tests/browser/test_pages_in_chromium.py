"""What only a real browser shows: deep links, the URL, downloads, other hosts, themes, a sync that others see."""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect

from tests.browser.conftest import DESKTOP, DRAWN, TABLE, Visitor, expect_query, fits, seen_at_last

# Streamlit looks for its server below the page's path first; it finds it one step higher.
HARMLESS = re.compile(r"404 \(Not Found\)")
MOST_HARMLESS = 2  # for each deep link

CLIENT = "/workspace?workspace=Fernway+Outfitters&period=All"
PAGES: Mapping[str, tuple[str, tuple[str, ...]]] = {  # the heading, and what is drawn last
    "/": ("Workspaces", DRAWN),
    CLIENT: ("Fernway Outfitters", DRAWN),
    "/twilio": ("Twilio", DRAWN),
    "/elevenlabs": ("ElevenLabs", DRAWN),
    "/calls?period=All": ("Calls", (TABLE,)),
    "/sync": ("Sync", (TABLE,)),
    "/settings": ("Settings", (TABLE,)),
}
IN_NAVIGATION = {title for path, (title, _) in PAGES.items() if path != CLIENT}
CUT_LABELS = """() => [...document.querySelectorAll("[data-testid=stMetricLabel] *")]
    .filter(part => part.scrollWidth > part.clientWidth && getComputedStyle(part).overflowX === "hidden")
    .map(part => part.textContent)"""
FILTERS = ("stSelectbox", "stMultiSelect", "stDateInput", "stCheckbox")


def metric(page: Page, label: str) -> str:
    card = page.get_by_test_id("stMetric").filter(has=page.get_by_text(label, exact=True))
    return card.get_by_test_id("stMetricValue").inner_text()


def boxes_of(place: Locator, test_ids: Iterable[str]) -> list[FloatRect]:
    return [box for name in test_ids for found in place.get_by_test_id(name).all() if (box := found.bounding_box())]


@pytest.mark.parametrize("path", PAGES)
def test_a_deep_link_shows_the_whole_program(visitor: Visitor, path: str) -> None:
    heading, drawn = PAGES[path]
    page = visitor.open(path, *drawn)

    expect(page.get_by_role("heading", name=heading, exact=True).first).to_be_visible()
    links = page.get_by_test_id("stSidebarNavLink")
    assert {link.inner_text().splitlines()[-1] for link in links.all()} == IN_NAVIGATION
    expect(page.get_by_test_id("stSidebar").get_by_role("button", name="Sync now")).to_be_visible()
    expect(page).to_have_title(f"{'Workspace' if path == CLIENT else heading} · Voice Ledger")


@pytest.mark.parametrize("path", ["/", "/workspace", "/twilio", "/elevenlabs", "/calls"])
def test_all_filters_stand_in_one_row(visitor: Visitor, path: str) -> None:
    page = visitor.open(f"{path}?workspace=Fernway+Outfitters&period=Custom&compare=true", "[data-testid=stMetric]")

    row = page.get_by_test_id("stHorizontalBlock").filter(has=page.get_by_label("Period")).first
    expected = 4 if path == "/calls" else 5
    boxes = seen_at_last(page, lambda: boxes_of(row, FILTERS), lambda found: len(found) == expected)

    assert len(boxes) == expected
    assert max(box["y"] for box in boxes) < min(box["y"] + box["height"] for box in boxes)


def test_filters_go_into_the_url_and_a_pasted_link_restores_them(visitor: Visitor) -> None:
    page = visitor.open("/", *DRAWN)

    page.get_by_role("combobox", name="Period").click()
    page.get_by_role("option", name="Yesterday", exact=True).click()
    expect(page.get_by_text("UTC, matches provider bills")).to_be_visible()
    page.wait_for_url("**period=Yesterday*")
    page.wait_for_timeout(500)
    pasted = visitor.open(page.url.removeprefix(visitor.address), *DRAWN)

    expect_query(page, {"period": ["Yesterday"]})
    assert metric(pasted, "Total cost") == metric(page, "Total cost")


def test_filters_stay_when_the_page_changes(visitor: Visitor) -> None:
    page = visitor.open("/?period=Yesterday", *DRAWN)
    calls = metric(page, "Calls")

    page.get_by_test_id("stSidebarNavLink").filter(has_text="Twilio").click()
    expect(page.get_by_role("heading", name="Twilio", exact=True)).to_be_visible()
    expect(page.get_by_text("Billed minutes", exact=True)).to_be_visible()

    expect_query(page, {"period": ["Yesterday"]})
    assert metric(page, "Calls") == calls


def test_a_download_equals_the_page(visitor: Visitor) -> None:
    page = visitor.open("/?period=All", *DRAWN)

    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()

    text = Path(download.value.path()).read_text("utf-8-sig")
    notes, rows = (list(csv.reader(io.StringIO(part))) for part in text.split("\n\n", 1))
    total = dict(zip(rows[0], rows[-1], strict=True))
    assert dict(notes)["Time zone"] == "UTC"
    assert f"${float(total['total_cost (USD)']):,.2f}" == metric(page, "Total cost")
    assert f"{int(total['total_calls (count)']):,}" == metric(page, "Calls")
    assert [row[0] for row in rows[-2:]] == ["Unassigned", "Total"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_desk_and_phone_without_errors_or_other_hosts(
    visitor: Visitor, path: str, scheme: Literal["light", "dark"]
) -> None:
    _, drawn = PAGES[path]
    page = visitor.open(path, *drawn, scheme=scheme)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})

        expect(page.locator(drawn[0]).first).to_be_visible()
        assert fits(page, width)
        assert seen_at_last(page, lambda: page.evaluate(CUT_LABELS), lambda cut: not cut) == []
    assert (brightness(page) > 200) == (scheme == "light")
    expect(page.get_by_test_id("stException")).to_have_count(0)
    others = {urlsplit(url).netloc for url in visitor.requests if urlsplit(url).scheme in ("http", "https", "ws")}
    harmless = [error for error in visitor.errors if HARMLESS.search(error)]
    assert others == {urlsplit(visitor.address).netloc}
    assert len(harmless) <= MOST_HARMLESS * (path != "/")
    assert visitor.errors == harmless


def brightness(page: Page) -> float:
    colour = page.get_by_test_id("stApp").evaluate("element => getComputedStyle(element).backgroundColor")
    return sum(int(number) for number in re.findall(r"\d+", colour)[:3]) / 3


def test_a_sync_shows_its_progress_to_everybody_and_survives_a_page_change(
    chromium: Browser, never_synced: str
) -> None:
    mine, theirs = (Visitor(chromium.new_context(viewport=DESKTOP), never_synced) for _ in range(2))
    page, other = mine.open("/"), theirs.open("/twilio")
    expect(page.get_by_text("Nothing has been synced yet")).to_be_visible()

    page.get_by_test_id("stSidebar").get_by_role("button", name="Sync now").click()
    expect(page.get_by_role("button", name="Syncing…")).to_be_disabled()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="ElevenLabs").click()
    expect(page.get_by_test_id("stSidebar").get_by_text(re.compile(r"ElevenLabs: .*records"))).to_be_visible()
    expect(other.get_by_role("button", name="Syncing…")).to_be_disabled(timeout=15_000)

    for watcher in (page, other):  # neither reloads: the numbers come by themselves
        watcher.locator(DRAWN[0]).first.wait_for(timeout=45_000)
        expect(watcher.get_by_test_id("stSidebar").get_by_role("button", name="Sync now")).to_be_enabled()
    mine.context.close()
    theirs.context.close()
