"""A backup: one SQLite file that stands alone, found under its name only when it is complete."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sync.errors import StoreError
from sync.sqlite_store.checks import TABLES
from sync.sqlite_store.connection import FOR_ITS_OWNER, JOURNALS, explained
from sync.sqlite_store.migrate import scripts


@contextmanager
def unfinished(file: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give the path of a new database, which gets the name of the backup when the block ends without an error."""
    part = file.with_name(f"{file.name}.part")
    with _told(file):
        _refuse_taken(file, replace=replace)
        _forget(part)  # of a process that was killed
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FOR_ITS_OWNER))
    try:
        yield part
        with _told(file):
            _seal(part)
            _refuse_taken(file, replace=replace)
            part.replace(file)
            _write_through(file.parent)
    finally:
        _forget(part)


@contextmanager
def copied(file: Path, *, beside: Path) -> Iterator[Path]:
    """Give the path of a copy that may be changed, for as long as the block lasts; it lies `beside` another file.

    Raises StoreError if the file is no backup, or a newer program's.
    """
    copy = beside.with_name(f"{beside.name}.restoring")
    if not file.is_file():
        raise StoreError(f"There is no file {file}; name the backup to restore.")
    if copy.exists() and copy.samefile(file):
        raise StoreError(f"{file} is what a restore that was cut off has left; name the backup itself.")
    try:
        try:
            _forget(copy)  # of a process that was killed
            os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FOR_ITS_OWNER))
            _copy(file, copy)
            with closing(sqlite3.connect(copy)) as db:
                _refuse_other_files(db, file)
        except (OSError, sqlite3.OperationalError) as exc:
            raise StoreError(
                f"{file} cannot be read, or copied into {copy.absolute().parent}; check both, and the space there."
            ) from exc
        except sqlite3.DatabaseError as exc:
            raise StoreError(f"{file} is no backup of Voice Ledger, or is damaged; name another file.") from exc
        yield copy
    finally:
        with suppress(OSError):
            _forget(copy)


def copy_pages(origin: Path, target: Path) -> None:
    """Make the target what the origin is at this moment, at once, while others read and write the origin."""
    with explained(target):
        _copy(origin, target)


def _copy(origin: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{quote(str(origin.absolute()))}?mode=ro", uri=True)) as read,
        closing(sqlite3.connect(target)) as written,
    ):
        read.backup(written)  # in one step: the origin may change meanwhile, the copy is of one moment


def _refuse_other_files(db: sqlite3.Connection, file: Path) -> None:
    version = db.execute("pragma user_version").fetchone()[0]
    present = {name for (name,) in db.execute("select name from sqlite_master where type = 'table'")}
    if version > len(scripts()):
        raise StoreError(
            f"The backup {file} has schema version {version}, newer than this program's {len(scripts())}; "
            "update the program."
        )
    if not version or not present.issuperset(TABLES) or db.execute("pragma quick_check(1)").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("not a sound database of this program")


def _refuse_taken(file: Path, *, replace: bool) -> None:
    if file.is_dir():
        raise StoreError(f"{file} is a folder; name a file.")
    if file.exists() and not replace:
        raise StoreError(f"{file} exists already; name a new file, or replace it with --force.")


def _seal(part: Path) -> None:
    """Bring all into the file itself, and onto the disk."""
    with closing(sqlite3.connect(part)) as db:
        db.execute("pragma journal_mode = delete")
    _write_through(part)


def _write_through(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _forget(part: Path) -> None:
    for ending in JOURNALS:
        part.with_name(part.name + ending).unlink(missing_ok=True)


@contextmanager
def _told(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as exc:
        raise StoreError(f"The backup {file} cannot be written; check the folder and the space on its disk.") from exc
