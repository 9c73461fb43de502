"""The front door of a local project: turns its keys into roles and passes requests on to PostgREST."""

import json
from collections.abc import Iterable
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.local_supabase.keys import Keys
from tests.local_supabase.postgrest import Answer, PostgRest

DATA_API = "/rest/v1"
# They describe one connection, and there are two: the client's and PostgREST's.
OF_ONE_CONNECTION = ("connection", "content-length", "host", "keep-alive", "transfer-encoding", "date", "server")

WRONG_KEY = {"message": "Invalid API key", "hint": "Double check your Supabase `anon` or `service_role` API key."}
UPSTREAM_GONE = {"message": "An invalid response was received from the upstream server"}  # no code, as hosted


class Gateway:
    """Listens on loopback, from `start` to `stop`; port 0 is any free one."""

    def __init__(self, keys: Keys, postgrest: PostgRest, *, port: int) -> None:
        self._keys = keys
        self._postgrest = postgrest
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False  # a client may keep its connection open for longer than we live
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer one request; header names are in lower case."""
        role = self._keys.role_of(headers.get("apikey"))
        if role is None:
            return refusal(401, WRONG_KEY)
        if not path.startswith(f"{DATA_API}/"):
            return refusal(404, {"message": "The local project has no more than the Data API."})
        try:
            return self._postgrest.ask(method, path.removeprefix(DATA_API), self._for_postgrest(headers, role), body)
        except (OSError, HTTPException):
            return refusal(502, UPSTREAM_GONE)

    def _for_postgrest(self, headers: dict[str, str], role: str) -> dict[str, str]:
        passed_on = without(headers.items(), (*OF_ONE_CONNECTION, "apikey"))
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if not bearer or self._keys.role_of(bearer):  # supabase-py sends the key there too, unless somebody signed in
            passed_on["authorization"] = f"Bearer {self._keys.token(role)}"
        return passed_on

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's acknowledgement
            wbufsize = -1

            def _answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                length = int(headers.get("content-length", 0))
                body = self.rfile.read(length)
                try:
                    if len(body) < length:
                        raise ConnectionResetError
                    self._send(gateway.answer(self.command, self.path, headers, body))
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client is gone; half a request is none

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in without(answer.headers, OF_ONE_CONNECTION).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
                self.wfile.flush()

            do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: object) -> None:  # the name is http.server's
                pass

        return Handler


def refusal(status: int, reason: dict[str, str]) -> Answer:
    return Answer(status=status, headers=[("Content-Type", "application/json")], body=json.dumps(reason).encode())


def without(headers: Iterable[tuple[str, str]], names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in names}
