"""A TCP proxy that cuts a connection when told to: on the way there, or just before the answer arrives."""

import select
import socket
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Self
from urllib.parse import urlsplit


class CuttingProxy:
    """Listens inside `with`, and passes everything on to `url`. `sent` is what the client sent so far."""

    def __init__(self, url: str) -> None:
        self.sent = bytearray()
        self.cuts = 0
        self._bytes_until_cut: int | None = None
        self._drops_answer = False
        address = urlsplit(url)
        self._upstream = (address.hostname or "", address.port or 80)
        self._server = ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def cut_request_after(self, length: int) -> None:
        """Cut once, when this many more bytes have been sent."""
        self._bytes_until_cut = length

    def drop_next_answer(self) -> None:
        """Cut once, when the server has done what it was asked and begins to say so."""
        self._drops_answer = True

    def _passes(self, data: bytes) -> bytes:
        """Return what of the client's data still gets through."""
        self.sent += data
        if self._bytes_until_cut is None:
            return data
        passed = data[: self._bytes_until_cut]
        self._bytes_until_cut -= len(passed)
        return passed

    def _handler(self) -> type[BaseRequestHandler]:
        proxy = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(proxy._upstream) as server:
                    while self._pass_on(server):
                        pass

            def _pass_on(self, server: socket.socket) -> bool:
                """Pass on what has come. False at the end of the connection, be it cut or not."""
                readable, _, _ = select.select([self.request, server], [], [])
                for source in readable:
                    data = source.recv(65536)
                    if not data:
                        return False
                    if source is server and proxy._drops_answer:
                        proxy._drops_answer = False
                        proxy.cuts += 1
                        return False
                    if source is server:
                        self.request.sendall(data)
                        continue
                    server.sendall(proxy._passes(data))
                    if proxy._bytes_until_cut == 0:
                        proxy._bytes_until_cut = None
                        proxy.cuts += 1
                        return False
                return True

        return Handler
