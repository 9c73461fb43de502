"""Runs, findings and totals as JSON: the same names in the API and in `--json`, money as exact numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

import simplejson

from sync.metrics import Metric, values
from sync.models import SyncRun
from sync.times import iso

T = TypeVar("T")


def plain(value: Any) -> Any:
    """Return dataclasses as objects, times as ISO-8601 and money as plain decimals, all the way down."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Decimal):
        return Decimal(f"{value.normalize():f}")  # 12.50000000 is 12.5, and 1E+3 is 1000
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return iso(value)
    if is_dataclass(value):
        return plain(_fields(value))
    return plain(dict(value)) if isinstance(value, Mapping) else value


def of_totals(totals: T, metrics: Iterable[Metric[T]]) -> dict[str, Any]:
    """Return totals field by field and what is computed from them, as the pages and downloads show it."""
    return {**_fields(totals), **values(metrics, totals)}


def _fields(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def to_json(value: Any, *, indent: int | None = None) -> str:
    return _encoder(indent).encode(plain(value))


@cache
def _encoder(indent: int | None) -> simplejson.JSONEncoder:
    return simplejson.JSONEncoder(use_decimal=True, ensure_ascii=False, indent=indent)


def of_run(run: SyncRun) -> dict[str, Any]:
    """Return a run as people may see it: without the process that owned it, with its speed and the time left."""
    answer: dict[str, Any] = plain(run)
    del answer["owner"]
    for name in ("records_per_second", "share_walked"):
        value = getattr(run, name)
        answer[name] = None if value is None else round(value, 4)
    answer["seconds_left"] = run.seconds_left
    return answer
