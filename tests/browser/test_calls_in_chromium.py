"""The page Calls as a reader uses it: filtered, sorted, turned, a call opened and left, and the same as a file."""

import csv
import io
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from playwright.sync_api import Locator, Page, Position, ViewportSize, expect

from dashboard.formats import UNKNOWN
from tests.browser.conftest import TABLE, Visitor, expect_query

TALL = ViewportSize(width=1440, height=3000)  # all rows of a page of the list are in sight
FIRST_ROW = Position(x=15, y=52)  # its checkbox
ROWS = 50  # on a page
START, TOTAL, DURATION, MATCH = "Start", "Total", "Duration", "Match"


def open_list(visitor: Visitor, **filters: str) -> Page:
    query = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in {"period": "All", **filters}.items())
    return visitor.open(f"/calls?{query}", TABLE, size=TALL)


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()


def shown_rows(page: Page) -> list[dict[str, str]]:
    """Return the rows of the list as they are drawn; a canvas has them once more for those who hear it."""
    page.locator(f"{TABLE} [role=gridcell]").first.wait_for(state="attached")
    headings = [heading.inner_text() for heading in page.locator(f"{TABLE} [role=columnheader]").all()]
    rows = page.locator(f"{TABLE} tbody [role=row]").evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('[role=gridcell]')].map(cell => cell.textContent))"
    )
    return [dict(zip(headings, row, strict=True)) for row in rows]


def caption(page: Page, pattern: str) -> Locator:
    return page.get_by_text(re.compile(pattern))


def downloaded_rows(page: Page) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text.split("\n\n", 1)[1])))


def as_drawn(row: dict[str, str]) -> dict[str, str]:
    """Return what the list shows of a row of the file."""
    total = row["Total (USD)"]
    return {
        START: f"{datetime.fromisoformat(row['Start']):%-d %b %Y, %H:%M:%S}",
        TOTAL: f"${Decimal(total):,.4f}" if total else UNKNOWN,
        MATCH: row["Match"],
    }


def parts_of(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: row[name] for name in (START, TOTAL, MATCH)} for row in rows]


def test_a_download_equals_the_pages_of_the_list(visitor: Visitor) -> None:
    page = open_list(visitor, order="Highest cost first")
    expect(caption(page, f"^Rows 1 to {ROWS} of")).to_be_visible()
    first = parts_of(shown_rows(page))

    page.get_by_role("button", name="Increment").or_(page.get_by_test_id("stNumberInputStepUp")).first.click()
    expect(caption(page, f"^Rows {ROWS + 1} to {2 * ROWS} of")).to_be_visible()
    page.wait_for_function(FIRST_CELL_IS_NOT, arg=first[0][START])
    second = parts_of(shown_rows(page))

    file = downloaded_rows(page)
    assert first + second == [as_drawn(row) for row in file[: 2 * ROWS]]
    assert caption(page, "^Rows ").inner_text().endswith(f"of {len(file):,}")


# The list of the next page is drawn a moment after the caption.
FIRST_CELL_IS_NOT = """start => {
    const cells = [...document.querySelectorAll("[data-testid=stDataFrame] canvas [role=gridcell]")];
    return cells.length > 0 && !cells.slice(0, 2).some(cell => cell.textContent === start);
}"""


def test_filters_and_order_go_into_the_url_and_a_pasted_link_restores_them(visitor: Visitor) -> None:
    page = open_list(visitor)

    choose(page, "Match", "Matched")
    page.wait_for_url("**match=Matched*")
    choose(page, "Sort", "Longest first")
    page.wait_for_url("**order=Longest*")
    pasted = visitor.open(page.url.removeprefix(visitor.address), TABLE, size=TALL)

    expect_query(page, {"period": ["All"], "match": ["Matched"], "order": ["Longest first"]})
    rows = shown_rows(pasted)
    assert {row[MATCH] for row in rows} == {"Matched"}
    seconds = [seconds_of(row[DURATION]) for row in rows]
    assert seconds == sorted(seconds, reverse=True)
    assert len(downloaded_rows(pasted)) == len(downloaded_rows(page))


def seconds_of(text: str) -> int:
    return sum(int(number) * {"m": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+) ([ms])", text))


def test_an_id_that_is_searched_stands_in_the_url_and_a_phone_number_does_not(visitor: Visitor) -> None:
    page = open_list(visitor)
    call = downloaded_rows(page)[0]["Call"] or downloaded_rows(page)[0]["Conversation"]
    search = page.get_by_role("textbox", name="Search")

    search.fill(call)
    search.press("Enter")
    expect_query(page, {"period": ["All"], "search": [call]})
    search.fill("+12025550101")
    search.press("Enter")
    expect_query(page, {"period": ["All"]})

    page.get_by_test_id("stSidebarNavLink").filter(has_text="Sync").click()
    expect(page.get_by_role("heading", name="Sync", exact=True).first).to_be_visible()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Calls").click()
    expect(search).to_have_value("+12025550101")
    assert not [url for url in visitor.requests if "2025550101" in url]


def test_a_call_opens_has_a_link_of_its_own_and_leads_back_to_the_list_as_it_was(visitor: Visitor) -> None:
    page = open_list(visitor, match="Matched", order="Highest cost first")
    cost = shown_rows(page)[0][TOTAL]

    page.get_by_test_id("stDataFrame").first.click(position=FIRST_ROW)
    page.wait_for_url("**call=CA*")
    total = page.get_by_test_id("stMetric").filter(has_text="Total cost").get_by_test_id("stMetricValue")
    expect(total).to_have_text(cost)
    linked = visitor.open(page.url.removeprefix(visitor.address), TABLE)
    expect(linked.get_by_role("heading", name="Call legs")).to_be_visible()
    page.get_by_role("button", name="All calls").click()
    expect(page.get_by_role("combobox", name="Match")).to_be_visible()

    expect_query(page, {"period": ["All"], "match": ["Matched"], "order": ["Highest cost first"]})


def test_the_browsers_own_way_back_leads_to_the_list_and_stays_there(visitor: Visitor) -> None:
    page = open_list(visitor, match="Matched")
    page.get_by_test_id("stDataFrame").first.click(position=FIRST_ROW)
    page.wait_for_url("**call=CA*")
    expect(page.get_by_role("heading", name="Call legs")).to_be_visible()

    page.go_back()
    shown_rows(page)
    page.wait_for_timeout(1000)  # in which a row that is still chosen would open its call again

    expect_query(page, {"period": ["All"], "match": ["Matched"]})


def test_a_transcript_is_shown_on_a_click(visitor: Visitor) -> None:
    page = open_list(visitor, match="Matched", order="Highest cost first")

    page.get_by_test_id("stDataFrame").first.click(position=FIRST_ROW)
    page.get_by_role("button", name="Show transcript").click()

    expect(page.get_by_test_id("stChatMessage").first).to_contain_text("Agent, 0 s")
