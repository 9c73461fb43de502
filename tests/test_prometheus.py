"""What Prometheus scrapes: read with the official parser, equal to the store on both kinds, and quick."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from demo.refusals import conversation_not_found
from sync import api
from sync.bootstrap import Services
from sync.errors import StoreError
from sync.models import Failure, RunKind, RunState, RunTotals, Source
from sync.prometheus import exposition, read_figures
from sync.settings import Settings
from sync.sqlite_store import SqliteStore
from sync.store import Store
from tests.asgi_call import ask
from tests.records import HOUR, SECOND, make_conversation, make_leg
from tests.scripted_server import Answer, ScriptedServer

NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
SECRET = "cron-7c21-of-the-tests"
SOURCES: list[Source] = ["twilio", "elevenlabs"]
LABELS = ("source", "kind", "state")
KINDS = {
    "voice_ledger_store_up": "gauge",
    "voice_ledger_sync_runs": "counter",
    "voice_ledger_sync_runs_in_progress": "gauge",
    "voice_ledger_sync_run_duration_seconds": "summary",
    "voice_ledger_records_saved": "counter",
    "voice_ledger_records_failed": "counter",
    "voice_ledger_failed_records_waiting": "gauge",
    "voice_ledger_unpriced_records": "gauge",
    "voice_ledger_requests_refused": "counter",
    "voice_ledger_requests_in_flight": "gauge",
    "voice_ledger_data_age_seconds": "gauge",
    "voice_ledger_last_success_timestamp_seconds": "gauge",
    "voice_ledger_clock_was_ahead": "gauge",
}

Samples = dict[tuple[str, ...], float]


def parsed(text: bytes) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


def samples(text: bytes) -> Samples:
    """Return every value by name (without the product's prefix) and labels."""
    return {
        (
            sample.name.removeprefix("voice_ledger_"),
            *(sample.labels[name] for name in LABELS if name in sample.labels),
        ): (sample.value)
        for family in parsed(text).values()
        for sample in family.samples
    }


def scraped(store: Store, sources: list[Source] = SOURCES) -> Samples:
    return samples(exposition(read_figures(store, sources, now=NOW)))


def record(
    store: Store,
    source: Source = "twilio",
    state: RunState = RunState.OK,
    *,
    kind: RunKind = RunKind.HOURLY,
    ago: float = 0,
    seconds: float = 2,
    **counts: Any,
) -> None:
    """Write down a run that ended so many minutes ago, or is going on."""
    ended = NOW - ago * 60 * SECOND
    began = ended - seconds * SECOND
    run = store.begin_run(source, kind, (began - HOUR, began), owner="elsewhere:1:1", now=began, stale_before=began)
    store.save_progress(replace(run, **counts), now=ended)
    if state is not RunState.RUNNING:
        store.finish_run(run.id, state, None, now=ended)


def test_every_family_has_a_type_a_unit_in_its_name_and_a_sentence(store: Store) -> None:
    families = parsed(exposition(read_figures(store, SOURCES, now=NOW)))

    assert {name: family.type for name, family in families.items()} == KINDS
    assert all(family.documentation.endswith(".") for family in families.values())


def test_counters_of_what_is_configured_begin_at_zero(store: Store) -> None:
    told = scraped(store)

    assert told[("store_up",)] == 1
    assert told[("sync_runs_total", "elevenlabs", "backfill", "failed")] == 0
    assert told[("records_saved_total", "twilio", "hourly")] == 0
    assert told[("requests_refused_total", "twilio")] == told[("requests_in_flight", "twilio")] == 0
    assert told[("failed_records_waiting", "elevenlabs")] == told[("unpriced_records", "elevenlabs")] == 0
    assert not any(name in ("data_age_seconds", "last_success_timestamp_seconds") for name, *_ in told), "never synced"


def test_runs_their_records_and_how_long_they_took_are_added_up(store: Store) -> None:
    record(store, ago=150, seconds=2, saved=10, failed=1, refused=3)
    record(store, ago=90, seconds=4.5, saved=5)
    record(store, state=RunState.FAILED, ago=30, seconds=1, saved=2, failed=2)
    record(store, kind=RunKind.BACKFILL, state=RunState.INTERRUPTED, ago=10, seconds=60, saved=1000)
    store.record_skipped("elevenlabs", (NOW - HOUR, NOW), "The flag is set.", now=NOW)

    told = scraped(store)

    assert told[("sync_runs_total", "twilio", "hourly", "ok")] == 2
    assert told[("sync_runs_total", "twilio", "hourly", "failed")] == 1
    assert told[("sync_runs_total", "twilio", "backfill", "interrupted")] == 1
    assert told[("sync_runs_total", "elevenlabs", "hourly", "skipped")] == 1
    assert told[("sync_run_duration_seconds_count", "twilio", "hourly")] == 3
    assert told[("sync_run_duration_seconds_sum", "twilio", "hourly")] == 7.5
    assert told[("sync_run_duration_seconds_count", "elevenlabs", "hourly")] == 0, "a skipped run takes no time"
    assert told[("records_saved_total", "twilio", "hourly")] == 17
    assert told[("records_saved_total", "twilio", "backfill")] == 1000
    assert told[("records_failed_total", "twilio", "hourly")] == 3
    assert told[("requests_refused_total", "twilio")] == 3


def test_a_run_that_goes_on_counts_what_cannot_be_taken_back(store: Store) -> None:
    record(store, state=RunState.RUNNING, saved=7, failed=4, refused=2, in_flight=6)
    record(store, "elevenlabs", RunState.RUNNING, ago=5, in_flight=9)

    told = scraped(store)

    assert told[("sync_runs_in_progress", "twilio", "hourly")] == 1
    assert told[("requests_in_flight", "twilio")] == 6
    assert told[("records_saved_total", "twilio", "hourly")] == 7
    assert told[("records_failed_total", "twilio", "hourly")] == 0
    assert told[("requests_refused_total", "twilio")] == 2
    assert ("sync_runs_total", "twilio", "hourly", "running") not in told
    assert told[("sync_runs_in_progress", "elevenlabs", "hourly")] == 0, "no sign of life for five minutes"
    assert told[("requests_in_flight", "elevenlabs")] == 0


def test_age_and_last_success_are_those_of_the_last_run_that_went_well(store: Store) -> None:
    record(store, ago=40, seconds=60)
    record(store, state=RunState.FAILED, ago=5)
    record(store, kind=RunKind.BACKFILL, ago=1)

    told = scraped(store)

    assert told[("data_age_seconds", "twilio")] == 41 * 60
    assert told[("last_success_timestamp_seconds", "twilio")] == (NOW - 40 * 60 * SECOND).timestamp()
    assert ("data_age_seconds", "elevenlabs") not in told


def test_a_run_from_a_clock_that_was_ahead_raises_an_alarm_and_makes_nothing_current(store: Store) -> None:
    record(store, ago=400, seconds=60)
    record(store, ago=-3 * 365 * 24 * 60, seconds=60)

    told = scraped(store)

    assert told[("data_age_seconds", "twilio")] == 401 * 60
    assert (told[("clock_was_ahead", "twilio")], told[("clock_was_ahead", "elevenlabs")]) == (1, 0)


def test_records_that_wait_for_a_price_or_for_another_try_are_counted(store: Store) -> None:
    store.save_calls([make_leg(), make_leg(sid="CA2", cost=None), make_leg(sid="CA3", cost=None)])
    store.save_conversations([make_conversation(cost=None)])
    store.save_failures("elevenlabs", [Failure(record_id="conv_9", error="No answer.")], now=NOW)

    told = scraped(store)

    assert (told[("unpriced_records", "twilio")], told[("unpriced_records", "elevenlabs")]) == (2, 1)
    assert (told[("failed_records_waiting", "twilio")], told[("failed_records_waiting", "elevenlabs")]) == (0, 1)


def test_a_provider_that_is_no_longer_configured_keeps_its_history_and_has_no_age(store: Store) -> None:
    record(store, "elevenlabs", saved=3)

    told = scraped(store, ["twilio"])

    assert told[("records_saved_total", "elevenlabs", "hourly")] == 3
    assert ("sync_runs_total", "elevenlabs", "backfill", "ok") not in told
    assert ("data_age_seconds", "elevenlabs") not in told


# The route


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as ledger:
        yield ledger


def scrape(store: SqliteStore) -> httpx.Response:
    settings = Settings(_env_file=None, CRON_SECRET=SECRET)
    app = api.application(Services(settings, store, clock=lambda: NOW))
    return ask(app, "GET", "/api/metrics", {"Authorization": f"Bearer {SECRET}"})


def test_the_route_answers_in_the_text_format_of_prometheus(ledger: SqliteStore) -> None:
    record(ledger, saved=3)

    answer = scrape(ledger)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert samples(answer.content)[("records_saved_total", "twilio", "hourly")] == 3
    assert set(parsed(answer.content)) == set(KINDS)


def test_a_store_that_cannot_be_read_is_a_number_and_no_scrape_that_failed(ledger: SqliteStore, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("drop table sync_runs")

    answer = scrape(ledger)

    assert answer.status_code == 200
    assert samples(answer.content) == {("store_up",): 0}


def test_a_store_that_does_not_answer_is_down_before_prometheus_gives_up(path: Path) -> None:
    class Hanging(SqliteStore):
        def run_totals(self, *, alive_since: datetime) -> list[RunTotals]:
            time.sleep(12)
            raise StoreError("Supabase did not answer in time; the next run goes on.")

    begin = time.monotonic()
    with closing(Hanging(path)) as store:
        answer = scrape(store)

    assert samples(answer.content) == {("store_up",): 0}
    assert time.monotonic() - begin < 10


HISTORY = """
with recursive run (n) as (select 1 union all select n + 1 from run where n < 100000)
insert into sync_runs (source, kind, state, window_start, window_end, done, saved, failed, refused, owner, started_at,
    heartbeat_at, finished_at)
select iif(n % 2, 'twilio', 'elevenlabs'), iif(n % 24, 'hourly', 'sweep'), iif(n % 50, 'ok', 'failed'),
    strftime('%Y-%m-%dT%H:%M:%S+00:00', 1200000000 + n * 1800, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%S+00:00', 1200003600 + n * 1800, 'unixepoch'), 10, 10, 0, n % 3, 'host:1:1',
    strftime('%Y-%m-%dT%H:%M:%S.250000+00:00', 1200003600 + n * 1800, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%S.250000+00:00', 1200003602 + n * 1800, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%S.500000+00:00', 1200003602 + n * 1800, 'unixepoch')
from run
"""


def test_a_hundred_thousand_runs_are_scraped_soon(ledger: SqliteStore, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(HISTORY)
    begin = time.monotonic()

    answer = scrape(ledger)

    took = time.monotonic() - begin
    told = samples(answer.content)
    assert sum(value for (name, *_), value in told.items() if name == "sync_runs_total") == 100_000
    assert sum(value for (name, *_), value in told.items() if name == "sync_run_duration_seconds_sum") == 225_000
    assert took < 3, "a tenth of it, when the machine has nothing else to do"


# Where the numbers come from


def test_a_run_writes_down_how_often_the_provider_refused_it(ledger: SqliteStore) -> None:
    with ScriptedServer() as provider:
        calls = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json"
        nothing = Answer(body={"calls": [], "next_page_uri": None})
        too_many = Answer(status=429, headers={"Retry-After": "0"})
        provider.on(calls, too_many, too_many, nothing)
        settings = Settings(
            _env_file=None,
            TWILIO_ACCOUNT_SID=ACCOUNT_SID,
            TWILIO_AUTH_TOKEN=AUTH_TOKEN,
            TWILIO_BASE_URL=provider.url,
            ELEVENLABS_API_KEY=ELEVENLABS_API_KEY,
        )
        services = Services(settings, ledger)

        first, second = services.sync("twilio"), services.sync("twilio")

    assert (first.state, first.refused, first.in_flight) == (RunState.OK, 2, 0)
    assert second.refused == 0, "each run counts its own"
    assert scraped(ledger)[("requests_refused_total", "twilio")] == 2


def test_requests_under_way_are_told_while_a_run_goes_on(ledger: SqliteStore) -> None:
    with ScriptedServer() as provider:
        listed = [{"conversation_id": f"conv_{n}", "status": "done", "start_time_unix_secs": 1} for n in range(3)]
        provider.on("/v1/convai/conversations", Answer(body={"conversations": listed, "has_more": False}))
        for each in listed:
            gone = conversation_not_found(each["conversation_id"])
            provider.on(
                f"/v1/convai/conversations/{each['conversation_id']}", Answer(status=404, body=gone.body, delay=8)
            )
        settings = Settings(_env_file=None, ELEVENLABS_API_KEY=ELEVENLABS_API_KEY, ELEVENLABS_BASE_URL=provider.url)
        services = Services(settings, ledger, clock=lambda: datetime(1970, 1, 1, 1, tzinfo=UTC))
        seen: list[int] = []

        work = Thread(target=services.sync, args=("elevenlabs",))
        work.start()
        while work.is_alive():
            seen += [each.in_flight for each in ledger.run_totals(alive_since=datetime(1970, 1, 1, tzinfo=UTC))]
            time.sleep(0.2)
        work.join()

    assert max(seen) == 3
    (run,) = ledger.runs()
    assert (run.state, run.in_flight) == (RunState.OK, 0)
