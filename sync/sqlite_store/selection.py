"""What a question is about, as SQL: a stretch of time and some workspaces. And exact sums: amounts in units of 1e-8."""

import json
from collections.abc import Collection
from datetime import datetime

from sync.sqlite_store.rows import PRICES
from sync.times import iso

AT_THE_BEGINNING, AT_THE_END = "", "9"  # sort before and after every date


def stretch(since: datetime | None, until: datetime | None) -> dict[str, str]:
    return {"since": iso(since) if since else AT_THE_BEGINNING, "until": iso(until) if until else AT_THE_END}


def of_workspaces(column: str, workspaces: Collection[int] | None) -> str:
    """Return a condition that reads the parameter `workspaces`. The plus keeps SQLite to the index on time."""
    return "true" if workspaces is None else f"+{column} in (select value from json_each(:workspaces))"


def as_parameter(workspaces: Collection[int] | None) -> dict[str, str]:
    return {"workspaces": json.dumps(sorted(workspaces or ()))}


def units(total: str) -> str:
    """Return a stored total in units of 1e-8. Whole and broken part apart: their product is past a double's digits."""
    if total.rpartition(".")[2] not in PRICES:
        return total
    whole = f"cast({total} as integer)"
    return f"({whole} * 100000000 + cast(round(({total} - {whole}) * 1e8) as integer))"
