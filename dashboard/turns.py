"""Few pages are put together at the same time: all at once would take turns at one interpreter, and all be late."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PAGES_AT_ONCE = 3
LONGEST_WAIT = 2.0  # seconds; then the pages ahead may be waiting for somebody else, such as a provider
BETWEEN_REDRAWS = 0.5  # seconds; when a run has ended, the pages that are open are drawn anew one after the other

_places = threading.BoundedSemaphore(PAGES_AT_ONCE)
_redraws = threading.Lock()
_next_redraw = 0.0


@contextmanager
def one_of_few() -> Iterator[None]:
    """Wait for a place, though not for long, and hold it for the length of the block."""
    has_place = _places.acquire(timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        if has_place:
            _places.release()


def may_redraw() -> bool:
    """Tell whether a page may draw itself anew for which nobody has asked. One that may not asks again soon."""
    global _next_redraw
    with _redraws:
        now = time.monotonic()
        if now < _next_redraw:
            return False
        _next_redraw = now + BETWEEN_REDRAWS
        return True
