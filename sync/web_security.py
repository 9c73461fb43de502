"""What every answer of the dashboard's process carries, and which requests get one: headers, host names, reach."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync.errors import ConfigurationError

THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")  # as browsers write it into the Host header
UNKEPT = ("/api", "/media/")  # what may hold figures: answers of the API, and downloads
STREAMLITS_METRICS = "/_stcore/metrics"
LONGEST_SHOWN = 100
POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1
STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")

log = structlog.get_logger()

OPEN = (
    "Without a login everybody who reaches the dashboard is its administrator, so it serves this machine alone; "
    "set up [auth] as docs/access.md explains, or set ALLOW_OPEN_DASHBOARD=true."
)


def refuse_open_reach(address: str | None, hosts: Iterable[str]) -> None:
    """Raise ConfigurationError if a dashboard without a login would listen, or answer to a name, beyond this machine.

    No address is all of them.
    """
    if not is_this_machine(address or "0.0.0.0") or not all(map(is_this_machine, hosts)):  # noqa: S104  named, not bound
        raise ConfigurationError(OPEN)


def refuse_base_path(path: str) -> None:
    """Raise ConfigurationError for a dashboard below a path: the API, and what is said of it, are at the root."""
    if path.strip("/"):
        raise ConfigurationError(
            "server.baseUrlPath is set, and the dashboard works at the root of a host name alone, since its API is at "
            "/api; remove the option, and give the dashboard a host name of its own, such as ledger.example.com."
        )


def is_this_machine(host: str) -> bool:
    """Tell whether a name or an address, in brackets or not, leads to this machine whoever asks."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def content_security_policy(page: str) -> str:
    """Return what Streamlit's page may load: itself, the script that stands in it, styles made at run time, no others.

    Neither `unsafe-eval` nor WebAssembly: no chart or table of ours needs them.
    """
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    return "; ".join(
        [
            "default-src 'self'",
            " ".join(["script-src 'self'", *(f"'sha256-{each}'" for each in hashes)]),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",  # the WebSocket of the same address included
            "object-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'self'",
            "form-action 'self'",
        ]
    )


class WebSecurity:
    """The layers around pages and API.

    Without `is_open` only those come in who use this machine. With `is_https`, browsers send cookies over TLS alone.
    """

    def __init__(self, policy: str, hosts: Iterable[str], *, is_open: bool, is_https: bool = False) -> None:
        self._hosts = [*THIS_MACHINE, *hosts]
        self._is_open = is_open
        self._is_https = is_https
        # No HSTS: this process does not know of TLS, which the proxy in front of it ends.
        self._headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    def middleware(self) -> list[Middleware]:
        """Return the layers, the outermost first."""
        return [
            Middleware(SecurityHeaders, headers=self._headers, is_https=self._is_https),
            *([] if self._is_open else [Middleware(ThisMachineOnly)]),
            Middleware(TrustedHostMiddleware, allowed_hosts=self._hosts, www_redirect=False),
            Middleware(SameOriginOnly),
            Middleware(NoMetricsOfStreamlit),
        ]

    def failure(self, request: Request, exc: Exception) -> PlainTextResponse:
        """Answer a request that failed, which happens outside of all middleware; the server still logs the error."""
        text = "An error in the program; its log has the details."
        return PlainTextResponse(text, status_code=500, headers=self._headers)


class SecurityHeaders:
    """Puts the headers on answers of every kind, the one to a WebSocket's handshake included."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], *, is_https: bool) -> None:
        self._app = app
        self._headers = headers
        self._is_https = is_https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in STARTS:
                if self._is_https:
                    message["headers"] = [*map(_with_secure_cookie, message.get("headers", ()))]
                answer = MutableHeaders(scope=message)
                answer.update(self._headers)
                if scope["path"].startswith(UNKEPT):
                    answer["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _with_secure_cookie(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = header
    return (name, value + b"; Secure") if name.lower() == b"set-cookie" and b"; secure" not in value.lower() else header


class ThisMachineOnly:
    """Refuses what arrives at another address than a loopback one, whatever the server was told to listen on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own, port = scope.get("server") or ("", None)
        if scope["type"] == "lifespan" or port is None or is_this_machine(own):  # without a port it is a Unix socket
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse(OPEN, status_code=403)(scope, receive, send)


class SameOriginOnly:
    """Refuses a WebSocket that a page of another origin opens.

    Streamlit lets in every port of this machine, and asks another host for its own address to find out about the rest,
    while all other requests wait.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._has_told = False

    def _tell_once(self, headers: Headers) -> None:
        """Say what a proxy does wrong, without which nothing but an empty page tells of it; once, as strangers may."""
        if self._has_told:
            return
        self._has_told = True
        origin, host = (_harmless(headers.get(name, "")) for name in ("origin", "host"))
        log.warning(
            f"A WebSocket was refused, since its page is of {origin} and the request names the host {host}. If people "
            "see an empty page behind a proxy, let it pass the Host header on (docs/deploy.md), and set ALLOWED_HOSTS "
            "to the name that they use. This is said once."
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and _is_from_elsewhere(headers := Headers(scope=scope)):
            self._tell_once(headers)
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})  # before it is accepted: HTTP 403
        else:
            await self._app(scope, receive, send)


def _harmless(text: str) -> str:
    """Return what a visitor wrote as something to print: short, and without signs that lines or terminals act on."""
    shown = "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text[:LONGEST_SHOWN])
    return shown + ("…" if len(text) > LONGEST_SHOWN else "")


def _is_from_elsewhere(headers: Headers) -> bool:
    origin = headers.get("origin")  # what is no browser may leave it out
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:
        return True


class NoMetricsOfStreamlit:
    """Hides what Streamlit tells anybody about sessions; ours is under /api/metrics, behind the secret."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].rstrip("/").endswith(STREAMLITS_METRICS):
            await PlainTextResponse("Not Found", status_code=404)(scope, receive, send)
        else:
            await self._app(scope, receive, send)
