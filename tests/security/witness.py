"""Everything that leaves the program while it is used, by the place where it turned up."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page, WebSocket, expect

from tests.browser.conftest import SHOWN_WITHIN, wait_until_drawn

OF_A_TABLE = "Download CSV"
FULL_NUMBER = re.compile(r"\+\d{10,}")
STORED_BY_SCRIPTS = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, window.name])"


@dataclass
class Evidence:
    """What was seen, as bytes."""

    seen: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    def add(self, place: str, what: str | bytes) -> None:
        self.seen[place].append(what if isinstance(what, bytes) else what.encode())

    def find(self, place: str, words: Iterable[str]) -> list[str]:
        everything = b"\n".join(self.seen[place])
        return [word for word in words if word.encode() in everything]

    def places_of(self, words: Sequence[str]) -> dict[str, list[str]]:
        """Return where any of the words stands, and which; places that hold none are left out."""
        return {place: found for place in [*self.seen] if (found := self.find(place, words))}


@dataclass
class Witness:
    """A reader's browser, all of whose traffic, page sources, downloads and storage become evidence."""

    page: Page
    address: str
    evidence: Evidence

    def __post_init__(self) -> None:
        self.page.set_default_timeout(SHOWN_WITHIN)
        self.page.on("websocket", self._listen)
        self.page.on("request", lambda asked: self.evidence.add("addresses", asked.url))
        self.page.on("framenavigated", lambda frame: self.evidence.add("addresses", frame.url))
        self.page.on("console", lambda said: self.evidence.add("console", said.text))

    def _listen(self, socket: WebSocket) -> None:
        self.evidence.add("addresses", socket.url)
        socket.on("framereceived", lambda frame: self.evidence.add("received by websocket", frame))
        socket.on("framesent", lambda frame: self.evidence.add("sent by websocket", frame))

    def sign_in(self, name: str) -> None:
        self.page.goto(self.address)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.locator("input[name=sub]").fill(name)
        self.page.get_by_role("button", name="Authorize").click()
        self.page.wait_for_url(f"{self.address}/")
        self.page.get_by_role("button", name="Log out").wait_for()

    def open(self, path: str) -> None:
        """Open a page, download all that it offers for download, and look at what it leaves in the browser."""
        self.page.goto(self.address + path)
        self.look()
        self.download_all()

    def look(self) -> None:
        wait_until_drawn(self.page)
        expect(self.page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=SHOWN_WITHIN)
        self.evidence.add("page source", self.page.content())
        self.evidence.add("browser storage", self.page.evaluate(STORED_BY_SCRIPTS))
        self.evidence.add("browser storage", str(self.page.context.storage_state()))

    def download_all(self) -> None:
        for button in self.page.get_by_role("button", name=OF_A_TABLE).all():
            with self.page.expect_download() as started:
                button.click()
            self.evidence.add("downloads", Path(started.value.path()).read_bytes())

    def click(self, name: str, then: str) -> None:
        """Click on a button and wait for what it brings."""
        self.page.get_by_test_id("stMain").get_by_role("button", name=name).click()
        expect(self.page.get_by_text(then).first).to_be_visible(timeout=2 * SHOWN_WITHIN)
        self.look()

    def show_full_numbers(self) -> None:
        """Have the page show numbers in full, and wait until it shows one."""
        self.page.get_by_text("Show full numbers").click()
        self.page.locator("canvas [role=gridcell]", has_text=FULL_NUMBER).first.wait_for(state="attached")
        self.download_all()

    def search(self, what: str) -> None:
        """Search for a call, and load the page again."""
        self.page.get_by_role("textbox", name="Search").fill(what)
        self.page.keyboard.press("Enter")
        self.page.get_by_text("Rows 1 to").or_(self.page.get_by_text("No call of this period")).first.wait_for()
        self.look()
        self.page.reload()
        self.look()
