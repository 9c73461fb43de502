"""What only SQLite has: one file that processes and threads share, and everything that can be wrong with a file."""

import itertools
import multiprocessing
import os
import random
import resource
import signal
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from decimal import Decimal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import pytest

from sync.errors import StoreError
from sync.models import SOURCES, CallLeg, Conversation, Source
from sync.sqlite_store import SqliteStore, records, snapshots
from sync.sqlite_store.connection import Database
from sync.sqlite_store.migrate import scripts, statements
from sync.times import iso
from tests.records import HOUR, TEN, make_conversation, make_leg, make_phone
from tests.registering import add_workspace, register

BATCH = 20
spawn = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@contextmanager
def opened(path: Path, *, lock_timeout: float = 30.0) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path, lock_timeout=lock_timeout)) as store:
        yield store


def batch(name: str, number: int) -> list[CallLeg]:
    """Return a batch of legs of one cent each, spread over three hours."""
    return [
        make_leg(sid=f"{name}-{number}-{n}", started_at=TEN + (n % 3) * HOUR, cost=Decimal("0.01"))
        for n in range(BATCH)
    ]


def save_batches(path: Path, name: str, count: int) -> None:
    with opened(path) as store:
        for number in range(count):
            store.save_calls(batch(name, number))


def assert_sound(path: Path) -> int:
    """Check that whole batches and their balances are all that is in the file, and return how many legs those are."""
    with opened(path) as store:
        legs: int = store.count_rows()["calls"]
        [balances] = store.twilio_balances([None])
        assert sum(totals.total_legs for totals in balances.values()) == legs
        assert sum((totals.total_cost for totals in balances.values()), Decimal(0)) == legs * Decimal("0.01")
        assert store.wrong_snapshots("twilio") == []
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert db.execute("select * from stale_balances").fetchall() == []
    assert legs % BATCH == 0
    return legs


# Several at once


def test_processes_that_write_at_once_end_with_right_balances(path: Path) -> None:
    processes = [spawn.Process(target=save_batches, args=(path, name, 15)) for name in ("one", "two")]

    run_to_the_end(processes)

    assert assert_sound(path) == 2 * 15 * BATCH


def test_threads_that_read_and_write_at_once_end_with_right_balances(path: Path) -> None:
    with opened(path) as store, ThreadPoolExecutor(8) as pool, switching_threads_often():
        writes = [pool.submit(store.save_calls, batch("thread", number)) for number in range(30)]
        reads = [pool.submit(store.twilio_balances, [TEN + HOUR, None]) for _ in range(300)]
        acme = add_workspace(store, "Acme")
        registering = [pool.submit(register, store, make_phone(workspace_id=acme, label=str(n))) for n in range(30)]

        seen = [read.result() for read in reads]
        for write in writes + registering:
            write.result()

    for _, everything in seen:
        assert sum(totals.total_legs for totals in everything.values()) % BATCH == 0
    assert assert_sound(path) == 30 * BATCH


@contextmanager
def switching_threads_often() -> Iterator[None]:
    """Let the interpreter switch threads at almost every step, so that races show."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_a_reader_sees_one_state_while_another_writes(path: Path) -> None:
    with opened(path) as store:
        store.save_calls(batch("first", 0))
        database = Database(path)

        with database.reading() as db:
            before = db.execute("select count(*) from calls").fetchone()[0]
            store.save_calls(batch("second", 0))
            after = db.execute("select count(*) from calls").fetchone()[0]

        database.close()
    assert (before, after) == (BATCH, BATCH)


def open_each(paths: list[Path], barrier: Barrier) -> None:
    for path in paths:
        barrier.wait(timeout=20)
        with opened(path) as store:
            assert store.missing_tables() == []


def test_processes_that_open_a_new_file_at_the_same_moment_all_succeed(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.db" for n in range(100)]
    barrier = spawn.Barrier(3)
    processes = [spawn.Process(target=open_each, args=(paths, barrier)) for _ in range(3)]

    run_to_the_end(processes)

    for path in paths:
        with opened(path) as store:
            assert store.count_rows()["workspaces"] == 1


def run_to_the_end(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0] * len(processes)


@pytest.mark.parametrize("milliseconds", random.Random(2026).sample(range(1, 250), 5))
def test_a_process_killed_while_it_saves_leaves_whole_batches_and_right_balances(path: Path, milliseconds: int) -> None:
    is_saving = spawn.Event()
    process = spawn.Process(target=save_until_killed, args=(path, is_saving))
    process.start()
    assert is_saving.wait(timeout=60)
    time.sleep(milliseconds / 1000)

    process.kill()

    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    assert assert_sound(path) > 0
    save_batches(path, "next run", 1)
    assert_sound(path)


def save_until_killed(path: Path, is_saving: Event) -> None:
    with opened(path) as store:
        for number in itertools.count():
            store.save_calls(batch("endless", number))
            is_saving.set()


# What can be wrong with the file


def test_a_locked_database_is_told_in_one_sentence_and_can_still_be_read(path: Path) -> None:
    with opened(path, lock_timeout=0.05) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        store.save_calls(batch("before", 0))
        other.execute("begin immediate")

        with pytest.raises(StoreError) as refusal:
            store.save_calls(batch("locked", 0))
        [balances] = store.twilio_balances([None])

        other.execute("rollback")
        assert str(refusal.value) == (
            f"The database {path} is locked by another program; close that program, the next run goes on."
        )
        assert balances[0].total_legs == BATCH
        store.save_calls(batch("locked", 0))
    assert assert_sound(path) == 2 * BATCH


def test_a_full_disk_is_told_in_one_sentence_and_writes_nothing(path: Path) -> None:
    save_batches(path, "before", 1)
    with closing(Database(path)) as database:
        with database.writing() as db:  # the same connection serves the next transaction
            db.execute(f"pragma max_page_count = {db.execute('pragma page_count').fetchone()[0]}")

        with pytest.raises(StoreError) as refusal, database.writing() as db:
            records.save_calls(db, [leg for number in range(50) for leg in batch("full", number)])

    assert str(refusal.value) == f"The disk that holds {path} is full; free some space, the next run goes on."
    assert assert_sound(path) == BATCH


def save_with_small_files(path: Path, answers: Connection) -> None:
    """Save as on a disk with a quota: the system refuses to let any file of this process grow past 200 kB."""
    with opened(path) as store:
        store.save_calls(batch("before", 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        try:
            for number in range(200):
                store.save_calls(batch("quota", number))
        except StoreError as exc:
            answers.send(str(exc))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.save_calls(batch("after", 0))


def test_a_quota_that_is_used_up_is_told_in_one_sentence_and_the_next_run_goes_on(path: Path) -> None:
    answers, there = spawn.Pipe(duplex=False)
    process = spawn.Process(target=save_with_small_files, args=(path, there))

    run_to_the_end([process])

    assert answers.poll()
    assert answers.recv() == (
        f"The disk that holds {path} cannot be written, it is full or failing; check it, the next run goes on."
    )
    assert assert_sound(path) >= 2 * BATCH


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_text("Dear diary, today I called a customer. " * 200)
    before = path.read_bytes()

    with pytest.raises(StoreError, match="is not a sound SQLite database; restore a backup"):
        SqliteStore(path)

    assert path.read_bytes() == before


@pytest.mark.parametrize("inside", ["ledger.db", "deeper/ledger.db"])
def test_a_folder_that_cannot_be_made_is_told_in_one_sentence(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(StoreError, match="cannot be opened for writing; check DATABASE_PATH"):
        SqliteStore(tmp_path / "file" / inside)


def test_a_folder_in_the_place_of_the_file_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened for writing; check DATABASE_PATH"):
        SqliteStore(tmp_path)


def test_missing_folders_are_made(tmp_path: Path) -> None:
    with opened(tmp_path / "data" / "deeper" / "ledger.db") as store:
        assert store.missing_tables() == []


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_file_of_a_newer_program_is_refused_and_left_as_it_is(path: Path, journal: str) -> None:
    save_batches(path, "newer", 1)
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 999")
        db.execute(f"pragma journal_mode = {journal}")
    before = path.read_bytes()

    with pytest.raises(StoreError, match="schema version 999, newer than this program's"):
        SqliteStore(path)

    assert path.read_bytes() == before


@pytest.fixture
def permissive_umask() -> Iterator[None]:
    """Let everybody read and write new files, as the program may find it."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {file.name: f"{stat.S_IMODE(file.stat().st_mode):o}" for file in [folder, *folder.iterdir()]}


@pytest.mark.usefixtures("permissive_umask")
def test_only_its_owner_may_read_a_ledger_its_journals_and_list_their_folder(tmp_path: Path) -> None:
    with opened(tmp_path / "data" / "ledger.db") as store:
        store.save_calls(batch("first", 0))

        assert modes(tmp_path / "data") == {
            "data": "711",
            "ledger.db": "600",
            "ledger.db-wal": "600",
            "ledger.db-shm": "600",
        }


def test_strangers_lose_access_to_an_older_file_and_a_group_keeps_it(tmp_path: Path) -> None:
    older = tmp_path / "data" / "ledger.db"
    with opened(older) as store:
        store.save_calls(batch("first", 0))
        for file in older.parent.iterdir():
            file.chmod(0o664)
        older.parent.chmod(0o755)

        with opened(older):
            assert modes(older.parent) == {
                "data": "755",  # which may hold more than ours
                "ledger.db": "660",
                "ledger.db-wal": "660",
                "ledger.db-shm": "660",
            }


RUN = """
    insert into sync_runs (source, kind, state, window_start, window_end, started_at, heartbeat_at)
    values ('twilio', 'hourly', 'ok', :start, :end, :end, :end)
"""


@pytest.mark.parametrize("version", range(1, len(scripts())))
def test_a_file_of_an_older_program_is_brought_up_to_date_when_it_is_opened(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in itertools.chain.from_iterable(map(statements, scripts()[:version])):
            db.execute(statement)
        db.execute(f"pragma user_version = {version}")
        db.execute("insert into workspaces (id, name) values (7, 'Acme')")
        for hours in ((0, 1), (2, 3)):
            start, end = (iso(TEN + number * HOUR) for number in hours)
            db.execute(RUN, {"start": start, "end": end})

    save_batches(path, "new", 1)

    assert assert_sound(path) == BATCH
    with opened(path) as store:
        assert [each.name for each in store.workspaces()] == ["Acme", "Unassigned"]
        assert store.missing_tables() == []
        assert store.gaps("twilio", since=TEN) == [(TEN + HOUR, TEN + 2 * HOUR)]


def test_opening_a_file_again_keeps_what_is_in_it(path: Path) -> None:
    save_batches(path, "first", 1)

    save_batches(path, "first", 1)

    assert assert_sound(path) == BATCH


def test_a_file_has_a_write_ahead_log_and_enforces_its_references(path: Path) -> None:
    with closing(Database(path)) as database, database.reading() as db:
        pragmas = {name: db.execute(f"pragma {name}").fetchone()[0] for name in ("journal_mode", "foreign_keys")}

    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1}


def test_every_connection_of_the_pool_enforces_references(path: Path) -> None:
    with closing(Database(path)) as database, database.reading() as first, database.reading() as second:
        assert first is not second
        assert second.execute("pragma foreign_keys").fetchone()[0] == 1


@pytest.mark.parametrize("source", SOURCES)
def test_reading_balances_takes_the_same_few_steps_however_long_the_history_is(path: Path, source: Source) -> None:
    reads = {
        "twilio": (snapshots.twilio_snapshots, snapshots.twilio_balances),
        "elevenlabs": (snapshots.elevenlabs_snapshots, snapshots.elevenlabs_balances),
    }
    latest, at_a_moment = reads[source]
    steps = []
    with opened(path) as store, closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        latest(db)  # reads the schema, once
        for hours in (range(2), range(2, 200)):
            store.save_calls([make_leg(sid=f"CA{n}", started_at=TEN + n * HOUR) for n in hours])
            store.save_conversations([talk(n) for n in hours])
            steps.append([steps_of(db, lambda: latest(db)), steps_of(db, lambda: at_a_moment(db, TEN + HOUR))])

    assert steps[0] == steps[1]


def talk(number: int) -> Conversation:
    return make_conversation(conversation_id=f"conv_{number}", started_at=TEN + number * HOUR)


def steps_of(db: sqlite3.Connection, read: Callable[[], object]) -> int:
    """Return how many instructions of its virtual machine SQLite carries out."""
    steps = itertools.count()
    db.set_progress_handler(lambda: next(steps) < 0, 1)
    read()
    db.set_progress_handler(None, 1)
    return next(steps)
