"""Let a generator run ahead of its reader in a thread of its own, so that neither waits for the other's work."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")

_END = object()
LOOK_AT_STOP = 0.2  # seconds


def run_ahead(items: Iterable[Item], *, at_most: int) -> Generator[Item, None, None]:
    """Yield the items in order; up to `at_most` (0: any number) are made before they are asked for.

    What `items` raises is raised here, after the items before it. Closing this generator stops the thread.
    """
    made: queue.Queue[object] = queue.Queue(at_most)
    stopped = threading.Event()

    def put(thing: object) -> None:
        while not stopped.is_set():
            try:
                made.put(thing, timeout=LOOK_AT_STOP)
            except queue.Full:
                continue
            return

    def make() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
        except BaseException as exc:  # noqa: BLE001  raised again, in the reader's thread
            put(_Raised(exc))
        put(_END)

    maker = threading.Thread(target=make, name="ahead", daemon=True)
    maker.start()
    try:
        while (item := made.get()) is not _END:
            if isinstance(item, _Raised):
                raise item.error
            yield item  # type: ignore[misc]  # only items are left
    finally:
        stopped.set()


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error
