"""What all runs and failures add up to, in one call each."""

from datetime import datetime
from typing import Any

from sync.models import RunKind, RunState, RunTotals, Source
from sync.supabase_store.functions import Functions
from sync.times import iso


def run_totals(functions: Functions, alive_since: datetime) -> list[RunTotals]:
    rows: list[dict[str, Any]] = functions.call("run_totals", p_alive_since=iso(alive_since))
    return [
        RunTotals(
            **row | {"kind": RunKind(row["kind"]), "state": RunState(row["state"]), "seconds": float(row["seconds"])}
        )
        for row in rows
    ]


def waiting_failures(functions: Functions) -> dict[Source, int]:
    counts: dict[Source, int] = functions.call("waiting_failures")
    return counts
