"""What a balance says at a moment: latest snapshots, and balances cut at any second for usage and series."""

import sqlite3
from collections.abc import Callable
from datetime import datetime

from sync.models import AnyTotals, ElevenLabsTotals, Snapshot, Source, TwilioTotals
from sync.sqlite_store.balances import RECORDS, SNAPSHOTS, SUMS
from sync.sqlite_store.rows import PRICES, elevenlabs_totals, sure_moment, twilio_totals
from sync.sqlite_store.selection import AT_THE_END
from sync.times import floor_hour, iso


def twilio_snapshots(db: sqlite3.Connection) -> list[Snapshot[TwilioTotals]]:
    return _latest(db, "twilio", twilio_totals)


def elevenlabs_snapshots(db: sqlite3.Connection) -> list[Snapshot[ElevenLabsTotals]]:
    return _latest(db, "elevenlabs", elevenlabs_totals)


def twilio_balances(db: sqlite3.Connection, at: datetime | None) -> dict[int, TwilioTotals]:
    """Return each workspace's totals over everything that started before `at` (None: everything)."""
    return _balances(db, "twilio", at, twilio_totals)


def elevenlabs_balances(db: sqlite3.Connection, at: datetime | None) -> dict[int, ElevenLabsTotals]:
    """Return each workspace's totals over everything that started before `at` (None: everything)."""
    return _balances(db, "elevenlabs", at, elevenlabs_totals)


def _latest(
    db: sqlite3.Connection, source: Source, read: Callable[[sqlite3.Row], AnyTotals], before: str = AT_THE_END
) -> list[Snapshot[AnyTotals]]:
    # The cross join keeps SQLite to this order, two look-ups per workspace; else it walks through every balance.
    rows = db.execute(
        f"""
        select snapshot.* from workspaces cross join {SNAPSHOTS[source]} as snapshot
            on snapshot.workspace_id = workspaces.id and snapshot.snapshot_date = (
                select max(snapshot_date) from {SNAPSHOTS[source]}
                where workspace_id = workspaces.id and snapshot_date < ?
            )
        order by workspaces.id = 0, workspaces.name
        """,
        (before,),
    )
    return [
        Snapshot(
            workspace_id=row["workspace_id"],
            snapshot_date=sure_moment(row["snapshot_date"]),
            created_at=sure_moment(row["created_at"]),
            totals=read(row),
        )
        for row in rows
    ]


def _balances(
    db: sqlite3.Connection, source: Source, at: datetime | None, read: Callable[[sqlite3.Row], AnyTotals]
) -> dict[int, AnyTotals]:
    before = iso(floor_hour(at)) if at else AT_THE_END
    balances = {snapshot.workspace_id: snapshot.totals for snapshot in _latest(db, source, read, before)}
    if at and at != floor_hour(at):
        for workspace_id, totals in _part_of_hour(db, source, at, read).items():
            balances[workspace_id] = balances[workspace_id] + totals if workspace_id in balances else totals
    return balances


def _part_of_hour(
    db: sqlite3.Connection, source: Source, at: datetime, read: Callable[[sqlite3.Row], AnyTotals]
) -> dict[int, AnyTotals]:
    """Add up the records between the full hour and `at`: balances are kept by the hour, time zones are not."""
    sums = ", ".join(_sum(total, term) for total, term in SUMS[source].items())
    rows = db.execute(
        f"""
        select workspace_id, {sums} from {RECORDS[source]}
        where started_at >= ? and started_at < ? group by workspace_id
        """,
        (iso(floor_hour(at)), iso(at)),
    )
    return {row["workspace_id"]: read(row) for row in rows}


def _sum(total: str, term: str) -> str:
    nothing = "'{}'" if total == "llm_usage" else "0"
    return f"coalesce({term}, {nothing})" + (" / 1e8" if total in PRICES else "") + f" as {total}"
