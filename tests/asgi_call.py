"""One request to an ASGI application, without a server."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx
from starlette.types import ASGIApp


def ask(app: ASGIApp, method: str, path: str, headers: Mapping[str, str], content: bytes = b"") -> httpx.Response:
    """Return the answer. In a thread of its own: after browser tests, Playwright's event loop runs in the caller's."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://ledger") as client:
            return await client.request(method, path, headers=headers, content=content)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, request()).result()
