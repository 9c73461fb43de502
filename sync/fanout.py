"""Fetch many records one by one with several requests in flight; one bad record does not stop the others."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from sync.errors import MalformedRecordError, RecordNotFoundError
from sync.models import Failure

Record = TypeVar("Record")

ASKED_FOR = 400  # records that are being fetched or wait to be taken: enough to fetch on while a batch is saved


def fetch_each(fetch: Callable[[str], Record], ids: Iterable[str], *, workers: int) -> Iterator[Record | Failure]:
    """Yield what `fetch` returns for each id, whichever comes first, and a Failure for each bad record.

    An error that concerns more than one record is raised. Ids are taken as they are needed, so there may be any number.
    """

    def attempt(record_id: str) -> Record | Failure:
        try:
            return fetch(record_id)
        except (RecordNotFoundError, MalformedRecordError) as exc:
            return Failure(record_id=record_id, error=str(exc), is_gone=isinstance(exc, RecordNotFoundError))

    pool = ThreadPoolExecutor(workers, thread_name_prefix="fetch")
    ended: SimpleQueue[Future[Record | Failure]] = SimpleQueue()
    underway = 0
    try:
        for record_id in ids:
            pool.submit(attempt, record_id).add_done_callback(ended.put)
            underway += 1
            while underway >= ASKED_FOR or not ended.empty():
                yield ended.get().result()
                underway -= 1
        for _ in range(underway):
            yield ended.get().result()
    finally:
        pool.shutdown(cancel_futures=True)
