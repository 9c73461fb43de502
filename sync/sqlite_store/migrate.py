"""Bring a database file to the newest schema: each migration and its version are one transaction.

Written here because the libraries for it keep the version outside the migration's transaction, and two processes
(dashboard and scheduler) open a new file at the same moment.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sync.errors import StoreError

MIGRATIONS = Path(__file__).parent / "migrations"


def scripts() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(MIGRATIONS.glob("*.sql"))]


def migrate(db: sqlite3.Connection) -> None:
    """Run what is missing. A file written by a newer program is refused and left as it is."""
    newest = scripts()
    if _version(db) == len(newest):
        return
    db.execute("begin immediate")
    try:
        version = _version(db)  # again: another process may have been faster
        if version > len(newest):
            raise StoreError(
                f"The database has schema version {version}, newer than this program's {len(newest)}; "
                "update the program, or set DATABASE_PATH to another file."
            )
        for script in newest[version:]:
            for statement in statements(script):
                db.execute(statement)
        db.execute(f"pragma user_version = {len(newest)}")
        db.execute("commit")
    except BaseException:
        db.execute("rollback")
        raise


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; `executescript` would commit between them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("pragma user_version").fetchone()[0]
    return version
