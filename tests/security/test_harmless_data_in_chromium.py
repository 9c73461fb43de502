"""Names and sentences of others that look like markup: every page shows them letter by letter, and that is all."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.formats import WORD_JOINER
from sync.models import SOURCES, Agent, Failure, RunKind, RunState
from sync.sqlite_store import SqliteStore
from tests.browser.conftest import DESKTOP, SHOWN_WITHIN, Visitor, dashboard, environment
from tests.records import DAY, HOUR, OUR_AGENT, OUR_NUMBER, make_conversation, make_leg, make_phone
from tests.registering import add_workspace, register, register_agent
from tests.scripted_server import Answer, ScriptedServer

MARKUP = "<b id=planted>B</b><img src=x onerror=alert(1)>"
MARKDOWN = "**bold** [link](https://evil.example) ![i](https://evil.example/i.png) # `code` ~~no~~"
STREAMLIT = "$E=mc^2$ :material/home: :red[red] :smile:"
NASTY = f"=1+1 {MARKUP} {MARKDOWN} {STREAMLIT} &lt;i&gt; x@y.ex"
LINES = [
    "- one",
    "- two",
    "",
    "    a line of code",
    "",
    "1. three",
    "2) four",
    "",
    "A title",
    "---",
    f"\tand -> {NASTY}",
]
PLANTED = ", ".join(
    [
        *(
            "#planted",
            "img[src='x']",
            "a[href^='http'][href*='evil']",
            "a[href^='mailto']",
            "img[src*='evil']",
            ".katex",
            ".hoverlayer a",
        ),
        *("main strong:has-text('bold')", "main code:has-text('code')", "main del"),
        *(f"main [data-testid=stMarkdownContainer] {made}" for made in ("li", "pre", "hr", "h2:has-text('A title')")),
    ]
)
PAGES = {  # path: where the name stands in the text of the page, beside the tables
    "/?period=All": "",
    "/twilio?period=All": "",
    "/elevenlabs?period=All": "",
    "/calls?period=All": "",
    f"/workspace?period=All&workspace={quote(NASTY)}": NASTY,
    f"/workspace?workspace={quote(NASTY)}x": f"{NASTY}x",
    "/calls?call=CA1": NASTY,
    "/sync?run=1": NASTY,
    "/settings": "",
}


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Visitor]:
    """Give a visitor of a dashboard in which everything that others name has a nasty name."""
    folder = tmp_path_factory.mktemp("nasty")
    store, now = SqliteStore(folder / "ledger.db"), datetime.now(UTC).replace(microsecond=0)
    store.claim_for("real")
    owner = add_workspace(store, NASTY)
    register(store, make_phone(phone_number=OUR_NUMBER, workspace_id=owner, label=NASTY))
    register_agent(store, Agent(agent_id=OUR_AGENT, workspace_id=owner))
    store.save_calls([make_leg(sid="CA1", started_at=now - DAY, cost=Decimal(2))])
    store.save_conversations(
        [
            make_conversation(call_sid="CA1", started_at=now - DAY, agent_name=NASTY, termination_reason=NASTY),
            make_conversation(
                conversation_id="conv_2", call_sid=None, started_at=now - DAY, agent_id="agent_2", agent_name=NASTY
            ),
        ]
    )
    for source in SOURCES:
        run = store.begin_run(source, RunKind.HOURLY, (now - HOUR, now), owner="", now=now, stale_before=now - DAY)
        store.save_failures(source, [Failure(record_id=f"{source} {MARKUP}", error=NASTY)], now=now)
        store.finish_run(run.id, RunState.FAILED, NASTY, now=now)
    store.close()
    with ScriptedServer() as provider:
        turns = [{"role": "user", "message": "\n".join(LINES), "time_in_call_secs": 1}]
        provider.on("/v1/convai/conversations/conv_1", Answer(body={"transcript": turns}))
        with dashboard(environment(folder, provider.url)) as address:
            visitor = Visitor(chromium.new_context(viewport=DESKTOP), address)
            yield visitor
            visitor.context.close()


def opened(visitor: Visitor, path: str) -> Page:
    page = visitor.open(path)
    page.on("dialog", lambda dialog: visitor.errors.append(f"a dialog: {dialog.message}"))
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=SHOWN_WITHIN)
    return page


def text_of(page: Page, place: str) -> str:
    return page.get_by_test_id(place).inner_text().replace(WORD_JOINER, "")


@pytest.mark.parametrize("path", PAGES)
def test_what_looks_like_markup_is_shown_letter_by_letter(visitor: Visitor, path: str) -> None:
    page = opened(visitor, path)

    assert f"sync failed: {NASTY}" in text_of(page, "stSidebar")
    assert PAGES[path] in text_of(page, "stMain")
    assert page.locator(PLANTED).count() == 0
    assert not [error for error in visitor.errors if "dialog" in error or "onerror" in error]
    assert not [url for url in visitor.requests if "evil" in url.partition("?")[0]]


def test_what_was_said_is_shown_line_by_line(visitor: Visitor) -> None:
    page = opened(visitor, "/calls?call=CA1")

    page.get_by_role("button", name="Show transcript").click()
    said = page.get_by_test_id("stChatMessage").get_by_test_id("stMarkdownContainer").last
    expect(said).to_contain_text("A title", timeout=SHOWN_WITHIN)

    shown = said.inner_text().replace(WORD_JOINER, "").replace("\N{NO-BREAK SPACE}", " ")
    assert [line for line in shown.splitlines() if line] == [line.expandtabs(4) for line in LINES if line]
    assert page.locator(PLANTED).count() == 0


def test_a_chart_shows_a_name_as_it_is_also_under_the_mouse(visitor: Visitor) -> None:
    page = opened(visitor, "/?period=All")

    chart = page.locator(".js-plotly-plot", has_text="by workspace")
    chart.locator(".barlayer .point path").first.hover(force=True)

    expect(chart.locator(".hoverlayer .hovertext").first).to_contain_text("=1+1 <b id=planted>B</b>")
    expect(chart.locator(".ytick").first).to_contain_text("=1+1 <b id=planted>B<…")
    assert page.locator(PLANTED).count() == 0


def test_a_table_holds_a_name_as_it_is(visitor: Visitor) -> None:
    page = opened(visitor, "/?period=All")

    cells = page.locator("[data-testid=stDataFrame] canvas [role=gridcell]")

    expect(cells.filter(has_text=NASTY).first).to_be_attached()
