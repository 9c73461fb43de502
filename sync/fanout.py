"""Fetch many records one by one with several requests in flight; one bad record does not stop the others."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sync.errors import MalformedRecordError, RecordNotFoundError
from sync.models import Failure

Record = TypeVar("Record")


def fetch_each(fetch: Callable[[str], Record], ids: Iterable[str], *, concurrency: int) -> Iterator[Record | Failure]:
    """Yield what `fetch` returns for each id, in order. An error that concerns more than one record is raised."""

    def attempt(record_id: str) -> Record | Failure:
        try:
            return fetch(record_id)
        except (RecordNotFoundError, MalformedRecordError) as exc:
            return Failure(record_id=record_id, error=str(exc), is_gone=isinstance(exc, RecordNotFoundError))

    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="fetch")
    try:
        yield from pool.map(attempt, ids)
    finally:
        pool.shutdown(cancel_futures=True)
