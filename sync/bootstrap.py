"""Put the parts together: the one place that names concrete stores and clients."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import structlog

from sync import backfill, jobs
from sync.demo_providers import DemoProviders, register_demo_clients
from sync.elevenlabs import ElevenLabsClient
from sync.errors import ConfigurationError, NotConfiguredError, ProviderError
from sync.http import LOOPBACK, RetryPolicy
from sync.limits import ConcurrencyLimit
from sync.models import SOURCES, ListedAgent, ListedNumber, Source, SyncRun, TranscriptTurn
from sync.runs import Conditions
from sync.settings import NOT_CONFIGURED, Settings, elsewhere, load
from sync.sqlite_store import SqliteStore, backup_file
from sync.store import Store
from sync.times import utc_now
from sync.traffic import Traffic
from sync.twilio import TwilioClient

SOMEBODY_WAITS = RetryPolicy(budget=timedelta(seconds=5))
FLAG_IS_SET = "DISABLE_ELEVENLABS_HOURLY_SYNC is set; remove it to sync ElevenLabs every hour again."

log = structlog.get_logger()

StoreKind = Literal["sqlite", "supabase"]


class Providers:
    """The clients of both providers, or of the simulated ones that take their place. Close it when done."""

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime], retries: RetryPolicy | None) -> None:
        self.settings = settings
        self.clock = clock
        self.retries = retries
        self.limits: dict[Source, ConcurrencyLimit] = {source: ConcurrencyLimit() for source in SOURCES}
        self._demo = DemoProviders(settings.demo_port)

    def close(self) -> None:
        self._demo.close()

    def sources(self) -> list[Source]:
        """Return the sources that can be synced."""
        return [source for source in SOURCES if self.settings.is_demo or self.settings.is_configured(source)]

    def server_time(self, source: Source) -> datetime | None:
        """Ask for one record, which raises what is wrong with the key, and return what the provider's clock showed."""
        with self.twilio() if source == "twilio" else self.elevenlabs() as client:
            return client.server_time()

    def subaccounts(self) -> int | None:
        """Count the accounts below the one at Twilio; None if they cannot be listed, as with most API keys."""
        try:
            with self.twilio(SOMEBODY_WAITS) as client:
                return client.subaccounts()
        except ProviderError:
            return None

    def twilio(
        self,
        retries: RetryPolicy | None = None,
        traffic: Traffic | None = None,
        should_stop: threading.Event | None = None,
    ) -> TwilioClient:
        settings = self._demo.settings(should_stop) if self.settings.is_demo else self.settings
        account_sid, login = settings.twilio_login()
        return TwilioClient(
            account_sid,
            login,
            base_url=settings.twilio_base_url,
            retries=retries or self.retries,
            limit=self.limits["twilio"],
            traffic=traffic,
            should_stop=should_stop,
            clock=self.clock,
        )

    def elevenlabs(
        self,
        retries: RetryPolicy | None = None,
        traffic: Traffic | None = None,
        should_stop: threading.Event | None = None,
    ) -> ElevenLabsClient:
        settings = self._demo.settings(should_stop) if self.settings.is_demo else self.settings
        return ElevenLabsClient(
            settings.elevenlabs_login(),
            base_url=settings.elevenlabs_base_url,
            retries=retries or self.retries,
            limit=self.limits["elevenlabs"],
            traffic=traffic,
            should_stop=should_stop,
            clock=self.clock,
        )


class Services:
    """What an entry point works with: the settings, the store, and one sync per source. Close it when done."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        clock: Callable[[], datetime] = utc_now,
        retries: RetryPolicy | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.should_stop = threading.Event()  # ends every sync that has no such event of its own
        self._providers = Providers(settings, clock=clock, retries=retries)
        self.limits = self._providers.limits

    def close(self) -> None:
        self._providers.close()
        self.store.close()

    def sources(self) -> list[Source]:
        """Return the sources that can be synced."""
        return self._providers.sources()

    def sync(
        self,
        source: Source,
        should_stop: threading.Event | None = None,
        on_progress: Callable[[SyncRun], None] = lambda run: None,
    ) -> SyncRun:
        """Run the hourly job of a source now and return its closed run. An error is recorded there, and raised."""
        self._refuse_unconfigured(source)
        conditions = self._conditions(should_stop, on_progress)
        if source == "twilio":
            with self._providers.twilio(None, conditions.traffic, conditions.should_stop) as calls:
                return jobs.sync_twilio(calls, self.store, conditions)
        if self.settings.disable_elevenlabs_hourly_sync:
            return jobs.skip_elevenlabs(self.store, FLAG_IS_SET, conditions)
        with self._providers.elevenlabs(None, conditions.traffic, conditions.should_stop) as conversations:
            return jobs.sync_elevenlabs(conversations, self.store, conditions)

    def backfill(
        self,
        source: Source,
        since: datetime,
        until: datetime | None = None,
        should_stop: threading.Event | None = None,
        on_progress: Callable[[SyncRun], None] = lambda run: None,
    ) -> SyncRun:
        """Run the historical sync of `[since, until)` (until now) and return its closed run, as `sync` does."""
        self._refuse_unconfigured(source)
        conditions = self._conditions(should_stop, on_progress)
        window = (since, min(until or self.clock(), self.clock()))
        if source == "twilio":
            with self._providers.twilio(None, conditions.traffic, conditions.should_stop) as calls:
                return backfill.backfill_twilio(calls, self.store, window, conditions)
        with self._providers.elevenlabs(None, conditions.traffic, conditions.should_stop) as conversations:
            return backfill.backfill_elevenlabs(conversations, self.store, window, conditions)

    def _refuse_unconfigured(self, source: Source) -> None:
        if source not in self.sources():
            raise NotConfiguredError(NOT_CONFIGURED[source])

    def _conditions(self, should_stop: threading.Event | None, on_progress: Callable[[SyncRun], None]) -> Conditions:
        return Conditions(
            first_sync=timedelta(days=self.settings.first_sync_days),
            clock=self.clock,
            should_stop=should_stop or self.should_stop,
            on_progress=on_progress,
        )

    def listed_numbers(self, source: Source) -> list[ListedNumber]:
        """Return the numbers that a provider lists as the account's own. Somebody waits: it is hardly tried again."""
        if source == "twilio":
            with self._providers.twilio(SOMEBODY_WAITS) as calls:
                return calls.phone_numbers()
        with self._providers.elevenlabs(SOMEBODY_WAITS) as conversations:
            return conversations.phone_numbers()

    def subaccounts(self) -> int | None:
        """Count the accounts below the one at Twilio, whose calls no sync sees; None if they cannot be listed."""
        return self._providers.subaccounts()

    def listed_agents(self) -> list[ListedAgent]:
        """Return the agents that ElevenLabs lists. Somebody waits: it is hardly tried again."""
        with self._providers.elevenlabs(SOMEBODY_WAITS) as conversations:
            return list(conversations.agents())

    def transcript(self, conversation_id: str) -> list[TranscriptTurn]:
        """Fetch what was said in a conversation. Somebody waits: it is hardly tried again. Nothing of it is kept."""
        self._refuse_unconfigured("elevenlabs")
        with self._providers.elevenlabs(SOMEBODY_WAITS) as conversations:
            return conversations.transcript(conversation_id)


def build(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> Services:
    """Open the store that the settings name. Demo and real data never share one."""
    store = open_store(settings, configured_kind(settings))
    try:
        if settings.is_demo and not store.phones():
            register_demo_clients(store, now=clock())
    except BaseException:
        store.close()
        raise
    return Services(settings, store, clock=clock)


def open_store(settings: Settings, kind: StoreKind, *, patience: timedelta | None = None) -> Store:
    """Open one of the two stores, and refuse it if it holds demo data for real accounts or the other way round.

    `patience` is how long a store that is busy is waited for, if not as long as a sync waits.
    """
    store = _supabase(settings, patience) if kind == "supabase" else _sqlite(settings, patience)
    try:
        store.claim_for(settings.data_name)
    except BaseException:
        store.close()
        raise
    return store


def configured_kind(settings: Settings) -> StoreKind:
    return "supabase" if settings.supabase_url else "sqlite"


@contextmanager
def new_backup(file: Path, *, replace: bool) -> Iterator[Store]:
    """Give an empty store that becomes the file when the block ends well."""
    with backup_file.unfinished(file, replace=replace) as part, closing(SqliteStore(part)) as store:
        yield store


@contextmanager
def open_backup(file: Path, *, beside: Path) -> Iterator[Store]:
    """Give what a backup holds, in today's schema: a copy, which may be changed, beside another file."""
    with backup_file.copied(file, beside=beside) as copy, closing(SqliteStore(copy)) as store:
        yield store


def _sqlite(settings: Settings, patience: timedelta | None) -> Store:
    if (surprise := elsewhere()) and not settings.chooses_its_store:
        log.warning(surprise, database=str(settings.database_path.absolute()))
    if patience is None:
        return SqliteStore(settings.database_path)
    return SqliteStore(settings.database_path, lock_timeout=patience.total_seconds())


def _supabase(settings: Settings, patience: timedelta | None) -> Store:
    """Open the Supabase project. Demo data goes into one of this machine alone: it could not leave another again."""
    from sync.supabase_store import SupabaseStore

    if not settings.supabase_url or not settings.supabase_key:
        raise ConfigurationError("Supabase is not configured; set SUPABASE_URL and SUPABASE_KEY in .env.")
    if settings.is_demo and urlsplit(settings.supabase_url).hostname not in LOOPBACK:
        raise ConfigurationError(
            "SUPABASE_URL is set but no provider is, and demo data does not belong in your project; set the keys of "
            "Twilio or ElevenLabs in .env, too."
        )
    key = settings.supabase_key.get_secret_value()
    if patience is None:
        return SupabaseStore(settings.supabase_url, key)
    return SupabaseStore(settings.supabase_url, key, retry_budget=patience)


@cache
def shared() -> Services:
    """Return the services of this process, built on first use: the pages and the API work with the same."""
    return build(load())
