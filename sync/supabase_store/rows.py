"""Between Python values and the JSON of the SQL functions: every amount travels as text, and so stays exact."""

from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, get_type_hints

import simplejson

from sync.answers import plain
from sync.models import (
    PRICE_PLACES,
    AnyTotals,
    CallLeg,
    Conversation,
    LlmUsage,
    RunKind,
    RunState,
    Snapshot,
    SyncRun,
    TokenUsage,
)
from sync.times import iso

Json = Any

PRICES_OF_CONVERSATION = {
    *("cost", "llm_price", "platform_price", "free_minutes_consumed", "free_llm_dollars_consumed"),
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


def totals(kind: type[AnyTotals], row: Json) -> AnyTotals:
    amounts: dict[str, Any] = {name: _amount(hint, row[name]) for name, hint in get_type_hints(kind).items()}
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


def snapshot(kind: type[AnyTotals], row: Json) -> Snapshot[AnyTotals]:
    return Snapshot(
        workspace_id=row["workspace_id"],
        snapshot_date=sure_moment(row["snapshot_date"]),
        created_at=sure_moment(row["created_at"]),
        totals=totals(kind, row["totals"]),
    )


def sync_run(row: Json) -> SyncRun:
    values = {f.name: row[f.name] for f in fields(SyncRun)}
    times = ("window_start", "window_end", "started_at", "heartbeat_at", "finished_at")
    return SyncRun(
        **values
        | {name: moment(values[name]) for name in times}
        | {"kind": RunKind(values["kind"]), "state": RunState(values["state"])}
    )
