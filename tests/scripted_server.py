"""A small real HTTP server that answers from a script and remembers what it was asked."""

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Self

import simplejson

CLOSED = -1  # as a status: close the connection without a word


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`body`: text and bytes go out as they are, anything else as JSON. `cut` leaves after half of the length."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        text = self.body if isinstance(self.body, str) else simplejson.dumps(self.body, use_decimal=True)
        return text.encode()


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it came: `query` is raw, header names are in lower case."""

    path: str
    query: str
    headers: Mapping[str, str]
    method: str = "GET"


class ScriptedServer:
    """Has its address from the start, and listens inside `with`: before that, connections are refused."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.most_at_once = 0
        self._scripts: dict[str, deque[Answer]] = defaultdict(deque)
        self._at_once = 0
        self._lock = Lock()
        self._over = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(), bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.request_queue_size = 64
        self._server.block_on_close = False
        self._server.server_bind()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._server.server_activate()
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self.close()

    def close(self) -> None:
        self._server.server_close()

    def on(self, target: str, *answers: Answer) -> None:
        """Answer requests for a path (or a path with its raw query) in this order; the last answer stays."""
        self._scripts[target].extend(answers)

    def from_now_on(self, target: str, *answers: Answer) -> None:
        """Forget what was to be answered, and answer so."""
        self._scripts[target] = deque(answers)

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            script = self._scripts.get(f"{request.path}?{request.query}") or self._scripts.get(request.path)
            if not script:
                return Answer(status=404, body={"detail": "not in the script"})
            return script.popleft() if len(script) > 1 else script[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's acknowledgement
            wbufsize = -1

            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = script.answer(Request(path=path, query=query, headers=headers, method=self.command))
                try:
                    script._over.wait(answer.delay)
                    self._send(answer)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client has lost patience
                finally:
                    with script._lock:
                        script._at_once -= 1

            do_POST = do_GET  # noqa: N815  the names are http.server's

            def _send(self, answer: Answer) -> None:
                self.close_connection = answer.cut or answer.status == CLOSED
                if answer.status == CLOSED:
                    return
                content = answer.content()
                if "Date" in answer.headers:
                    self.send_response_only(answer.status)
                else:
                    self.send_response(answer.status)  # with the time that it is
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                if answer.status != 204:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if answer.cut else content)
                self.wfile.flush()

            def log_message(self, format: str, *args: object) -> None:  # the name is http.server's
                pass

        return Handler
