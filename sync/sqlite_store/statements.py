"""Statements: balances at the start, the end and the edges of a period, in one look at each; and its token usage."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from operator import add

import simplejson

from sync.models import AnyTotals, Cost, LlmUsage, Source, Statement, TokenUsage
from sync.sqlite_store.balances import RECORDS, SNAPSHOTS, added_up
from sync.sqlite_store.rows import summed, sure_moment, totals_of_units
from sync.sqlite_store.selection import AT_THE_END, as_parameter, of_workspaces, units
from sync.times import floor_hour, iso

Moment = datetime | None  # None is the end of all
Sums = Sequence[int]  # amounts in units of 1e-8
Balance = Mapping[int, Sums]  # by workspace

UNPRICED = {"twilio": "unpriced_calls", "elevenlabs": "unpriced_conversations"}

# Each moment's full hour, and the moment itself where it lies within one.
MOMENT = """
    moment as materialized (
        select key as place, json_extract(value, '$[0]') as hour, json_extract(value, '$[1]') as at
        from json_each(:moments)
    )
"""


def statement(
    db: sqlite3.Connection,
    source: Source,
    kind: type[AnyTotals],
    since: datetime | None,
    until: datetime | None,
    edges: Sequence[datetime],
    workspaces: Collection[int] | None,
) -> Statement[AnyTotals]:
    moments = list(dict.fromkeys([*([since] if since else []), until, *edges]))
    names = summed(kind)
    balances = dict(zip(moments, _balances(db, source, names, moments, workspaces), strict=True))
    at_edges = [balances[edge] for edge in edges]
    return Statement(
        opening=_by_workspace(kind, balances[since]) if since else {},
        closing=_by_workspace(kind, balances[until]),
        sums=[_in_all(kind, balance) for balance in at_edges],
        costs=_costs(at_edges, names.index("total_cost"), names.index(UNPRICED[source])),
    )


def _balances(
    db: sqlite3.Connection,
    source: Source,
    names: Sequence[str],
    moments: Sequence[Moment],
    workspaces: Collection[int] | None,
) -> Sequence[Balance]:
    balances: list[dict[int, Sums]] = [{} for _ in moments]
    for place, workspace, *sums in _rows(db, source, names, moments, workspaces):
        before = balances[place].get(workspace)
        balances[place][workspace] = list(map(add, before, sums)) if before else sums
    return balances


def _rows(
    db: sqlite3.Connection,
    source: Source,
    names: Sequence[str],
    moments: Sequence[Moment],
    workspaces: Collection[int] | None,
) -> Iterable[tuple[int, ...]]:
    """Return place, workspace and sums: of the last full hours, and of the records since where a moment is within one.

    Balances are kept by the hour, time zones are not.
    """
    cursor = db.cursor()
    cursor.row_factory = None  # plain tuples: there are many
    return cursor.execute(
        f"""
        with {MOMENT}
        select place, workspace.id, {", ".join(units(f"snapshot.{name}") for name in names)}
        from workspaces as workspace cross join moment cross join {SNAPSHOTS[source]} as snapshot
        where snapshot.id = {latest(source)} and {of_workspaces("workspace.id", workspaces)}
        union all
        select place, workspace_id, {added_up(source, names)}
        from moment cross join {RECORDS[source]}
        where started_at >= hour and started_at < at and {of_workspaces("workspace_id", workspaces)}
        group by place, workspace_id
        """,
        _parameters(moments, workspaces),
    )


def latest(source: Source) -> str:
    """Return the id of the balance that holds at the full hour of a moment."""
    return f"""(
        select id from {SNAPSHOTS[source]} where workspace_id = workspace.id and snapshot_date < moment.hour
        order by snapshot_date desc limit 1
    )"""


def _parameters(moments: Sequence[Moment], workspaces: Collection[int] | None) -> dict[str, str]:
    hours = [
        [iso(floor_hour(at)), iso(at) if at != floor_hour(at) else ""] if at else [AT_THE_END, ""] for at in moments
    ]
    return {"moments": json.dumps(hours)} | as_parameter(workspaces)


def _by_workspace(kind: type[AnyTotals], balance: Balance) -> dict[int, AnyTotals]:
    return {workspace: totals_of_units(kind, sums) for workspace, sums in balance.items()}


def _in_all(kind: type[AnyTotals], balance: Balance) -> AnyTotals:
    return totals_of_units(kind, map(sum, zip(*balance.values(), strict=True))) if balance else kind()


def _costs(at_edges: Sequence[Balance], cost: int, unpriced: int) -> dict[int, list[Cost]]:
    """Return the costs of each workspace, taken from these places of its sums."""
    costs = {workspace: [Cost()] * len(at_edges) for workspace in set().union(*at_edges)}
    for place, balance in enumerate(at_edges):
        for workspace, sums in balance.items():
            costs[workspace][place] = Cost(sums[cost], sums[unpriced])
    return costs


def llm_usage(
    db: sqlite3.Connection, since: datetime | None, until: datetime | None, workspaces: Collection[int] | None
) -> LlmUsage:
    """Return the token usage of all these workspaces: closing less opening balances, added up as they are read."""
    closing, opening = _add_up(db, until, workspaces), _add_up(db, since, workspaces) if since else LlmUsage()
    return closing - opening


def _add_up(db: sqlite3.Connection, at: Moment, workspaces: Collection[int] | None) -> LlmUsage:
    tokens: dict[tuple[str, str], int] = {}
    prices: dict[tuple[str, str], Decimal] = {}
    for text in _usage_texts(db, at, workspaces):
        for model, categories in simplejson.loads(text, use_decimal=True).items():
            for category, used in categories.items():
                key = model, category
                tokens[key] = tokens.get(key, 0) + used["tokens"]
                prices[key] = prices.get(key, Decimal(0)) + used["price"]
    usage = LlmUsage()
    for (model, category), number in tokens.items():
        usage.setdefault(model, {})[category] = TokenUsage(tokens=number, price=prices[model, category])
    return usage


def _usage_texts(db: sqlite3.Connection, at: Moment, workspaces: Collection[int] | None) -> Iterable[str]:
    rows = db.execute(
        f"""
        with {MOMENT}
        select snapshot.llm_usage
        from workspaces as workspace cross join moment cross join elevenlabs_snapshots as snapshot
        where snapshot.id = {latest("elevenlabs")} and {of_workspaces("workspace.id", workspaces)}
        union all
        select llm_usage from moment cross join elevenlabs_conversations
        where started_at >= hour and started_at < at and {of_workspaces("workspace_id", workspaces)}
        """,
        _parameters([at], workspaces),
    )
    return (row["llm_usage"] for row in rows)


def active_hours(
    db: sqlite3.Connection, source: Source, workspaces: Collection[int] | None
) -> tuple[datetime, datetime] | None:
    row = db.execute(
        f"""
        select min(first) as first, max(last) as last from (
            select (select min(snapshot_date) from {SNAPSHOTS[source]} where workspace_id = workspace.id) as first,
                (select max(snapshot_date) from {SNAPSHOTS[source]} where workspace_id = workspace.id) as last
            from workspaces as workspace where {of_workspaces("workspace.id", workspaces)}
        )
        """,
        as_parameter(workspaces),
    ).fetchone()
    return (sure_moment(row["first"]), sure_moment(row["last"])) if row["first"] else None
