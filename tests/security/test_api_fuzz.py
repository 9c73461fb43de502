"""Whatever is sent to the API, with the secret or without: only declared answers, no error of the program, no way in.

FUZZ_EXAMPLES=1000 makes it search longer (per operation, and in every test).
"""

import asyncio
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Event
from urllib.parse import quote, urlencode, urlsplit

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis import strategies as st
from schemathesis.specs.openapi import checks as openapi_checks
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import Message, Receive, Scope, Send

from sync import api
from sync.api_gate import LARGEST_BODY
from sync.bootstrap import Services
from sync.errors import NotConfiguredError, ProviderDownError, StoreError
from sync.models import Failure, RunKind, RunState, Source, SyncRun
from sync.openapi import document
from sync.pace import Pace
from sync.settings import Settings
from sync.sqlite_store import SqliteStore
from tests.asgi_call import ask
from tests.declared_answers import assert_declared, media_type
from tests.records import make_conversation, make_leg, make_phone
from tests.registering import add_workspace, register

NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = "cron-7c21-of-the-tests"
WITH_SECRET = {"Authorization": f"Bearer {SECRET}"}
USUAL_EXAMPLES = 25  # seconds; a thousand take minutes, and search at random
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", USUAL_EXAMPLES))

# A declared 502 or 503 is a right answer, and any other 5xx is not declared. What is accepted and what is refused is
# left to the tests of the API: a period that ends before it begins, for example, is no matter of a schema.
CHECKS: list[schemathesis.CheckFunction] = [
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.unsupported_method,
    openapi_checks.allow_header_conformance,
    openapi_checks.ignored_auth,
]
SEARCH = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=EXAMPLES == USUAL_EXAMPLES,
)

schema = schemathesis.openapi.from_dict(document())
serving: list[Starlette] = []  # the application, which is there later than the tests' names


async def served(scope: Scope, receive: Receive, send: Send) -> None:
    await serving[-1](scope, receive, send)


schema.app = served


class PretendedSyncs(Services):
    """Syncs without a provider: a run that is closed at once, or one of the things that may go wrong."""

    def __init__(self, settings: Settings, store: SqliteStore) -> None:
        super().__init__(settings, store, clock=lambda: NOW)
        self._chance = random.Random(7)

    def sync(
        self,
        source: Source,
        should_stop: Event | None = None,
        on_progress: Callable[[SyncRun], None] = lambda run: None,
    ) -> SyncRun:
        return self._run(source, RunKind.HOURLY, on_progress)

    def backfill(
        self,
        source: Source,
        since: datetime,
        until: datetime | None = None,
        should_stop: Event | None = None,
        on_progress: Callable[[SyncRun], None] = lambda run: None,
    ) -> SyncRun:
        return self._run(source, RunKind.BACKFILL, on_progress)

    def _run(self, source: Source, kind: RunKind, on_progress: Callable[[SyncRun], None]) -> SyncRun:
        fate = self._chance.choice(["ok", "ok", "skipped", "busy", "down", "unconfigured", "locked"])
        if fate == "down":
            raise ProviderDownError("The provider has a problem of its own (HTTP 503); the next run goes on.")
        if fate == "unconfigured":
            raise NotConfiguredError("The provider is not configured; set its key in .env.")
        if fate == "locked":
            raise StoreError("The database is locked by another program; close that program, the next run goes on.")
        if fate == "skipped" and (source, kind) == ("elevenlabs", RunKind.HOURLY):
            return self.store.record_skipped(source, (NOW - HOUR, NOW), "The flag is set.", now=NOW)
        run = self.store.begin_run(source, kind, (NOW - HOUR, NOW), owner="", now=NOW, stale_before=NOW)
        on_progress(run)
        if fate == "busy":
            return self._again(source, kind, run)
        return self._closed(run)

    def _again(self, source: Source, kind: RunKind, run: SyncRun) -> SyncRun:
        try:
            return self.store.begin_run(source, kind, (NOW - HOUR, NOW), owner="", now=NOW, stale_before=NOW)
        finally:
            self._closed(run)

    def _closed(self, run: SyncRun) -> SyncRun:
        self.store.finish_run(run.id, RunState.OK, None, now=NOW)
        return self.store.run(run.id) or run


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starlette]:
    with closing(SqliteStore(tmp_path_factory.mktemp("fuzz") / "ledger.db")) as store:
        acme = add_workspace(store, "Acme")
        register(store, make_phone(workspace_id=acme))
        store.save_calls([make_leg(sid=f"CA{hour}", started_at=NOW - hour * HOUR) for hour in range(30)])
        store.save_conversations([make_conversation(started_at=NOW - HOUR)])
        run = store.begin_run("twilio", RunKind.SWEEP, (NOW - HOUR, NOW), owner="", now=NOW, stale_before=NOW)
        store.save_failures("twilio", [Failure(record_id="CA9", error="No answer.")], now=NOW)
        store.finish_run(run.id, RunState.OK, None, now=NOW)
        settings = Settings(_env_file=None, CRON_SECRET=SECRET)
        at_once = Pace(burst=1e9, per_second=1e9)  # thousands of wrong secrets are tried here
        answering = api.application(PretendedSyncs(settings, store), guesses=at_once)
        yield Starlette(middleware=[Middleware(api.PastThePages, answering=answering)])


@pytest.fixture(scope="module", autouse=True)
def serve(app: Starlette) -> None:
    serving.append(app)


# What the document allows, and what it does not


@schema.parametrize()
@SEARCH
def test_with_the_secret_every_answer_is_a_declared_one(case: schemathesis.Case) -> None:
    case.call_and_validate(headers=WITH_SECRET, checks=CHECKS)


@schema.parametrize()
@SEARCH
def test_without_the_secret_only_health_answers(case: schemathesis.Case) -> None:
    answer = case.call()

    if case.path == "/api/health" and case.method in ("GET", "HEAD"):
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})


# What no document foresees

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "QUERY")
PATHS = st.sampled_from([path.replace("{run_id}", "1") for path in document()["paths"]])
QUERIES = st.lists(
    st.tuples(st.sampled_from(["since", "until", "source", "limit", "x", ""]), st.text(max_size=40)), max_size=4
)
ANY_TARGET = st.one_of(
    PATHS,
    PATHS.map(lambda path: f"{path}/"),
    st.integers(-(10**30), 10**30).map(lambda number: f"/api/sync-runs/{number}"),
    st.text(max_size=30).map(lambda text: f"/api/{quote(text, safe='/')}"),
    PATHS.flatmap(lambda path: QUERIES.map(lambda query: f"{path}?{urlencode(query, errors='surrogatepass')}")),
    st.integers(1, 60_000).map(lambda length: f"/api/twilio-stats?since={'9' * length}"),
    st.integers(1, 60_000).map(lambda length: f"/api/{'x' * length}"),
)
BODIES = st.one_of(
    st.just(b""),
    st.binary(max_size=200),
    st.integers(1, 9000).map(lambda depth: b"[" * depth),
    st.dictionaries(st.sampled_from(["since", "until", "x"]), st.none() | st.text() | st.integers()).map(
        lambda fields: json.dumps(fields).encode()
    ),
)
WRONG_SECRETS = st.one_of(
    st.just({}),
    st.binary(max_size=40)
    .filter(lambda value: value != f"Bearer {SECRET}".encode() and not set(value) & set(b"\r\n\0"))
    .map(lambda value: {"Authorization": value.strip()}),
    st.sampled_from([SECRET.upper(), f" {SECRET}", f"{SECRET}\x00"[:-1] + "0", SECRET[:-1], ""]).map(
        lambda value: {"Authorization": f"Bearer {value}"}
    ),
)


@SEARCH
@hypothesis.given(method=st.sampled_from(METHODS), target=ANY_TARGET, content=BODIES)
def test_with_the_secret_anything_else_is_told_in_json(
    app: Starlette, method: str, target: str, content: bytes
) -> None:
    answer = ask(app, method, target, WITH_SECRET, content)

    assert answer.status_code < 500 or answer.status_code in (502, 503)
    declared = media_type(method, urlsplit(target).path, answer.status_code)
    assert answer.headers["content-type"].partition(";")[0] == declared
    if method in ("GET", "POST") and target.startswith("/api/"):
        assert_declared(method, urlsplit(target).path, answer)


@SEARCH
@hypothesis.given(method=st.sampled_from(METHODS), target=ANY_TARGET, content=BODIES, headers=WRONG_SECRETS)
def test_without_the_secret_no_path_method_or_body_gives_anything_away(
    app: Starlette, method: str, target: str, content: bytes, headers: dict[str, str]
) -> None:
    hypothesis.assume((method, urlsplit(target).path) not in {("GET", "/api/health"), ("HEAD", "/api/health")})

    answer = ask(app, method, target, headers, content)

    assert answer.status_code == 401
    assert answer.content == b'{"error": "Unauthorized"}' or method == "HEAD"


# Bodies

POSTS = [path for path, methods in document()["paths"].items() if "post" in methods]


class Sender:
    """Sends a body that never ends, as an ASGI server hands it on, and counts how much of it is asked for."""

    def __init__(self) -> None:
        self.sent = 0
        self.status = 0

    async def receive(self) -> Message:
        self.sent += 4096
        return {"type": "http.request", "body": b" " * 4096, "more_body": True}

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)

    def post(self, app: Starlette, path: str, headers: Mapping[str, str]) -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        with ThreadPoolExecutor(1) as thread:  # browser tests leave their event loop running in this one
            thread.submit(asyncio.run, app(scope, self.receive, self.send)).result()  # type: ignore[arg-type]  # ASGI


@pytest.mark.parametrize("path", POSTS)
def test_a_body_without_end_is_refused_soon(app: Starlette, path: str) -> None:
    sender = Sender()

    sender.post(app, path, WITH_SECRET)

    assert sender.status == 413
    assert sender.sent <= LARGEST_BODY + 4096


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("length", [str(LARGEST_BODY + 1), "9" * 5000])
def test_a_body_that_says_it_is_large_is_not_read_at_all(app: Starlette, path: str, length: str) -> None:
    sender = Sender()

    sender.post(app, path, WITH_SECRET | {"Content-Length": length})

    assert (sender.status, sender.sent) == (413, 0)


@pytest.mark.parametrize("path", POSTS)
def test_without_the_secret_no_body_is_read(app: Starlette, path: str) -> None:
    sender = Sender()

    sender.post(app, path, {"Authorization": "Bearer wrong"})

    assert (sender.status, sender.sent) == (401, 0)
