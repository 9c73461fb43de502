"""The historical sync against a provider with 30 ms latency and 20 requests at once, beside what physics allows.

python -m benchmarks.backfill [conversations] [supabase] [calls] [kills] [memory]

Each figure stands beside the limit (requests x latency / concurrency) and beside a plain sequential httpx loop over the
same requests (of which 500 are done, and the rest is multiplied).
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import httpx
import psutil
import typer

from benchmarks.demo_process import CONCURRENCY, LATENCY, demo_providers, requests_of
from demo import credentials
from sync.backfill import backfill_elevenlabs
from sync.bootstrap import build, open_store
from sync.models import Conversation, ConversationSummary, Failure, Source, SyncRun, Window
from sync.runs import Conditions
from sync.settings import Settings
from sync.store import Store
from tests.local_supabase.stack import LocalSupabase
from tests.records import make_conversation

DAYS: dict[Source, int] = {"elevenlabs": 316, "twilio": 496}  # 33,800 conversations, 100,000 legs
SAMPLE = 500
KILLS = 10
MANY = 1_000_000
SEED = 20261122


def login(address: str) -> dict[str, str]:
    """Return the settings that make the demo providers' address the real providers'."""
    return {
        "TWILIO_ACCOUNT_SID": credentials.ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": credentials.AUTH_TOKEN,
        "TWILIO_BASE_URL": address,
        "ELEVENLABS_API_KEY": credentials.ELEVENLABS_API_KEY,
        "ELEVENLABS_BASE_URL": address,
    }


def sequential(address: str, source: Source) -> float:
    """Return the seconds of one request of a plain httpx loop: a detail, or a page of 1000 calls."""
    basic = (credentials.ACCOUNT_SID, credentials.AUTH_TOKEN)
    key = {"xi-api-key": credentials.ELEVENLABS_API_KEY}
    with httpx.Client(base_url=address, timeout=60, auth=basic, headers=key) as http:
        if source == "twilio":
            uri, pages, start = (
                f"/2010-04-01/Accounts/{credentials.ACCOUNT_SID}/Calls.json?PageSize=1000",
                0,
                time.perf_counter(),
            )
            while uri and pages < SAMPLE:
                uri, pages = http.get(uri).json()["next_page_uri"], pages + 1
            return (time.perf_counter() - start) / pages
        listed = [http.get("/v1/convai/conversations", params={"page_size": 100}).json()]
        while len(listed) * 100 < SAMPLE:
            cursor = listed[-1]["next_cursor"]
            listed.append(http.get("/v1/convai/conversations", params={"page_size": 100, "cursor": cursor}).json())
        ids = [entry["conversation_id"] for page in listed for entry in page["conversations"]]
        start = time.perf_counter()
        for conversation_id in ids:
            http.get(f"/v1/convai/conversations/{conversation_id}").json()
        return (time.perf_counter() - start) / len(ids)


class Peak:
    """The most memory that this process has taken since, in MB above what it had then."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._idle = self.now = self._process.memory_info().rss / 1e6

    def look(self, _: SyncRun) -> None:
        self.now = max(self.now, self._process.memory_info().rss / 1e6)

    @property
    def above_idle(self) -> float:
        return self.now - self._idle


def measure(address: str, settings: Settings, source: Source, name: str, one_request: float) -> None:
    """Run a backfill twice and print both."""
    since = datetime.now(UTC) - timedelta(days=DAYS[source] + 2)
    for title in (name, f"{name}, again with nothing new"):
        with closing(build(settings)) as services:
            before, peak, start = requests_of(address, source), Peak(), time.perf_counter()
            run = services.backfill(source, since, on_progress=peak.look)
            took = time.perf_counter() - start
            after, wrong = requests_of(address, source), services.store.wrong_snapshots(source)
        asked = {kind: after[kind] - before[kind] for kind in after}
        requests = asked["list"] + asked["detail"]
        limit = requests * LATENCY / CONCURRENCY
        typer.echo(
            f"{title}: {run.saved:,} records in {took:.1f} s; {asked['list']:,} lists, {asked['detail']:,} details; "
            f"limit {limit:.1f} s ({limit / took:.0%} of it reached), sequential httpx {one_request * requests:.0f} s; "
            f"429: {asked['refused']} ({asked['refused'] / max(requests, 1):.2%}); "
            f"{peak.above_idle:.0f} MB above idle; wrong balances: {len(wrong)}"
        )


def kill_and_go_on(address: str, folder: Path) -> None:
    """Kill a backfill at random moments, let it end, and compare it with one that nobody disturbed."""
    one, other = folder / "undisturbed.db", folder / "killed.db"
    environment = {**os.environ, **login(address)}
    since = f"{datetime.now(UTC) - timedelta(days=DAYS['elevenlabs'] + 2):%Y-%m-%d}"
    until = f"{datetime.now(UTC):%Y-%m-%d}"
    command = [sys.executable, "-m", "sync", "backfill", "elevenlabs", "--since", since, "--until", until]

    def start(database: Path) -> subprocess.Popen[bytes]:
        variables = {**environment, "DATABASE_PATH": str(database)}
        return subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603

    before = requests_of(address, "elevenlabs")["detail"]
    began = time.perf_counter()
    start(one).wait()
    took, undisturbed = time.perf_counter() - began, requests_of(address, "elevenlabs")["detail"] - before
    chance = random.Random(SEED)  # noqa: S311  moments, not secrets
    before = requests_of(address, "elevenlabs")["detail"]
    for _ in range(KILLS):
        process = start(other)
        time.sleep(chance.uniform(1, 2 * took / KILLS))
        process.kill()
        process.wait()
    start(other).wait()
    fetched = requests_of(address, "elevenlabs")["detail"] - before
    with closing(stored(one, address)) as whole, closing(stored(other, address)) as cut:
        equal = whole.elevenlabs_balances([None]) == cut.elevenlabs_balances([None])
        equal = equal and not cut.wrong_snapshots("elevenlabs")
    again = fetched - undisturbed
    typer.echo(
        f"{KILLS} kills at random moments (seed {SEED}): totals {'equal' if equal else 'DIFFER'}; "
        f"{again:,} of {undisturbed:,} details fetched again ({again / undisturbed:.2%})"
    )


class MadeUp:
    """A provider without a network, with a conversation every few seconds."""

    def __init__(self, window: Window, count: int) -> None:
        self._start = window[0]
        self._step = (window[1] - window[0]) / count

    def summaries_since(self, start: datetime) -> Iterator[ConversationSummary | Failure]:
        raise NotImplementedError

    def summaries_between(self, start: datetime, end: datetime) -> Iterator[ConversationSummary | Failure]:
        first, last = (-((self._start - edge) // self._step) for edge in (start, end))
        for number in range(last - 1, first - 1, -1):
            moment = self._start + number * self._step
            name = f"conv_{number:026x}"
            yield ConversationSummary(conversation_id=name, started_at=moment, status="done", duration=60)

    def conversations(self, ids: Iterable[str]) -> Iterator[Conversation | Failure]:
        for name in ids:
            number = int(name.removeprefix("conv_"), 16)
            yield make_conversation(conversation_id=name, started_at=self._start + number * self._step)


def fill_memory(folder: Path, count: int) -> None:
    """Walk through a history of many records and print the most memory it took."""
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    window = (until - timedelta(days=396), until)
    with closing(open_store(Settings.model_validate({"DATABASE_PATH": folder / "many.db"}), "sqlite")) as store:
        peak, start = Peak(), time.perf_counter()
        conditions = Conditions(first_sync=timedelta(days=1), on_progress=peak.look)
        run = backfill_elevenlabs(MadeUp(window, count), store, window, conditions)
        took = time.perf_counter() - start
    typer.echo(
        f"{run.saved:,} conversations without a network: {took:.0f} s, {run.saved / took:,.0f}/s; "
        f"{peak.above_idle:.0f} MB above idle"
    )


def stored(path: Path, address: str) -> Store:
    return open_store(Settings.model_validate({**login(address), "DATABASE_PATH": path}), "sqlite")


@contextmanager
def supabase_settings(address: str) -> Iterator[Settings]:
    with LocalSupabase() as project:
        project.migrate()
        yield Settings.model_validate(
            {**login(address), "SUPABASE_URL": project.url, "SUPABASE_KEY": project.secret_key}
        )


def main(parts: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Print one line for each part."""
    wanted = set(parts or ["conversations", "supabase", "calls", "kills", "memory"])
    with tempfile.TemporaryDirectory() as place:
        if wanted & {"conversations", "supabase", "kills"}:
            with demo_providers(days=DAYS["elevenlabs"]) as address:
                one_request = sequential(address, "elevenlabs")
                if "conversations" in wanted:
                    settings = Settings.model_validate({**login(address), "DATABASE_PATH": Path(place) / "fast.db"})
                    measure(address, settings, "elevenlabs", "Conversations into SQLite", one_request)
                if "supabase" in wanted:
                    with supabase_settings(address) as settings:
                        measure(address, settings, "elevenlabs", "Conversations into Supabase", one_request)
                if "kills" in wanted:
                    kill_and_go_on(address, Path(place))
        if "memory" in wanted:
            fill_memory(Path(place), MANY)
        if "calls" in wanted:
            with demo_providers(days=DAYS["twilio"]) as address:
                settings = Settings.model_validate({**login(address), "DATABASE_PATH": Path(place) / "calls.db"})
                measure(address, settings, "twilio", "Calls into SQLite", sequential(address, "twilio"))


if __name__ == "__main__":
    typer.run(main)
