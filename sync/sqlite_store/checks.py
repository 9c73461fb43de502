"""What `verify` asks of the database: tables, duplicates, data, and balances that equal their records."""

import sqlite3
from contextlib import closing
from datetime import datetime

from sync.models import Damage, Source
from sync.sqlite_store.balances import FOREIGN, SNAPSHOTS, wrong_balances
from sync.sqlite_store.migrate import migrate
from sync.sqlite_store.rows import sure_moment

TABLES = (
    *("workspaces", "workspace_phones", "workspace_agents", "calls", "elevenlabs_conversations"),
    *("twilio_snapshots", "elevenlabs_snapshots", "sync_runs", "sync_failures"),
)


def missing_tables(db: sqlite3.Connection) -> list[str]:
    present = {row["name"] for row in db.execute("select name from sqlite_master where type = 'table'")}
    return [table for table in TABLES if table not in present]


def damages(db: sqlite3.Connection) -> list[Damage]:
    """Compare the file with an empty one of this program: each table, index and trigger must be as it is there."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as sound:
        migrate(sound)
        expected, present = _definitions(sound), _definitions(db)
    return [
        Damage(
            what=f"the {kind} {name} is {'changed' if (kind, name) in present else 'missing'}",
            remedy=f"restore a backup, or run `{sql};`",
        )
        for (kind, name), sql in expected.items()
        if present.get((kind, name)) != sql
    ]


def _definitions(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    rows = db.execute("select type, name, sql from sqlite_master where sql is not null order by type = 'index', name")
    return {(kind, name): on_one_line(sql) for kind, name, sql in rows}


def on_one_line(sql: str) -> str:
    """Return a statement without its comments and line breaks."""
    return " ".join(" ".join(line.partition("--")[0] for line in sql.splitlines()).split())


def count_rows(db: sqlite3.Connection) -> dict[str, int]:
    return {table: db.execute(f"select count(*) from {table}").fetchone()[0] for table in TABLES}


def duplicate_snapshots(db: sqlite3.Connection, source: Source) -> list[tuple[int, datetime]]:
    rows = db.execute(
        f"select workspace_id, snapshot_date from {SNAPSHOTS[source]}"
        " group by workspace_id, snapshot_date having count(*) > 1"
    )
    return [(row["workspace_id"], sure_moment(row["snapshot_date"])) for row in rows]


def wrong_snapshots(db: sqlite3.Connection, source: Source) -> list[tuple[int, datetime]]:
    return [(row["workspace_id"], sure_moment(row["snapshot_date"])) for row in wrong_balances(db, source)]


def foreign_currency_legs(db: sqlite3.Connection) -> int:
    row = db.execute(f"select count(*) from calls where {FOREIGN}").fetchone()
    count: int = row[0]
    return count
