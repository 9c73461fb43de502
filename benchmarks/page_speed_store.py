"""Two SQLite files for page_speed.py: the same last weeks of records, below two years of hourly balances or a tenth.

Older balances are written straight into the tables, one for every workspace and hour, and stand for records that are
not there; those of the last weeks are added up from their records by the store itself.
"""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

# ruff: noqa: S608 - all SQL is made of the constants below
from sync.models import SOURCES
from sync.sqlite_store import SqliteStore
from sync.times import HOUR, floor_hour, iso

DAY = timedelta(days=1)
WEEKS_OF_RECORDS = timedelta(days=70)  # the usual 30 days, those before them to compare with, and some

CALLS_PER_DAY = 1370  # a million legs in two years
TALKS_PER_DAY = 900

MODELS = ("gemini-2.0-flash", "gpt-4o-mini", "claude-sonnet-4")
CATEGORIES = ("input", "input_cache_read", "output_total")

# A number between 0 and 1 that is the same for the same `n`, since both files are to hold the same records.
NOISE = "((n * 2654435761 + {salt} * 40503) % 65536 / 65536.0)"


def built(folder: Path, *, workspaces: int, history: timedelta, now: datetime) -> Path:
    """Return the file with that much history; it is made once a day, which takes minutes for two years."""
    path = folder / f"{workspaces}-workspaces-{history.days}-days-{now:%Y-%m-%d}.db"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{workspaces}-workspaces-{history.days}-days-*"):
            old.unlink()
        unfinished = path.with_suffix(".unfinished")
        _build(unfinished, workspaces=workspaces, history=history, end=floor_hour(now))
        unfinished.rename(path)
    return path


def _build(path: Path, *, workspaces: int, history: timedelta, end: datetime) -> None:
    store = SqliteStore(path)
    store.claim_for("demo")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("pragma synchronous = off")
        db.execute("begin")
        numbers = range(1, workspaces)  # and Unassigned
        db.executemany("insert into workspaces (id, name) values (?, ?)", ((n, f"Client {n:03}") for n in numbers))
        db.executemany(
            "insert into workspace_phones (workspace_id, phone_number) values (?, ?)",
            ((n, f"+3491{n:07}") for n in numbers),
        )
        db.executemany(
            "insert into workspace_agents (agent_id, workspace_id) values (?, ?)", ((f"agent_{n}", n) for n in numbers)
        )
        db.execute("insert into store_meta values ('price_unit', 'USD')")
        hours = round((history - WEEKS_OF_RECORDS) / HOUR)
        times = {"start": (end - history).timestamp(), "hours": hours}
        db.execute(OLD_TWILIO, times)
        db.execute(OLD_ELEVENLABS, times)
        db.executemany(RUN, _runs(end - history, end))
        db.execute("commit")
        for day in range(WEEKS_OF_RECORDS.days):
            start = end - WEEKS_OF_RECORDS + day * DAY
            times = {"start": start.timestamp(), "day": day, "workspaces": workspaces}
            db.execute(LEGS, times | {"count": CALLS_PER_DAY})
            db.execute(TALKS, times | {"count": TALKS_PER_DAY})
            store.save_calls([], refresh=False)  # the store does what it does after each batch
    for source in SOURCES:
        store.refresh_balances(source)
    store.close()


def _runs(start: datetime, end: datetime) -> list[tuple[str, str, str]]:
    """Return source and window of an hourly run of each source, as they would have taken place."""
    return [
        (source, iso(start + n * HOUR - HOUR / 4), iso(start + n * HOUR + HOUR))
        for n in range(round((end - start) / HOUR))
        for source in SOURCES
    ]


RUN = """
    insert into sync_runs (source, kind, state, window_start, window_end, started_at, heartbeat_at, finished_at)
    values (?1, 'hourly', 'ok', ?2, ?3, ?3, ?3, ?3)
"""

_HOURS = """
    with recursive hour (n) as (select 1 union all select n + 1 from hour where n < :hours)
"""
_SNAPSHOT_DATE = "strftime('%Y-%m-%dT%H:00:00+00:00', :start + (hour.n - 1) * 3600, 'unixepoch')"

OLD_TWILIO = f"""
    {_HOURS}
    insert into twilio_snapshots
        (workspace_id, snapshot_date, total_calls, total_legs, total_cost, total_duration, billed_minutes)
    select workspaces.id, {_SNAPSHOT_DATE}, n, n * 5 / 4, n * 125 / 1e4, n * 150, n * 3
    from workspaces cross join hour order by workspaces.id, n
"""

_LLM_USAGE = (
    "printf('{"
    + ",".join(
        f'"{model}":{{' + ",".join(f'"{name}":{{"price":%.6f,"tokens":%d}}' for name in CATEGORIES) + "}"
        for model in MODELS
    )
    + "}', "
    + ", ".join(["n * 0.000415, n * 1200"] * len(MODELS) * len(CATEGORIES))
    + ")"
)

OLD_ELEVENLABS = f"""
    {_HOURS}
    insert into elevenlabs_snapshots (
        workspace_id, snapshot_date, total_conversations, total_cost, total_duration, total_credits, llm_price,
        llm_charge, platform_price, call_charge, free_minutes_consumed, free_llm_dollars_consumed, dev_discount,
        llm_usage
    )
    select workspaces.id, {_SNAPSHOT_DATE}, n, n * 1041 / 1e4, n * 90, n * 526, n * 4156 / 1e6, n * 173,
        n * 99944 / 1e6, n * 353, n / 4.0, n * 2 / 1e4, n / 50, usage
    from workspaces cross join (select n, {_LLM_USAGE} as usage from hour) as hour order by workspaces.id, n
"""

_RECORDS = """
    with recursive record (n) as (
        select :day * :count union all select n + 1 from record where n < (:day + 1) * :count - 1
    ),
    drawn as (
        select n, {moment} as at, cast({first} * {first} * :workspaces as integer) as workspace_id,
            cast(20 + {second} * {second} * 600 as integer) as duration, {third} as chance
        from record
    )
""".format(
    moment="strftime('%Y-%m-%dT%H:%M:%S+00:00', :start + n % :count * 86400 / :count, 'unixepoch')",
    first=NOISE.format(salt=1),
    second=NOISE.format(salt=2),
    third=NOISE.format(salt=3),
)

LEGS = f"""
    {_RECORDS}
    insert into calls (
        sid, parent_call_sid, workspace_id, status, direction, started_at, duration, cost, price_unit,
        from_number, to_number, our_number, fetched_at
    )
    select printf('CA%032x', n), iif(n % 5 = 4, printf('CA%032x', n - 1), null), workspace_id,
        case when chance < 0.08 then 'no-answer' when chance < 0.12 then 'busy' else 'completed' end,
        case n % 5 when 4 then 'outbound-dial' when 2 then 'outbound-api' else 'inbound' end,
        at, duration, (1 + duration / 60) * 0.0085, 'USD',
        '+34600000009', printf('+3491%07d', workspace_id), printf('+3491%07d', workspace_id), at
    from drawn
"""

TALKS = f"""
    {_RECORDS}
    insert into elevenlabs_conversations (
        conversation_id, workspace_id, agent_id, agent_name, status, started_at, duration, direction, channel,
        agent_number, external_number, call_sid, cost, credits, llm_price, llm_charge, platform_price, call_charge,
        free_minutes_consumed, free_llm_dollars_consumed, dev_discount, llm_usage, fetched_at
    )
    select printf('conv_%026x', n), workspace_id, 'agent_' || workspace_id, 'Agent ' || workspace_id, 'done', at,
        duration, 'inbound', 'twilio', printf('+3491%07d', workspace_id), '+34600000009', printf('CA%032x', n),
        0.1041, 526, 0.004156, 173, 0.099944, 353, 0.25, 0.0002, chance < 0.02,
        (select {_LLM_USAGE} from (select 1 as n)), at
    from drawn
"""
