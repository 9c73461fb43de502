"""What tests share: an empty store of every kind, plain SQL on what it holds, and how hypothesis searches."""

import itertools
import os
import sqlite3
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import is_hypothesis_test, settings

from sync.sqlite_store import SqliteStore
from sync.store import Store
from sync.supabase_store import SupabaseStore
from tests.local_supabase import LocalSupabase
from tests.records import Sql

settings.register_profile("here", deadline=None, print_blob=True, max_examples=60, stateful_step_count=20)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")

pytest_plugins = ("tests.opened_pages", "tests.chromium")

SLOW = {"supabase_projects", "open_supabase", "supabase"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs Postgres or Chromium, so that the fast tests run without either."""
    for item in items:
        is_supabase = "supabase" in item.nodeid or SLOW.intersection(getattr(item, "fixturenames", ()))
        if is_supabase or "tests/browser/" in item.nodeid or "tests/security/" in item.nodeid:
            item.add_marker(pytest.mark.slow)


OpenedStore = tuple[Store, Sql]
OpenStore = Callable[[], OpenedStore]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Search less on Supabase, where an example takes ten times as long."""
    kinds = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if "open_store" in kinds and is_hypothesis_test(item.obj):
        fewer = settings(max_examples=20) if kinds["open_store"] == "supabase" else settings()
        # Hypothesis has no public way to set this by parameter; its own pytest plugin does the same.
        item.obj._hypothesis_internal_use_settings = fewer


@pytest.fixture(scope="session", params=["sqlite", "supabase"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Give a function that opens a new, empty store; property tests need one for every example."""
    opens: OpenStore = request.getfixturevalue(f"open_{request.param}")
    return opens


@pytest.fixture(scope="session")
def open_sqlite(tmp_path_factory: pytest.TempPathFactory) -> OpenStore:
    def open_one() -> OpenedStore:
        path = tmp_path_factory.mktemp("sqlite") / "ledger.db"

        def sql(statement: str) -> list[tuple[object, ...]]:
            with closing(sqlite3.connect(path)) as db, db:
                return db.execute(statement).fetchall()

        store = SqliteStore(path)
        weakref.finalize(store, store._database.close)  # a property test lets go of one store after the other
        return store, sql

    return open_one


@pytest.fixture(scope="session")
def supabase_projects() -> Iterator[list[LocalSupabase]]:
    """Give two projects, since some tests compare two stores."""
    with LocalSupabase() as one, LocalSupabase() as other:
        yield [one, other]


@pytest.fixture(scope="session")
def open_supabase(supabase_projects: list[LocalSupabase]) -> OpenStore:
    """Empties the project whose turn it is: no more than two stores can be in use."""
    turns = itertools.cycle(supabase_projects)
    in_use: deque[Store] = deque()

    def open_one() -> OpenedStore:
        if len(in_use) == len(supabase_projects):
            in_use.popleft().close()  # again, as a rule; hypothesis breaks some examples off
        project = next(turns)
        project.forget_records()
        in_use.append(SupabaseStore(project.url, project.secret_key))
        return in_use[-1], project.sql

    return open_one


@pytest.fixture
def supabase(supabase_projects: list[LocalSupabase]) -> LocalSupabase:
    """Give a project in which all migrations have run, and nothing else."""
    project = supabase_projects[0]
    project.forget_records()
    return project


@pytest.fixture
def opened(open_store: OpenStore) -> Iterator[OpenedStore]:
    store, sql = open_store()
    yield store, sql
    store.close()


@pytest.fixture
def store(opened: OpenedStore) -> Store:
    """Give a new, empty store."""
    return opened[0]


@pytest.fixture
def sql(opened: OpenedStore) -> Sql:
    """Give a function that runs one statement past `store`, on the database that it uses."""
    return opened[1]
