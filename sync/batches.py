"""Cut a stream into lists, so that each can be one transaction."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from sync.errors import VoiceLedgerError

Item = TypeVar("Item")


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items; if the stream breaks off, first what had come of the last list, then the error."""
    batch: list[Item] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except VoiceLedgerError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
