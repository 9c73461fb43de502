"""Signing in and out with an OpenID provider, a browser and a server that are real, and what each role is sent."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocket, expect

from sync.models import Agent, RunKind, RunState
from sync.sqlite_store import SqliteStore
from tests.browser.conftest import (
    DESKTOP,
    ROOT,
    SHOWN_WITHIN,
    dashboard,
    environment,
    free_port,
    wait_until_drawn,
)
from tests.records import (
    DAY,
    HOUR,
    OTHER_AGENT,
    OTHER_NUMBER,
    OUR_AGENT,
    OUR_NUMBER,
    make_conversation,
    make_leg,
    make_phone,
)
from tests.registering import add_workspace, register, register_agent
from tests.security.openid import provider, secrets_file

OURS = ("Acme", OUR_NUMBER, "agent_sales", "CAours")
OTHERS = ("Borealis", OTHER_NUMBER, OTHER_AGENT, "CAtheirs", "conv_theirs", "Unassigned")
SECRET = "a-secret-of-the-tests"


@dataclass
class Guest:
    """Somebody with a browser of their own, who remembers all that the dashboard sent and what it complained about."""

    page: Page
    address: str
    logins: dict[str, list[Any]]  # cookies of those who signed in before
    received: list[bytes] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(SHOWN_WITHIN)
        self.page.on("websocket", self._listen)
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda asked: self.foreign.append(asked.url))

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: self.received.append(frame if isinstance(frame, bytes) else b""))

    def sign_in(self, name: str) -> "Guest":
        if name in self.logins:
            self.page.context.add_cookies(self.logins[name])
            self.open("/")
            return self
        self.open("/")
        self.page.get_by_role("button", name="Sign in").click()
        self.page.locator("input[name=sub]").fill(name)
        self.page.get_by_role("button", name="Authorize").click()
        self.page.wait_for_url(f"{self.address}/")
        self.page.get_by_role("button", name="Log out").wait_for()
        wait_until_drawn(self.page)
        self.logins[name] = [*self.page.context.cookies(self.address)]
        return self

    def open(self, path: str) -> str:
        """Open a path and return what the page says when all of it is there."""
        self.page.goto(self.address + path)
        wait_until_drawn(self.page)
        expect(self.page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=SHOWN_WITHIN)
        return self.page.get_by_test_id("stMain").inner_text()

    def was_sent(self, *words: str) -> list[str]:
        """Return which of the words came, in whichever message or page source."""
        everything = b"\n".join([*self.received, self.page.content().encode()])
        return [word for word in words if word.encode() in everything]


def fill(path: Path) -> None:
    """Store a call with its conversation of Acme, one of Borealis, and a call of nobody."""
    start = datetime.now(UTC).replace(microsecond=0) - 2 * DAY
    store = SqliteStore(path)
    store.claim_for("real")
    owned = (("ours", "Acme", OUR_NUMBER, OUR_AGENT), ("theirs", "Borealis", OTHER_NUMBER, OTHER_AGENT))
    for name, workspace, number, agent in owned:
        owner = add_workspace(store, workspace)
        register(store, make_phone(phone_number=number, workspace_id=owner))
        register_agent(store, Agent(agent_id=agent, workspace_id=owner))
        ours = {"our_number": number, "to_number": number}
        store.save_calls([make_leg(sid=f"CA{name}", started_at=start, cost=Decimal("1.25"), **ours)])
        talk = {"agent_id": agent, "agent_name": agent, "agent_number": number, "call_sid": f"CA{name}"}
        store.save_conversations([make_conversation(conversation_id=f"conv_{name}", started_at=start, **talk)])
    nobodys = {"our_number": "+12120000003", "to_number": "+12120000003"}
    store.save_calls([make_leg(sid="CAnobodys", started_at=start, **nobodys)])
    end = datetime.now(UTC)
    run = store.begin_run("twilio", RunKind.HOURLY, (end - HOUR, end), owner="", now=end, stale_before=end - HOUR)
    store.finish_run(run.id, RunState.OK, None, now=end)
    store.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a dashboard with a login."""
    folder, port, provider_port = tmp_path_factory.mktemp("login"), free_port(), free_port()
    fill(folder / "ledger.db")
    with provider(provider_port) as issuer:
        secrets = secrets_file(folder, port, issuer)
        with dashboard(environment(folder, issuer), f"--secrets.files={secrets}", port=port) as address:
            yield address


@pytest.fixture
def browser(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport=DESKTOP)
    yield context
    context.close()


@pytest.fixture(scope="module")
def logins() -> dict[str, list[Any]]:
    return {}


@pytest.fixture
def guest(browser: BrowserContext, address: str, logins: dict[str, list[Any]]) -> Guest:
    return Guest(browser.new_page(), address, logins)


def navigation(page: Page) -> list[str]:
    links = page.get_by_test_id("stSidebarNavLink")
    return [text.splitlines()[-1] for text in links.all_inner_texts()]


@pytest.mark.parametrize(
    "path", ["/", "/twilio", "/settings", "/sync", "/calls?call=CAours", "/workspace?workspace=Acme", "/nowhere"]
)
def test_who_has_not_signed_in_is_sent_the_way_in_and_nothing_else(guest: Guest, path: str) -> None:
    said = guest.open(path)

    assert "Sign in to see what your phone agents cost." in said
    expect(guest.page.get_by_role("button", name="Sign in")).to_be_visible()
    assert guest.page.get_by_test_id("stSidebar").count() == 0
    assert guest.was_sent("Sign in", *OURS, *OTHERS) == ["Sign in"]


def test_an_admin_sees_everything(guest: Guest) -> None:
    guest.sign_in("ana")

    assert navigation(guest.page) == ["Workspaces", "Twilio", "ElevenLabs", "Calls", "Sync", "Settings"]
    expect(guest.page.get_by_role("button", name="Sync now")).to_be_visible()
    assert "Unassigned" in guest.open("/settings")
    assert guest.was_sent("Acme", "Borealis") == ["Acme", "Borealis"]


def test_an_analyst_reads_everything_and_changes_nothing(guest: Guest) -> None:
    guest.sign_in("carla")

    assert navigation(guest.page) == ["Workspaces", "Twilio", "ElevenLabs", "Calls", "Sync"]
    assert guest.page.get_by_role("button", name="Sync now").count() == 0
    assert "Runs" in guest.open("/sync")
    assert guest.page.get_by_role("button", name="Start historical sync").count() == 0
    assert "Only an administrator may see or do this; ask one." in guest.open("/settings")
    assert guest.was_sent("Acme", "Borealis") == ["Acme", "Borealis"]


def test_a_client_is_sent_nothing_of_others_on_any_page(guest: Guest) -> None:
    guest.sign_in("boss")

    assert navigation(guest.page) == ["Workspaces", "Twilio", "ElevenLabs", "Calls"]
    for path in ("/", "/twilio", "/elevenlabs", "/calls", "/workspace?workspace=Acme", "/calls?call=CAours"):
        guest.open(f"{path}{'&' if '?' in path else '?'}period=All")
        assert guest.page.get_by_test_id("stException").count() == 0
    assert guest.was_sent(*OURS) == [word for word in OURS if word != OUR_NUMBER]
    assert guest.was_sent(*OTHERS) == []
    assert guest.page.get_by_role("button", name="Sync now").count() == 0


@pytest.mark.parametrize("path", ["/workspace?workspace=Acme&period=All", "/calls?period=All"])
def test_a_client_who_asks_for_full_numbers_is_sent_its_own(guest: Guest, path: str) -> None:
    guest.sign_in("boss").open(path)

    guest.page.get_by_text("Show full numbers").click()

    deadline = time.monotonic() + SHOWN_WITHIN / 1000
    while not guest.was_sent(OUR_NUMBER) and time.monotonic() < deadline:
        guest.page.wait_for_timeout(100)  # Playwright receives nothing while Python sleeps
    assert guest.was_sent(OUR_NUMBER, OTHER_NUMBER) == [OUR_NUMBER]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/settings", "Only an administrator may see or do this; ask one."),
        ("/sync", "This page is about all workspaces; you have access to your own."),
        ("/sync?run=1", "This page is about all workspaces; you have access to your own."),
        ("/calls?call=CAtheirs", "There is no stored call leg or conversation with this id."),
        ("/calls?call=conv_theirs", "There is no stored call leg or conversation with this id."),
        ("/calls?call=CAnobodys", "There is no stored call leg or conversation with this id."),
        ("/calls?search=CAtheirs&period=All", "No call in this period matches the filters."),
        ("/workspace?workspace=Borealis", "There is no workspace Borealis"),
    ],
)
def test_a_client_who_tries_links_to_others_reads_a_sentence(guest: Guest, path: str, sentence: str) -> None:
    guest.sign_in("boss")

    said = guest.open(path)

    assert sentence in said
    asked = {word for word in OTHERS if word in path}
    assert {*guest.was_sent(*OTHERS)} <= asked, "but for the question itself"
    assert "1.25" not in said


def test_the_other_workspace_in_a_clients_filter_is_dropped(guest: Guest) -> None:
    guest.sign_in("boss")

    said = guest.open("/twilio?workspaces=Borealis&period=All")

    assert "$1.25" in said
    assert guest.was_sent(OTHER_NUMBER, OTHER_AGENT, "CAtheirs") == []


def test_a_clients_downloads_hold_its_own_calls(guest: Guest) -> None:
    guest.sign_in("boss")
    guest.open("/calls?period=All")

    with guest.page.expect_download() as started:
        guest.page.get_by_role("button", name="Download CSV").click()
    content = Path(started.value.path()).read_text(encoding="utf-8-sig")

    assert "CAours" in content
    assert not [word for word in OTHERS if word in content]


def test_an_admin_can_download_the_numbers(guest: Guest) -> None:
    guest.sign_in("ana")
    guest.open("/settings")

    with guest.page.expect_download() as started:
        guest.page.get_by_role("button", name="Download all numbers").click()

    assert "Borealis" in Path(started.value.path()).read_text(encoding="utf-8-sig")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("liar", "ana@agency.example is not verified; verify it where you sign in, then sign in again."),
        ("stranger", "stranger@evil.example has no access to this dashboard; ask its administrator for it."),
    ],
)
def test_who_has_no_role_reads_one_sentence_and_leaves(guest: Guest, name: str, sentence: str) -> None:
    guest.sign_in(name)

    assert sentence in guest.open("/settings")
    assert guest.page.get_by_test_id("stSidebar").count() == 0
    assert guest.was_sent("Acme", *OTHERS) == []
    guest.page.get_by_role("button", name="Log out").click()
    guest.page.get_by_role("button", name="End session").click()
    expect(guest.page.get_by_role("button", name="Sign in")).to_be_visible()


def test_logging_out_ends_what_the_browser_may_see(guest: Guest, browser: BrowserContext) -> None:
    guest.sign_in("ana")

    guest.page.get_by_role("button", name="Log out").click()
    guest.page.get_by_role("button", name="End session").click()
    expect(guest.page.get_by_role("button", name="Sign in")).to_be_visible()
    later = Guest(browser.new_page(), guest.address, {})

    assert "Sign in to see" in later.open("/settings")
    assert later.was_sent("Acme", *OTHERS) == []
    assert not [each for each in browser.cookies(guest.address) if each["name"].startswith("_streamlit_user")]


def test_another_tab_shows_the_way_in_soon_after_a_logout(guest: Guest, browser: BrowserContext) -> None:
    guest.logins.pop("ana", None)  # logged out before, so these cookies are no login any more
    guest.sign_in("ana")
    other = Guest(browser.new_page(), guest.address, {})
    other.open("/twilio")

    guest.page.get_by_role("button", name="Log out").click()
    guest.page.get_by_role("button", name="End session").click()

    expect(other.page.get_by_role("button", name="Sign in")).to_be_visible(timeout=SHOWN_WITHIN)
    expect(other.page.get_by_test_id("stSidebar")).to_have_count(0)
    guest.logins.pop("ana", None)


def test_scripts_cannot_read_the_login_and_other_sites_cannot_send_it(guest: Guest, browser: BrowserContext) -> None:
    guest.logins.clear()
    guest.sign_in("ana")

    cookies = {each["name"]: each for each in browser.cookies(guest.address)}

    assert cookies["_streamlit_user"]["httpOnly"]
    assert cookies["_streamlit_user"]["sameSite"] == "Lax"
    assert cookies["_streamlit_user_tokens"]["httpOnly"]
    assert "_streamlit_user=" not in guest.page.evaluate("document.cookie")


@pytest.mark.parametrize("forged", ["", "e30", "eyJlbWFpbCI6ICJhbmFAYWdlbmN5LmV4YW1wbGUifQ==", "a|b|c"])
def test_a_login_that_nobody_signed_is_none(guest: Guest, browser: BrowserContext, forged: str) -> None:
    guest.sign_in("boss")
    browser.add_cookies([{"name": "_streamlit_user", "value": forged, "url": guest.address}])
    later = Guest(browser.new_page(), guest.address, {})

    assert "Sign in to see" in later.open("/")
    assert later.was_sent("Acme", *OTHERS) == []


def test_the_way_in_and_every_page_keep_to_the_policy_and_ask_no_other_host(guest: Guest) -> None:
    guest.open("/")
    asked_before_signing_in = [*guest.foreign]
    guest.sign_in("ana")
    guest.foreign.clear()
    for path in ("/", "/twilio", "/elevenlabs", "/calls?period=All", "/sync", "/settings", "/workspace?workspace=Acme"):
        guest.open(path)

    assert [error for error in guest.errors if "Content Security Policy" in error or "Refused" in error] == []
    own = (guest.address, guest.address.replace("http", "ws"), "data:", "blob:")
    assert [url for url in [*asked_before_signing_in, *guest.foreign] if not url.startswith(own)] == []


def test_the_api_has_its_own_secret_whoever_is_signed_in(guest: Guest, browser: BrowserContext) -> None:
    guest.sign_in("ana")

    with_login = browser.request.get(f"{guest.address}/api/workspaces")
    with_secret = httpx.get(
        f"{guest.address}/api/workspaces", headers={"Authorization": f"Bearer {SECRET}"}, trust_env=False
    )

    assert (with_login.status, with_secret.status_code) == (401, 200)
    assert "Borealis" in with_secret.text
    assert (ROOT / ".streamlit" / "secrets.toml").exists() is False
