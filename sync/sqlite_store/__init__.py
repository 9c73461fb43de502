"""The embedded store: one SQLite file, the default."""

from sync.sqlite_store.store import SqliteStore

__all__ = ["SqliteStore"]
