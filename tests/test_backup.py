"""Backup and restore: everything, of one moment, while others write; never half a file, never over other data."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sync import backup as backups
from sync.bootstrap import new_backup, open_backup
from sync.errors import StoppedError, StoreError
from sync.models import Failure, RunKind, RunState, Source
from sync.sqlite_store import SqliteStore
from sync.sqlite_store.migrate import MIGRATIONS, scripts, statements
from sync.store import Store
from sync.supabase_store import SupabaseStore
from tests.conftest import OpenStore
from tests.local_supabase import LocalSupabase
from tests.records import DAY, HOUR, OUR_NUMBER, TEN, make_conversation, make_leg, make_phone
from tests.registering import add_workspace, register
from tests.test_copying import CALLS, CONVERSATIONS, all_records, balances, fill

ROOT = Path(__file__).parent.parent
PATIENCE = 20  # seconds


def ignore(source: Source, done: int, total: int) -> None:
    """Show no progress."""


def back_up(store: Store, file: Path, *, replace: bool = False) -> dict[str, int]:
    return backups.back_up(store, file, data="real", new_backup=new_backup, replace=replace, on_progress=ignore)


def restore(store: Store, file: Path, *, data: str = "real") -> dict[str, int]:
    return backups.restore(store, file, data=data, open_backup=open_backup, on_progress=ignore)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "ledger.db"


@pytest.fixture
def filled(store: Store) -> Store:
    """Give a store with records, history, failures, something gone, and a run that is going on."""
    store.claim_for("real")
    fill(store)
    store.save_failures("twilio", [Failure(record_id="CA03", error="No answer.")], now=TEN)
    store.save_failures("elevenlabs", [Failure(record_id="conv_04", error="", is_gone=True)], now=TEN)
    store.record_skipped("elevenlabs", (TEN, TEN + HOUR), "The flag is set.", now=TEN + HOUR)
    return store


@pytest.fixture(params=["sqlite", "supabase"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Give a store of each kind to restore into."""
    if request.param == "sqlite":
        with closing(SqliteStore(tmp_path / "restored.db")) as store:
            yield store
        return
    open_supabase: OpenStore = request.getfixturevalue("open_supabase")  # takes turns, so that it is not `store`'s
    with closing(open_supabase()[0]) as store:
        yield store


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "own.db")) as store:
        store.claim_for("real")
        yield store


def contents(store: Store) -> list[object]:
    clients = [workspace for workspace in store.workspaces() if workspace.id]
    return [
        all_records(store),
        balances(store),
        clients,
        store.phones(),
        store.agents(),
        store.runs(),
        store.failures("twilio"),
        store.failures("elevenlabs"),
        store.gone_ids("elevenlabs"),
        store.price_unit(),
    ]


def rows(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return everything in every table."""
    with closing(sqlite3.connect(file)) as db:
        tables = [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]
        return {table: sorted(db.execute(f"select * from {table}"), key=repr) for table in tables}


# Whole


def test_what_is_restored_equals_what_was_backed_up(filled: Store, empty: Store, file: Path) -> None:
    backed_up = back_up(filled, file)

    restored = restore(empty, file)

    assert contents(empty) == contents(filled)
    assert (backed_up["calls"], backed_up["elevenlabs_conversations"]) == (CALLS, CONVERSATIONS)
    assert {**restored, "workspaces": 0} == {**filled.count_rows(), "workspaces": 0}
    assert empty.wrong_snapshots("twilio") + empty.wrong_snapshots("elevenlabs") == []


def test_from_sqlite_to_sqlite_every_row_stays_what_it_was(sqlite: SqliteStore, tmp_path: Path, file: Path) -> None:
    fill(sqlite)

    back_up(sqlite, file)
    with closing(SqliteStore(tmp_path / "restored.db")) as store:
        restore(store, file)

    assert rows(tmp_path / "restored.db") == rows(file) == rows(sqlite.path)


def test_a_restored_store_works_on(filled: Store, empty: Store, file: Path) -> None:
    back_up(filled, file)
    restore(empty, file)

    for store in (filled, empty):
        store.save_calls([make_leg(sid="CAnext", started_at=TEN + 2 * DAY)])
        add_workspace(store, "Cumulus")

    assert balances(empty) == balances(filled)
    assert {each.id: each.name for each in empty.workspaces()} == {each.id: each.name for each in filled.workspaces()}


def test_a_store_in_use_by_others_is_restored_for_them_too(sqlite: SqliteStore, tmp_path: Path, file: Path) -> None:
    fill(sqlite)
    back_up(sqlite, file)
    path = tmp_path / "restored.db"

    with closing(SqliteStore(path)) as dashboard, closing(SqliteStore(path)) as command:
        assert dashboard.runs() == []
        restore(command, file)

        assert contents(dashboard) == contents(sqlite)


def test_an_empty_store_is_backed_up_and_restored(store: Store, empty: Store, file: Path) -> None:
    back_up(store, file)
    restore(empty, file)

    assert all_records(empty) == []


def test_a_run_that_was_going_on_is_closed_in_what_is_restored(sqlite: SqliteStore, empty: Store, file: Path) -> None:
    run = sqlite.begin_run("twilio", RunKind.HOURLY, (TEN, TEN + DAY), owner="", now=TEN + DAY, stale_before=TEN)
    back_up(sqlite, file)
    restore(empty, file)

    restored = empty.run(run.id)
    assert restored
    assert restored.state is RunState.INTERRUPTED
    assert (restored.message or "").startswith("The backup was made while this run was going on")


def test_balances_that_wait_for_a_backfill_are_brought_up_to_date(
    sqlite: SqliteStore, empty: Store, file: Path
) -> None:
    fill(sqlite)
    sqlite.save_calls([make_leg(sid="CAold", started_at=TEN - DAY)], refresh=False)

    back_up(sqlite, file)
    restore(empty, file)

    sqlite.refresh_balances("twilio")
    assert balances(empty) == balances(sqlite)
    assert empty.workspaces_to_refresh("twilio") == 0


# While others write


class Writer(threading.Thread):
    """Saves one leg and one conversation after another, and rests after every few, until it is stopped."""

    def __init__(self, store: Store, *, pause: float, refresh: bool) -> None:
        super().__init__()
        self.saved = 0
        self._store = store
        self._pause = pause
        self._refresh = refresh
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(0 if self.saved % 5 else self._pause):
            self.saved += 1
            started_at = TEN - self.saved * HOUR
            leg = make_leg(sid=f"CAwriter{self.saved}", started_at=started_at)
            talk = make_conversation(
                conversation_id=f"conv_writer{self.saved}", started_at=started_at, call_sid=leg.sid
            )
            self._store.save_calls([leg], refresh=self._refresh)
            self._store.save_conversations([talk], refresh=self._refresh)

    def __enter__(self) -> "Writer":
        self.start()
        deadline = time.monotonic() + PATIENCE
        while not self.saved and time.monotonic() < deadline:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.join()


@pytest.mark.parametrize("refresh", [True, False], ids=["hourly", "backfill"])
def test_a_backup_is_of_one_moment_although_a_sync_saves_all_the_time(
    filled: Store, tmp_path: Path, file: Path, refresh: bool
) -> None:
    pause = 0 if isinstance(filled, SqliteStore) else 4  # a copy over the network needs a moment of rest
    with Writer(filled, pause=pause, refresh=refresh) as writer:
        before = writer.saved
        back_up(filled, file)
        after = writer.saved

    with closing(SqliteStore(tmp_path / "restored.db")) as restored:
        restore(restored, file)
        legs, talks = restored.calls_after(None, 10_000), restored.conversations_after(None, 10_000)
        saved = len(legs) - CALLS
        assert before - 1 <= saved <= after
        assert saved - 1 <= len(talks) - CONVERSATIONS <= saved
        assert restored.wrong_snapshots("twilio") + restored.wrong_snapshots("elevenlabs") == []
        stored = {leg.sid: leg for leg in filled.calls_after(None, 10_000)}
        assert all(stored[leg.sid] == leg for leg in legs)
    assert writer.saved > 0


# Refusals


def test_a_file_that_exists_is_replaced_only_when_asked(sqlite: SqliteStore, file: Path) -> None:
    file.write_text("precious")

    with pytest.raises(StoreError, match="exists already; name a new file, or replace it with --force"):
        back_up(sqlite, file)
    assert file.read_text() == "precious"
    back_up(sqlite, file, replace=True)

    with closing(sqlite3.connect(file)) as db:
        assert db.execute("pragma quick_check").fetchone() == ("ok",)


def test_the_database_itself_is_never_overwritten(sqlite: SqliteStore) -> None:
    fill(sqlite)

    with pytest.raises(StoreError, match="is the database itself"):
        back_up(sqlite, sqlite.path, replace=True)

    assert len(all_records(sqlite)) == CALLS + CONVERSATIONS


@pytest.mark.parametrize("place", [".", "missing/ledger.db", "/dev/null/ledger.db"])
def test_a_place_that_cannot_be_written_is_one_sentence(sqlite: SqliteStore, tmp_path: Path, place: str) -> None:
    with pytest.raises(StoreError, match=r"name a file|check the folder"):
        back_up(sqlite, tmp_path / place)


@pytest.mark.parametrize("what", ["record", "newer version", "number", "workspace", "run", "open run", "failure"])
def test_a_store_with_anything_else_in_it_is_refused_and_left_as_it_is(
    sqlite: SqliteStore, empty: Store, file: Path, what: str
) -> None:
    fill(sqlite)
    back_up(sqlite, file)
    if what == "record":
        empty.save_calls([make_leg(sid="CAother")])
    elif what == "newer version":
        empty.save_calls([make_leg(sid="CA01", fetched_at=TEN + 9 * DAY)])
    elif what == "number":
        acme = add_workspace(empty, "Acme")
        register(empty, make_phone(workspace_id=acme, phone_number="+34910000077"))
    elif what == "workspace":
        add_workspace(empty, "Cumulus")
    elif what == "run":
        empty.record_skipped("twilio", (TEN, TEN + HOUR), "The flag is set.", now=TEN)
    elif what == "open run":
        empty.begin_run("twilio", RunKind.HOURLY, (TEN, TEN + HOUR), owner="", now=TEN, stale_before=TEN)
    else:
        empty.save_failures("twilio", [Failure(record_id="CA99", error="No answer.")], now=TEN)
    before = contents(empty)

    with pytest.raises(StoreError, match=r"holds data that is not in the backup .* restore into an empty one"):
        restore(empty, file)

    assert contents(empty) == before


def test_demo_data_is_not_restored_for_real_accounts_nor_the_other_way_round(
    sqlite: SqliteStore, tmp_path: Path, file: Path
) -> None:
    back_up(sqlite, file)

    with closing(SqliteStore(tmp_path / "demo.db")) as demo:
        with pytest.raises(StoreError, match="holds real data, which never mixes with demo data"):
            restore(demo, file, data="demo")

        assert all_records(demo) == []


NO_BACKUP = "is no backup of Voice Ledger, or is damaged; name another file."


@pytest.mark.parametrize("content", [b"", b"a letter " * 2000, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_backup_is_one_sentence(sqlite: SqliteStore, file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with pytest.raises(StoreError, match=NO_BACKUP):
        restore(sqlite, file)

    assert file.read_bytes() == content


def test_a_database_of_another_program_is_no_backup(sqlite: SqliteStore, file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.execute("create table calls (sid)")

    with pytest.raises(StoreError, match=NO_BACKUP):
        restore(sqlite, file)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_backup_that_was_cut_off_on_its_way_is_refused(sqlite: SqliteStore, file: Path, share: float) -> None:
    fill(sqlite)
    back_up(sqlite, file)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with closing(SqliteStore(file.parent / "restored.db")) as store:
        with pytest.raises(StoreError, match=NO_BACKUP):
            restore(store, file)

        assert all_records(store) == []


def test_a_file_that_is_not_there_is_one_sentence(sqlite: SqliteStore, file: Path) -> None:
    with pytest.raises(StoreError, match="There is no file"):
        restore(sqlite, file)


# Other schemas


@pytest.mark.parametrize("version", range(1, len(scripts())))
def test_a_backup_of_an_older_program_is_brought_up_to_date_and_itself_not_changed(
    empty: Store, file: Path, version: int
) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        for script in scripts()[:version]:
            for statement in statements(script):
                db.execute(statement)
        db.execute(f"pragma user_version = {version}")
        db.execute("insert into workspaces (id, name) values (7, 'Acme')")
        db.execute(f"insert into workspace_phones (workspace_id, phone_number) values (7, '{OUR_NUMBER}')")
    old = file.read_bytes()

    restore(empty, file)

    assert [(each.id, each.name) for each in empty.workspaces()] == [(7, "Acme"), (0, "Unassigned")]
    assert [phone.phone_number for phone in empty.phones()] == [OUR_NUMBER]
    assert file.read_bytes() == old
    assert os.listdir(file.parent) == [file.name]


def test_a_backup_of_a_newer_program_is_refused(sqlite: SqliteStore, empty: Store, file: Path) -> None:
    back_up(sqlite, file)
    with closing(sqlite3.connect(file)) as db:
        db.execute("pragma user_version = 999")

    with pytest.raises(StoreError, match=f"schema version 999, newer than this program's {len(scripts())}; update"):
        restore(empty, file)


def test_migrations_are_counted_as_they_are_stored() -> None:
    assert len(scripts()) == len(list(MIGRATIONS.glob("*.sql")))


def test_a_project_that_a_newer_program_has_migrated_is_refused(supabase: LocalSupabase) -> None:
    supabase.sql("insert into ledger_migrations (name) values ('20991231000000_tomorrow')")
    try:
        with (
            closing(SupabaseStore(supabase.url, supabase.secret_key)) as store,
            pytest.raises(StoreError, match=r"does not know \(20991231000000_tomorrow\); update the program, or use"),
        ):
            store.claim_for("real")
    finally:
        supabase.sql("delete from ledger_migrations where name like '2099%'")


def test_a_project_that_knows_the_last_migration_by_its_former_name_works(supabase: LocalSupabase) -> None:
    supabase.sql("insert into ledger_migrations (name) values ('20261122190500_drop_call_snapshots')")
    try:
        with closing(SupabaseStore(supabase.url, supabase.secret_key)) as store:
            store.claim_for("real")
    finally:
        supabase.sql("delete from ledger_migrations where name = '20261122190500_drop_call_snapshots'")


# Cut off


def test_a_backup_that_breaks_off_leaves_nothing(file: Path) -> None:
    def stopped_in_the_middle() -> None:
        with new_backup(file, replace=False) as copy:
            copy.save_calls([make_leg()])
            raise StoppedError("Stopped in the middle.")

    with pytest.raises(StoppedError):
        stopped_in_the_middle()

    assert os.listdir(file.parent) == []


def test_a_killed_backup_leaves_nothing_under_its_name_and_the_next_one_works(sqlite: SqliteStore, file: Path) -> None:
    fill(sqlite)
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom sync.bootstrap import new_backup\n"
        "with new_backup(Path(sys.argv[1]), replace=False) as copy:\n"
        "    copy.become(Path(sys.argv[2]))\n    print('written', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(file), str(sqlite.path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)

    assert not file.exists()
    back_up(sqlite, file)
    assert os.listdir(file.parent) == [file.name]


class Cut(SupabaseStore):
    """Is stopped before it takes another page of conversations."""

    def save_conversations(self, conversations: object, *, refresh: bool = True) -> None:
        raise StoppedError("Stopped in the middle.")


def test_a_restore_that_was_cut_off_may_be_repeated(sqlite: SqliteStore, supabase: LocalSupabase, file: Path) -> None:
    fill(sqlite)
    back_up(sqlite, file)

    with closing(Cut(supabase.url, supabase.secret_key)) as store, pytest.raises(StoppedError):
        restore(store, file)
    with closing(SupabaseStore(supabase.url, supabase.secret_key)) as store:
        half = all_records(store)
        restore(store, file)
        restore(store, file)

        assert half
        assert contents(store) == contents(sqlite)


class CutFile(SqliteStore):
    """Is stopped when all is written, and not yet compared."""

    def count_rows(self) -> dict[str, int]:
        raise StoppedError("Stopped in the middle.")


KILLED = """
import os, signal, sys
from pathlib import Path
from sync.bootstrap import open_backup

with open_backup(Path(sys.argv[1]), beside=Path(sys.argv[2])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_restore_leaves_a_copy_beside_its_target_alone_which_the_next_one_removes(
    sqlite: SqliteStore, tmp_path: Path, file: Path
) -> None:
    back_up(sqlite, file)
    target, temporary = tmp_path / "restored.db", tmp_path / "temporary"
    temporary.mkdir()

    subprocess.run(
        [sys.executable, "-c", KILLED, str(file), str(target)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(temporary)},
    )

    copy = tmp_path / "restored.db.restoring"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert list(temporary.iterdir()) == []
    with closing(SqliteStore(target)) as store:
        restore(store, file)
    assert [path.name for path in tmp_path.glob("*.restoring*")] == []
    assert [path.name for path in file.parent.glob("*.restoring*")] == []


def test_what_a_killed_restore_left_is_no_backup(tmp_path: Path) -> None:
    left = tmp_path / "restored.db.restoring"
    left.write_bytes(b"half")

    with (
        closing(SqliteStore(tmp_path / "restored.db")) as store,
        pytest.raises(StoreError, match="has left; name"),
    ):
        restore(store, left)

    assert left.exists()


def test_a_restore_into_a_file_may_be_repeated_too(sqlite: SqliteStore, tmp_path: Path, file: Path) -> None:
    fill(sqlite)
    back_up(sqlite, file)
    with closing(CutFile(tmp_path / "restored.db")) as store, pytest.raises(StoppedError):
        restore(store, file)

    with closing(SqliteStore(tmp_path / "restored.db")) as store:
        restore(store, file)

        assert contents(store) == contents(sqlite)


def test_only_its_owner_may_read_a_backup(sqlite: SqliteStore, file: Path) -> None:
    back_up(sqlite, file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == [file.name]


def test_a_backup_with_wrong_balances_is_kept_and_told(sqlite: SqliteStore, file: Path) -> None:
    fill(sqlite)
    with closing(sqlite3.connect(sqlite.path)) as db, db:
        db.execute("update twilio_snapshots set total_cost = total_cost + 1")

    with pytest.raises(StoreError, match="was written as the store is, but balances of Twilio are not the sum"):
        back_up(sqlite, file)

    assert rows(file) == rows(sqlite.path)
