"""Callers of the API who keep to a timetable: a request is sent when it is due, whether or not others were answered.

Times count from the moment at which a request was due, so that a server that falls behind cannot hide it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import RequestError

from benchmarks.load_times import Sample

LAST_WEEKS = f"?since={datetime.now(UTC) - timedelta(days=20):%Y-%m-%d}&until={datetime.now(UTC):%Y-%m-%d}"
ROUTES: Mapping[str, str] = {
    "health": "/api/health",
    "workspaces": "/api/workspaces",
    "twilio-stats": "/api/twilio-stats",
    "twilio-stats of a period": f"/api/twilio-stats{LAST_WEEKS}",
    "elevenlabs-stats": "/api/elevenlabs-stats",
    "elevenlabs-stats of a period": f"/api/elevenlabs-stats{LAST_WEEKS}",
    "sync-runs": "/api/sync-runs",
    "sync-runs/{id}": "/api/sync-runs/1",
}
PATIENCE = timedelta(seconds=30)
LONGEST_IDLE = timedelta(seconds=4)  # the server closes a connection that was idle for 5, as HTTP lets it at any time
ALONE_FOR = 5.0  # seconds

Ask = Callable[[str, float], Awaitable[None]]


def call_on_time(address: str, secret: str, rate: float, seconds: float) -> list[Sample]:
    """Send `rate` requests a second for that long. Runs in a process of its own."""

    async def keep_to_the_timetable(ask: Ask) -> None:
        names, start, asked = [*ROUTES], time.monotonic(), set()
        for number in range(round(rate * seconds)):
            due = start + number / rate
            await asyncio.sleep(max(due - time.monotonic(), 0))
            task = asyncio.create_task(ask(names[number % len(names)], due))  # type: ignore[arg-type]  a coroutine
            asked.add(task)
            task.add_done_callback(asked.discard)
        await asyncio.gather(*asked)

    return asyncio.run(_sampled(address, secret, keep_to_the_timetable))


def call_one_by_one(address: str, secret: str) -> list[Sample]:
    """Ask for one route after the other, each when the last has answered."""

    async def in_turn(ask: Ask) -> None:
        end = time.monotonic() + ALONE_FOR
        while time.monotonic() < end:
            for name in ROUTES:
                await ask(name, time.monotonic())

    return asyncio.run(_sampled(address, secret, in_turn))


async def _sampled(address: str, secret: str, call: Callable[[Ask], Awaitable[None]]) -> list[Sample]:
    samples: list[Sample] = []
    builder = ClientBuilder().default_headers({"Authorization": f"Bearer {secret}"}).timeout(PATIENCE)
    async with builder.pool_idle_timeout(LONGEST_IDLE).http1_only().no_proxy().build() as client:

        async def ask(name: str, due: float) -> None:
            is_error = not await _is_answered(client, address + ROUTES[name])
            samples.append(Sample(name=name, seconds=time.monotonic() - due, is_error=is_error))

        await call(ask)
    return samples


async def _is_answered(client: Client, url: str) -> bool:
    try:
        answer = await client.get(url).build().send()
        await answer.bytes()
    except RequestError:
        return False
    return answer.status == 200
