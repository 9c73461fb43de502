"""Answers that a page does not wait for."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")


def answered_later(ask: Callable[[], Answer]) -> "Future[Answer]":
    """Ask in a thread, which keeps no program from ending, and return where its answer will be."""
    future: Future[Answer] = Future()

    def answer() -> None:
        try:
            future.set_result(ask())
        except Exception as exc:  # noqa: BLE001  kept for the page that looks
            future.set_exception(exc)

    threading.Thread(target=answer, daemon=True, name="answered later").start()
    return future
