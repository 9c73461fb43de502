"""Put the parts together: the one place that names concrete stores and clients."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Literal

from sync import jobs
from sync.demo_providers import DemoProviders, register_demo_clients
from sync.elevenlabs import ElevenLabsClient
from sync.errors import ConfigurationError, NotConfiguredError
from sync.models import SOURCES, Source, SyncRun
from sync.runs import Conditions
from sync.settings import NOT_CONFIGURED, Settings, load
from sync.sqlite_store import SqliteStore
from sync.store import Store
from sync.times import utc_now
from sync.twilio import TwilioClient

FLAG_IS_SET = "DISABLE_ELEVENLABS_HOURLY_SYNC is set; remove it to sync ElevenLabs every hour again."

StoreKind = Literal["sqlite", "supabase"]


class Services:
    """What an entry point works with: the settings, the store, and one sync per source. Close it when done."""

    def __init__(self, settings: Settings, store: Store, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self._demo = DemoProviders(settings.demo_port)

    def close(self) -> None:
        self._demo.close()
        self.store.close()

    def sources(self) -> list[Source]:
        """Return the sources that can be synced."""
        return [source for source in SOURCES if self.settings.is_demo or self.settings.is_configured(source)]

    def sync(
        self,
        source: Source,
        should_stop: threading.Event | None = None,
        on_progress: Callable[[SyncRun], None] = lambda run: None,
    ) -> SyncRun:
        """Run the hourly job of a source now and return its closed run. An error is recorded there, and raised."""
        if source not in self.sources():
            raise NotConfiguredError(NOT_CONFIGURED[source])
        conditions = Conditions(
            first_sync=timedelta(days=self.settings.first_sync_days),
            clock=self.clock,
            should_stop=should_stop or threading.Event(),
            on_progress=on_progress,
        )
        if source == "twilio":
            with self._twilio() as calls:
                return jobs.sync_twilio(calls, self.store, conditions)
        if self.settings.disable_elevenlabs_hourly_sync:
            return jobs.skip_elevenlabs(self.store, FLAG_IS_SET, conditions)
        with self._elevenlabs() as conversations:
            return jobs.sync_elevenlabs(conversations, self.store, conditions)

    def _twilio(self) -> TwilioClient:
        settings = self._demo.settings() if self.settings.is_demo else self.settings
        account_sid, login = settings.twilio_login()
        return TwilioClient(account_sid, login, base_url=settings.twilio_base_url, clock=self.clock)

    def _elevenlabs(self) -> ElevenLabsClient:
        settings = self._demo.settings() if self.settings.is_demo else self.settings
        return ElevenLabsClient(settings.elevenlabs_login(), base_url=settings.elevenlabs_base_url, clock=self.clock)


def build(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> Services:
    """Open the store that the settings name. Demo and real data never share one."""
    store = open_store(settings, "supabase" if settings.supabase_url else "sqlite")
    try:
        if settings.is_demo and not store.phones():
            register_demo_clients(store, now=clock())
    except BaseException:
        store.close()
        raise
    return Services(settings, store, clock=clock)


def open_store(settings: Settings, kind: StoreKind) -> Store:
    """Open one of the two stores, and refuse it if it holds demo data for real accounts or the other way round."""
    store = _supabase(settings) if kind == "supabase" else SqliteStore(settings.database_path)
    try:
        store.claim_for("demo" if settings.is_demo else "real")
    except BaseException:
        store.close()
        raise
    return store


def _supabase(settings: Settings) -> Store:
    from sync.supabase_store import SupabaseStore

    if not settings.supabase_url or not settings.supabase_key:
        raise ConfigurationError("Supabase is not configured; set SUPABASE_URL and SUPABASE_KEY in .env.")
    return SupabaseStore(settings.supabase_url, settings.supabase_key.get_secret_value())


@cache
def shared() -> Services:
    """Return the services of this process, built on first use: the pages and the API work with the same."""
    return build(load())
