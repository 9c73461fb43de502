"""How a process ends when it is told to: it stops what it does, and ends for good if that takes too long."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from types import FrameType

import structlog

SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE = timedelta(seconds=3.5)  # systemd, Docker and people wait longer than that
KILLED_BY = 128  # plus its number is how shells tell which signal ended a process
NOBODY = -1

Handler = Callable[[int, FrameType | None], object]

log = structlog.get_logger()


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and Ctrl-C set. After a second one, or after GRACE, the process ends at once."""
    should_stop = threading.Event()
    _watch(should_stop.set, handler=lambda *_: None)
    return should_stop


def interrupt_on_signals() -> None:
    """Let SIGTERM raise KeyboardInterrupt as Ctrl-C does, which cleans up; the process ends soon in any case."""
    _watch(lambda: None, handler=signal.default_int_handler)


def unwatch() -> None:
    """Leave signals to ordinary handlers from now on."""
    _wake(NOBODY)


def stop_beside_server(stop: Callable[[], None]) -> None:
    """Call `stop` before what a server does at a signal by itself, which waits for all that is going on."""
    is_told = False

    def handler_before(servers: Handler) -> Handler:
        def handle(number: int, frame: FrameType | None) -> None:
            nonlocal is_told
            if is_told:
                _end_at_once(number)
            is_told = True
            stop()
            _end_after_grace(number)
            servers(number, frame)

        return handle

    for number in SIGNALS:
        servers = signal.getsignal(number)
        if callable(servers):
            signal.signal(number, handler_before(servers))


def _watch(tell: Callable[[], None], *, handler: Handler) -> None:
    """Let a thread take the signals: the main one hears of none while it waits for an answer or for a database."""
    ours, systems = socket.socketpair()
    systems.setblocking(False)

    def next_signal() -> int | None:
        """Wait for one of the signals; None once others watch in our place. Raises TimeoutError."""
        while number := ours.recv(1):
            if number[0] in SIGNALS:
                return number[0]
        return None

    def take() -> None:
        number = next_signal()
        if number is None:
            return
        tell()
        ours.settimeout(GRACE.total_seconds())
        try:
            number = next_signal() or number
        except TimeoutError:
            log.warning(f"It did not stop within {GRACE.total_seconds():g} s, and is ended; what was saved is kept.")
        _end_at_once(number)

    for number in SIGNALS:
        signal.signal(number, handler)
    _wake(systems.detach())
    threading.Thread(target=take, name="signals", daemon=True).start()


def _wake(watcher: int) -> None:
    former = signal.set_wakeup_fd(watcher, warn_on_full_buffer=False)
    if former != NOBODY:
        os.close(former)  # which ends the thread that watched before


def _end_after_grace(number: int) -> None:
    timer = threading.Timer(GRACE.total_seconds(), _end_at_once, [number])
    timer.daemon = True
    timer.start()


def _end_at_once(number: int) -> None:
    os._exit(KILLED_BY + number)
