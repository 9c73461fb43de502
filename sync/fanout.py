"""Fetch many records one by one with several requests in flight; bad records do not stop the others."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import Generic, TypeVar

from sync.errors import (
    MalformedRecordError,
    NotYetError,
    ProviderDownError,
    ProviderError,
    RecordNotFoundError,
    RejectedRequestError,
    UnexpectedAnswerError,
)
from sync.models import Failure

Record = TypeVar("Record")

ASKED_FOR = 400  # records that are being fetched or wait to be taken: enough to fetch on while a batch is saved
SAMPLE = 16  # records that are asked for before giving up
LOOK_AHEAD = 10_000  # ids of a list that is still being read

OF_ONE_RECORD = (RecordNotFoundError, MalformedRecordError)
OF_ONE_RECORD_OR_ALL = (RejectedRequestError, UnexpectedAnswerError, ProviderDownError)  # the others tell


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[Record]):
    """What a request gave: nothing if the record has not begun. `doubt`: the record is to blame, or the provider."""

    came: Record | Failure | None
    doubt: ProviderError | None = None


def fetch_each(fetch: Callable[[str], Record], ids: Iterable[str], *, workers: int) -> Iterator[Record | Failure]:
    """Yield what `fetch` returns for each id, whichever comes first, and a Failure for each bad record.

    An error that concerns more than one record is raised. One that may concern all is a Failure as well. When as many
    of these come in a row as are asked for at once, some of the ids that are left are asked for, the last among them.
    If one comes, the provider works and the records are to blame. If none comes the error is raised, and tells how many
    records are left. It is also raised when nothing else came. Ids are taken as they are needed.
    """
    attempt, waiting, streak = _attempt(fetch), _Waiting(ids), _Streak[Record](workers)
    with closing(_outcomes(attempt, waiting, workers)) as outcomes:
        for outcome in outcomes:
            yield from streak.add(outcome)
            if streak.is_long and (sample := waiting.take_sample()):
                for other in _ask(attempt, sample):
                    yield from streak.add(other)
                if streak.doubt and streak.is_long:
                    raise _left(streak.doubt, waiting.handed_out + len(waiting.ahead) - streak.seen)
    if streak.doubt and (streak.is_long or not streak.any_came):
        raise streak.doubt


class _Waiting:
    """The ids that nobody has asked for yet. Of a list that is still being read, only a part is ever kept."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.handed_out = 0
        self.ahead: deque[str] = deque(ids if isinstance(ids, Sequence) else ())
        self._source = iter(()) if isinstance(ids, Sequence) else iter(ids)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        record_id = self.ahead.popleft() if self.ahead else next(self._source)
        self.handed_out += 1
        return record_id

    def take_sample(self) -> list[str]:
        """Take some ids from all over what is waiting, and the very last."""
        self.ahead.extend(islice(self._source, max(LOOK_AHEAD - len(self.ahead), 0)))
        size = min(SAMPLE, len(self.ahead))
        places = {len(self.ahead) * (number + 1) // size - 1 for number in range(size)}
        sample = [record_id for place, record_id in enumerate(self.ahead) if place in places]
        self.ahead = deque(record_id for place, record_id in enumerate(self.ahead) if place not in places)
        self.handed_out += size
        return sample


class _Streak(Generic[Record]):
    """What has come so far, and how many doubtful answers have come in a row."""

    def __init__(self, longest: int) -> None:
        self.seen = 0
        self.any_came = False
        self.doubt: ProviderError | None = None
        self._longest = longest
        self._in_a_row = 0

    @property
    def is_long(self) -> bool:
        return self._in_a_row >= self._longest

    def add(self, outcome: _Outcome[Record]) -> Iterator[Record | Failure]:
        self.seen += 1
        self.doubt = outcome.doubt or self.doubt
        self.any_came |= outcome.doubt is None
        self._in_a_row = 0 if outcome.doubt is None else self._in_a_row + 1
        if outcome.came is not None:
            yield outcome.came


def _left(doubt: ProviderError, left: int) -> ProviderError:
    error = type(doubt)(f"{str(doubt).removesuffix('.')}; {left:,} records were left for the next run.")
    error.left = left
    return error


def _attempt(fetch: Callable[[str], Record]) -> Callable[[str], _Outcome[Record]]:
    def attempt(record_id: str) -> _Outcome[Record]:
        try:
            return _Outcome(fetch(record_id))
        except NotYetError:
            return _Outcome(None)
        except OF_ONE_RECORD as exc:
            is_gone = isinstance(exc, RecordNotFoundError)
            return _Outcome(Failure(record_id=record_id, error=str(exc), is_gone=is_gone))
        except OF_ONE_RECORD_OR_ALL as exc:
            return _Outcome(Failure(record_id=record_id, error=str(exc)), doubt=exc)

    return attempt


def _ask(attempt: Callable[[str], _Outcome[Record]], ids: Sequence[str]) -> list[_Outcome[Record]]:
    """Ask for a few records at once, before all those that the other threads still have before them."""
    with ThreadPoolExecutor(len(ids), thread_name_prefix="fetch") as pool:
        return list(pool.map(attempt, ids))


def _outcomes(
    attempt: Callable[[str], _Outcome[Record]], ids: Iterable[str], workers: int
) -> Generator[_Outcome[Record], None, None]:
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
