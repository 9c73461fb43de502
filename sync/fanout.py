"""Fetch many records one by one with several requests in flight; one bad record does not stop the others."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

from sync.errors import (
    MalformedRecordError,
    ProviderDownError,
    ProviderError,
    RecordNotFoundError,
    RejectedRequestError,
    UnexpectedAnswerError,
)
from sync.models import Failure

Record = TypeVar("Record")

ASKED_FOR = 400  # records that are being fetched or wait to be taken: enough to fetch on while a batch is saved


OF_ONE_RECORD = (RecordNotFoundError, MalformedRecordError)
OF_ONE_RECORD_OR_ALL = (RejectedRequestError, UnexpectedAnswerError, ProviderDownError)  # the others tell


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[Record]):
    """What came of a request. With `doubt` it is open whether the record is to blame, or the provider."""

    came: Record | Failure
    doubt: ProviderError | None = None


def fetch_each(fetch: Callable[[str], Record], ids: Iterable[str], *, workers: int) -> Iterator[Record | Failure]:
    """Yield what `fetch` returns for each id, whichever comes first, and a Failure for each bad record.

    An error that concerns more than one record is raised; one that may concern all is a Failure as well, and raised
    when nothing else came, or as many in a row as are asked for at once. Ids are taken as they are needed.
    """
    in_a_row, any_came, doubt = 0, False, None
    with closing(_outcomes(fetch, ids, workers)) as outcomes:
        for outcome in outcomes:
            yield outcome.came
            doubt = outcome.doubt or doubt
            any_came |= outcome.doubt is None
            in_a_row = 0 if outcome.doubt is None else in_a_row + 1
            if doubt and in_a_row >= workers:
                raise doubt
    if doubt and not any_came:
        raise doubt


def _outcomes(
    fetch: Callable[[str], Record], ids: Iterable[str], workers: int
) -> Generator[_Outcome[Record], None, None]:
    def attempt(record_id: str) -> _Outcome[Record]:
        try:
            return _Outcome(fetch(record_id))
        except OF_ONE_RECORD as exc:
            is_gone = isinstance(exc, RecordNotFoundError)
            return _Outcome(Failure(record_id=record_id, error=str(exc), is_gone=is_gone))
        except OF_ONE_RECORD_OR_ALL as exc:
            return _Outcome(Failure(record_id=record_id, error=str(exc)), doubt=exc)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="fetch")
    ended: SimpleQueue[Future[_Outcome[Record]]] = SimpleQueue()
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
