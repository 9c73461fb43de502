"""A small world: simulated providers, an installation of the product with its store, and clocks that can be set."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import httpx

from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from demo.faults import Faults
from demo.fleet import Fleet
from demo.server import create_app, running
from sync.demo_providers import register_demo_clients
from sync.store import Store
from tests.faults import child
from tests.faults.weather import Weather
from tests.records import Sql

ROOT = Path(__file__).parent.parent.parent
SECRET = "a-secret-of-the-tests"
PATIENCE = 120.0  # seconds that a program may take when nothing goes wrong any more
REGISTERED_BEFORE = timedelta(days=28)  # the demo moves a number between clients 30 days ago: here two days ago

forks = get_context("forkserver")
forks.set_forkserver_preload(["tests.faults.child"])


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the ledger is kept. `environment` leads the product there, `open` and `sql` the tests."""

    environment: dict[str, str]
    open: Callable[[], Store]
    sql: Sql


class Program:
    """A program of the product that runs: a genuine command, or a process forked from one that is warm."""

    def __init__(self, name: str, pid: int, wait: Callable[[float], int | None]) -> None:
        self.name = name
        self.pid = pid
        self._wait = wait

    def is_running(self) -> bool:
        return self._wait(0) is None

    def tell(self, number: signal.Signals) -> None:
        if self.is_running():
            with suppress(ProcessLookupError):  # it ended by itself since
                os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE) -> int:
        code = self._wait(seconds)
        if code is None:
            self.tell(signal.SIGKILL)
            self._wait(PATIENCE)
            raise TimeoutError(f"{self.name} did not end within {seconds} seconds.")
        return code

    def kill(self) -> None:
        self.tell(signal.SIGKILL)
        self._wait(PATIENCE)


class World:
    """Time passes as it does outside, until it is told to jump: for all (`travel`), or for our machine (`set_skew`)."""

    def __init__(self, folder: Path, random: Random, *, days: int, scale: float) -> None:
        self.folder = folder
        self.began_at = datetime.now(UTC).replace(microsecond=0)
        self.fleet = Fleet(opened_at=self.began_at, seed=random.randrange(1000), days=days, scale=scale)
        self.faults = Faults(seed=random.randrange(1000))
        self.weather = Weather(create_app(self.fleet, faults=self.faults, clock=self.now), Random(random.random()))
        self.registered_at = self.began_at + REGISTERED_BEFORE
        self.log: list[str] = []
        self.programs: list[Program] = []
        self._elapsed = timedelta(0)
        self._skew = timedelta(0)
        self._stands_at: datetime | None = None
        self._clock_file = folder / "clock"
        self._began = time.monotonic()
        self._write_clock()

    @contextmanager
    def inhabited(self, place: Place, variables: dict[str, str]) -> Iterator[None]:
        """Start the providers, register the clients, and end whatever still runs at the end."""
        with running(self.weather, port=0) as url:  # type: ignore[arg-type]  any ASGI application will do
            self.url = url
            self.variables = variables
            self.move_to(place)
            store = place.open()
            store.claim_for("real")
            register_demo_clients(store, now=self.registered_at)
            store.close()
            try:
                yield
            finally:
                for program in self.programs:
                    program.kill()

    def move_to(self, place: Place) -> None:
        """Let programs that are started from now on use this store."""
        self.place = place
        self.environment = {
            "PATH": os.environ["PATH"],
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_BASE_URL": self.url,
            "ELEVENLABS_API_KEY": ELEVENLABS_API_KEY,
            "ELEVENLABS_BASE_URL": self.url,
            "CRON_SECRET": SECRET,
            **self.variables,
            **place.environment,
        }

    # Time

    def now(self) -> datetime:
        """Return the providers' time."""
        return self._stands_at or datetime.now(UTC) + self._elapsed

    def travel(self, span: timedelta) -> None:
        self._elapsed += span
        self._write_clock()
        self.note(f"{span} pass")

    def set_skew(self, skew: timedelta) -> None:
        """Let our machine's clock be wrong."""
        self._skew = skew
        self._write_clock()
        self.note(f"our clock is {skew} ahead" if skew >= timedelta(0) else f"our clock is {-skew} behind")

    def stand_still(self) -> None:
        """Let nothing happen at the providers any more, so that what was fetched stays what there is."""
        self._stands_at = self.now()

    def has_ordinary_time(self) -> bool:
        """Tell whether genuine commands, which read the machine's clock, see the right time."""
        return not (self._elapsed or self._skew)

    def _write_clock(self) -> None:
        new = self._clock_file.with_suffix(".new")
        new.write_text(str((self._elapsed + self._skew).total_seconds()))
        new.replace(self._clock_file)

    def note(self, event: str) -> None:
        self.log.append(f"{time.monotonic() - self._began:7.2f} s  {event}")

    # Programs

    def start(self, *arguments: str) -> Program:
        """Start a program with this world's clock."""
        process = forks.Process(
            target=child.work, args=(arguments, self.environment, self.folder, self._clock_file), daemon=True
        )
        process.start()

        def wait(seconds: float) -> int | None:
            process.join(seconds)
            return process.exitcode

        return self._started(arguments, process.pid or 0, wait)

    def start_command(self, *arguments: str, program: Sequence[str] = ("sync",)) -> Program:
        """Start a genuine command: `python -m sync …`, or another module's."""
        with (self.folder / f"{program[0]}-{'-'.join(arguments[:1])}.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *program, *arguments],
                cwd=self.folder,
                env={**self.environment, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

        def wait(seconds: float) -> int | None:
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                return None

        return self._started(("python -m", *program[:1], *arguments), process.pid, wait)

    def _started(self, arguments: Sequence[str], pid: int, wait: Callable[[float], int | None]) -> Program:
        program = Program(" ".join(arguments), pid, wait)
        self.programs.append(program)
        self.note(f"{program.name} starts")
        return program

    def await_request(self, seconds: float = 10.0) -> None:
        """Wait until a provider is asked for something: what was started is at work."""
        before, deadline = self.weather.requests, time.monotonic() + seconds
        while self.weather.requests == before and time.monotonic() < deadline:
            time.sleep(0.005)

    def ask(self, method: str, path: str, port: int, **options: Any) -> httpx.Response:
        """Call the dashboard's API."""
        headers = {"Authorization": f"Bearer {SECRET}"}
        url = f"http://127.0.0.1:{port}{path}"
        return httpx.request(method, url, headers=headers, timeout=PATIENCE, trust_env=False, **options)

    def sleep_at_random(self, *, longest: float) -> None:
        time.sleep(self.weather.random.random() * longest)
