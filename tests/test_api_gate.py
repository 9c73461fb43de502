"""The API's gate: which forms of the secret count, and that wrong ones wait while the right one does not."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from pydantic import SecretStr
from starlette.responses import PlainTextResponse

from sync.api_gate import BearerAuth
from sync.pace import Pace

SECRET = "cron-7c21-of-the-tests"
Headers = list[tuple[str, str]]
RIGHT, WRONG = [("Authorization", f"Bearer {SECRET}")], [("Authorization", "Bearer wrong")]


def gate(*, per_second: float = 1000) -> BearerAuth:
    return BearerAuth(PlainTextResponse("in"), SecretStr(SECRET), Pace(burst=1, per_second=per_second))


def asked(gate: BearerAuth, *requests: Headers) -> list[tuple[int, float]]:
    """Send the requests at once; return their statuses and how many seconds each took."""

    async def ask(client: httpx.AsyncClient, headers: Headers) -> tuple[int, float]:
        begun = time.monotonic()
        answer = await client.get("/api/workspaces", headers=headers)
        return answer.status_code, time.monotonic() - begun

    async def ask_all() -> list[tuple[int, float]]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=gate), base_url="http://ledger") as client:
            return await asyncio.gather(*(ask(client, headers) for headers in requests))

    with ThreadPoolExecutor(1) as thread:  # browser tests leave their event loop running in this one
        return thread.submit(asyncio.run, ask_all()).result()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_is_written_in_any_case(scheme: str) -> None:
    [(status, _)] = asked(gate(), [("Authorization", f"{scheme} {SECRET}")])

    assert status == 200


@pytest.mark.parametrize("headers", [WRONG + RIGHT, RIGHT + WRONG, RIGHT + RIGHT])
def test_of_several_secrets_none_counts(headers: Headers) -> None:
    [(status, _)] = asked(gate(), headers)

    assert status == 401


def test_wrong_secrets_wait_for_each_other_and_the_right_one_for_none_of_them() -> None:
    answers = asked(gate(per_second=10), *[WRONG] * 6, RIGHT)

    *wrong, right = answers
    assert [status for status, _ in wrong] == [401] * 6
    assert max(seconds for _, seconds in wrong) >= 0.49  # half a second, but for what the clocks differ
    assert right[0] == 200
    assert right[1] < 0.3
