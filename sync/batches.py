"""Cut a stream into lists, so that each can be one transaction."""

import time
from collections.abc import Generator, Iterable
from typing import TypeVar

from sync.errors import VoiceLedgerError

Item = TypeVar("Item")


def in_batches(items: Iterable[Item], size: int, *, within: float = float("inf")) -> Generator[list[Item], None, None]:
    """Yield lists of `size` items; if the stream breaks off, first what had come of the last list, then the error.

    A list is shorter when an item comes more than `within` seconds after the list before was yielded. Closing this
    generator closes a stream that is one too, and with it the threads that feed it.
    """
    batch: list[Item] = []
    give_at = time.monotonic() + within
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size or time.monotonic() >= give_at:
                yield batch
                batch = []
                give_at = time.monotonic() + within
    except VoiceLedgerError:
        if batch:
            yield batch
        raise
    else:
        if batch:
            yield batch
    finally:
        if isinstance(items, Generator):
            items.close()
