"""Equal questions share a look at the store, never one that began before they came."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from sync.api_gate import Json
from sync.api_reads import Reads
from sync.errors import StoreError


class Store:
    """Counts the looks at it. Each waits to be let go, and sees what is there when it begins."""

    def __init__(self) -> None:
        self.value = "old"
        self.seen: list[str] = []
        self.is_open = threading.Event()

    def look(self, request: Request) -> Json:
        self.seen.append(request.url.query)
        told = Json([self.value, request.url.query])
        assert self.is_open.wait(5)
        if self.value == "broken":
            raise StoreError("The store is broken.")
        return told

    async def until_looked_at(self, times: int) -> None:
        while len(self.seen) < times:
            await asyncio.sleep(0.001)


def question(query: str = "") -> Request:
    return Request({"type": "http", "method": "GET", "path": "/stats", "query_string": query.encode(), "headers": []})


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in a thread of its own: after browser tests, Playwright's event loop runs in the caller's."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work()).result()


def test_who_asks_during_a_look_shares_the_next_one_and_sees_what_is_new() -> None:
    async def work() -> None:
        store = Store()
        read = Reads().endpoint(store.look)
        first = asyncio.create_task(read(question()))
        await store.until_looked_at(1)
        store.value = "new"
        others = [asyncio.create_task(read(question())) for _ in range(20)]
        await asyncio.sleep(0.05)
        store.is_open.set()

        answers: list[Response] = [await first, *await asyncio.gather(*others)]

        assert [answer.body for answer in answers] == [b'["old", ""]', *[b'["new", ""]'] * 20]
        assert {answer.headers["content-type"] for answer in answers} == {"application/json"}
        assert len(store.seen) == 2

    run(work)


def test_different_questions_do_not_wait_for_each_other_up_to_a_limit() -> None:
    async def work() -> None:
        store = Store()
        read = Reads(at_once=3).endpoint(store.look)
        asked = [asyncio.create_task(read(question(f"limit={number}"))) for number in range(5)]
        await store.until_looked_at(3)
        await asyncio.sleep(0.05)
        assert len(store.seen) == 3
        store.is_open.set()

        answers = await asyncio.gather(*asked)

        assert [answer.body for answer in answers] == [f'["old", "limit={number}"]'.encode() for number in range(5)]

    run(work)


def test_a_look_that_fails_fails_for_all_who_share_it_and_for_nobody_after_them() -> None:
    async def work() -> None:
        store = Store()
        store.value = "broken"
        store.is_open.set()
        read = Reads().endpoint(store.look)
        asked = [asyncio.create_task(read(question())) for _ in range(2)]
        for task in asked:
            with pytest.raises(StoreError, match="broken"):
                await task
        assert len(store.seen) == 1

        store.value = "whole"

        assert (await read(question())).body == b'["whole", ""]'

    run(work)


def test_who_goes_away_leaves_the_look_to_those_who_share_it() -> None:
    async def work() -> None:
        store = Store()
        read = Reads().endpoint(store.look)
        gone, stays = (asyncio.create_task(read(question())) for _ in range(2))
        await store.until_looked_at(1)
        gone.cancel()
        store.is_open.set()

        assert (await stays).body == b'["old", ""]'

    run(work)
