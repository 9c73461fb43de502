"""Balances: what the records of a workspace add up to, hour by hour, as running totals.

Sums of prices are taken over whole units of 1e-8, which are exact integers, and divided once at the end.
"""

import sqlite3

from sync.models import Source
from sync.sqlite_store.rows import PRICES

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


def refresh(db: sqlite3.Connection, source: Source) -> None:
    """Recompute the balances that the last changes of records made stale, and only those."""
    snapshots, records, totals = SNAPSHOTS[source], RECORDS[source], list(SUMS[source])
    stale = f"select workspace_id, since from stale_balances where source = '{source}'"
    db.execute(
        f"""
        delete from {snapshots} where id in (
            select snapshot.id from ({stale}) as stale
            join {snapshots} as snapshot
                on snapshot.workspace_id = stale.workspace_id and snapshot.snapshot_date >= stale.since
            where not exists (
                select 1 from {records} as record
                where record.workspace_id = snapshot.workspace_id and record.started_hour = snapshot.snapshot_date
            )
        )
        """
    )
    db.execute(
        f"""
        {_running_totals(source, scope=stale)}
        insert into {snapshots} (workspace_id, snapshot_date, {", ".join(totals)})
        select workspace_id, snapshot_date, {", ".join(totals)} from running where snapshot_date >= since
        on conflict (workspace_id, snapshot_date) do update set {", ".join(f"{t} = excluded.{t}" for t in totals)}
        """
    )
    db.execute("delete from stale_balances where source = ?", (source,))


def wrong_balances(db: sqlite3.Connection, source: Source) -> list[sqlite3.Row]:
    """Return workspace and hour of every stored balance that is missing, superfluous or not the sum of its records."""
    names = ", ".join(["workspace_id", "snapshot_date", *SUMS[source]])
    return db.execute(
        f"""
        {_running_totals(source, scope="select id as workspace_id, '' as since from workspaces")}
        select workspace_id, snapshot_date from (
            select * from (select {names} from running except select {names} from {SNAPSHOTS[source]})
            union all
            select * from (select {names} from {SNAPSHOTS[source]} except select {names} from running)
        )
        group by workspace_id, snapshot_date order by snapshot_date, workspace_id
        """
    ).fetchall()


def _running_totals(source: Source, *, scope: str) -> str:
    """Return a `with` clause that ends in `running`: the balances of the workspaces in `scope`, from `since` on.

    `scope` is a query for (workspace_id, since). The last balance before `since`, if any, opens the account.
    """
    sums = SUMS[source]
    opening = ", ".join(_stored_units(total) for total in sums)
    adding = ", ".join(f"coalesce({term}, {_nothing(total)}) as {total}" for total, term in sums.items())
    running = ", ".join(_running(total) for total in sums)
    return f"""
        with scope as ({scope}),
        activity as (
            select scope.workspace_id, scope.since, snapshot_date, {opening}
            from scope cross join {SNAPSHOTS[source]} as snapshot
            where snapshot.workspace_id = scope.workspace_id and snapshot_date = (
                select max(snapshot_date) from {SNAPSHOTS[source]}
                where workspace_id = scope.workspace_id and snapshot_date < scope.since
            )
            union all
            select scope.workspace_id, scope.since, started_hour, {adding}
            from scope cross join {RECORDS[source]} as record
            where record.workspace_id = scope.workspace_id and started_hour >= scope.since
            group by scope.workspace_id, started_hour
        ),
        running as (
            select workspace_id, since, snapshot_date, {running} from activity
            window so_far as (partition by workspace_id order by snapshot_date)
        )
    """


def _stored_units(total: str) -> str:
    """Return a stored total in units of 1e-8. Whole and broken part apart: their product is past a double's digits."""
    if total not in PRICES:
        return total
    whole = f"cast({total} as integer)"
    return f"{whole} * 100000000 + cast(round(({total} - {whole}) * 1e8) as integer) as {total}"


def _nothing(total: str) -> str:
    return "'{}'" if total == "llm_usage" else "0"


def _running(total: str) -> str:
    if total == "llm_usage":
        return "sum_llm_usage(llm_usage) over so_far as llm_usage"
    return f"sum({total}) over so_far" + (" / 1e8" if total in PRICES else "") + f" as {total}"
