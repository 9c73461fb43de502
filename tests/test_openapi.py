"""The API's document: one with the routes, and with what is answered. `test_api` holds every answer against it."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from starlette.routing import Route

from sync import api
from sync.bootstrap import Services
from sync.models import RunState, Source, SyncRun
from sync.openapi import document, schema_of
from sync.settings import Settings
from sync.sqlite_store import SqliteStore
from tests.asgi_call import ask
from tests.declared_answers import assert_declared, operation_of

SECRET = "cron-7c21-of-the-tests"
NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with closing(SqliteStore(tmp_path / "ledger.db")) as store:
        yield Services(Settings(_env_file=None, CRON_SECRET=SECRET), store, clock=lambda: NOW)


def routed(services: Services) -> set[tuple[str, str]]:
    return {
        (re.sub(r":\w+", "", route.path), method.lower())
        for route in api.application(services).routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }


def declared() -> set[tuple[str, str]]:
    return {(path, method) for path, operations in document()["paths"].items() for method in operations}


def test_every_route_and_method_is_in_the_document_and_no_other(services: Services) -> None:
    assert declared() == routed(services)


def test_the_document_is_served_behind_the_secret(services: Services) -> None:
    app = api.application(services)

    without = ask(app, "GET", "/api/openapi.json", {})
    served = ask(app, "GET", "/api/openapi.json", {"Authorization": f"Bearer {SECRET}"})

    assert without.status_code == 401
    assert served.json() == document()


def test_every_schema_of_the_document_is_sound() -> None:
    for schema in document()["components"]["schemas"].values():
        OAS31Validator.check_schema(schema)


def test_every_reference_leads_somewhere_and_everything_is_used() -> None:
    named = set(re.findall(r"'#/components/schemas/(\w+)'", str(document())))

    assert named == set(document()["components"]["schemas"])


def test_the_examples_of_a_period_make_one() -> None:
    operations = [each for methods in document()["paths"].values() for each in methods.values()]
    examples = [{p["name"]: p["example"] for p in each.get("parameters", []) if "example" in p} for each in operations]
    periods = [(each["since"], each["until"]) for each in examples if "until" in each]

    assert periods
    assert all(since < until for since, until in periods)


def test_everything_but_health_asks_for_the_secret() -> None:
    operations = [(path, each) for path, methods in document()["paths"].items() for each in methods.values()]

    assert document()["security"] == [{"secret": []}]
    assert [path for path, operation in operations if "security" in operation] == ["/api/health"]
    assert all("401" in operation["responses"] for path, operation in operations if path != "/api/health")


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (int, {"type": "integer"}),
        (Decimal, {"type": "number"}),
        (datetime | None, {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
        (Source, {"type": "string", "enum": ["twilio", "elevenlabs"]}),
        (RunState, {"type": "string", "enum": ["running", "ok", "failed", "skipped", "interrupted"]}),
    ],
)
def test_types_become_schemas(hint: Any, schema: Any) -> None:
    assert schema_of(hint) == schema


def test_a_type_that_has_no_schema_is_told() -> None:
    @dataclass
    class Odd:
        path: Path

    with pytest.raises(TypeError, match=r"no schema for .*Path"):
        schema_of(Odd)


def test_what_a_run_keeps_to_itself_is_not_in_the_document() -> None:
    properties = document()["components"]["schemas"]["SyncRun"]["properties"]

    assert set(schema_of(SyncRun)["properties"]) - set(properties) == {"owner"}


def test_metrics_are_explained_where_they_are_declared() -> None:
    stats = document()["components"]["schemas"]["TwilioStats"]["properties"]

    assert stats["cost_per_billed_minute"]["description"] == (
        "Cost divided by billed minutes, those included that still await a price. Unit: USD."
    )
    assert stats["total_calls"]["description"].startswith("Calls that started in the period")


# The tool that holds answers against the document notices what it is for


def answer(status: int, body: Any) -> httpx.Response:
    return httpx.Response(status, json=body)


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("GET", "/api/workspaces", answer(418, {"error": "I am a teapot."})),
        ("GET", "/api/workspaces", answer(200, {"price_unit": None})),
        ("GET", "/api/workspaces", answer(200, {"price_unit": 1, "workspaces": []})),
        ("GET", "/api/workspaces", answer(200, {"price_unit": None, "workspaces": [], "owner": "host:1"})),
        ("GET", "/api/workspaces?x=1", answer(401, {"error": "Unauthorized", "path": "known"})),
        ("GET", "/api/unknown", answer(200, {})),
        ("DELETE", "/api/workspaces", answer(200, {})),
    ],
)
def test_an_answer_that_is_not_declared_is_noticed(method: str, path: str, given: httpx.Response) -> None:
    with pytest.raises(AssertionError):
        assert_declared(method, path, given)


def test_paths_with_a_number_are_found() -> None:
    assert operation_of("GET", "/api/sync-runs/12?x=1") == ("/api/sync-runs/{run_id}", "get")
    assert operation_of("GET", "/api/sync-runs/x") is None
