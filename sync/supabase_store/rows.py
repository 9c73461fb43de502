"""Between Python values and the JSON of the SQL functions: every amount travels as text, and so stays exact."""

from collections.abc import Collection
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, get_type_hints

import simplejson

from sync.answers import plain
from sync.models import (
    PRICE_PLACES,
    PRICES_OF_CONVERSATION,
    AnyTotals,
    CallLeg,
    Conversation,
    Cost,
    ElevenLabsTotals,
    LlmUsage,
    RunKind,
    RunState,
    Snapshot,
    Statement,
    StoredFailure,
    SyncRun,
    TokenUsage,
    TwilioTotals,
    UnregisteredAgent,
    UnregisteredNumber,
)
from sync.times import iso

Json = Any

HINTS: dict[Any, dict[str, Any]] = {
    kind: {f.name: get_type_hints(kind)[f.name] for f in fields(kind)} for kind in (TwilioTotals, ElevenLabsTotals)
}


def to_batch(records: Any) -> str:
    """Return records (dataclasses of models.py) as the JSON text that the save functions take."""
    return simplejson.dumps(plain(records), use_decimal=True)


def moment(value: str | None) -> datetime | None:
    return sure_moment(value) if value else None


def sure_moment(value: str) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC)


def iso_or_none(value: datetime | None) -> str | None:
    return iso(value) if value else None


def ids_or_none(workspaces: Collection[int] | None) -> list[int] | None:
    return None if workspaces is None else sorted(workspaces)


def totals(kind: type[AnyTotals], row: Json) -> AnyTotals:
    amounts: dict[str, Any] = {name: _amount(hint, row[name]) for name, hint in HINTS[kind].items()}
    return kind(**amounts)


def _amount(hint: type, text: str | None) -> Decimal | int | LlmUsage:
    if hint is LlmUsage:
        return llm_usage(text)
    amount = Decimal(text or "0")
    return int(amount) if hint is int else amount.quantize(PRICE_PLACES)


def llm_usage(text: str | None) -> LlmUsage:
    models = simplejson.loads(text or "{}", use_decimal=True)
    return LlmUsage(
        {
            model: {
                name: TokenUsage(tokens=int(used["tokens"]), price=Decimal(used["price"]))
                for name, used in categories.items()
            }
            for model, categories in models.items()
        }
    )


def call_leg(row: Json) -> CallLeg:
    plain_row = {f.name: row[f.name] for f in fields(CallLeg)}
    times = {name: moment(row[name]) for name in ("started_at", "ended_at", "fetched_at")}
    return CallLeg(**plain_row | times | {"cost": _price_if_known(row["cost"])})


def conversation(row: Json) -> Conversation:
    plain_row = {f.name: row[f.name] for f in fields(Conversation)}
    times = {name: moment(row[name]) for name in ("started_at", "fetched_at")}
    prices = {name: _price_if_known(row[name]) for name in PRICES_OF_CONVERSATION}
    return Conversation(**plain_row | times | prices | {"llm_usage": llm_usage(row["llm_usage"])})


def _price_if_known(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text).quantize(PRICE_PLACES)


def statement(kind: type[AnyTotals], answer: Json, *, edges: int) -> Statement[AnyTotals]:
    """Return the statement; of its moments the first closes and the second, if there is one, opens."""
    balances: list[dict[int, AnyTotals]] = [{}, {}]
    for row in answer["balances"]:
        balances[row["place"] - 1][row["workspace_id"]] = totals(kind, row["totals"])
    sums = [kind()] * edges
    for row in answer["sums"]:
        sums[row["place"] - 1] = totals(kind, row["totals"])
    costs = {int(workspace): [Cost()] * edges for workspace in answer["costs"]}
    for workspace, at_edges in answer["costs"].items():
        for place, units, unpriced in at_edges:
            costs[int(workspace)][place - 1] = Cost(units, unpriced)
    return Statement(opening=balances[1], closing=balances[0], sums=sums, costs=costs)


def snapshot(kind: type[AnyTotals], row: Json) -> Snapshot[AnyTotals]:
    return Snapshot(
        workspace_id=row["workspace_id"],
        snapshot_date=sure_moment(row["snapshot_date"]),
        created_at=sure_moment(row["created_at"]),
        totals=totals(kind, row["totals"]),
    )


def stored_failure(row: Json) -> StoredFailure:
    times = {name: sure_moment(row[name]) for name in ("first_failed_at", "last_failed_at")}
    return StoredFailure(**row | times)


def sync_run(row: Json) -> SyncRun:
    values = {f.name: row[f.name] for f in fields(SyncRun)}
    times = ("window_start", "window_end", "position", "started_at", "heartbeat_at", "finished_at")
    return SyncRun(
        **values
        | {name: moment(values[name]) for name in times}
        | {"kind": RunKind(values["kind"]), "state": RunState(values["state"])}
    )


def unregistered_number(row: Json) -> UnregisteredNumber:
    costs = {name: _price_if_known(row[name]) for name in ("twilio_cost", "elevenlabs_cost")}
    times = {name: sure_moment(row[name]) for name in ("first_seen", "last_seen")}
    return UnregisteredNumber(**row | costs | times)


def unregistered_agent(row: Json) -> UnregisteredAgent:
    return UnregisteredAgent(**row | {"cost": _price_if_known(row["cost"]), "last_seen": sure_moment(row["last_seen"])})
