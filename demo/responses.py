"""HTTP responses of the simulated providers, also the broken ones."""

from collections.abc import Mapping

import simplejson
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Write exact numbers as plain literals: no float comes near a price."""
    content = simplejson.dumps(body, use_decimal=True, separators=(",", ":"))
    return Response(content, status, headers, media_type="application/json")


def maintenance_page() -> Response:
    """Return a page for people, with 200: what some gateways show while they restart."""
    return HTMLResponse("<!doctype html><title>Be right back</title><p>We are doing some maintenance.")


class CutResponse(Response):
    """Declares its whole length, sends half of it and leaves; the server then closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = self.body[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
