"""A historical sync that is killed with -9 three times, and then finished: nothing is lost, little is fetched twice."""

import os
import signal
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.faults import Faults
from demo.fleet import Fleet
from demo.server import create_app, running
from tests.test_cli import NOW, Commands, sums_of_the_server, sums_of_the_store, wait_until

KILLS = 3
STORED = "select conversation_id from elevenlabs_conversations"
LATENCY = 0.02
SEED = int(os.environ.get("FAULT_SEED", time.time_ns() % 10_000))


class CountedDetails:
    """Counts how many times each conversation was fetched."""

    def __init__(self, app: ASGIApp) -> None:
        self.fetched: Counter[str] = Counter()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, found, conversation_id = scope["path"].partition("/conversations/")
        if found:
            self.fetched[conversation_id] += 1
        await self._app(scope, receive, send)


def test_a_backfill_killed_three_times_ends_with_the_servers_totals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print(f"FAULT_SEED={SEED}")  # noqa: T201  to repeat a failure
    random, faults = Random(SEED), Faults(latency=LATENCY)
    server = CountedDetails(create_app(Fleet(opened_at=NOW, days=60), faults=faults, clock=lambda: NOW))
    with running(server, port=0) as url:  # type: ignore[arg-type]  any ASGI application will do
        commands = Commands(tmp_path, url)
        command = ("backfill", "elevenlabs", "--since", f"{NOW.date() - timedelta(days=61)}", "--max-concurrency", "8")
        lost = []
        for _ in range(KILLS):
            before = sum(saved for _, _, saved in commands.runs())
            enough = before + random.randint(1, 1200)
            process = commands.start(*command)
            wait_until(lambda enough=enough: sum(saved for _, _, saved in commands.runs()) >= enough)
            time.sleep(random.random() / 4)
            process.kill()
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            lost.append(len(server.fetched.keys() - stored_ids(commands)))

        said, verified = commands.run(*command, "--json"), commands.run("verify")
        fetched = server.fetched.copy()
        faults.latency = 0.0
        expected = sums_of_the_server(url)

    total, twice = len(fetched), fetched.total() - len(fetched)
    print(f"{lost} of {total} were lost by the kills, {twice} fetched twice")  # noqa: T201
    assert (said.code, said.json()["run"]["state"]) == (0, "ok"), said.err
    assert "✗ ElevenLabs" not in verified.out
    assert {state for _, state, _ in commands.runs()} == {"interrupted", "ok"}
    stored = sums_of_the_store(commands.database)
    assert (stored.conversations, stored.credits, stored.elevenlabs_cost) == (
        expected.conversations,
        expected.credits,
        expected.elevenlabs_cost,
    )
    assert total == expected.conversations
    assert max(lost) < 0.02 * total
    assert twice < 0.02 * total * KILLS


def stored_ids(commands: Commands) -> set[str]:
    return {conversation_id for (conversation_id,) in commands.sql(STORED)}
