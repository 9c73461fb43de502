"""Requests as nobody of good will sends them, byte by byte on real sockets; and how soon ordinary ones are answered."""

import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.browser.conftest import dashboard, environment

NOWHERE = "http://127.0.0.1:9"  # nothing is synced here
MOST_HEADERS = 2**20  # bytes, of which a server has long had enough
SOON = 0.03  # seconds; an answer that waits for an acknowledgement takes 0.04
FIGURES = (b"workspaces", b"Unassigned", b"total_cost")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Give host and port of an empty dashboard without a login."""
    with dashboard(environment(tmp_path_factory.mktemp("requests"), NOWHERE)) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


def answer_to(address: tuple[str, int], request: bytes) -> bytes:
    """Return all that comes back until the server closes, or has nothing more to say."""
    received = b""
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65_536):
            received += part
    return received


def is_answering(address: tuple[str, int]) -> bool:
    return httpx.get(f"http://127.0.0.1:{address[1]}/api/health", trust_env=False).is_success


def asked(line: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([line, b"Host: localhost", b"Connection: close", *headers, b"", b""])


@pytest.mark.parametrize(
    "request_",
    [
        asked(b"GET /%61pi/workspaces HTTP/1.1"),
        asked(b"GET /api/%77orkspaces HTTP/1.1"),
        asked(b"GET /api%2fworkspaces HTTP/1.1"),
        asked(b"GET //api/workspaces HTTP/1.1"),
        asked(b"GET /api//workspaces HTTP/1.1"),
        asked(b"GET /static/../api/workspaces HTTP/1.1"),
        asked(b"GET /api/health/../workspaces HTTP/1.1"),
        asked(b"GET /api/health%2f..%2fworkspaces HTTP/1.1"),
        asked(b"GET /api/workspaces%00 HTTP/1.1"),
        asked(b"GET http://localhost/api/workspaces HTTP/1.1"),
        asked(b"GET /api/health%0d%0aX-Planted:%201 HTTP/1.1"),
        asked(b"GET /api/twilio-stats?since=%0d%0aX-Planted:%201 HTTP/1.1"),
        asked(b"GET /api/workspaces HTTP/1.1", b"Authorization: Bearer \r\n X-Planted: 1"),
        asked(b"GET /api/workspaces HTTP/1.1", b"X-Original-URL: /api/health", b"X-Rewrite-URL: /api/health"),
        asked(b"GET /api/workspaces HTTP/1.1", b"X-HTTP-Method-Override: GET", b"X-Forwarded-For: 127.0.0.1"),
        asked(b"TRACE /api/workspaces HTTP/1.1", b"Cookie: planted=1"),
        asked(b"OPTIONS /api/workspaces HTTP/1.1", b"Origin: http://evil.example"),
        asked(b"OPTIONS * HTTP/1.1"),
        asked(b"CONNECT evil.example:443 HTTP/1.1"),
        asked(b"HEAD /api/workspaces HTTP/1.1"),
        asked(b"GET /api/" + b"x" * 60_000 + b" HTTP/1.1"),
        asked(b"POST /api/sync-hourly HTTP/1.1", b"Content-Length: -1"),
        asked(b"POST /api/sync-hourly HTTP/1.1", b"Content-Length: 4", b"Transfer-Encoding: chunked"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a client that speaks TLS
        b"GET /api/workspaces\r\n\r\n",
    ],
)
def test_a_request_of_whatever_form_gives_nothing_away_and_the_next_is_answered(
    address: tuple[str, int], request_: bytes
) -> None:
    answer = answer_to(address, request_)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert not answer or answer.startswith(b"HTTP/1.1 ")
    assert b"x-planted" not in head.lower()
    assert b"planted=1" not in answer
    assert b"access-control-allow" not in head.lower()
    assert not any(figure in body for figure in FIGURES)
    assert b" 500 " not in head.partition(b"\r\n")[0]
    assert is_answering(address)


def test_headers_without_end_are_refused_soon(address: tuple[str, int]) -> None:
    sent = 0
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n")
        try:
            while sent < MOST_HEADERS:
                connection.sendall(b"X-More: " + b"x" * 8000 + b"\r\n")
                sent += 8000
                time.sleep(0.001)  # so that the answer is seen
        except ConnectionError:
            pass

    assert sent < MOST_HEADERS
    assert is_answering(address)


def test_an_answer_comes_at_once_on_a_connection_that_is_kept(address: tuple[str, int]) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{address[1]}", trust_env=False) as client:
        times = sorted(client.get("/api/health").elapsed.total_seconds() for _ in range(60))

    assert times[15] < SOON, "whatever else this machine does, a quarter of them"
