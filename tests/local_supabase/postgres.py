"""A PostgreSQL server of our own: a child process, reached through a Unix socket in a folder of its own only."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from tests.local_supabase.processes import CannotStartError, Child, as_user, last_line

SUPERUSER = "supabase_admin"  # as on hosted projects, where `postgres` is none
OS_USER = "postgres"  # PostgreSQL refuses to run as root; Debian's package brings this user
DEBIAN = Path("/usr/lib/postgresql")  # whose servers are not on the PATH
NOT_KEPT = ("fsync", "synchronous_commit", "full_page_writes")  # costly, and only of use after a power cut


class PostgresServer:
    """Data lies in `data`. Sockets lie in `sockets`, whose path must be short (about 100 characters)."""

    def __init__(self, data: Path, sockets: Path, *, is_kept: bool) -> None:
        self._data = data
        self._sockets = sockets
        self._is_kept = is_kept
        self._programs = find_programs()

    def start(self) -> None:
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        if os.geteuid() == 0:
            shutil.chown(self._sockets, OS_USER, OS_USER)
            shutil.chown(self._data, OS_USER, OS_USER)
        if not any(self._data.iterdir()):
            self._initialize(environment)
        settings = {"listen_addresses": "", "unix_socket_directories": str(self._sockets), "timezone": "UTC"}
        if not self._is_kept:
            settings |= dict.fromkeys(NOT_KEPT, "off")
        self._server = Child(
            [
                str(self._programs / "postgres"),
                *("-D", str(self._data)),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ],
            log=self._sockets / "postgres.log",
            environment=environment,
            stop_with=signal.SIGINT,  # its fast shutdown; SIGTERM would wait for every client to leave
            user=OS_USER,
        )
        self._server.wait_until(self._answers)

    def stop(self) -> None:
        self._server.stop()

    def dsn(self, database: str = "postgres", *, user: str = "postgres") -> str:
        return f"host={self._sockets} dbname={database} user={user}"

    def _initialize(self, environment: dict[str, str]) -> None:
        words = ["-D", str(self._data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        done = subprocess.run(
            ["setpriv", *as_user(OS_USER), str(self._programs / "initdb"), *words],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise CannotStartError(f"initdb could not prepare {self._data}: {last_line(done.stderr)}")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn(user=SUPERUSER), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def find_programs(debian: Path = DEBIAN) -> Path:
    """Return the folder of the newest PostgreSQL server on this machine."""
    packaged = sorted(debian.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    elsewhere = shutil.which("postgres")
    found = [*([Path(elsewhere)] if elsewhere else []), *packaged]
    if not found:
        raise CannotStartError("There is no PostgreSQL server here; install it: sudo apt-get install postgresql.")
    return found[-1].resolve().parent
