"""Balances: what the records of a workspace add up to, hour by hour, as running totals.

Sums of prices are taken over whole units of 1e-8, which are exact integers, and divided once at the end.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

from sync.models import Source
from sync.sqlite_store.rows import PRICES
from sync.sqlite_store.selection import AT_THE_BEGINNING, AT_THE_END, units
from sync.sqlite_store.usage_json import change

# Amounts in different currencies are never added: a leg in another one than the account's counts as unpriced. Nothing
# is nothing in every currency, and does not fix the account's either.
ACCOUNT_CURRENCY = "(select value from store_meta where key = 'price_unit')"
FOREIGN = f"cost <> 0 and price_unit <> {ACCOUNT_CURRENCY}"

TWILIO_SUMS = {
    "total_calls": "count(*) filter (where parent_call_sid is null)",
    "total_legs": "count(*)",
    "total_cost": f"sum(cast(round(cost * 1e8) as integer)) filter (where ({FOREIGN}) is not true)",
    "total_duration": "sum(duration) filter (where parent_call_sid is null)",
    "billed_minutes": "sum((duration + 59) / 60)",
    "unpriced_calls": f"count(*) filter (where cost is null or ({FOREIGN}))",
}

ELEVENLABS_SUMS = {
    "total_conversations": "count(*)",
    "total_cost": "sum(cast(round(cost * 1e8) as integer))",
    "total_duration": "sum(duration)",
    "total_credits": "sum(credits)",
    "llm_price": "sum(cast(round(llm_price * 1e8) as integer))",
    "llm_charge": "sum(llm_charge)",
    "platform_price": "sum(cast(round(platform_price * 1e8) as integer))",
    "call_charge": "sum(call_charge)",
    "free_minutes_consumed": "sum(cast(round(free_minutes_consumed * 1e8) as integer))",
    "free_llm_dollars_consumed": "sum(cast(round(free_llm_dollars_consumed * 1e8) as integer))",
    "dev_discount": "sum(dev_discount)",
    "unpriced_conversations": "count(*) filter (where cost is null)",
    "llm_usage": "sum_llm_usage(llm_usage)",
}

RECORDS = {"twilio": "calls", "elevenlabs": "elevenlabs_conversations"}
SNAPSHOTS = {"twilio": "twilio_snapshots", "elevenlabs": "elevenlabs_snapshots"}
SUMS = {"twilio": TWILIO_SUMS, "elevenlabs": ELEVENLABS_SUMS}

EVERYTHING = f"select id as workspace_id, '{AT_THE_BEGINNING}' as since, '{AT_THE_END}' as until from workspaces"


def added_up(source: Source, totals: Iterable[str]) -> str:
    """Return columns that add these totals up from records, amounts in units of 1e-8."""
    return ", ".join(f"coalesce({SUMS[source][total]}, 0)" for total in totals)


def refresh(db: sqlite3.Connection, source: Source) -> None:
    """Bring the balances up to date that changes of records made stale, and only those."""
    while refresh_next(db, source):
        pass


def refresh_next(db: sqlite3.Connection, source: Source) -> bool:
    """Refresh the balances of one workspace; tell whether there was one to refresh.

    History comes newest first, so the one whose latest stale hour is the latest has waited longest.
    """
    stale = db.execute(
        "select * from stale_balances where source = ? order by until desc, workspace_id desc limit 1", (source,)
    ).fetchone()
    if stale is None:
        return False
    workspace: int = stale["workspace_id"]
    db.execute("delete from stale_balances where source = ? and workspace_id = ?", (source, workspace))
    before = _balance_at(db, source, workspace, stale["until"])
    _recompute(db, source, stale)
    after = _balance_at(db, source, workspace, stale["until"])
    if before != after:
        _move_later(db, source, stale, before, after)
    return True


def _recompute(db: sqlite3.Connection, source: Source, stale: sqlite3.Row) -> None:
    """Add up the records from hour `since` to hour `until`, on top of the last balance before."""
    snapshots, totals = SNAPSHOTS[source], list(SUMS[source])
    db.execute(
        f"""
        delete from {snapshots} as snapshot
        where workspace_id = :workspace_id and snapshot_date between :since and :until and not exists (
            select 1 from {RECORDS[source]} as record
            where record.workspace_id = :workspace_id and record.started_hour = snapshot.snapshot_date
        )
        """,
        dict(stale),
    )
    db.execute(
        f"""
        {_running_totals(source, scope="select :workspace_id as workspace_id, :since as since, :until as until")}
        insert into {snapshots} (workspace_id, snapshot_date, {", ".join(totals)})
        select workspace_id, snapshot_date, {", ".join(totals)} from running where snapshot_date >= since
        on conflict (workspace_id, snapshot_date) do update set {", ".join(f"{t} = excluded.{t}" for t in totals)}
        """,
        dict(stale),
    )


def _balance_at(db: sqlite3.Connection, source: Source, workspace: int, hour: str) -> dict[str, Any]:
    """Return the balance at the end of an hour, prices in units of 1e-8; all zero before the first one."""
    row = db.execute(
        f"""
        select {_stored_units(SUMS[source])} from {SNAPSHOTS[source]}
        where workspace_id = ? and snapshot_date <= ? order by snapshot_date desc limit 1
        """,
        (workspace, hour),
    ).fetchone()
    return dict(row) if row else {total: "{}" if total == "llm_usage" else 0 for total in SUMS[source]}


def _move_later(
    db: sqlite3.Connection, source: Source, stale: sqlite3.Row, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Add what the last recomputed balance changed by to all later ones, whose own hours did not change."""
    changed = [total for total in SUMS[source] if before[total] != after[total]]
    moves = {
        total: change(before[total], after[total]) if total == "llm_usage" else after[total] - before[total]
        for total in changed
    }
    db.execute(
        f"""
        update {SNAPSHOTS[source]} set {", ".join(map(_moved, changed))}
        where workspace_id = :workspace_id and snapshot_date > :until
        """,
        dict(stale) | moves,
    )


def wrong_balances(db: sqlite3.Connection, source: Source) -> list[sqlite3.Row]:
    """Return workspace and hour of every stored balance that is missing, superfluous or not the sum of its records."""
    names = ", ".join(["workspace_id", "snapshot_date", *SUMS[source]])
    return db.execute(
        f"""
        {_running_totals(source, scope=EVERYTHING)}
        select workspace_id, snapshot_date from (
            select * from (select {names} from running except select {names} from {SNAPSHOTS[source]})
            union all
            select * from (select {names} from {SNAPSHOTS[source]} except select {names} from running)
        ) as wrong
        where not exists (
            select 1 from stale_balances as stale
            where source = '{source}' and stale.workspace_id = wrong.workspace_id and since <= snapshot_date
        )
        group by workspace_id, snapshot_date order by snapshot_date, workspace_id
        """
    ).fetchall()


def workspaces_to_refresh(db: sqlite3.Connection, source: Source) -> int:
    number: int = db.execute("select count(*) from stale_balances where source = ?", (source,)).fetchone()[0]
    return number


def _running_totals(source: Source, *, scope: str) -> str:
    """Return a `with` clause that ends in `running`: the balances of the workspaces in `scope`, added up anew.

    `scope` is a query for (workspace_id, since, until), both hours included. The last balance before `since`, if any,
    opens the account.
    """
    sums = SUMS[source]
    adding = ", ".join(f"coalesce({term}, {_nothing(total)}) as {total}" for total, term in sums.items())
    running = ", ".join(_running(total) for total in sums)
    return f"""
        with scope as ({scope}),
        activity as (
            select scope.workspace_id, scope.since, snapshot_date, {_stored_units(sums)}
            from scope cross join {SNAPSHOTS[source]} as snapshot
            where snapshot.workspace_id = scope.workspace_id and snapshot_date = (
                select max(snapshot_date) from {SNAPSHOTS[source]}
                where workspace_id = scope.workspace_id and snapshot_date < scope.since
            )
            union all
            select scope.workspace_id, scope.since, started_hour, {adding}
            from scope cross join {RECORDS[source]} as record
            where record.workspace_id = scope.workspace_id and started_hour between scope.since and scope.until
            group by scope.workspace_id, started_hour
        ),
        running as (
            select workspace_id, since, snapshot_date, {running} from activity
            window so_far as (partition by workspace_id order by snapshot_date)
        )
    """


def _stored_units(totals: Iterable[str]) -> str:
    return ", ".join(f"{units(total)} as {total}" for total in totals)


def _moved(total: str) -> str:
    if total == "llm_usage":
        return "llm_usage = add_llm_usage(llm_usage, :llm_usage)"
    return f"{total} = ({units(total)} + :{total}) / 1e8" if total in PRICES else f"{total} = {total} + :{total}"


def _nothing(total: str) -> str:
    return "'{}'" if total == "llm_usage" else "0"


def _running(total: str) -> str:
    if total == "llm_usage":
        return "sum_llm_usage(llm_usage) over so_far as llm_usage"
    return f"sum({total}) over so_far" + (" / 1e8" if total in PRICES else "") + f" as {total}"
