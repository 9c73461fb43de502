"""Between Python values and SQLite rows: exact prices, UTC times, one list of columns per record."""

import sqlite3
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from sync.models import (
    PRICE_PLACES,
    PRICES_OF_CONVERSATION,
    AnyTotals,
    CallLeg,
    Conversation,
    ElevenLabsTotals,
    LlmUsage,
    RunKind,
    RunState,
    StoredFailure,
    SyncRun,
    TwilioTotals,
)
from sync.sqlite_store.usage_json import from_json, to_json
from sync.times import iso

Columns = tuple[str, ...]


@cache
def columns(record: type) -> Columns:
    return tuple(f.name for f in fields(record))


CALL = columns(CallLeg)
CONVERSATION = columns(Conversation)
TWILIO_TOTALS = columns(TwilioTotals)
ELEVENLABS_TOTALS = columns(ElevenLabsTotals)
PLAIN_ELEVENLABS_TOTALS = tuple(name for name in ELEVENLABS_TOTALS if name != "llm_usage")

PRICES = {
    "total_cost",
    "llm_price",
    "platform_price",
    "free_minutes_consumed",
    "free_llm_dollars_consumed",
}


def to_sql(value: Any) -> Any:
    """Return what SQLite stores. A price of at most 15 digits is told apart from every other as a double."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, LlmUsage):
        return to_json(value)
    return value


def to_row(record: Any) -> dict[str, Any]:
    """Return the columns of a record (a dataclass of models.py) by name."""
    return {name: to_sql(getattr(record, name)) for name in columns(record.__class__)}


def price(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(PRICE_PLACES)


def moment(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value).astimezone(UTC) if value else None


def sure_moment(value: str) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC)


def twilio_totals(row: sqlite3.Row) -> TwilioTotals:
    return TwilioTotals(**_plain_totals(row, TWILIO_TOTALS))


def elevenlabs_totals(row: sqlite3.Row) -> ElevenLabsTotals:
    plain = _plain_totals(row, ELEVENLABS_TOTALS)
    return ElevenLabsTotals(**plain | {"llm_usage": from_json(plain["llm_usage"])})


def _plain_totals(row: sqlite3.Row, names: Columns) -> dict[str, Any]:
    return {name: price(row[name]) if name in PRICES else row[name] for name in names}


def totals_of_units(kind: type[AnyTotals], sums: Iterable[int]) -> AnyTotals:
    """Return the sums of `summed(kind)`, amounts in units of 1e-8, as totals."""
    pairs = zip(summed(kind), sums, strict=True)
    totals: dict[str, Any] = {name: Decimal(n).scaleb(-8) if name in PRICES else n for name, n in pairs}
    return kind(**totals)


def summed(kind: type[AnyTotals]) -> Columns:
    """Return the names of what is a plain number; token usage per model is not."""
    return TWILIO_TOTALS if kind is TwilioTotals else PLAIN_ELEVENLABS_TOTALS


def call_leg(row: sqlite3.Row) -> CallLeg:
    plain = {name: row[name] for name in CALL}
    times = {name: moment(plain[name]) for name in ("started_at", "ended_at", "fetched_at")}
    return CallLeg(**plain | times | {"cost": _price_if_known(plain["cost"])})


def conversation(row: sqlite3.Row) -> Conversation:
    plain = {name: row[name] for name in CONVERSATION}
    times = {name: moment(plain[name]) for name in ("started_at", "fetched_at")}
    prices = {name: _price_if_known(plain[name]) for name in PRICES_OF_CONVERSATION}
    flags = {name: bool(plain[name]) for name in ("dev_discount", "is_burst")}
    return Conversation(**plain | times | prices | flags | {"llm_usage": from_json(plain["llm_usage"])})


def _price_if_known(value: float | None) -> Decimal | None:
    return None if value is None else price(value)


def stored_failure(row: sqlite3.Row) -> StoredFailure:
    times = {name: sure_moment(row[name]) for name in ("first_failed_at", "last_failed_at")}
    return StoredFailure(**dict(row) | times)


def sync_run(row: sqlite3.Row) -> SyncRun:
    plain = {f.name: row[f.name] for f in fields(SyncRun)}
    times = ("window_start", "window_end", "position", "started_at", "heartbeat_at", "finished_at")
    return SyncRun(
        **plain
        | {name: moment(plain[name]) for name in times}
        | {"kind": RunKind(plain["kind"]), "state": RunState(plain["state"])}
    )
