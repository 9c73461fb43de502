"""A program of the product in a process of its own, which may be killed: what the command line starts, in 10 ms.

It differs from `python -m sync` in two things: its clock is that of the schedule's machine, and it waits seconds for
what the product waits a minute or two for.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from sync import logs, scheduler, settings, stopping
from sync.bootstrap import Services
from sync.errors import VoiceLedgerError
from sync.http import RetryPolicy
from sync.settings import Settings
from sync.sqlite_store import SqliteStore
from sync.store import Store
from sync.supabase_store import SupabaseStore
from sync.times import utc_now

RETRIES = RetryPolicy(
    budget=timedelta(seconds=2), first_pause=timedelta(milliseconds=20), longest_pause=timedelta(milliseconds=200)
)
LOCK_TIMEOUT = 0.7
RETRY_BUDGET = timedelta(seconds=3)


class FileClock:
    """A clock whose distance from this machine's stands in a file, in seconds: it may jump at any time."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self) -> datetime:
        return utc_now() + timedelta(seconds=float(self._file.read_text()))


def work(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, clock: Path) -> None:
    """Run one program in `folder`, where its output is kept too. Ends with the exit code of the command line."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(folder / f"{'-'.join(arguments[:2])}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, sys.stdout.fileno() if sys.stdout else 1)
    os.dup2(output, 2)
    logs.configure(settings.log_format())
    configured = settings.load()
    try:
        with closing(_open(configured)) as store:
            store.claim_for("real")
            _run(Services(configured, store, clock=FileClock(clock), retries=RETRIES), arguments)
    except VoiceLedgerError as exc:
        os.write(2, f"{exc}\n".encode())
        sys.exit(1)


def _open(configured: Settings) -> Store:
    if configured.supabase_url and configured.supabase_key:
        key = configured.supabase_key.get_secret_value()
        return SupabaseStore(configured.supabase_url, key, retry_budget=RETRY_BUDGET)
    return SqliteStore(configured.database_path, lock_timeout=LOCK_TIMEOUT)


def _run(services: Services, arguments: Sequence[str]) -> None:
    should_stop = stopping.stop_on_signals()
    match arguments:
        case ["scheduler"]:
            scheduler.run_forever(services, should_stop)
        case ["backfill", "twilio" | "elevenlabs" as source, "--since", since]:
            services.backfill(source, datetime.fromisoformat(f"{since}T00:00:00+00:00"), None, should_stop)
        case ["twilio" | "elevenlabs" as source]:
            services.sync(source, should_stop)
        case ["all"]:
            _sync_all(services, should_stop)
        case _:
            raise ValueError(f"There is no program {arguments}.")


def _sync_all(services: Services, should_stop: object) -> None:
    problems = []
    for source in services.sources():
        try:
            services.sync(source, should_stop)  # type: ignore[arg-type]
        except VoiceLedgerError as exc:
            problems.append(exc)
    if problems:
        raise problems[0]
