"""A file of the release before moves over when it is opened, and equals one that never had to."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.errors import RegistryError
from sync.models import SOURCES, RunKind, RunState
from sync.sqlite_store import SqliteStore
from sync.sqlite_store.checks import on_one_line
from sync.sqlite_store.migrate import scripts, statements
from tests.records import HOUR, TEN, add_workspaces, agents, conversation_groups, phone_periods
from tests.test_balance_invariants import Books, Step, batches, call_versions

BEFORE = 7  # scripts that the release before had

# What leads from this release's tables back to those of the release before.
BACK = """
    drop trigger run_of_account;
    drop trigger run_succeeded;
    drop trigger successful_run_added;
    alter table calls drop column account_id;
    alter table calls drop column currency;
    alter table elevenlabs_conversations drop column account_id;
    alter table elevenlabs_conversations drop column currency;
    alter table sync_runs drop column account_id;
    alter table sync_runs drop column currency;
    alter table covered_periods drop column account_id;
    alter table covered_periods drop column currency;
    drop table accounts;
"""


def make_as_before(path: Path) -> None:
    """Turn a file into one of the release before, and make sure that it is one."""
    triggers = [text for text in statements(scripts()[BEFORE - 1]) if "create trigger" in text]
    with closing(sqlite3.connect(path, isolation_level=None)) as db, closing(sqlite3.connect(":memory:")) as fresh:
        for statement in [*statements(BACK), *triggers]:
            db.execute(statement)
        db.execute(f"pragma user_version = {BEFORE}")
        for script in scripts()[:BEFORE]:
            fresh.executescript(script)
        assert definitions(db) == definitions(fresh)


def definitions(db: sqlite3.Connection) -> set[tuple[str, str, str]]:
    rows = db.execute("select type, name, sql from sqlite_master where sql is not null")
    return {(kind, name, on_one_line(text)) for kind, name, text in rows}


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows, but for when they were made. A run that began before the first price has no currency."""
    found = {}
    with closing(sqlite3.connect(path)) as db:
        for (table,) in db.execute("select name from sqlite_master where type = 'table' order by 1").fetchall():
            columns = [name for _, name, *_ in db.execute(f"pragma table_xinfo({table})")]
            passed_over = {"created_at", "id"} | ({"currency"} if table in ("sync_runs", "covered_periods") else set())
            shown = ", ".join(name for name in columns if name not in passed_over)
            found[table] = sorted(db.execute(f"select {shown} from {table}").fetchall(), key=repr)
    return found


def tell(store: SqliteStore, steps: list[tuple[Step, bool]]) -> None:
    books = Books()
    for number, (step, refresh) in enumerate(steps):
        with suppress(RegistryError):
            books.tell(store, step, refresh=refresh)
        window = (TEN + number * HOUR, TEN + (number + 1) * HOUR)
        run = store.begin_run("twilio", RunKind.HOURLY, window, owner="test", now=window[1], stale_before=TEN)
        store.finish_run(run.id, RunState.OK, None, now=window[1])


@given(st.data())
def test_a_file_that_moved_equals_one_that_never_did(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    records = batches(data.draw(call_versions())) | batches(data.draw(conversation_groups()))
    steps = data.draw(st.lists(st.tuples(records | phone_periods() | agents(), st.booleans()), min_size=2, max_size=8))
    half = data.draw(st.integers(1, len(steps)))
    folder = tmp_path_factory.mktemp("move")
    moved, stayed = folder / "moved.db", folder / "stayed.db"

    for path in (moved, stayed):
        with closing(SqliteStore(path)) as store:
            add_workspaces(store)
            tell(store, steps[:half])
    make_as_before(moved)
    for path in (moved, stayed):
        with closing(SqliteStore(path)) as store:
            tell(store, steps[half:])
            for source in SOURCES:
                store.refresh_balances(source)
            assert store.damages() == []

    assert contents(moved) == contents(stayed)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("drop index calls_started_at", "the index calls_started_at is missing"),
        ("drop trigger run_succeeded", "the trigger run_succeeded is missing"),
        ("drop table sync_failures", "the table sync_failures is missing"),
    ],
)
def test_what_somebody_dropped_is_named_with_the_statement_that_restores_it(
    tmp_path: Path, statement: str, words: str
) -> None:
    path = tmp_path / "ledger.db"
    with closing(SqliteStore(path)) as store:
        with closing(sqlite3.connect(path)) as db:
            db.execute(statement)
        found = store.damages()

        for damage in found:
            with closing(sqlite3.connect(path)) as db:
                db.execute(damage.remedy.partition("`")[2].rpartition("`")[0])

        assert words in [damage.what for damage in found]
        assert store.damages() == []
