"""The HTTP API under /api: sync now, history, statistics, health. JSON in every case, closed without a secret."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog
from anyio import move_on_after, to_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sync import answers, openapi, prometheus
from sync.api_gate import BearerAuth, BoundedBody, Json
from sync.api_reads import Reads
from sync.backfill import USUAL_BACKFILL
from sync.background import background_syncs
from sync.bootstrap import Services
from sync.elevenlabs_metrics import elevenlabs, of_models, with_allowances
from sync.errors import (
    AlreadyRunningError,
    NotConfiguredError,
    ProviderError,
    StoppedError,
    StoreError,
    VoiceLedgerError,
)
from sync.freshness import freshness_of, notable_runs
from sync.metrics import USD, CombinedTotals, Metric, combined, stored, twilio, values
from sync.models import SOURCES, AnyTotals, ElevenLabsTotals, RunState, Snapshot, Source, TwilioTotals, Workspace
from sync.openapi import MOST_RUNS, USUAL_RUNS
from sync.pace import Pace
from sync.usage import elevenlabs_usage, total_of, twilio_usage

ROOT = "/api"
STORE_WITHIN = 8.0  # seconds; Prometheus and Docker give up after 10, and a store that is down is asked for a minute
UNREADABLE = "The store cannot be read; the log and `python -m sync doctor` say why."
LARGEST_ID = 2**63 - 1  # that a database can hold

log = structlog.get_logger()


class Api:
    """The handlers. Each is an ordinary function that Starlette runs in a worker thread."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store = services.store
        self._background = background_syncs(services)
        self._one_look = Reads(at_once=1).endpoint(self._health)

    def sync_twilio(self, request: Request) -> Json:
        return self._sync("twilio")

    def sync_elevenlabs(self, request: Request) -> Json:
        return self._sync("elevenlabs")

    def _sync(self, source: Source) -> Json:
        run = self._services.sync(source)
        if run.state is RunState.SKIPPED:
            return Json({"status": "skipped", "reason": run.message, "run": answers.of_run(run)})
        return Json({"status": "ok", "run": answers.of_run(run)})

    async def backfill_elevenlabs(self, request: Request) -> Json:
        """Start the historical sync of `since` to `until`, in the query or a JSON body, and say its run's id."""
        period = _period({**await _json_object(request), **request.query_params})
        return await run_in_threadpool(self._start_backfill, *period)

    def _start_backfill(self, since: datetime | None, until: datetime | None) -> Json:
        now = self._services.clock()
        since = since or now - USUAL_BACKFILL
        if since >= (until or now):
            raise HTTPException(400, "since must be before until, and not in the future.")
        run = self._background.start_backfill("elevenlabs", since, until)
        return Json({"status": "started", "run": answers.of_run(run)}, status_code=202)

    def list_runs(self, request: Request) -> Json:
        """Newest first; `source` and `limit` narrow the list."""
        source = request.query_params.get("source")
        if source is not None and source not in SOURCES:
            raise HTTPException(400, f"source must be one of {', '.join(SOURCES)}.")
        runs = self._store.runs(next((s for s in SOURCES if s == source), None), limit=_limit(request))
        return Json({"runs": [answers.of_run(run) for run in runs]})

    def show_run(self, request: Request) -> Json:
        run_id: int = request.path_params["run_id"]
        run = self._store.run(run_id) if run_id <= LARGEST_ID else None
        if run is None:
            raise HTTPException(404, "There is no run with this id.")
        failures = self._store.failures(run.source) if run.failed else []
        return Json(answers.of_run(run) | {"failures": answers.plain(failures)})

    def twilio_stats(self, request: Request) -> Json:
        since, until = _period(request.query_params)
        usage = twilio_usage(self._store, since, until)
        currency = self._store.price_unit()
        shown = twilio(currency or USD)
        return Json(
            {
                **_stats(self._store.workspaces(), usage, TwilioTotals(), shown, since, until),
                "price_unit": currency,
            }
        )

    def elevenlabs_stats(self, request: Request) -> Json:
        since, until = _period(request.query_params)
        usage = elevenlabs_usage(self._store, since, until)
        total = total_of(usage.values(), ElevenLabsTotals())
        return Json(
            {
                **_stats(self._store.workspaces(), usage, ElevenLabsTotals(), with_allowances(), since, until),
                "llm_models": of_models(total.llm_usage),
            }
        )

    def workspaces(self, request: Request) -> Json:
        """The latest snapshot of both sources per workspace, null where there is none yet, and both together."""
        calls = {snapshot.workspace_id: snapshot for snapshot in self._store.twilio_snapshots()}
        talks = {snapshot.workspace_id: snapshot for snapshot in self._store.elevenlabs_snapshots()}
        currency = self._store.price_unit()
        of_calls, of_talks = stored(twilio(currency or USD), TwilioTotals), elevenlabs()
        of_both = combined(currency or USD)
        return Json(
            {
                "price_unit": currency,
                "workspaces": [
                    {
                        "id": workspace.id,
                        "name": workspace.name,
                        "twilio": _snapshot(calls.get(workspace.id), of_calls),
                        "elevenlabs": _snapshot(talks.get(workspace.id), of_talks),
                        **values(of_both, _together(calls.get(workspace.id), talks.get(workspace.id))),
                    }
                    for workspace in self._store.workspaces()
                ],
            }
        )

    async def metrics(self, request: Request) -> Response:
        """The numbers that Prometheus scrapes. A store that is down is one of them, not a scrape that failed."""
        figures: prometheus.Figures | None = None
        with move_on_after(STORE_WITHIN), suppress(StoreError):
            figures = await to_thread.run_sync(self._figures, abandon_on_cancel=True)
        return Response(prometheus.exposition(figures), headers={"content-type": prometheus.CONTENT_TYPE})

    def _figures(self) -> prometheus.Figures:
        return prometheus.read_figures(self._store, self._services.sources(), now=self._services.clock())

    def openapi_document(self, request: Request) -> Json:
        return Json(openapi.document())

    async def health(self, request: Request) -> Response:
        """Process up, store reachable, and how old the newest data of each source is, in seconds.

        Anybody may ask, so all who wait share one look at the store, whatever else they say.
        """
        with move_on_after(STORE_WITHIN):
            return await self._one_look(Request({**request.scope, "query_string": b""}))
        return Json({"status": "failed", "store": UNREADABLE}, status_code=503)

    def _health(self, request: Request) -> Json:
        now = self._services.clock()
        try:
            runs = notable_runs(self._store, now=now)
        except StoreError as exc:
            log.warning("The store cannot be read", problem=str(exc))  # which may name a file: not for everybody
            return Json({"status": "failed", "store": UNREADABLE}, status_code=503)
        states = {source: freshness_of(runs, source, now=now) for source in self._services.sources()}
        ages = {
            source: {
                "data_through": state.through,
                "age_seconds": None if state.age is None else int(state.age.total_seconds()),
                "warning": state.warning,
            }
            for source, state in states.items()
        }
        return Json({"status": "ok", "store": "ok", "sources": ages})


def _stats(
    workspaces: list[Workspace],
    usage: Mapping[int, AnyTotals],
    nothing: AnyTotals,
    metrics: Sequence[Metric[AnyTotals]],
    since: datetime | None,
    until: datetime | None,
) -> dict[str, Any]:
    """Return the sum, then each workspace with usage; all of it from the same balances."""
    return {
        "since": since,
        "until": until,
        **answers.of_totals(total_of(usage.values(), nothing), metrics),
        "workspaces": [
            {
                "workspace_id": workspace.id,
                "workspace": workspace.name,
                **answers.of_totals(usage[workspace.id], metrics),
            }
            for workspace in workspaces
            if workspace.id in usage
        ],
    }


def _snapshot(snapshot: Snapshot[AnyTotals] | None, metrics: Sequence[Metric[AnyTotals]]) -> dict[str, Any] | None:
    if snapshot is None:
        return None
    return {"snapshot_date": snapshot.snapshot_date, **answers.of_totals(snapshot.totals, metrics)}


def _together(calls: Snapshot[TwilioTotals] | None, talks: Snapshot[ElevenLabsTotals] | None) -> CombinedTotals:
    return CombinedTotals(
        twilio=calls.totals if calls else TwilioTotals(), elevenlabs=talks.totals if talks else ElevenLabsTotals()
    )


async def _json_object(request: Request) -> dict[str, str]:
    """Return the fields of a JSON object, which BoundedBody keeps small; an empty body has none."""
    body = await request.body()
    try:
        fields = json.loads(body or b"{}")
    except (ValueError, RecursionError) as exc:
        raise HTTPException(400, 'The body must be JSON, such as {"since": "2026-01-01"}.') from exc
    if not isinstance(fields, dict) or not all(isinstance(value, str | None) for value in fields.values()):
        raise HTTPException(400, 'The body must be a JSON object of texts, such as {"since": "2026-01-01"}.')
    return fields


def _period(params: Mapping[str, str]) -> tuple[datetime | None, datetime | None]:
    """Return `[since, until)` of the query; dates and times without a zone are UTC."""
    since, until = (_moment(params.get(name), name) for name in ("since", "until"))
    if since and until and since >= until:
        raise HTTPException(400, "since must be before until.")
    return since, until


def _moment(text: str | None, name: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign that was not encoded arrives as a space
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise HTTPException(400, f"{name} must be a date such as 2026-11-01, or a date and time in ISO 8601.") from exc


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(USUAL_RUNS))
    if not text.isdecimal() or len(text) > len(str(MOST_RUNS)) or not 1 <= int(text) <= MOST_RUNS:
        raise HTTPException(400, f"limit must be a number from 1 to {MOST_RUNS}.")
    return int(text)


def _refuse(request: Request, exc: Exception) -> Response:
    """Turn an error into its status and one sentence; a program error says nothing about its inside."""
    if isinstance(exc, HTTPException):
        return Json({"error": exc.detail}, status_code=exc.status_code, headers=exc.headers)
    if isinstance(exc, AlreadyRunningError):
        return Json({"error": str(exc), "run": answers.of_run(exc.run)}, status_code=409)
    if isinstance(exc, VoiceLedgerError):
        status = next((code for kind, code in STATUSES.items() if isinstance(exc, kind)), 500)
        return Json({"error": str(exc)}, status_code=status)
    log.error("An API request failed", exc_info=exc, method=request.method, path=request.url.path)
    return Json({"error": "An error in the program; its log has the details."}, status_code=500)


STATUSES = {NotConfiguredError: 503, ProviderError: 502, StoreError: 503, StoppedError: 503}


def application(services: Services, *, guesses: Pace | None = None) -> Starlette:
    """Return what answers everything under /api, so that no page shows through. `guesses` slows wrong secrets down."""
    api = Api(services)
    read = Reads().endpoint
    routes = [
        Route(f"{ROOT}/sync-hourly", api.sync_twilio, methods=["POST"]),
        Route(f"{ROOT}/sync-elevenlabs-hourly", api.sync_elevenlabs, methods=["POST"]),
        Route(f"{ROOT}/sync-elevenlabs", api.backfill_elevenlabs, methods=["POST"]),
        Route(f"{ROOT}/sync-runs", read(api.list_runs)),
        Route(f"{ROOT}/sync-runs/{{run_id:int}}", read(api.show_run)),
        Route(f"{ROOT}/twilio-stats", read(api.twilio_stats)),
        Route(f"{ROOT}/elevenlabs-stats", read(api.elevenlabs_stats)),
        Route(f"{ROOT}/workspaces", read(api.workspaces)),
        Route(f"{ROOT}/metrics", api.metrics),
        Route(f"{ROOT}/openapi.json", api.openapi_document),
        Route(f"{ROOT}/health", api.health),
    ]
    answering = Starlette(
        routes=routes,
        middleware=[
            Middleware(BearerAuth, secret=services.settings.cron_secret, guesses=guesses),
            Middleware(BoundedBody),
        ],
        exception_handlers={HTTPException: _refuse, VoiceLedgerError: _refuse, Exception: _refuse},
    )
    answering.router.redirect_slashes = False  # to an address made of what the caller says our host is
    return answering


class PastThePages:
    """Hands everything under /api straight to what answers it, and the rest on to the pages.

    Streamlit's own layers between are for pages (its cookie, its compression), and cost more than most answers. And its
    own look at the path, not a route's: the pattern of a `Mount` ends at a line break, and the page would show.
    """

    def __init__(self, app: ASGIApp, answering: ASGIApp) -> None:
        self._app = app
        self._answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = f"{scope.get('path', '')}/".startswith(f"{ROOT}/")
        await (self._answering if is_ours else self._app)(scope, receive, send)
