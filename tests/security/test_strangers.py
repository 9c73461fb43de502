"""What somebody who has not signed in can do to a dashboard with a login: over real sockets, without a browser."""

import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from streamlit import __version__ as streamlits_version
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from websockets.exceptions import ConnectionClosed

from dashboard.door.connections import LARGEST_MESSAGE, SECONDS_FOR_HEADERS
from dashboard.door.sockets import LARGEST_OF_STRANGERS, SOCKETS_OF_STRANGERS
from tests.browser.conftest import ROOT, dashboard, environment, free_port
from tests.security.openid import COOKIE_SECRET, secrets_file
from tests.security.raw_sockets import RawSocket, signed_in
from tests.security.test_login_in_chromium import fill

NOWHERE = "http://127.0.0.1:9"  # nothing is synced here, and nobody signs in by the provider
WAY_IN = b"Sign in to see what your phone agents cost."
SOON = 2.0  # seconds; without limits 3,000 messages take more than 8


@dataclass(frozen=True, kw_only=True)
class Served:
    """A dashboard that runs, and what it writes."""

    address: str
    folder: Path

    def cookies(self, email: str, **more: object) -> dict[str, str]:
        return signed_in(self.address, COOKIE_SECRET, email, **more)

    def log(self) -> str:
        return (self.folder / "dashboard.log").read_text()

    @property
    def process(self) -> psutil.Process:
        port = int(self.address.rpartition(":")[2])
        children = psutil.Process().children(recursive=True)
        return next(each for each in children if f"--server.port={port}" in each.cmdline())

    def health(self) -> float:
        """Return how many seconds the next answer takes."""
        begun = time.monotonic()
        httpx.get(f"{self.address}/api/health", trust_env=False, timeout=60).raise_for_status()
        return time.monotonic() - begun


@contextmanager
def served(folder: Path, port: int) -> Iterator[Served]:
    secrets, log = secrets_file(folder, port, NOWHERE), folder / "dashboard.log"
    with dashboard(environment(folder, NOWHERE), f"--secrets.files={secrets}", port=port, log=log) as address:
        yield Served(address=address, folder=folder)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("strangers")
    fill(folder / "ledger.db")
    with served(folder, free_port()) as running:
        yield running


def test_one_socket_with_thousands_of_messages_is_closed_and_holds_nobody_up(ledger: Served) -> None:
    with RawSocket(ledger.address) as flood:
        flood.page()
        with suppress(ConnectionClosed):
            for number in range(3000):
                flood.ask(f"x={number}")
        waited = ledger.health()
        flood.listen(until="the end")

    assert flood.code == 1008
    assert waited < SOON


def test_one_who_signed_in_does_not_hold_up_the_others_either(ledger: Served) -> None:
    with RawSocket(ledger.address, ledger.cookies("boss@acme.example")) as flood:
        flood.page()
        with suppress(ConnectionClosed):
            for number in range(3000):
                flood.ask(f"x={number}")
        waited = ledger.health()
        flood.listen(until="the end")

    assert flood.code == 1008
    assert waited < SOON


def test_messages_at_a_pace_that_a_page_has_are_all_answered(ledger: Served) -> None:
    with RawSocket(ledger.address, ledger.cookies("ana@agency.example")) as tab:
        for _ in range(10):
            assert b"Acme" in tab.page()

    assert tab.code is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("text", 1003),
        (b"", 1002),
        (b"\xff" * 50, 1002),
        (b"\x0a" * 5000, 1002),
        (b"\xfa\x3f\x00", 1002),
        (b"\x00" * (LARGEST_OF_STRANGERS + 1), 1009),
        (b"\x00" * (LARGEST_MESSAGE + 1), 1009),
    ],
)
def test_what_no_page_sends_closes_the_socket_and_leaves_no_line(ledger: Served, data: bytes | str, code: int) -> None:
    before = ledger.log()
    with RawSocket(ledger.address) as stranger:
        stranger.send(data)
        stranger.listen(until="the end")

    assert stranger.code == code
    assert ledger.log() == before


def test_an_unfinished_frame_is_refused_by_the_length_that_it_announces(ledger: Served) -> None:
    host, _, port = ledger.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(
            f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert b" 101 " in raw.recv(4096)
        raw.sendall(b"\x82\xff" + (190_000_000).to_bytes(8, "big") + b"\0\0\0\0" + b"z" * 100)
        answer = raw.recv(4096)

    assert answer[:4] == b"\x88\x02" + (1009).to_bytes(2, "big") or answer[2:4] == (1009).to_bytes(2, "big")


def test_strangers_ask_for_nothing_but_the_page(ledger: Served) -> None:
    with RawSocket(ledger.address) as stranger:
        stranger.page()
        stranger.send(BackMsg(load_git_info=True).SerializeToString())
        stranger.send(BackMsg(clear_cache=True).SerializeToString())

        heard = stranger.listen(until="git_info_changed", patience=1)

    assert [each.WhichOneof("type") for each in heard if each.WhichOneof("type") == "git_info_changed"] == []


def test_a_stranger_too_many_takes_the_place_of_the_oldest_and_those_who_signed_in_keep_theirs(ledger: Served) -> None:
    with ExitStack() as held:
        tab = held.enter_context(RawSocket(ledger.address, ledger.cookies("ana@agency.example")))
        strangers = [held.enter_context(RawSocket(ledger.address)) for _ in range(SOCKETS_OF_STRANGERS + 3)]
        codes = []
        for stranger in strangers:
            stranger.listen(until="the end", patience=0.5 if len(codes) < 5 else 0.01)
            codes.append(stranger.code)

        assert codes == [1013] * 3 + [None] * SOCKETS_OF_STRANGERS
        assert b"Acme" in tab.page()
        assert WAY_IN in strangers[-1].page()


def test_strangers_leave_nothing_behind_and_those_who_signed_in_find_their_session_again(ledger: Served) -> None:
    with RawSocket(ledger.address, ledger.cookies("ana@agency.example")) as tab:
        tab.page()
    time.sleep(1)
    files = ledger.process.num_fds()

    for _ in range(20):
        with RawSocket(ledger.address) as stranger:
            with suppress(ConnectionClosed):
                state = WidgetStates()
                state.widgets.add(id="$$ID-x", string_value="x" * (LARGEST_OF_STRANGERS - 200))
                stranger.ask(widget_states=state)
            assert WAY_IN in b"".join(each.SerializeToString() for each in stranger.listen())
    deadline = time.monotonic() + 10
    while ledger.process.num_fds() > files + 3 and time.monotonic() < deadline:
        time.sleep(0.1)

    assert ledger.process.num_fds() <= files + 3, "each session has three files"


@pytest.mark.slow
def test_a_request_that_never_gets_beyond_its_headers_is_closed(ledger: Served) -> None:
    host, _, port = ledger.address.removeprefix("http://").partition(":")
    halves = [b"", b"GET /api/health HTTP/1.1\r\nX-a: ", b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /"]
    begun = time.monotonic()
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_connection((host, int(port)))) for _ in halves]
        for each, half in zip(sockets, halves, strict=True):
            each.sendall(half)
            each.settimeout(SECONDS_FOR_HEADERS + 10)
        for each in sockets:
            while each.recv(4096):
                pass

    assert time.monotonic() - begun < SECONDS_FOR_HEADERS + 5


# What strangers are told, and what they can have written


def test_before_the_sign_in_nothing_is_told_of_the_installation(ledger: Served) -> None:
    with RawSocket(ledger.address) as stranger:
        told = stranger.page()
    with RawSocket(ledger.address, ledger.cookies("stranger@evil.example")) as stranger:
        told += stranger.page()

    assert WAY_IN in told
    python = ".".join(map(str, sys.version_info[:3]))
    assert [word for word in (str(ROOT), "main.py", python, streamlits_version) if word.encode() in told] == []
    assert re.search(rb"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}.*installation", told) is None


def test_a_sign_in_that_failed_writes_none_of_the_callers_words(ledger: Served) -> None:
    before = len(ledger.log())
    lies = {"error": "User ana@agency.example signed in as admin", "error_description": "x" * 5000}
    answers = [
        httpx.get(f"{ledger.address}/oauth2callback", params=params, trust_env=False)
        for params in (lies, {"error": "access_denied", "error_description": "y" * 5000})
    ]
    written = ledger.log()[before:]

    assert [answer.status_code for answer in answers] == [302, 302]
    assert written.count("\n") == 2
    assert "access_denied" in written
    assert [word for word in ("signed in", "xxx", "yyy") if word in written] == []


def test_what_is_no_http_writes_one_line_and_no_traceback(ledger: Served) -> None:
    before = len(ledger.log())
    host, _, port = ledger.address.removeprefix("http://").partition(":")
    broken = b"1;a\nb\r\nx\r\n0\r\n\r\n"
    head = b"POST /api/sync-hourly HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    for data in (head + broken, head.replace(b"/api/sync-hourly", b"/") + broken, b"\x16\x03\x01\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=5) as raw, suppress(OSError):
            raw.sendall(data)
            while raw.recv(4096):
                pass
    written = ledger.log()[before:]

    assert written.count("Invalid HTTP request received.") == written.count("\n") == 3
    assert "Traceback" not in written


# Logging out


def logout(running: Served, cookies: dict[str, str], **headers: str) -> httpx.Response:
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return httpx.get(f"{running.address}/auth/logout", headers={"Cookie": header, **headers}, trust_env=False)


def test_after_a_logout_neither_a_copy_of_the_cookie_nor_another_tab_reads_on(ledger: Served) -> None:
    cookies, elsewhere = (ledger.cookies("ana@agency.example", iat=at) for at in (2, 3))
    with RawSocket(ledger.address, cookies) as tab, RawSocket(ledger.address, elsewhere) as other_browser:
        assert b"Acme" in tab.page()

        assert logout(ledger, cookies).status_code == 302

        read_on = tab.page()
        with RawSocket(ledger.address, cookies) as thief:
            replayed = thief.page()
        assert b"Borealis" in other_browser.page()

    assert (tab.code, b"Acme" in read_on) == (1008, False)
    assert WAY_IN in replayed
    assert b"Acme" not in replayed


def test_a_logout_outlives_a_restart(tmp_path: Path) -> None:
    fill(tmp_path / "ledger.db")
    port = free_port()
    with served(tmp_path, port) as running:
        cookies = running.cookies("ana@agency.example")
        logout(running, cookies)

    with served(tmp_path, port) as running, RawSocket(running.address, cookies) as thief:
        assert WAY_IN in thief.page()
    assert (tmp_path / "ended-logins").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_logs_nobody_out(ledger: Served, site: str) -> None:
    cookies = ledger.cookies("carla@agency.example")

    answer = logout(ledger, cookies, **{"Sec-Fetch-Site": site})

    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    with RawSocket(ledger.address, cookies) as tab:
        assert b"Acme" in tab.page()


def test_the_server_stops_soon_in_the_middle_of_a_flood(tmp_path: Path) -> None:
    fill(tmp_path / "ledger.db")
    with (
        served(tmp_path, free_port()) as running,
        RawSocket(running.address, running.cookies("ana@agency.example")) as tab,
    ):
        for number in range(90):
            tab.ask(f"x={number}")
        begun, process = time.monotonic(), running.process
        process.terminate()
        with suppress(psutil.NoSuchProcess):
            process.wait(timeout=20)

    assert time.monotonic() - begun < 10
