"""Filters, comparison and the view of a workspace in a real browser: in the URL and back, opened, downloaded, small."""

import csv
import io
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Download, Page, expect

from tests.browser.conftest import DESKTOP, DRAWN, Visitor, evening_zone, expect_query, fits, query_of

HARMLESS = re.compile(r"404 \(Not Found\)")  # Streamlit looks for its server below the page's path first
BUSIEST = "Fernway Outfitters"
LINK = "/workspace?workspace=Fernway+Outfitters&period=All"


def metric(page: Page, label: str) -> str:
    card = page.get_by_test_id("stMetric").filter(has=page.get_by_text(label, exact=True))
    return card.get_by_test_id("stMetricValue").inner_text()


def rows_of(download: Download) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the notes, and the cells by row and column."""
    text = Path(download.path()).read_text("utf-8-sig")
    notes, (headings, *rows) = (list(csv.reader(io.StringIO(part))) for part in text.split("\n\n", 1))
    return dict(notes), {row[0]: dict(zip(headings, row, strict=True)) for row in rows}


def choose_workspace(page: Page, name: str) -> None:
    page.get_by_test_id("stMultiSelect").get_by_role("combobox").click()
    page.get_by_role("option", name=name).click()
    page.keyboard.press("Escape")


def test_a_deep_link_restores_every_filter(visitor: Visitor) -> None:
    page = visitor.open("/twilio?period=All&workspaces=Fernway+Outfitters&zone=Asia/Kolkata", *DRAWN)

    expect(page.get_by_test_id("stMultiSelect")).to_contain_text(BUSIEST)
    expect(page.get_by_text(re.compile("^All time · Asia/Kolkata"))).to_be_visible()
    expect(page.get_by_role("combobox", name="Period")).to_have_value("All")


def test_workspaces_and_comparison_go_into_the_url_and_a_pasted_link_restores_them(visitor: Visitor) -> None:
    zone = evening_zone()
    page = visitor.open(f"/?period=Today&zone={quote(zone)}", *DRAWN)

    choose_workspace(page, BUSIEST)
    page.wait_for_url("**workspaces=Fernway*")
    page.get_by_text("Compare", exact=True).click()
    page.wait_for_url("**compare=true*")
    expect(page.get_by_text(re.compile("compared with"))).to_be_visible()
    pasted = visitor.open(page.url.removeprefix(visitor.address), *DRAWN)

    expect_query(
        page,
        {
            "period": ["Today"],
            "zone": [zone],
            "workspaces": [BUSIEST],
            "compare": ["true"],
        },
    )
    expect(pasted.get_by_text(re.compile("compared with"))).to_be_visible()
    assert metric(pasted, "Total cost") == metric(page, "Total cost")


def test_what_a_link_names_and_does_not_exist_is_left_out(visitor: Visitor) -> None:
    page = visitor.open("/?workspaces=Nobody&workspaces=Fernway+Outfitters&period=Ever&zone=Mars&compare=maybe", *DRAWN)

    expect(page.get_by_test_id("stMultiSelect")).to_contain_text(BUSIEST)
    expect(page.get_by_text(re.compile("compared with"))).to_have_count(0)
    expect_query(page, {"workspaces": [BUSIEST]})


def test_workspaces_stay_when_the_page_changes(visitor: Visitor) -> None:
    page = visitor.open("/?period=All&workspaces=Fernway+Outfitters", *DRAWN)
    calls = metric(page, "Calls")

    page.get_by_test_id("stSidebarNavLink").filter(has_text="Twilio").click()
    expect(page.get_by_text("Billed minutes", exact=True)).to_be_visible()

    assert metric(page, "Calls") == calls
    expect_query(page, {"period": ["All"], "workspaces": [BUSIEST]})


def test_a_row_opens_its_workspace_and_the_filters_come_along(visitor: Visitor) -> None:
    page = visitor.open("/?period=All", *DRAWN)
    table = page.get_by_test_id("stDataFrame").first
    table.scroll_into_view_if_needed()

    table.click(position={"x": 15, "y": 52})  # the first row's box
    page.wait_for_url("**/workspace?**")
    expect(page.get_by_text("All time")).to_be_visible()

    name = query_of(page)["workspace"][0]
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    expect_query(page, {"workspace": [name], "period": ["All"]})


def test_the_view_of_a_workspace_leads_to_its_part_of_a_provider(visitor: Visitor) -> None:
    page = visitor.open(LINK, *DRAWN)
    calls = metric(page, "Calls")

    page.get_by_role("button", name="Its part of Twilio").click()
    expect(page.get_by_text("Billed minutes", exact=True)).to_be_visible()

    assert metric(page, "Calls") == calls
    page.wait_for_url("**workspaces=Fernway*")
    assert query_of(page)["workspaces"] == [BUSIEST]


def test_a_download_of_a_filtered_and_compared_page_says_so_and_equals_the_page(visitor: Visitor) -> None:
    page = visitor.open(
        f"/?period=Today&workspaces=Fernway+Outfitters&compare=true&zone={quote(evening_zone())}", *DRAWN
    )

    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()

    notes, rows = rows_of(download.value)
    assert notes["Workspaces"] == BUSIEST
    assert re.fullmatch(r".* until \d\d:\d\d", notes["Compared with"])
    assert set(rows) == {BUSIEST, "Total"}
    assert f"${float(rows['Total']['total_cost (USD)']):,.2f}" == metric(page, "Total cost")
    assert "total_cost change (%)" in rows["Total"]


def test_every_table_of_a_page_can_be_downloaded_and_has_the_same_total(visitor: Visitor) -> None:
    page = visitor.open("/twilio?period=All", *DRAWN)
    buttons = page.get_by_role("button", name="Download CSV")
    expect(buttons).to_have_count(3)

    totals = set()
    for at in range(3):
        with page.expect_download() as download:
            buttons.nth(at).click()
        totals.add(rows_of(download.value)[1]["Total"]["total_cost (USD)"])

    assert len(totals) == 1


@pytest.mark.parametrize("path", [LINK, "/?compare=true", "/twilio?compare=true", "/elevenlabs?compare=true"])
def test_the_answer_stands_without_scrolling_and_a_comparison_fits_a_phone(visitor: Visitor, path: str) -> None:
    page = visitor.open(path, *DRAWN)
    first_card = page.get_by_test_id("stMetric").first.bounding_box()

    page.set_viewport_size({"width": 390, "height": 900})

    assert first_card
    assert first_card["y"] + first_card["height"] < DESKTOP["height"]
    assert fits(page, 390)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert [error for error in visitor.errors if not HARMLESS.search(error)] == []
