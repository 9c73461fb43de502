"""Connections to one database file: a pool for threads, transactions, and errors in words."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sync.errors import StoreError
from sync.sqlite_store import call_families, usage_json
from sync.sqlite_store.migrate import migrate

LOCK_TIMEOUT = 30.0  # seconds that a writer waits for the others
CACHE = 8000  # KiB per connection; with SQLite's 2000 the balances of 200 workspaces and a month's sums go to the disk
FOR_ITS_OWNER = 0o600  # a ledger holds the phone numbers of callers
TO_PASS_THROUGH = 0o711  # nobody else lists the folder; programs of other users may keep folders of their own in it
JOURNALS = ("", "-wal", "-shm", "-journal")  # what SQLite keeps beside a file in use


class Database:
    """One SQLite file in WAL mode, safe with several threads and processes reading and writing."""

    def __init__(self, path: Path, *, lock_timeout: float = LOCK_TIMEOUT) -> None:
        self._path = path
        self._lock_timeout = lock_timeout
        self._idle: list[sqlite3.Connection] = []  # list.append and list.pop are atomic
        with explained(path):
            path.parent.mkdir(mode=TO_PASS_THROUGH, parents=True, exist_ok=True)
            _keep_from_strangers(path)
            self._idle.append(self._opened())

    def _opened(self) -> sqlite3.Connection:
        db = self._connect()
        with _closed_if_it_fails(db):
            migrate(db)  # first, so that a newer program's file is left as it is
            _switch_to_wal(db, self._lock_timeout)
        return db

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that sees one state of the database from the first query on."""
        with self._transaction("begin") as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection whose changes are committed together at the end, or not at all."""
        with self._transaction("begin immediate") as db:
            yield db
            call_families.refresh(db)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with explained(self._path):
            db = self._idle.pop() if self._idle else self._connect()
            try:
                db.execute(begin)
                yield db
                db.execute("commit")
            except BaseException:
                if db.in_transaction:
                    db.execute("rollback")
                raise
            finally:
                self._idle.append(db)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path,
            timeout=self._lock_timeout,
            isolation_level=None,  # transactions are begun and ended here, never by the driver
            check_same_thread=False,  # a connection serves one thread at a time, but not always the same
        )
        db.row_factory = sqlite3.Row
        with _closed_if_it_fails(db):
            db.execute("pragma foreign_keys = on")
            db.execute(f"pragma cache_size = -{CACHE}")
            # With WAL a power cut may undo the last commits, never half of one.
            db.execute("pragma synchronous = normal")
        db.create_window_function("sum_llm_usage", 1, usage_json.SumLlmUsage)
        db.create_function("add_llm_usage", 2, usage_json.add, deterministic=True)
        return db


@contextmanager
def _closed_if_it_fails(db: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        db.close()
        raise


def _keep_from_strangers(path: Path) -> None:
    """Make a new file for its owner alone, whatever the umask; the journals beside it follow it.

    Of a file that is there only strangers lose access: a group may have been let in on purpose.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FOR_ITS_OWNER))
    for file in (path.with_name(path.name + ending) for ending in JOURNALS):
        with suppress(FileNotFoundError, PermissionError):  # of a journal that has gone, and where the owner is another
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & stat.S_IRWXO and file.is_file():
                file.chmod(mode & ~stat.S_IRWXO)


def _switch_to_wal(db: sqlite3.Connection, timeout: float) -> None:
    """Switch the file to WAL, once and for all. SQLite does not wait here for another process that does the same."""
    deadline = time.monotonic() + timeout
    while db.execute("pragma journal_mode").fetchone()[0] != "wal":
        try:
            db.execute("pragma journal_mode = wal")
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into a StoreError that says what to do."""
    try:
        yield
    except (sqlite3.Error, OSError) as exc:
        raise StoreError(_sentence(path, exc)) from exc


def _sentence(path: Path, exc: sqlite3.Error | OSError) -> str:
    words = str(exc).lower()
    if "locked" in words or "busy" in words:
        return f"The database {path} is locked by another program; close that program, the next run goes on."
    if "disk is full" in words or "no space" in words:
        return f"The disk that holds {path} is full; free some space, the next run goes on."
    if "disk i/o error" in words:
        return f"The disk that holds {path} cannot be written, it is full or failing; check it, the next run goes on."
    if isinstance(exc, OSError) or "readonly" in words or "unable to open" in words:
        return f"The database {path} cannot be opened for writing; check DATABASE_PATH and the folder's permissions."
    if "not a database" in words or "malformed" in words:
        return f"{path} is not a sound SQLite database; restore a backup, or set DATABASE_PATH to another file."
    return f"The database {path} refused: {exc}."
