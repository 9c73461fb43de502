"""Providers that, when they fail, send back all that they were asked with: keys, address, and a caller's number."""

import json
from base64 import b64decode, b64encode
from typing import Any, Literal

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from demo.responses import json_response

Failure = Literal["unauthorized", "broken", "page", "cut", "malformed"]
FAILURES: tuple[Failure, ...] = ("unauthorized", "broken", "page", "cut", "malformed")
NOT_SOON = {"Retry-After": "86400"}  # so that nobody waits for it

LOGIN = b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode())
ACCEPTED = {b"authorization": b"Basic " + LOGIN, b"xi-api-key": ELEVENLABS_API_KEY.encode()}
SPOILT = ("price", "start_time", "duration", "start_time_unix_secs", "cost_fiat", "call_duration_secs")


class EchoingProviders:
    """An ASGI application around the demo's, which accepts any key. `failure` may be changed at any time."""

    def __init__(self, app: ASGIApp, number: str) -> None:
        self._app = app
        self._number = number
        self.failure: Failure | None = None
        self.echoed: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        accepted = {**scope, "headers": [(name, ACCEPTED.get(name, value)) for name, value in scope["headers"]]}
        if self.failure is None:
            await self._app(accepted, receive, send)
            return
        echo = self._echo(scope)
        self.echoed.append(echo)
        answer = await self._spoilt(accepted, receive, echo) if self.failure == "malformed" else self._refusal(echo)
        await answer(scope, receive, send)

    def _echo(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        login = headers.get("authorization", "").removeprefix("Basic ")
        is_basic = login and not login.startswith("Bearer")
        said = b64decode(login).decode() if is_basic else login
        asked = f"{scope['method']} {scope['path']}?{scope['query_string'].decode()}"
        return f"{asked} {dict(headers)} {said} for {self._number}"

    def _refusal(self, echo: str) -> Response:
        if self.failure == "unauthorized":
            detail = {"message": echo, "status": echo, "code": echo}
            return json_response({"code": 20003, "message": echo, "hint": echo, "details": echo, "detail": detail}, 401)
        if self.failure == "broken":
            return PlainTextResponse(f"Traceback: {echo}", 500, NOT_SOON)
        if self.failure == "page":
            return HTMLResponse(f"<title>Welcome</title>{echo}")
        return Response(json.dumps({"calls": [echo], "conversations": [echo]})[:-9], media_type="application/json")

    async def _spoilt(self, scope: Scope, receive: Receive, echo: str) -> Response:
        """Return the demo's answer with the echo where times, durations and prices belong."""
        parts: list[bytes] = []

        async def keep(message: Message) -> None:
            parts.append(message.get("body", b""))

        await self._app(scope, receive, keep)
        return json_response(_with(echo, json.loads(b"".join(parts))))


def _with(echo: str, body: Any) -> Any:
    if isinstance(body, dict):
        return {name: echo if name in SPOILT else _with(echo, value) for name, value in body.items()}
    return [_with(echo, item) for item in body] if isinstance(body, list) else body
