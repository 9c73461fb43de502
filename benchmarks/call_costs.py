"""Milliseconds for a page of calls and its summary among a million legs, beside a bare select of the same records.

python -m benchmarks.call_costs [--legs 1000000] [--history 1.0]

The default has two years of records; `--legs 100000 --history 0.1` has a tenth of them, equally dense.
"""

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from sync.call_costs import CallFilter, Match, SortKey
from sync.sqlite_store import SqliteStore
from sync.times import iso

WORKSPACES = 200
YEARS = timedelta(days=730)
MONTH = timedelta(days=30)
END = datetime(2026, 11, 22, tzinfo=UTC)
REPEATS = 5

# Every seventh leg is a child of the one before; every third has a conversation, some of which name no stored leg.
LEGS = """
    with recursive n (n) as (select 0 union all select n + 1 from n where n + 1 < :count)
    insert into calls (sid, parent_call_sid, workspace_id, status, direction, started_at, duration, cost, price_unit,
        from_number, to_number, our_number, fetched_at)
    select printf('CA%032x', n), iif(n % 7 = 6, printf('CA%032x', n - 1), null), (n - n % 7 / 6) * 7919 % :workspaces,
        iif(n % 11 = 5, 'no-answer', 'completed'), iif(n % 7 = 6, 'outbound-dial', 'inbound'),
        strftime('%Y-%m-%dT%H:%M:%S+00:00', :start + n * :step, 'unixepoch'), n * 31 % 600,
        iif(n % 97 = 0, null, round(n % 500 * 0.0013, 4)), 'USD', printf('+346%08d', n * 104729 % 100000000),
        printf('+349100%05d', n % 500), printf('+349100%05d', n % 500), '2026-11-22T00:00:00+00:00'
    from n
"""
CONVERSATIONS = """
    with recursive n (n) as (select 0 union all select n + 3 from n where n + 3 < :count)
    insert into elevenlabs_conversations (conversation_id, workspace_id, agent_id, agent_name, status, started_at,
        duration, direction, channel, agent_number, external_number, call_sid, cost, credits, llm_price, llm_charge,
        platform_price, call_charge, fetched_at)
    select printf('conv_%028x', n), (n - n % 7 / 6) * 7919 % :workspaces, 'agent_1', 'Sales', 'done',
        strftime('%Y-%m-%dT%H:%M:%S+00:00', :start + n * :step + 2, 'unixepoch'), n * 29 % 500, 'inbound',
        iif(n % 50 = 1, 'widget', 'twilio'), printf('+349100%05d', n % 500),
        printf('+346%08d', n * 104729 % 100000000), iif(n % 50 < 2, null, printf('CA%032x', n)),
        iif(n % 89 = 0, null, round(n % 700 * 0.00031, 6)), n % 1000, round(n % 700 * 0.00011, 6), n % 300,
        round(n % 700 * 0.0002, 6), n % 700, '2026-11-22T00:00:00+00:00'
    from n
"""
BARE = """
    select sid, started_at, duration, cost from calls where started_at >= :since and started_at < :until
    union all
    select conversation_id, started_at, duration, cost from elevenlabs_conversations
    where started_at >= :since and started_at < :until
"""


def fill(path: Path, legs: int, years: timedelta) -> SqliteStore:
    """Write the records past the store, then let it add up its balances and its calls."""
    SqliteStore(path).close()
    span = years.total_seconds()
    values = {"count": legs, "workspaces": WORKSPACES, "start": END.timestamp() - span, "step": span / legs}
    with closing(sqlite3.connect(path)) as db, db:
        db.executemany(
            "insert into workspaces (id, name) values (?, ?)", ((n, f"Client {n}") for n in range(1, WORKSPACES))
        )
        db.execute(LEGS, values)
        db.execute(CONVERSATIONS, values)
    store = SqliteStore(path)
    start = time.perf_counter()
    store.claim_for("real")
    typer.echo(f"all calls added up in {time.perf_counter() - start:.1f} s")
    for source in ("twilio", "elevenlabs"):
        store.refresh_balances(source)
    with closing(sqlite3.connect(path)) as db:
        db.execute("analyze")
    return store


def milliseconds(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def main(
    legs: Annotated[int, typer.Option(help="How many legs; a third as many conversations.")] = 1_000_000,
    history: Annotated[float, typer.Option(help="Times two years.")] = 1.0,
    folder: Annotated[str, typer.Option(help="Where the file goes.")] = "",
) -> None:
    """Print each question's time and its ratio to the bare select of the same period."""
    with tempfile.TemporaryDirectory(dir=folder or None) as place:
        path = Path(place) / "calls.db"
        store = fill(path, legs, YEARS * history)
        month = CallFilter(since=END - MONTH, until=END)
        bare = {name: bare_select(path, period) for name, period in (("month", month), ("all", CallFilter()))}
        for name, period in (("month", month), ("all", CallFilter())):
            typer.echo(f"{name}: bare select of the records {bare[name]:,.1f} ms")
            for question, work in questions(store, period).items():
                taken = milliseconds(work)
                typer.echo(f"  {question:<32} {taken:>9,.1f} ms   ratio {taken / bare[name]:.2f}")
        store.close()


def bare_select(path: Path, period: CallFilter) -> float:
    since, until = (iso(period.since) if period.since else "", iso(period.until) if period.until else "9")
    with closing(sqlite3.connect(path)) as db:
        return milliseconds(lambda: db.execute(BARE, {"since": since, "until": until}).fetchall())


def questions(store: SqliteStore, period: CallFilter) -> dict[str, Callable[[], object]]:
    some = CallFilter(since=period.since, until=period.until, workspaces=frozenset({1, 2, 3}))
    matched = CallFilter(since=period.since, until=period.until, match=Match.MATCHED)
    number = CallFilter(since=period.since, until=period.until, search="4567")

    def page(wanted: CallFilter, key: SortKey = SortKey.START, offset: int = 0) -> Callable[[], object]:
        return lambda: store.call_costs(wanted, key, descending=True, limit=50, offset=offset)

    return {
        "page by start and summary": lambda: (page(period)(), store.call_summary(period)),
        "page by cost and summary": lambda: (page(period, SortKey.COST)(), store.call_summary(period)),
        "page by start": page(period),
        "page by start, far down": page(period, offset=20_000),
        "page by cost": page(period, SortKey.COST),
        "page by gap": page(period, SortKey.GAP),
        "summary": lambda: store.call_summary(period),
        "page, three workspaces": page(some),
        "summary, three workspaces": lambda: store.call_summary(some),
        "summary, matched only": lambda: store.call_summary(matched),
        "summary, last digits": lambda: store.call_summary(number),
        "one call": lambda: store.call("CA" + "0" * 32),
    }


if __name__ == "__main__":
    typer.run(main)
