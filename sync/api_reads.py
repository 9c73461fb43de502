"""Equal questions that wait at the same time are answered with one look at the store."""

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from sync.api_gate import Json

READS_AT_ONCE = 8  # more would only take turns at one interpreter, and make each other and the pages late

Question = tuple[str, bytes]  # path and query


class Reads:
    """Lets few questions at a time ask the store, each only once at a time: who asks meanwhile shares the next look.

    A look begins after everybody who shares it has asked, so nobody gets an answer that is older than the question.
    """

    def __init__(self, at_once: int = READS_AT_ONCE) -> None:
        self._limiter = CapacityLimiter(at_once)
        self._turns: WeakValueDictionary[Question, asyncio.Lock] = WeakValueDictionary()
        self._waiting: dict[Question, asyncio.Task[Json]] = {}

    def endpoint(self, answer: Callable[[Request], Json]) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that gives what `answer` says; it must depend on path and query alone."""

        async def shared(request: Request) -> Response:
            question = (request.scope["path"], request.scope["query_string"])
            if question not in self._waiting:
                self._waiting[question] = asyncio.create_task(self._look(question, answer, request))
            told = await asyncio.shield(self._waiting[question])  # of which others may still wait
            return Response(told.body, told.status_code, media_type=told.media_type)

        return shared

    async def _look(self, question: Question, answer: Callable[[Request], Json], request: Request) -> Json:
        def look() -> Json:
            del self._waiting[question]  # who asks from now on has to wait for the next
            return answer(request)

        async with self._turns.setdefault(question, asyncio.Lock()):
            return await to_thread.run_sync(look, limiter=self._limiter)
