"""The HTTP API: closed without the secret, JSON in every case, and figures that equal the store's to the last digit."""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import simplejson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from demo.fleet import Fleet
from demo.server import create_app, running
from sync import api
from sync.bootstrap import Services, build
from sync.models import ElevenLabsTotals, Failure, RunKind, SyncRun
from sync.settings import Settings, load
from sync.sqlite_store import SqliteStore
from sync.usage import elevenlabs_usage, total_of, twilio_usage
from tests.asgi_call import ask
from tests.declared_answers import assert_declared
from tests.local_supabase import LocalSupabase
from tests.records import make_conversation, make_leg, make_phone
from tests.registering import add_workspace, register
from tests.scripted_server import Answer, ScriptedServer

NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
SECRET = "cron-7c21-of-the-tests"
STATS = ("/api/twilio-stats", "/api/elevenlabs-stats")
ROUTES = [
    ("POST", "/api/sync-hourly"),
    ("POST", "/api/sync-elevenlabs-hourly"),
    ("POST", "/api/sync-elevenlabs"),
    ("GET", "/api/sync-runs"),
    ("GET", "/api/sync-runs/1"),
    ("GET", "/api/twilio-stats"),
    ("GET", "/api/elevenlabs-stats"),
    ("GET", "/api/workspaces"),
    ("GET", "/api/metrics"),
    ("GET", "/api/openapi.json"),
]
ELSEWHERE = [
    ("GET", "/api"),
    ("GET", "/api/"),
    ("GET", "/api/unknown"),
    ("DELETE", "/api/sync-runs"),
    ("GET", "/api/x/y"),
    ("GET", "/api/%0A"),
    ("GET", "/api/sync-runs%0A/1"),
    ("POST", "/api/health"),
    ("DELETE", "/api/health"),
]


class Caller:
    """Calls the API as it is mounted beside the pages, with the secret unless told otherwise."""

    def __init__(self, services: Services, secret: str | None = SECRET) -> None:
        def page(request: Request) -> PlainTextResponse:
            return PlainTextResponse("a page")

        self._app = Starlette(
            routes=[Route("/{path:path}", page)],
            middleware=[Middleware(api.PastThePages, answering=api.application(services))],
        )
        self._headers = {"Authorization": f"Bearer {secret}"} if secret is not None else {}

    def __call__(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, content: bytes = b""
    ) -> httpx.Response:
        answer = ask(self._app, method, path, self._headers if headers is None else headers, content)
        if path.startswith("/api/"):
            assert_declared(method, path, answer)
        return answer

    def json(self, path: str, method: str = "GET") -> Any:
        answer = self(method, path)
        assert answer.status_code == 200, answer.text
        return exact(answer)


def exact(answer: httpx.Response) -> Any:
    assert answer.headers["content-type"] == "application/json"
    return simplejson.loads(answer.text, use_decimal=True)


class Environment:
    """Builds services as the dashboard does: from the environment, with a store in a folder of the test."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database = folder / "ledger.db"
        self._monkeypatch = monkeypatch
        self._open: list[Services] = []
        monkeypatch.chdir(folder)
        for name in (
            "NEXT_PUBLIC_SUPABASE_URL",
            "NEXT_PUBLIC_SUPABASE_ANON_KEY",
            *map(str.upper, Settings.model_fields),
        ):
            monkeypatch.delenv(name, raising=False)

    def services(self, **variables: str) -> Services:
        plain = {"CRON_SECRET": SECRET, "DATABASE_PATH": str(self.database), "FIRST_SYNC_DAYS": "2"}
        for name, value in (plain | variables).items():
            self._monkeypatch.setenv(name, value)
        self._open.append(build(load(), clock=lambda: NOW))
        return self._open[-1]

    def close(self) -> None:
        for services in self._open:
            services.close()


@pytest.fixture(params=["sqlite", "supabase"])
def environment(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Environment]:
    environment = Environment(tmp_path, monkeypatch)
    if request.param == "supabase":
        project: LocalSupabase = request.getfixturevalue("supabase")
        monkeypatch.setenv("SUPABASE_URL", project.url)
        monkeypatch.setenv("SUPABASE_KEY", project.secret_key)
    yield environment
    environment.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(create_app(Fleet(opened_at=NOW, days=2, scale=0.3), clock=lambda: NOW)) as url:
        yield url


def keys(url: str) -> dict[str, str]:
    return {
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_BASE_URL": url,
        "ELEVENLABS_API_KEY": ELEVENLABS_API_KEY,
        "ELEVENLABS_BASE_URL": url,
    }


@pytest.fixture
def services(environment: Environment, url: str) -> Services:
    """Give services with both providers configured and nothing synced yet."""
    return environment.services(**keys(url))


@pytest.fixture
def call(services: Services) -> Caller:
    return Caller(services)


@pytest.fixture
def filled(services: Services) -> Services:
    """Give services whose store holds two clients' records of three days."""
    store = services.store
    acme, borealis = add_workspace(store, "Acme"), add_workspace(store, "Borealis")
    register(store, make_phone(workspace_id=acme))
    register(store, make_phone(workspace_id=borealis, phone_number="+34910000002"))
    for number, hours_ago in enumerate((1, 5, 30, 60)):
        started_at = NOW - hours_ago * HOUR
        for ours in ("+34910000001", "+34910000002", "+34910000077"):
            name = f"{number}{ours}"
            leg = make_leg(
                sid=f"CA{name}",
                started_at=started_at,
                our_number=ours,
                cost=Decimal("0.00850001") * (number + 1),
                duration=61 + number,
            )
            talk = make_conversation(
                conversation_id=f"conv{name}", started_at=started_at, agent_number=ours, dev_discount=number == 1
            )
            store.save_calls([leg])
            store.save_conversations([talk])
    return services


# Who may


@pytest.mark.parametrize(("method", "path"), ROUTES + ELSEWHERE)
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": "Bearer wrong"}, id="wrong"),
        pytest.param({"Authorization": f"Bearer {SECRET} "}, id="longer"),
        pytest.param({"Authorization": f"Bearer {SECRET[:-1]}"}, id="shorter"),
        pytest.param({"Authorization": "Bearer "}, id="empty"),
        pytest.param({"Authorization": SECRET}, id="without Bearer"),
        pytest.param({"Authorization": f"Basic {SECRET}"}, id="Basic"),
        pytest.param({"X-Cron-Secret": SECRET}, id="another header"),
    ],
)
def test_nothing_is_given_away_without_the_secret(
    call: Caller, method: str, path: str, headers: Mapping[str, str]
) -> None:
    answer = call(method, path, headers)

    assert answer.status_code == 401
    assert exact(answer) == {"error": "Unauthorized"}
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), ROUTES + ELSEWHERE)
def test_without_a_configured_secret_every_key_is_wrong(
    environment: Environment, url: str, method: str, path: str
) -> None:
    services = environment.services(CRON_SECRET="", **keys(url))

    for given in ("Bearer ", "Bearer None", f"Bearer {SECRET}", ""):
        answer = Caller(services)(method, path, {"Authorization": given})
        assert (answer.status_code, exact(answer)) == (401, {"error": "Unauthorized"})


def test_a_secret_with_unusual_letters_works(environment: Environment, url: str) -> None:
    services = environment.services(CRON_SECRET="contraseña-7c21-de-las-pruebas", **keys(url))

    answer = Caller(services)(
        "GET", "/api/workspaces", {"Authorization": "Bearer contraseña-7c21-de-las-pruebas".encode()}
    )  # type: ignore[dict-item]  # httpx takes bytes

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/unknown", "/api/x/y", "/api/sync-runs/abc", "/api/sync-runs/1/2"]
)
def test_a_path_that_does_not_exist_is_told_in_json(call: Caller, path: str) -> None:
    answer = call("GET", path)

    assert (answer.status_code, exact(answer)) == (404, {"error": "Not Found"})


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/sync-hourly"), ("POST", "/api/twilio-stats"), ("DELETE", "/api/sync-runs/1")]
)
def test_a_wrong_method_is_told_in_json(call: Caller, method: str, path: str) -> None:
    answer = call(method, path)

    assert (answer.status_code, exact(answer)) == (405, {"error": "Method Not Allowed"})


def test_the_pages_beside_the_api_stay_what_they_are(call: Caller) -> None:
    assert call("GET", "/", {}).text == call("GET", "/apiary", {}).text == "a page"


# Syncing


@pytest.mark.parametrize(
    ("path", "source"), [("/api/sync-hourly", "twilio"), ("/api/sync-elevenlabs-hourly", "elevenlabs")]
)
def test_a_sync_answers_with_the_finished_run(services: Services, call: Caller, path: str, source: str) -> None:
    answer = call.json(path, "POST")

    (run,) = services.store.runs()
    assert answer["status"] == "ok"
    assert answer["run"]["source"] == source
    assert answer["run"]["saved"] == run.saved > 0
    assert (answer["run"]["state"], answer["run"]["window_end"]) == ("ok", "2026-11-18T16:20:00+00:00")
    assert "owner" not in answer["run"]


@pytest.mark.parametrize(
    ("path", "source"), [("/api/sync-hourly", "twilio"), ("/api/sync-elevenlabs-hourly", "elevenlabs")]
)
def test_a_sync_while_one_is_going_on_answers_with_that_run(
    services: Services, call: Caller, path: str, source: Any
) -> None:
    going_on = begun(services, source)

    answer = call("POST", path)

    body = exact(answer)
    assert answer.status_code == 409
    assert body["error"].endswith("is still running; wait for it to finish.")
    assert (body["run"]["id"], body["run"]["state"]) == (going_on.id, "running")
    assert "owner" not in body["run"]


def begun(services: Services, source: Any) -> SyncRun:
    return services.store.begin_run(
        source, RunKind.HOURLY, (NOW - HOUR, NOW), owner="elsewhere:1:1", now=NOW, stale_before=NOW - HOUR
    )


BACKFILL = "/api/sync-elevenlabs"


def finished(services: Services, run_id: int) -> SyncRun:
    deadline = monotonic() + 20
    while (run := services.store.run(run_id)) is None or run.state == "running":
        assert monotonic() < deadline, "it did not happen in time"
        sleep(0.02)
    return run


@pytest.mark.parametrize(
    ("query", "content"),
    [("?since=2026-11-17&until=2026-11-18", b""), ("", b'{"since": "2026-11-17", "until": "2026-11-18"}')],
)
def test_a_historical_sync_is_started_and_goes_on_by_itself(
    services: Services, call: Caller, query: str, content: bytes
) -> None:
    answer = call("POST", BACKFILL + query, content=content)

    body = exact(answer)
    run = finished(services, body["run"]["id"])
    shown = call.json(f"/api/sync-runs/{run.id}")
    assert (answer.status_code, body["status"], body["run"]["kind"]) == (202, "started", "backfill")
    assert (run.window_start, run.window_end) == (
        datetime(2026, 11, 17, tzinfo=UTC),
        datetime(2026, 11, 18, tzinfo=UTC),
    )
    assert run.state == "ok"
    assert run.saved == services.store.count_rows()["elevenlabs_conversations"] > 0
    assert (shown["state"], shown["saved"], shown["share_walked"], shown["failures"]) == ("ok", run.saved, 1, [])


def test_a_historical_sync_that_is_told_nothing_reaches_back_thirteen_months(services: Services, call: Caller) -> None:
    run = finished(services, exact(call("POST", BACKFILL))["run"]["id"])

    assert (run.window_start, run.window_end) == (NOW - 396 * DAY, NOW)


@pytest.mark.parametrize(
    ("query", "content", "sentence"),
    [
        ("?since=yesterday", b"", "since must be a date such as 2026-11-01"),
        ("?since=2026-11-02&until=2026-11-01", b"", "since must be before until."),
        ("?since=2999-01-01", b"", "since must be before until, and not in the future."),
        ("?until=2020-01-01", b"", "since must be before until, and not in the future."),
        ("", b"since=2026-01-01", 'The body must be JSON, such as {"since": "2026-01-01"}.'),
        ("", b"\xff\xfe", 'The body must be JSON, such as {"since": "2026-01-01"}.'),
        ("", b'["2026-01-01"]', "The body must be a JSON object of texts"),
        ("", b'{"since": 20260101}', "The body must be a JSON object of texts"),
    ],
)
def test_a_historical_sync_that_cannot_be_meant_is_400_with_what_is_right(
    services: Services, call: Caller, query: str, content: bytes, sentence: str
) -> None:
    answer = call("POST", BACKFILL + query, content=content)

    assert answer.status_code == 400
    assert exact(answer)["error"].startswith(sentence)
    assert services.store.runs() == []


@pytest.mark.parametrize("path", [BACKFILL, "/api/sync-hourly", "/api/sync-elevenlabs-hourly"])
def test_a_large_body_is_413_and_nothing_is_started(services: Services, call: Caller, path: str) -> None:
    answer = call("POST", path, content=b" " * 10_001)

    assert (answer.status_code, exact(answer)["error"]) == (413, "The body may have 10000 bytes at most.")
    assert services.store.runs() == []


def test_a_body_that_is_not_needed_is_passed_over(services: Services, call: Caller) -> None:
    assert call("POST", "/api/sync-hourly", content=b"x" * 10_000).status_code == 200


def test_a_second_historical_sync_is_409_with_the_first_and_the_hourly_one_is_none(
    services: Services, call: Caller
) -> None:
    begun(services, "elevenlabs")
    backfill = services.store.begin_run(
        "elevenlabs", RunKind.BACKFILL, (NOW - DAY, NOW), owner="elsewhere:1:1", now=NOW, stale_before=NOW - HOUR
    )

    answer = call("POST", BACKFILL)

    assert answer.status_code == 409
    assert exact(answer)["run"]["id"] == backfill.id


def test_a_historical_sync_without_a_key_is_503_with_what_to_set(environment: Environment, url: str) -> None:
    variables = keys(url)
    del variables["ELEVENLABS_API_KEY"]

    answer = Caller(environment.services(**variables))("POST", BACKFILL)

    assert answer.status_code == 503
    assert exact(answer)["error"].startswith("ElevenLabs is not configured; set ELEVENLABS_API_KEY")


def test_a_run_with_failures_shows_them(services: Services, call: Caller) -> None:
    run = begun(services, "elevenlabs")
    services.store.save_failures("elevenlabs", [Failure(record_id="conv_1", error="It cannot be read.")], now=NOW)
    services.store.save_progress(replace(run, done=1, failed=1, refused=3, in_flight=2), now=NOW)

    answer = call.json(f"/api/sync-runs/{run.id}")
    (failure,) = answer["failures"]

    assert (answer["refused"], answer["in_flight"]) == (3, 2)
    assert (failure["record_id"], failure["error"], failure["attempts"]) == ("conv_1", "It cannot be read.", 1)


def test_the_flag_skips_elevenlabs_and_records_it(environment: Environment, url: str) -> None:
    services = environment.services(DISABLE_ELEVENLABS_HOURLY_SYNC="true", **keys(url))

    answer = Caller(services).json("/api/sync-elevenlabs-hourly", "POST")

    (run,) = services.store.runs()
    assert (answer["status"], answer["run"]["id"]) == ("skipped", run.id)
    assert answer["reason"] == run.message
    assert answer["reason"].startswith("DISABLE_ELEVENLABS_HOURLY_SYNC is set")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(status=503, headers={"Retry-After": "3600"}), "Twilio has a problem of its own (HTTP 503)"),
        (
            Answer(status=401, body={"code": 20003, "message": AUTH_TOKEN}),
            "Twilio does not accept the credentials (401)",
        ),
        (
            Answer(body="<p>Log in", headers={"Content-Type": "text/html"}),
            "instead of JSON; check that TWILIO_BASE_URL",
        ),
    ],
)
def test_a_provider_that_does_not_work_is_502_with_what_to_do(
    environment: Environment, url: str, answer: Answer, sentence: str
) -> None:
    with ScriptedServer() as server:
        server.on(f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json", answer)
        services = environment.services(**keys(url) | {"TWILIO_BASE_URL": server.url})

        told = Caller(services)("POST", "/api/sync-hourly")

    assert told.status_code == 502
    assert sentence in exact(told)["error"]
    assert AUTH_TOKEN not in told.text
    assert services.store.runs()[0].state == "failed"


def test_a_provider_that_is_not_configured_is_503_with_what_to_do(environment: Environment, url: str) -> None:
    some = {name: value for name, value in keys(url).items() if name.startswith("ELEVENLABS")}
    services = environment.services(**some)

    told = Caller(services)("POST", "/api/sync-hourly")

    assert told.status_code == 503
    assert exact(told) == {"error": "Twilio is not configured; set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN in .env."}


# History


def test_the_history_is_newest_first_and_can_be_narrowed(services: Services, call: Caller) -> None:
    for number, source in enumerate(("twilio", "elevenlabs", "twilio")):
        services.store.record_skipped(source, (NOW - HOUR, NOW), f"reason {number}", now=NOW + number * SECOND)  # type: ignore[arg-type]

    assert [run["message"] for run in call.json("/api/sync-runs")["runs"]] == ["reason 2", "reason 1", "reason 0"]
    assert [run["message"] for run in call.json("/api/sync-runs?source=twilio&limit=1")["runs"]] == ["reason 2"]
    assert call.json("/api/sync-runs/2") == {
        **call.json("/api/sync-runs?source=elevenlabs")["runs"][0],
        "failures": [],
    }


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "ten", "1.5", "²", "9" * 5000])
def test_a_wrong_limit_is_400_with_what_is_right(call: Caller, limit: str) -> None:
    answer = call("GET", f"/api/sync-runs?limit={quote(limit)}")

    assert (answer.status_code, exact(answer)) == (400, {"error": "limit must be a number from 1 to 1000."})


def test_a_wrong_source_is_400_with_what_is_right(call: Caller) -> None:
    answer = call("GET", "/api/sync-runs?source=vonage")

    assert (answer.status_code, exact(answer)) == (400, {"error": "source must be one of twilio, elevenlabs."})


@pytest.mark.parametrize("run_id", ["4711", "99999999999999999999"])
def test_a_run_that_does_not_exist_is_404(call: Caller, run_id: str) -> None:
    answer = call("GET", f"/api/sync-runs/{run_id}")

    assert (answer.status_code, exact(answer)) == (404, {"error": "There is no run with this id."})


# Figures


def sum_of(rows: list[dict[str, Any]], name: str) -> Any:
    return sum((row[name] for row in rows), 0 * rows[0][name])


@pytest.mark.parametrize("path", STATS)
def test_statistics_of_an_empty_store_are_zeros(call: Caller, path: str) -> None:
    stats = call.json(path)

    assert (stats["total_cost"], stats["total_duration"], stats["workspaces"]) == (0, 0, [])
    assert (stats["since"], stats["until"]) == (None, None)


def test_twilio_statistics_are_the_sums_of_the_records(filled: Services, call: Caller) -> None:
    stats = call.json("/api/twilio-stats")

    assert [each["workspace"] for each in stats["workspaces"]] == ["Acme", "Borealis", "Unassigned"]
    assert stats["workspaces"][0] == {
        "workspace_id": 1,
        "workspace": "Acme",
        "total_calls": 4,
        "total_legs": 4,
        "total_cost": Decimal("0.0850001"),
        "total_duration": 61 + 62 + 63 + 64,
        "billed_minutes": 8,
        "unpriced_calls": 0,
        "average_call_duration": Decimal("62.5"),
        "cost_per_billed_minute": Decimal("0.01062501"),
    }
    assert (stats["total_calls"], stats["total_cost"], stats["price_unit"]) == (12, Decimal("0.2550003"), "USD")
    assert '"total_cost": 0.2550003' in call("GET", "/api/twilio-stats").text, "exact on the wire, too"


def test_elevenlabs_statistics_have_every_metric_and_the_tokens_of_each_model(filled: Services, call: Caller) -> None:
    stats = call.json("/api/elevenlabs-stats")

    expected = total_of(elevenlabs_usage(filled.store, None, None).values(), ElevenLabsTotals())
    names = set(ElevenLabsTotals.__slots__) - {"llm_usage"}
    assert {name: stats[name] for name in names} == {name: getattr(expected, name) for name in names}
    assert stats["total_conversations"] == 12
    assert stats["dev_discount"] == 3
    assert stats["total_credits"] == 12 * 526
    assert stats["llm_price"] == Decimal("0.0049878")
    assert stats["llm_usage"] == {"gemini-flash": {"input": {"tokens": 14_400, "price": Decimal("0.0049878")}}}
    assert sum_of(stats["workspaces"], "total_cost") == stats["total_cost"] == 12 * Decimal("0.10420315")


PERIODS: list[tuple[str, datetime | None, datetime | None]] = [
    ("since=2026-11-18", datetime(2026, 11, 18, tzinfo=UTC), None),
    ("until=2026-11-18", None, datetime(2026, 11, 18, tzinfo=UTC)),
    ("since=2026-11-17&until=2026-11-18", datetime(2026, 11, 17, tzinfo=UTC), datetime(2026, 11, 18, tzinfo=UTC)),
    ("since=2026-11-18T15:20:00Z", NOW - HOUR, None),
    ("since=2026-11-18T15:20:01Z", NOW - HOUR + SECOND, None),
    ("until=2026-11-18T15:20:00Z", None, NOW - HOUR),
    ("since=2026-11-18T16:20:00%2B01:00", NOW - HOUR, None),
    ("since=2026-11-18T16:20:00+01:00", NOW - HOUR, None),
    ("since=2026-11-18 15:20:00", NOW - HOUR, None),
    ("since=&until=", None, None),
    ("since=2031-01-01", datetime(2031, 1, 1, tzinfo=UTC), None),
]


@pytest.mark.parametrize(("query", "since", "until"), PERIODS)
def test_statistics_of_a_period_are_closing_minus_opening_balance(
    filled: Services, call: Caller, query: str, since: datetime | None, until: datetime | None
) -> None:
    twilio, elevenlabs = (call.json(f"{path}?{query}") for path in STATS)

    expected = twilio_usage(filled.store, since, until)
    of_records = [
        hours_ago
        for hours_ago in (1, 5, 30, 60)
        if (since is None or NOW - hours_ago * HOUR >= since) and (until is None or NOW - hours_ago * HOUR < until)
    ]
    assert (twilio["since"], twilio["until"]) == (since and since.isoformat(), until and until.isoformat())
    assert twilio["total_calls"] == elevenlabs["total_conversations"] == 3 * len(of_records)
    assert twilio["total_cost"] == sum((total.total_cost for total in expected.values()), Decimal(0))
    assert elevenlabs["total_cost"] == 3 * len(of_records) * Decimal("0.10420315")


def test_periods_that_touch_add_up_to_the_whole(filled: Services, call: Caller) -> None:
    edges = ["", "2026-11-17T03:04:05Z", "2026-11-18T12:00:00Z", ""]
    parts = [call.json(f"/api/elevenlabs-stats?since={since}&until={until}") for since, until in pairwise(edges)]

    whole = call.json("/api/elevenlabs-stats")
    for name in ("total_conversations", "total_cost", "llm_price", "total_credits"):
        assert sum_of(parts, name) == whole[name]


@pytest.mark.parametrize("path", STATS)
@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize(
    "value",
    ["yesterday", "2026-13-01", "2026-11-31", "1763481600", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-12:00"],
)
def test_a_wrong_moment_is_400_with_what_is_right(call: Caller, path: str, name: str, value: str) -> None:
    answer = call("GET", f"{path}?{name}={value}")

    assert answer.status_code == 400
    assert exact(answer) == {"error": f"{name} must be a date such as 2026-11-01, or a date and time in ISO 8601."}


@pytest.mark.parametrize("until", ["2026-11-01", "2026-10-31"])
def test_a_period_that_ends_before_it_begins_is_400(call: Caller, until: str) -> None:
    answer = call("GET", f"/api/twilio-stats?since=2026-11-01&until={until}")

    assert (answer.status_code, exact(answer)) == (400, {"error": "since must be before until."})


def test_workspaces_have_the_latest_snapshot_of_both_sources(filled: Services, call: Caller) -> None:
    add_workspace(filled.store, "Cumulus")

    answer = call.json("/api/workspaces")

    acme, _, cumulus, unassigned = answer["workspaces"]
    assert answer["price_unit"] == "USD"
    assert (acme["name"], unassigned["id"], unassigned["name"]) == ("Acme", 0, "Unassigned")
    assert acme["twilio"]["snapshot_date"] == "2026-11-18T15:00:00+00:00"
    assert (acme["twilio"]["total_calls"], acme["elevenlabs"]["total_credits"]) == (4, 4 * 526)
    assert (cumulus["twilio"], cumulus["elevenlabs"]) == (None, None)


def test_after_a_sync_statistics_and_workspaces_agree(services: Services, call: Caller) -> None:
    call.json("/api/sync-hourly", "POST")
    call.json("/api/sync-elevenlabs-hourly", "POST")

    twilio, elevenlabs = (call.json(path) for path in STATS)
    latest = call.json("/api/workspaces")["workspaces"]

    assert twilio["total_cost"] == sum(each["twilio"]["total_cost"] for each in latest if each["twilio"]) > 0
    assert elevenlabs["total_cost"] == sum(each["elevenlabs"]["total_cost"] for each in latest if each["elevenlabs"])


# Health and trouble


def test_health_needs_no_secret_and_tells_how_old_the_data_is(services: Services, call: Caller) -> None:
    before = call("GET", "/api/health", {})
    run = services.store.begin_run(
        "twilio", RunKind.HOURLY, (NOW - 2 * HOUR, NOW - HOUR), owner="", now=NOW, stale_before=NOW
    )
    services.store.finish_run(run.id, "ok", None, now=NOW)  # type: ignore[arg-type]  # StrEnum

    after = call("GET", "/api/health", {})

    never = {"data_through": None, "age_seconds": None, "warning": None}
    assert exact(before) == {"status": "ok", "store": "ok", "sources": {"twilio": never, "elevenlabs": never}}
    assert exact(after)["sources"]["twilio"] == {
        "data_through": "2026-11-18T15:20:00+00:00",
        "age_seconds": 3600,
        "warning": None,
    }
    assert after.status_code == 200


def test_a_run_from_a_clock_that_was_ahead_is_named_and_makes_nothing_current(services: Services, call: Caller) -> None:
    for end in (NOW - 9 * HOUR, NOW + 30000 * HOUR):
        window = (NOW - 10 * HOUR, end)
        run = services.store.begin_run("twilio", RunKind.HOURLY, window, owner="", now=end, stale_before=end)
        services.store.finish_run(run.id, "ok", None, now=end)  # type: ignore[arg-type]  # StrEnum

    told = exact(call("GET", "/api/health", {}))["sources"]["twilio"]

    assert (told["data_through"], told["age_seconds"]) == ("2026-11-18T07:20:00+00:00", 9 * 3600)
    assert told["warning"].startswith(
        f"Run {run.id} claims to have ended at 2030-04-21 16:20 UTC, which is yet to come"
    )


def test_data_that_is_not_a_second_old_has_an_age_of_zero(services: Services, call: Caller) -> None:
    run = services.store.begin_run("twilio", RunKind.HOURLY, (NOW - HOUR, NOW), owner="", now=NOW, stale_before=NOW)
    services.store.finish_run(run.id, "ok", None, now=NOW)  # type: ignore[arg-type]  # StrEnum

    assert exact(call("GET", "/api/health", {}))["sources"]["twilio"]["age_seconds"] == 0


@pytest.mark.parametrize("path", ["/api/health/", "/api/health/x", "/api//health"])
def test_only_the_exact_path_of_health_is_open(call: Caller, path: str) -> None:
    assert call("GET", path, {}).status_code == 401


@pytest.mark.parametrize("environment", ["sqlite"], indirect=True)
def test_a_store_that_cannot_be_read_is_503_everywhere(
    environment: Environment, services: Services, call: Caller
) -> None:
    with closing(sqlite3.connect(environment.database)) as db:
        for table in ("sync_runs", "twilio_snapshots"):
            db.execute(f"drop table {table}")

    answers = [call("GET", path) for path in ("/api/health", "/api/sync-runs", "/api/twilio-stats", "/api/workspaces")]
    answers.append(call("POST", "/api/sync-hourly"))

    assert [answer.status_code for answer in answers] == [503] * 5
    assert all("refused: no such table" in answer.text for answer in answers[1:])


@pytest.mark.parametrize("environment", ["sqlite"], indirect=True)
def test_health_tells_strangers_that_the_store_cannot_be_read_and_the_log_why(
    environment: Environment, services: Services, call: Caller
) -> None:
    with closing(sqlite3.connect(environment.database)) as db:
        db.execute("drop table sync_runs")

    with capture_logs() as logged:
        answer = call("GET", "/api/health", {})

    assert answer.status_code == 503
    assert exact(answer) == {"status": "failed", "store": api.UNREADABLE}
    assert "no such table" in logged[0]["problem"]


def test_health_says_so_soon_when_the_store_does_not_answer_and_strangers_share_one_look(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(SqliteStore):
        looks = 0
        lets_go = Event()

        def notable_runs(self) -> list[SyncRun]:
            self.looks += 1
            self.lets_go.wait(30)
            return []

    async def ask_all(app: Starlette) -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://ledger") as client:
            answers = await asyncio.gather(*(client.get(f"/api/health?{number}") for number in range(20)))
        Hanging.lets_go.set()
        return answers

    monkeypatch.setattr(api, "STORE_WITHIN", 0.3)
    with closing(Hanging(tmp_path / "hanging.db")) as store, ThreadPoolExecutor(1) as thread:
        app = api.application(Services(services.settings, store, clock=lambda: NOW))
        answers = thread.submit(asyncio.run, ask_all(app)).result()

    assert [(answer.status_code, exact(answer)["store"]) for answer in answers] == [(503, api.UNREADABLE)] * 20
    assert store.looks == 1


def test_a_program_error_says_nothing_about_its_inside(environment: Environment, services: Services) -> None:
    class Broken(SqliteStore):
        def workspaces(self) -> Any:
            raise KeyError("+34600111222")

    store = Broken(environment.database)

    answer = Caller(Services(services.settings, store, clock=lambda: NOW))("GET", "/api/workspaces")

    store.close()
    assert answer.status_code == 500
    assert exact(answer) == {"error": "An error in the program; its log has the details."}
