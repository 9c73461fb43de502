"""The HTTP API as an OpenAPI document. What answers hold is read from the models and metrics, so it cannot drift."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sync.elevenlabs_metrics import elevenlabs, models, with_allowances
from sync.metrics import USD, Metric, combined, stored, twilio
from sync.models import ElevenLabsTotals, LlmUsage, Source, StoredFailure, SyncRun, TokenUsage, TwilioTotals

Schema = dict[str, Any]

JSON = "application/json"
TEXT = "text/plain"
OTHER_CURRENCY = ""  # than US dollars, whichever it is
MOST_RUNS, USUAL_RUNS = 1000, 50  # in one answer

PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": "number"},
    Decimal: {"type": "number"},
    datetime: {"type": "string", "format": "date-time"},
}
UNPRICED_CALL, UNPRICED_TALK = TwilioTotals(unpriced_calls=1), ElevenLabsTotals(unpriced_conversations=1)
NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}


def schema_of(hint: Any) -> Schema:
    """Return the schema of what `answers.plain` makes of a value of this type."""
    if hint in PLAIN:
        return dict(PLAIN[hint])
    if hint is LlmUsage:
        return map_of(map_of(schema_of(TokenUsage)))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"type": "string", "enum": [*hint]}
    if get_origin(hint) is Literal:
        return {"type": "string", "enum": list(get_args(hint))}
    if isinstance(hint, UnionType):
        (known,) = (part for part in get_args(hint) if part is not NoneType)
        return nullable(schema_of(known))
    if not is_dataclass(hint):
        raise TypeError(f"There is no schema for {hint}.")
    hints = get_type_hints(hint)
    return object_of({each.name: schema_of(hints[each.name]) for each in fields(hint)})


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def map_of(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


def list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def object_of(properties: Mapping[str, Schema], *, optional: Iterable[str] = ()) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in set(optional)],
    }


def component(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _derived(metrics: Iterable[Metric[Any]]) -> dict[str, Schema]:
    return {
        metric.key: {**NUMBER_OR_NULL, "description": f"{metric.formula} Unit: {metric.unit}."} for metric in metrics
    }


def _totals(unpriced: TwilioTotals | ElevenLabsTotals, metrics: Iterable[Metric[Any]]) -> dict[str, Schema]:
    """Return the fields of totals, and the metrics of them; those that are not known of `unpriced` ones may be null."""
    counted: dict[str, Schema] = schema_of(type(unpriced))["properties"]
    for metric in metrics:
        if metric.key in counted:
            schema = counted[metric.key]
            schema = nullable(schema) if metric.value(unpriced) is None else schema
            counted[metric.key] = {**schema, "description": metric.formula}
    return _derived(metrics) | counted


def _stats(totals: Mapping[str, Schema], more: Mapping[str, Schema]) -> Schema:
    workspace = object_of({"workspace_id": schema_of(int), "workspace": schema_of(str), **totals})
    period = {name: nullable(schema_of(datetime)) for name in ("since", "until")}
    return object_of({**period, **totals, "workspaces": list_of(workspace), **more})


def _workspace() -> Schema:
    """Costs of both providers are one sum when both are in US dollars, and two when they are not."""
    of_usd, of_others = (_derived(combined(currency)) for currency in (USD, OTHER_CURRENCY))
    return object_of(
        {
            "id": schema_of(int),
            "name": schema_of(str),
            "twilio": nullable(component("TwilioSnapshot")),
            "elevenlabs": nullable(component("ElevenLabsSnapshot")),
            **of_others,
            **of_usd,
        },
        optional=set(of_usd) ^ set(of_others),
    )


def _snapshot(totals: Mapping[str, Schema]) -> Schema:
    return object_of({"snapshot_date": schema_of(datetime), **totals})


def _run() -> Schema:
    kept = {name: schema for name, schema in schema_of(SyncRun)["properties"].items() if name != "owner"}
    computed = {name: schema_of(float | None) for name in ("records_per_second", "share_walked")}
    return object_of({**kept, **computed, "seconds_left": schema_of(int | None)})


def _model_usage() -> Schema:
    usual = {metric.key for metric in models(LlmUsage())}
    with_others = _derived(models(LlmUsage({"": {"other": TokenUsage()}})))
    return object_of(with_others, optional=set(with_others) - usual)


def _components() -> dict[str, Schema]:
    run = _run()
    return {
        "Error": object_of({"error": {"type": "string", "description": "One sentence that says what to do."}}),
        "Busy": object_of({"error": schema_of(str), "run": component("SyncRun")}),
        "SyncRun": run,
        "SyncRunWithFailures": object_of({**run["properties"], "failures": list_of(schema_of(StoredFailure))}),
        "SyncRuns": object_of({"runs": list_of(component("SyncRun"))}),
        "Synced": object_of({"status": {"const": "ok"}, "run": component("SyncRun")}),
        "Skipped": object_of({"status": {"const": "skipped"}, "reason": schema_of(str), "run": component("SyncRun")}),
        "Started": object_of({"status": {"const": "started"}, "run": component("SyncRun")}),
        "TwilioSnapshot": _snapshot(_totals(UNPRICED_CALL, stored(twilio(USD), TwilioTotals))),
        "ElevenLabsSnapshot": _snapshot(_totals(UNPRICED_TALK, elevenlabs())),
        "TwilioStats": _stats(_totals(UNPRICED_CALL, twilio(USD)), {"price_unit": schema_of(str | None)}),
        "ElevenLabsStats": _stats(_totals(UNPRICED_TALK, with_allowances()), {"llm_models": map_of(_model_usage())}),
        "Workspaces": object_of({"price_unit": schema_of(str | None), "workspaces": list_of(_workspace())}),
        "Health": object_of(
            {
                "status": {"const": "ok"},
                "store": {"const": "ok"},
                "sources": {
                    "type": "object",
                    "propertyNames": schema_of(Source),
                    "additionalProperties": object_of(
                        {
                            "data_through": schema_of(datetime | None),
                            "age_seconds": schema_of(int | None),
                            "warning": schema_of(str | None),
                        }
                    ),
                },
            }
        ),
        "Unhealthy": object_of({"status": {"const": "failed"}, "store": schema_of(str)}),
    }


def _answer(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {JSON: {"schema": schema}}}


def _refusals(**further: str) -> dict[str, Schema]:
    """Return the answers that every route with a secret may give, and further ones as `_404="No such run."`."""
    sentences = {
        "_401": "The secret is missing or wrong, or none is configured.",
        "_413": "The body is larger than anything that a route needs.",
        "_503": "The store cannot be read or written, or the provider is not configured.",
    }
    return {code[1:]: _answer(text, component("Error")) for code, text in (sentences | further).items()}


def _moment(name: str, description: str, *, example: str) -> Schema:
    """A date is its first moment in UTC, and a time without a zone is in UTC."""
    return {"name": name, "in": "query", "description": description, "schema": MOMENT, "example": example}


MOMENT: Schema = {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}, {"maxLength": 0}]}
SINCE = _moment("since", "Start of the period; without it, the beginning.", example="2026-11-01")
UNTIL = _moment("until", "End of the period, not in it; without it, the latest balance.", example="2026-11-08")
PERIOD_IS_WRONG = "since or until is no date, or the period ends before it begins."


def _operation(
    operation_id: str, summary: str, answers: Mapping[str, Schema], parameters: Iterable[Schema] = (), **more: Any
) -> Schema:
    return {
        "operationId": operation_id,
        "summary": summary,
        "parameters": list(parameters),
        "responses": dict(answers),
        **more,
    }


def _sync(operation_id: str, summary: str, finished: Schema) -> Schema:
    answers = {
        "200": _answer("The finished run.", finished),
        "409": _answer("A sync of this source is going on; this is its run.", component("Busy")),
        **_refusals(_502="The provider is down, or does not accept the request; the sentence says what to do."),
    }
    return {"post": _operation(operation_id, summary, answers)}


def _get(operation_id: str, summary: str, name: str, parameters: Iterable[Schema] = (), **refusals: str) -> Schema:
    answers = {"200": _answer(f"{summary}.", component(name)), **_refusals(**refusals)}
    return {"get": _operation(operation_id, summary, answers, parameters)}


def _backfill() -> Schema:
    answers = {
        "202": _answer("It has begun; this is its run.", component("Started")),
        "409": _answer("A historical sync is going on; this is its run.", component("Busy")),
        **_refusals(_400=PERIOD_IS_WRONG, _502="The provider is down; the sentence says what to do."),
    }
    period = object_of({name: {"type": ["string", "null"]} for name in ("since", "until")}, optional=["since", "until"])
    return {
        "post": _operation(
            "startBackfill",
            "Start the historical sync of ElevenLabs: 13 months, or since until, in the query or in the body",
            answers,
            [SINCE, UNTIL],
            requestBody={"required": False, "content": {JSON: {"schema": period}}},
        )
    }


def _metrics() -> Schema:
    told = {
        "description": "The text format of Prometheus, 0.0.4. A store that is down is voice_ledger_store_up 0.",
        "content": {TEXT: {"schema": schema_of(str)}},
    }
    refused = {code: answer for code, answer in _refusals().items() if code != "503"}
    return {"get": _operation("metrics", "Numbers of the store, for Prometheus to scrape", {"200": told, **refused})}


def _paths() -> dict[str, Schema]:
    run_id = {"name": "run_id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}}
    source = {"name": "source", "in": "query", "schema": schema_of(Source)}
    limit = {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_RUNS, "default": USUAL_RUNS},
    }
    health = {
        "200": _answer("The store is reachable; how old the newest data of each source is.", component("Health")),
        "503": _answer("The store is not reachable.", component("Unhealthy")),
    }
    skipped = {"oneOf": [component("Synced"), component("Skipped")]}
    return {
        "/api/sync-hourly": _sync("syncTwilio", "Sync Twilio now", component("Synced")),
        "/api/sync-elevenlabs-hourly": _sync("syncElevenLabs", "Sync ElevenLabs now", skipped),
        "/api/sync-elevenlabs": _backfill(),
        "/api/sync-runs": _get(
            "listRuns", "The history, newest first", "SyncRuns", [source, limit], _400="source or limit is wrong."
        ),
        "/api/sync-runs/{run_id}": _get(
            "showRun",
            "A run, with its progress and the records that failed",
            "SyncRunWithFailures",
            [run_id],
            _404="No such run.",
        ),
        "/api/twilio-stats": _get(
            "twilioStats",
            "Twilio totals of all and of each workspace",
            "TwilioStats",
            [SINCE, UNTIL],
            _400=PERIOD_IS_WRONG,
        ),
        "/api/elevenlabs-stats": _get(
            "elevenLabsStats",
            "ElevenLabs totals of all and of each workspace",
            "ElevenLabsStats",
            [SINCE, UNTIL],
            _400=PERIOD_IS_WRONG,
        ),
        "/api/workspaces": _get("listWorkspaces", "The latest balances of both providers per workspace", "Workspaces"),
        "/api/metrics": _metrics(),
        "/api/openapi.json": {
            "get": _operation(
                "document", "This document", {"200": _answer("OpenAPI 3.1.", {"type": "object"}), **_refusals()}
            )
        },
        "/api/health": {"get": _operation("health", "Whether it works; needs no secret", health, security=[])},
    }


def document() -> Schema:
    """Return the document. Money is exact decimal numbers, times are ISO 8601 in UTC."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Voice Ledger",
            "version": "1",
            "description": "Hourly balances of Twilio calls and ElevenLabs conversations. Periods are [since, until); "
            "a date is its first moment in UTC. Money is exact decimal numbers. What is not known is null, never 0.",
        },
        "security": [{"secret": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"secret": {"type": "http", "scheme": "bearer", "description": "CRON_SECRET"}},
            "schemas": _components(),
        },
    }
