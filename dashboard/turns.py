"""Few pages are put together at the same time: all at once would take turns at one interpreter, and all be late."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PAGES_AT_ONCE = 3
LONGEST_WAIT = 2.0  # seconds; then the pages ahead may be waiting for somebody else, such as a provider

_places = threading.BoundedSemaphore(PAGES_AT_ONCE)


@contextmanager
def one_of_few() -> Iterator[None]:
    """Wait for a place, though not for long, and hold it for the length of the block."""
    has_place = _places.acquire(timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        if has_place:
            _places.release()
