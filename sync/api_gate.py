"""What every request to the API passes first: the secret, then a limit to what it may send."""

import asyncio
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import SecretStr
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync import answers
from sync.pace import Pace

OPEN = {("GET", "/api/health"), ("HEAD", "/api/health")}
LARGEST_BODY = 10_000
LONGEST_DELAY = 10.0  # seconds that a wrong secret waits for its answer


class Json(Response):
    """Money as exact decimal numbers, times as ISO-8601."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return answers.to_json(content).encode()


class BearerAuth:
    """Lets through what carries the secret. Unknown paths are refused like known ones, so none is given away.

    The right secret is answered at once, however many wrong ones are tried beside it; those wait for each other.
    """

    def __init__(self, app: ASGIApp, secret: SecretStr | None, guesses: Pace | None = None) -> None:
        self._app = app
        self._secret = secret.get_secret_value().encode() if secret else None
        self._guesses = guesses or Pace(burst=20, per_second=10)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_open(scope) or self._is_allowed(scope["headers"]):
            await self._app(scope, receive, send)
            return
        await asyncio.sleep(min(self._guesses.delay(), LONGEST_DELAY))
        headers = {"WWW-Authenticate": "Bearer"}
        await Json({"error": "Unauthorized"}, status_code=401, headers=headers)(scope, receive, send)

    def _is_allowed(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        given = [value for name, value in headers if name.lower() == b"authorization"]
        if self._secret is None or len(given) != 1:  # of several, a proxy may have checked another one
            return False
        scheme, _, secret = given[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(secret, self._secret)


def _is_open(scope: Scope) -> bool:
    return (scope["method"], scope["path"]) in OPEN


class BoundedBody:
    """Refuses a body that is larger than any route needs, without reading more of it; gives a small one on whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = None if _says_too_large(dict(scope["headers"])) else await _small_body(receive)
        if body is None:
            error = {"error": f"The body may have {LARGEST_BODY} bytes at most."}
            await Json(error, status_code=413)(scope, receive, send)
            return
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_again() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, receive_again, send)


def _says_too_large(headers: Mapping[bytes, bytes]) -> bool:
    length = headers.get(b"content-length", b"")
    return length.isdigit() and (len(length) > len(str(LARGEST_BODY)) or int(length) > LARGEST_BODY)


async def _small_body(receive: Receive) -> bytes | None:
    """Return the body, what has come of it when the caller is gone, or None if it is too large."""
    body, is_complete = b"", False
    while not is_complete:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        is_complete = not message.get("more_body", False)
    return body
