"""Applies supabase/migrations/ as a person would: in order, each file in one transaction, as the role `postgres`."""

from pathlib import Path

import psycopg

FILES = tuple(sorted((Path(__file__).parents[2] / "supabase/migrations").glob("*.sql")))


def apply(dsn: str, files: tuple[Path, ...] = FILES) -> None:
    """Run the files. The first that fails leaves the project as the one before it left it."""
    with psycopg.connect(dsn, autocommit=True) as db:
        for path in files:
            with db.transaction():
                db.execute(path.read_bytes())
