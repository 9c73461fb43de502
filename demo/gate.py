"""What every request passes before it is answered: the crowd, the weather, the key."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from demo.faults import Faults
from demo.garbage import spoil
from demo.providers import Provider
from demo.refusals import Refusal
from demo.responses import CutResponse, json_response, maintenance_page

HANG = 60  # seconds
GLANCE = 0.1  # seconds between two looks whether the client is still there


class Answer(Protocol):
    """Makes the body of an answer; raises Refusal instead where the provider would refuse."""

    def __call__(self, request: Request, *, stuck: bool) -> object: ...


class Gate:
    """Guards one provider's routes. Counts the requests in flight, and all of them by operation."""

    def __init__(self, provider: Provider, faults: Faults) -> None:
        self._provider, self._faults = provider, faults
        self._in_flight = 0
        self.counts: Counter[str] = Counter()

    def guard(self, operation: str, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """Wrap `answer` into an endpoint that may also refuse, wait or misbehave."""

        async def endpoint(request: Request) -> Response:
            self._in_flight += 1
            try:
                response = await self._respond(request, operation, answer)
            finally:
                in_flight = self._in_flight
                self._in_flight -= 1
            response.headers.update(self._provider.headers(request, in_flight))
            return response

        return endpoint

    async def _respond(self, request: Request, operation: str, answer: Answer) -> Response:
        limit = self._faults.max_concurrency
        if limit and self._in_flight > limit:
            self.counts["refused"] += 1
            return _refused(self._provider.overloaded())
        self.counts[operation] += 1
        due = time.monotonic() + self._faults.latency  # the answer's own work is part of it
        try:
            response = await self._answered(request, operation, answer)
        except Refusal as refusal:
            response = _refused(refusal)
        if self._faults.latency:
            await asyncio.sleep(due - time.monotonic())
        return response

    async def _answered(self, request: Request, operation: str, answer: Answer) -> Response:
        fault = self._faults.draw(operation, request.url.path)
        if fault == "hang":
            await _hang(request)
        self._refuse(fault, request)
        if fault == "html":
            return maintenance_page()
        self._provider.check_key(request)
        body = answer(request, stuck=fault == "repeat_page")
        if fault == "malformed":
            spoil(body, self._faults.random)
        response = json_response(body)
        return CutResponse(response.body, headers=dict(response.headers)) if fault == "cut_body" else response

    def _refuse(self, fault: str | None, request: Request) -> None:
        if fault in ("error500", "error503"):
            raise self._provider.broken(int(fault.removeprefix("error")))
        if fault == "not_found":
            raise self._provider.not_found(request)
        if fault == "rate_limit":
            refusal = self._provider.rate_limited()
            refusal.headers["Retry-After"] = "1"
            raise refusal


def _refused(refusal: Refusal) -> Response:
    return json_response(refusal.body, refusal.status, refusal.headers)


async def _hang(request: Request) -> None:
    """Wait a minute, or until the client gives up: who has left is not in flight any more."""
    for _ in range(int(HANG / GLANCE)):
        if await request.is_disconnected():
            return
        await asyncio.sleep(GLANCE)
