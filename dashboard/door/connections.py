"""Limits of a connection that hold before a request is whole, where no layer of the application can see it yet."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

SECONDS_FOR_HEADERS = 10.0
LARGEST_MESSAGE = 1_000_000  # bytes that a browser may send at once; the widgets of a page have some thousand
MOST_UNREAD = 100  # messages of a socket; a page that opens sends some five
POLICY_VIOLATION = 1008


class PunctualRequests(H11Protocol):
    """Closes a connection whose next request does not get beyond its headers in time; uvicorn waits for ever."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP. Of a broken body, uvicorn would log that the answer under way failed, twice."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _expect_headers(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(SECONDS_FOR_HEADERS, self.transport.close)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class SmallMessages(WebSocketsSansIOProtocol):
    """Refuses a large message at its first bytes, and a socket that sends far more than it can have answered.

    Streamlit's setting for the largest message is meant for what it sends, which is larger. Unread messages are dropped
    when the socket closes: Streamlit would handle them first, at their pace, and the server's stop would wait for it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.max_size = LARGEST_MESSAGE

    def send_receive_event_to_app(self) -> None:
        super().send_receive_event_to_app()
        if self.queue.qsize() > MOST_UNREAD and not self.close_sent:
            self._drop_unread()
            self.conn.fail(POLICY_VIOLATION)
            self.handle_parser_exception()  # which ends the socket with the code of the close just sent

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self.disconnected = True  # else uvicorn takes what Streamlit still sends for a mistake in the program

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.disconnected = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_unread()
        super().connection_lost(exc)

    def handle_close(self, event: Frame) -> None:
        self._drop_unread()
        super().handle_close(event)

    def shutdown(self) -> None:
        self._drop_unread()
        super().shutdown()

    def _drop_unread(self) -> None:
        waiting = [self.queue.get_nowait() for _ in range(self.queue.qsize())]
        for event in waiting:
            if event["type"] != "websocket.receive":
                self.queue.put_nowait(event)


def limit() -> None:
    """Have uvicorn make its connections like this. It has chosen its classes when it loads the application."""
    make = H11Protocol.__init__

    def make_ours(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self.__class__ = PunctualRequests
        self.ws_protocol_class = SmallMessages

    H11Protocol.__init__ = make_ours  # type: ignore[method-assign]
