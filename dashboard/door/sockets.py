"""How much a WebSocket may send before Streamlit sees it, and how many of them strangers may hold open.

Streamlit handles all that has arrived on a socket without giving way, some milliseconds for each message of 14 bytes,
also for those who have not signed in. All of it runs in the one event loop that answers everybody.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from weakref import WeakValueDictionary

from google.protobuf.message import DecodeError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from dashboard.door.ended import ended_logins
from dashboard.door.visitors import EVERYBODY, known_login
from sync.pace import Pace

LARGEST_OF_STRANGERS = 64_000  # bytes of a message; what the page to sign in sends has a few hundred
SOCKETS_OF_STRANGERS = 100
LONGEST_WAIT = 10.0  # seconds for a stranger's socket to be opened
FLOOD = 200  # messages of a socket that had to wait, without a pause between them
ASKED_BY_STRANGERS = {"rerun_script", "stop_script", "app_heartbeat"}
PATIENCE = 1.0  # seconds to say goodbye to somebody who may not be listening

# RFC 6455, 7.4.1
POLICY_VIOLATION, PROTOCOL_ERROR, NO_TEXT, TOO_LARGE, TRY_AGAIN_LATER = 1008, 1002, 1003, 1009, 1013


def of_a_socket() -> Pace:
    """Return the pace of one tab. A page that opens sends several messages, a switched filter one or two."""
    return Pace(burst=30, per_second=10)


def of_a_login() -> Pace:
    """Return the pace of all tabs of a person; while a sync runs, each asks every second how far it is."""
    return Pace(burst=100, per_second=20)


def of_a_stranger() -> Pace:
    """Return the pace of a tab with the way in, which sends two messages."""
    return Pace(burst=10, per_second=5)


def of_all_strangers() -> Pace:
    return Pace(burst=40, per_second=30)


class Socket:
    """One WebSocket between the server and Streamlit."""

    def __init__(self, receive: Receive, send: Send, paces: list[Pace], *, login: str | None) -> None:
        self._receive = receive
        self._send = send
        self._paces = paces
        self.login = login
        self._waited = 0
        self._code: int | None = None
        self._is_closed = False
        self._task = asyncio.current_task()

    @property
    def is_strangers(self) -> bool:
        return self.login is None

    async def serve(self, app: ASGIApp, scope: Scope) -> None:
        """Let Streamlit serve the socket until one side closes it, or `end` does."""
        try:
            if self.is_strangers:
                await self._wait_to_be_opened()
            if self._code is None:
                await app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            if self._code is None or not self._task:
                raise
            self._task.uncancel()
        if self._code is not None and not self._is_closed:
            with suppress(OSError, TimeoutError):  # they have left, or do not read what they are sent
                closing = {"type": "websocket.close", "code": self._code}
                await asyncio.wait_for(self._send(closing), PATIENCE)

    def end(self) -> None:
        """Close the socket to make room for another, whatever it is doing."""
        if self._code is None and self._task:
            self._code = TRY_AGAIN_LATER
            self._task.cancel()

    async def _wait_to_be_opened(self) -> None:
        delay = self._delay()
        if delay > LONGEST_WAIT:
            self._code = TRY_AGAIN_LATER
        else:
            await asyncio.sleep(delay)

    def _delay(self) -> float:
        return max(pace.delay() for pace in self._paces)

    async def receive(self) -> Message:
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            asked, self._code = self._checked(message)
            if self._code is None:
                self._code = await self._turn()
            if self._code is not None:
                return {"type": "websocket.disconnect", "code": self._code}
            if not self.is_strangers or asked in ASKED_BY_STRANGERS:
                return message

    def _checked(self, message: Message) -> tuple[str | None, int | None]:
        """Return what a message asks for, or the code with which the socket is closed for it."""
        data = message.get("bytes")
        if data is None:
            return None, NO_TEXT
        if self.is_strangers and len(data) > LARGEST_OF_STRANGERS:
            return None, TOO_LARGE
        try:
            asked = BackMsg.FromString(data).WhichOneof("type")
        except DecodeError:
            return None, PROTOCOL_ERROR
        return asked, None if asked else PROTOCOL_ERROR

    async def _turn(self) -> int | None:
        """Wait for the message's turn, and let the others have theirs; return the code of one that is too much."""
        delay = self._delay()
        self._waited = self._waited + 1 if delay else 0
        if self._waited > FLOOD:
            return POLICY_VIOLATION
        await asyncio.sleep(delay)  # also when it is 0: that is where the others get their turn
        return POLICY_VIOLATION if self.login and self.login in ended_logins() else None

    async def send(self, message: Message) -> None:
        if self._is_closed or self._code is not None:
            return
        if message["type"] == "websocket.close":
            self._is_closed = True
        if self.is_strangers and message.get("bytes"):
            message = {**message, "bytes": without_installation(message["bytes"])}
        with suppress(OSError):  # they have left: Streamlit hears of it from `receive`, and writes tracebacks otherwise
            await self._send(message)


def without_installation(data: bytes) -> bytes:
    """Leave out of a message to a browser where the program lies, which versions it has, and the installation's id."""
    told = ForwardMsg.FromString(data)
    if told.WhichOneof("type") != "new_session":
        return data
    session = told.new_session
    session.main_script_path = session.name
    for part in (session.initialize.environment_info, session.initialize.user_info):
        part.Clear()
        part.SetInParent()  # Streamlit's page insists that it is there
    return told.SerializeToString()


class PacedSockets:
    """The layer that lets each WebSocket send at its pace, and makes room among those of strangers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._strangers: dict[Socket, None] = {}  # those that are open, the oldest first
        self._pace_of_strangers = of_all_strangers()
        self._paces: WeakValueDictionary[str, Pace] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        login = known_login(scope)
        socket = Socket(receive, send, self._paces_for(login), login=login)
        with self._counted(socket):
            await socket.serve(self._app, scope)

    def _paces_for(self, login: str | None) -> list[Pace]:
        if login == EVERYBODY:
            return [of_a_socket()]
        if login is None:
            return [of_a_stranger(), self._pace_of_strangers]
        return [of_a_socket(), self._paces.setdefault(login, of_a_login())]

    @contextmanager
    def _counted(self, socket: Socket) -> Iterator[None]:
        """Count a stranger's socket for the length of the block. One too many takes the place of the oldest."""
        if socket.is_strangers:
            self._strangers[socket] = None
        if len(self._strangers) > SOCKETS_OF_STRANGERS:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.end()
        try:
            yield
        finally:
            self._strangers.pop(socket, None)
