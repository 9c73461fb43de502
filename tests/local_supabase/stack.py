"""`LocalSupabase`: a project that lives as long as its `with`, or one whose data is kept in a folder."""

import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psycopg

from tests.local_supabase import migrations
from tests.local_supabase.gateway import Gateway
from tests.local_supabase.keys import Keys
from tests.local_supabase.postgres import SUPERUSER, PostgresServer
from tests.local_supabase.postgrest import PostgRest

BOOTSTRAP = Path(__file__).with_name("bootstrap.sql").read_bytes()
SOMEBODY = "00000000-0000-0000-0000-000000000001"


class LocalSupabase:
    """Start it from the main thread: what it starts ends with the thread that started it.

    `data` is a folder that keeps the project between starts; without it nothing remains. `port` 0 is any free one.
    """

    def __init__(self, *, data: Path | None = None, port: int = 0) -> None:
        self._data = data
        self._port = port
        self._to_undo = ExitStack()

    def __enter__(self) -> Self:
        with self._to_undo as undo:
            self._start(undo)
            self._to_undo = undo.pop_all()  # nothing failed, so that everything stays until __exit__
        return self

    def __exit__(self, *_: object) -> None:
        self._to_undo.close()

    def _start(self, undo: ExitStack) -> None:
        sockets = Path(tempfile.mkdtemp(prefix="supabase-"))
        undo.callback(shutil.rmtree, sockets)
        folder = self._data or sockets
        data = folder / "postgres"
        data.mkdir(parents=True, exist_ok=True)
        self.keys = Keys.kept_in(folder)

        self._postgres = PostgresServer(data, sockets, is_kept=self._data is not None)
        self._postgres.start()
        undo.callback(self._postgres.stop)
        self._run_as_superuser(BOOTSTRAP)
        self._db = undo.enter_context(psycopg.connect(self.dsn(), autocommit=True))
        self.migrate()

        dsn = self._postgres.dsn(user="authenticator")
        self.postgrest = PostgRest(sockets, dsn=dsn, jwt_secret=self.keys.signing)
        self.postgrest.start()
        undo.callback(self.postgrest.stop)

        gateway = Gateway(self.keys, self.postgrest, port=self._port)
        gateway.start()
        undo.callback(gateway.stop)
        self.url = gateway.url

    @property
    def publishable_key(self) -> str:
        return self.keys.publishable

    @property
    def secret_key(self) -> str:
        return self.keys.secret

    def user_token(self, subject: str = SOMEBODY) -> str:
        """Return the token of a person who has signed in."""
        return self.keys.token("authenticated", sub=subject)

    def dsn(self, database: str = "postgres") -> str:
        """Return where `psycopg` finds the database, as the role that owns it."""
        return self._postgres.dsn(database)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement past the API, as the owner, and return its rows."""
        cursor = self._db.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def migrate(self) -> None:
        migrations.apply(self.dsn())

    def reload_schema(self) -> None:
        """Make PostgREST see what has changed in the schema. On return it has: a NOTIFY would only begin it."""
        self.postgrest.stop()
        self.postgrest.start()

    def restart_postgres(self, *, after: float = 0.0) -> None:
        """Stop Postgres and start it again after some seconds; PostgREST finds it by itself, sooner or later."""
        self._db.close()
        self._postgres.stop()
        time.sleep(after)
        self._postgres.start()
        self._db = self._to_undo.enter_context(psycopg.connect(self.dsn(), autocommit=True))

    def forget_records(self) -> None:
        """Empty every table, as after the migrations. Much faster than a new project."""
        tables = self.sql(
            "select string_agg(oid::regclass::text, ', ') from pg_class where relkind = 'r' "
            "and relnamespace = 'public'::regnamespace and relname not in ('ledger_migrations', 'accounts')"
        )[0][0]
        self.sql(f"truncate {tables} restart identity cascade")
        self.sql("insert into workspaces (id, name) values (0, 'Unassigned')")
        self.sql("insert into ledger_meta values ('adoption', 'read')")

    def forget_migrations(self) -> None:
        """Make it a project in which no migration has run yet. PostgREST learns of it with `reload_schema`."""
        self._run_as_superuser(b"drop schema public, extensions, auth cascade; create schema public")
        self._run_as_superuser(b"alter schema public owner to pg_database_owner")
        self._run_as_superuser(BOOTSTRAP)

    def grant_by_default(self) -> None:
        """Let everybody use new tables and functions, as projects made before 30 October 2026 do."""
        for kind in ("tables", "sequences", "functions"):
            self.sql(
                "alter default privileges for role postgres in schema public "
                f"grant all on {kind} to anon, authenticated, service_role"
            )

    def _run_as_superuser(self, statements: bytes) -> None:
        with psycopg.connect(self._postgres.dsn(user=SUPERUSER)) as db:
            db.execute(statements)
