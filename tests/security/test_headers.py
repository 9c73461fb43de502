"""What every answer of the process carries, whom it answers, and where it does not start: on real sockets."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets.sync.client
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from sync.errors import ConfigurationError
from sync.web_security import (
    OPEN,
    SameOriginOnly,
    ThisMachineOnly,
    WebSecurity,
    content_security_policy,
    is_this_machine,
    refuse_open_reach,
)
from tests.asgi_call import ask
from tests.browser.conftest import ROOT, dashboard, environment

NAMES = {
    "content-security-policy",
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "permissions-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
}
FOREIGN = "evil.example"
NOWHERE = "http://127.0.0.1:9"  # nothing is synced here


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of an empty dashboard without a login."""
    with dashboard(environment(tmp_path_factory.mktemp("headers"), NOWHERE)) as address:
        yield address


def get(address: str, path: str, **headers: str) -> httpx.Response:
    return httpx.get(address + path, headers=headers, trust_env=False)


def stream(address: str, *, host: str | None = None, origin: str) -> websockets.sync.client.ClientConnection:
    """Open a WebSocket at this address; `host` is another name that it is called by."""
    there = address.removeprefix("http://")
    name, _, port = there.partition(":")
    url = f"ws://{host or there}/_stcore/stream"
    return websockets.sync.client.connect(url, sock=socket.create_connection((name, int(port))), origin=Origin(origin))


def script_of(page: str) -> str:
    [found] = re.findall(r'src="\./(static/js/index[^"]+)"', page)
    return f"/{found}"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/twilio", 200),
        ("/no-such-page", 200),
        ("/api/health", 200),
        ("/api/workspaces", 401),
        ("/api/nothing", 401),
        ("/_stcore/health", 200),
        ("/media/nothing.csv", 404),
        ("/static/nothing.js", 200),  # Streamlit's page
        ("/auth/login", 302),
    ],
)
def test_every_answer_carries_the_headers(address: str, path: str, status: int) -> None:
    answer = get(address, path)

    assert answer.status_code == status
    assert set(answer.headers) >= NAMES
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_a_script_of_the_page_carries_them_too(address: str) -> None:
    answer = get(address, script_of(get(address, "/").text))

    assert answer.status_code == httpx.codes.OK
    assert "javascript" in answer.headers["content-type"]
    assert set(answer.headers) >= NAMES


def test_scripts_come_from_the_dashboard_alone_and_are_never_made_of_text(address: str) -> None:
    policy = dict(
        part.strip().split(" ", 1) for part in get(address, "/").headers["content-security-policy"].split(";")
    )

    assert re.fullmatch(r"'self'( 'sha256-[\w+/=]+')+", policy["script-src"])
    assert policy["connect-src"] == policy["base-uri"] == policy["form-action"] == policy["default-src"] == "'self'"
    assert policy["object-src"] == "'none'"
    assert "http" not in " ".join(policy.values())


@pytest.mark.parametrize("path", ["/api/health", "/api/workspaces", "/api", "/media/nothing.csv"])
def test_figures_are_not_kept_by_caches(address: str, path: str) -> None:
    assert get(address, path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/api/health", "/_stcore/health", "/auth/login"])
@pytest.mark.parametrize(
    "host", [FOREIGN, f"{FOREIGN}:3093", "localhost.evil.example", "127.0.0.1.evil.example", "x y"]
)
def test_another_host_name_is_refused_everywhere(address: str, path: str, host: str) -> None:
    answer = get(address, path, Host=host)

    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert set(answer.headers) >= NAMES


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:3093", "127.0.0.1:80", "[::1]:3093"])
def test_the_names_of_this_machine_are_answered(address: str, host: str) -> None:
    assert get(address, "/api/health", Host=host).status_code == httpx.codes.OK


def test_a_websocket_carries_the_headers(address: str) -> None:
    with stream(address, origin=address) as connection:
        assert connection.response
        assert {name.lower() for name, _ in connection.response.headers.raw_items()} >= NAMES


ELSEWHERE = [f"http://{FOREIGN}", "null", "http://localhost:1", "http://0.0.0.0:1", "http://127.0.0.1", "http://[::1"]


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [*((None, origin, 403) for origin in ELSEWHERE), (FOREIGN, f"http://{FOREIGN}", 400)],
)
def test_a_websocket_from_elsewhere_is_refused(address: str, host: str | None, origin: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as caught:
        stream(address, host=host, origin=origin)

    assert caught.value.response.status_code == status


@pytest.mark.parametrize("origin", ELSEWHERE)
def test_a_websocket_from_elsewhere_does_not_make_the_server_ask_other_hosts(origin: str) -> None:
    refused = handshake(origin)

    assert refused == [{"type": "websocket.close", "code": 1008}], "answered before Streamlit, which would ask, sees it"


def handshake(origin: str) -> list[Any]:
    """Return what our layers answer to a handshake; one that they let through fails the test."""

    async def streamlit(*_: object) -> None:
        raise AssertionError("let through")

    app: Any = streamlit
    for layer in reversed(WebSecurity("", [], is_open=False).middleware()):
        app = layer.cls(app, *layer.args, **layer.kwargs)
    headers = [(b"host", b"localhost:3093"), (b"origin", origin.encode())]
    scope = {"type": "websocket", "path": "/_stcore/stream", "headers": headers, "server": ("127.0.0.1", 3093)}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    with ThreadPoolExecutor(1) as thread:  # after browser tests, Playwright's event loop runs in this one
        thread.submit(asyncio.run, app(scope, receive, send)).result()
    return sent


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/metrics/", "/x/_stcore/metrics", "/_stcore%2Fmetrics"])
def test_nobody_is_told_what_streamlit_counts(address: str, path: str) -> None:
    answer = get(address, path)

    assert "session" not in answer.text.lower() or "<!doctype html>" in answer.text.lower()
    assert answer.status_code == httpx.codes.NOT_FOUND


# Where it does not start


def start(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start a dashboard that refuses to; one that does not is ended after a while, which fails the test."""
    return subprocess.run(
        [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port=0", *options],
        cwd=ROOT,
        env=environment(folder, NOWHERE) | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (["--server.address=0.0.0.0"], {}),
        (["--server.address=::"], {}),
        (["--server.address="], {}),
        ([], {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}),
        ([], {"ALLOWED_HOSTS": "ledger.example.com"}),
    ],
)
def test_without_a_login_it_does_not_start_for_others_than_this_machine(
    tmp_path: Path, options: list[str], variables: dict[str, str]
) -> None:
    refused = start(tmp_path, *options, **variables)

    assert refused.returncode != 0
    assert f"Voice Ledger cannot start: {OPEN}" in refused.stdout + refused.stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[auth\n", ".streamlit/secrets.toml cannot be read; correct it, it must be TOML in UTF-8."),
        (b"# caf\xe9\n", ".streamlit/secrets.toml cannot be read; correct it, it must be TOML in UTF-8."),
        (b"[auth]\n", "[auth] redirect_uri field required; cookie_secret field required."),
        (b"[access]\nadmins = ['ana@agency.example']\n", "[access] has no effect without [auth]"),
    ],
)
def test_a_login_that_cannot_be_read_does_not_open_the_dashboard(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "secrets.toml").write_bytes(content)

    refused = start(tmp_path, f"--secrets.files={tmp_path / 'secrets.toml'}")

    assert refused.returncode != 0
    assert f"Voice Ledger cannot start: {sentence}" in refused.stdout + refused.stderr


def test_settings_stand_in_streamlits_secrets_too_in_whatever_type(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text(
        'ALLOW_OPEN_DASHBOARD = true\nALLOWED_HOSTS = ["ledger.example.com", "other.example.com"]\n'
        'CRON_SECRET = "of the file of secrets"\nDISABLE_ELEVENLABS_HOURLY_SYNC = true\n'
    )

    with dashboard(environment(tmp_path, NOWHERE), f"--secrets.files={secrets}") as address:
        answer = httpx.post(
            f"{address}/api/sync-elevenlabs-hourly",
            headers={"Authorization": "Bearer of the file of secrets", "Host": "other.example.com"},
            trust_env=False,
        )

    assert answer.json()["status"] == "skipped"


def test_the_same_settings_count_for_the_dashboard_as_for_the_scheduler(tmp_path: Path) -> None:
    file = tmp_path / ".streamlit" / "secrets.toml"
    file.parent.mkdir()
    file.write_text('CRON_SECRET = ""\nTIMEZONE = "Europe/Madrid"\n')
    variables = environment(tmp_path, NOWHERE) | {"CRON_SECRET": "of-the-environment", "HOME": str(tmp_path)}

    with dashboard(variables) as address:
        answer = httpx.get(
            f"{address}/api/sync-runs", headers={"Authorization": "Bearer of-the-environment"}, trust_env=False
        )
    doctor = subprocess.run(
        [sys.executable, "-m", "sync", "doctor"], cwd=ROOT, env=variables, capture_output=True, text=True
    )

    assert answer.status_code == 200
    assert "~/.streamlit/secrets.toml (TIMEZONE)" in doctor.stdout


@pytest.mark.parametrize("way", ["flag", "variable", "file"])
@pytest.mark.parametrize("path", ["ledger", "/a/b/"])
def test_a_dashboard_below_a_path_is_refused_however_it_is_set(tmp_path: Path, way: str, path: str) -> None:
    options, variables = [], {}
    if way == "flag":
        options = [f"--server.baseUrlPath={path}"]
    elif way == "variable":
        variables = {"STREAMLIT_SERVER_BASE_URL_PATH": path}
    else:
        (tmp_path / ".streamlit").mkdir()
        (tmp_path / ".streamlit" / "config.toml").write_text(f'[server]\nbaseUrlPath = "{path}"\n')

    refused = start(tmp_path, *options, **variables, HOME=str(tmp_path))

    assert refused.returncode != 0
    assert "Voice Ledger cannot start: server.baseUrlPath is set" in refused.stdout + refused.stderr


def test_told_by_name_it_is_open_and_answers_to_more_names(tmp_path: Path) -> None:
    allowed = {"ALLOW_OPEN_DASHBOARD": "true", "ALLOWED_HOSTS": "ledger.example.com,*.agency.example"}
    with dashboard(environment(tmp_path, NOWHERE) | allowed | {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}) as address:
        statuses = [
            get(address, "/api/health", Host=host).status_code
            for host in ("ledger.example.com", "a.agency.example:8080", FOREIGN)
        ]

    assert statuses == [200, 200, 400]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_addresses_are_this_machine(address: str) -> None:
    refuse_open_reach(address, ["localhost", "[::1]"])

    assert is_this_machine(address)


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "::", "10.0.0.5", "localhost.evil.example", "ledger"])
def test_others_are_not(address: str | None) -> None:
    with pytest.raises(ConfigurationError):
        refuse_open_reach(address, [])


# What needs no server


def open_stream(layer: SameOriginOnly, origin: str, host: str) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    headers = [(b"origin", origin.encode("latin-1")), (b"host", host.encode("latin-1"))]
    scope = {"type": "websocket", "path": "/_stcore/stream", "headers": headers}
    with ThreadPoolExecutor(1) as thread:  # after browser tests, Playwright's event loop runs in this one
        thread.submit(asyncio.run, layer(scope, receive, send)).result()
    return sent


async def let_in(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept"})


def test_a_proxy_that_does_not_pass_the_host_on_is_told_once() -> None:
    layer = SameOriginOnly(let_in)

    with capture_logs() as logged:
        for _ in range(9):
            [refusal] = open_stream(layer, "https://ledger.example.com", "127.0.0.1:3093")

    assert refusal["type"] == "websocket.close"
    [line] = logged
    assert line["log_level"] == "warning"
    assert "its page is of https://ledger.example.com and the request names the host 127.0.0.1:3093" in line["event"]
    assert "pass the Host header on (docs/deploy.md), and set ALLOWED_HOSTS" in line["event"]


def test_what_visitors_write_neither_breaks_a_line_nor_fills_the_log() -> None:
    with capture_logs() as logged:
        open_stream(SameOriginOnly(let_in), "https://a\n\x1b[31m\u00e9\x9b" + "a" * 9000, "b\r\nc" * 9000)

    [line] = logged
    assert line["event"].isprintable()
    assert "https://a??[31m??" in line["event"]
    assert len(line["event"]) < 700


def test_a_page_of_the_same_host_is_let_in_without_a_word() -> None:
    with capture_logs() as logged:
        [answer] = open_stream(SameOriginOnly(let_in), "https://ledger.example.com", "Ledger.example.com")

    assert (answer["type"], logged) == ("websocket.accept", [])


def hello(request: Request) -> PlainTextResponse:
    answer = PlainTextResponse("hello")
    answer.set_cookie("user", "ana", httponly=True)
    return answer


def fail(request: Request) -> PlainTextResponse:
    raise RuntimeError("7c21")


def served(security: WebSecurity) -> Starlette:
    return Starlette(
        routes=[Route("/", hello), Route("/fail", fail)],
        middleware=security.middleware(),
        exception_handlers={Exception: security.failure},
    )


def test_an_error_in_the_program_carries_the_headers_and_nothing_of_its_inside() -> None:
    answer = ask(served(WebSecurity("default-src 'self'", ["ledger"], is_open=True)), "GET", "/fail", {})

    assert (answer.status_code, set(answer.headers) >= NAMES) == (500, True)
    assert "7c21" not in answer.text


@pytest.mark.parametrize(("is_https", "is_secure"), [(True, True), (False, False)])
def test_cookies_are_secure_where_the_dashboard_is_reached_by_tls(is_https: bool, is_secure: bool) -> None:
    security = WebSecurity("default-src 'self'", ["ledger"], is_open=True, is_https=is_https)

    cookie = ask(served(security), "GET", "/", {}).headers["set-cookie"]

    assert ("; Secure" in cookie) is is_secure
    assert "HttpOnly" in cookie


@pytest.mark.parametrize(
    ("own_address", "status"),
    [(("127.0.0.1", 3093), 200), (("::1", 3093), 200), (("10.0.0.5", 3093), 403), (("/run/socket", None), 200)],
)
def test_without_a_login_only_what_arrives_at_this_machines_own_address_is_answered(
    own_address: tuple[str, int | None], status: int
) -> None:
    guarded = Starlette(routes=[Route("/", hello)], middleware=[Middleware(ThisMachineOnly)])

    async def at_address(scope: Any, receive: Any, send: Any) -> None:
        await guarded({**scope, "server": own_address}, receive, send)

    answer = ask(at_address, "GET", "/", {"Host": "localhost"})

    assert answer.status_code == status


def test_the_script_that_stands_in_the_page_is_allowed_by_its_hash_alone() -> None:
    policy = content_security_policy("<script>\n  a = 1\n</script><script src='x.js'></script>")

    assert "script-src 'self' 'sha256-nHiJsB1GRX6Ku2XBkWKVt2F3CJiowPuMwhcJv+CWmC0=';" in policy
