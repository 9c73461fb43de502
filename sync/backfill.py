"""The historical sync: any period, newest first, as fast as the provider allows; may be stopped and started again.

Records are saved in small batches and their balances refreshed now and then, so that a long walk back costs little more
than its requests. The hourly run of the same source has a lock of its own, and this one waits while that one works.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sync.ahead import run_ahead
from sync.batches import in_batches
from sync.errors import ProviderError, StoreError
from sync.jobs import (
    CALLS_A_BATCH,
    CONVERSATIONS_A_BATCH,
    CallSource,
    ConversationSource,
    Tally,
    failed_before,
    ids_to_fetch,
    missing_generations,
    once_more,
)
from sync.models import CallLeg, Conversation, ConversationSummary, Failure, RunKind, RunState, Source, SyncRun, Window
from sync.runs import Conditions, Run, is_alive, open_run
from sync.slices import Walk
from sync.store import Store

USUAL_BACKFILL = timedelta(days=396)  # 13 months, for whoever does not say how far back
LISTED_A_BATCH = 100
SAVE_WITHIN = 0.1  # seconds: a stop is heeded soon, and a crash costs little, although answers are slow
CALLS_AHEAD = 3  # batches
LISTS_AT_ONCE = 8
LISTED_AHEAD = 500  # batches: enough to tell how long it will take, and little memory
REFRESH_EVERY = 2.0  # seconds, or when that is longer,
WORK_PER_REFRESH = 20  # so many times what the last refresh took
REFRESH_FOR = 0.1  # seconds, then records are saved again: with what was fetched meanwhile, fetching would stand still
LOOK_FOR_HOURLY_RUN = 2.0  # seconds
WAIT_FOR_HOURLY_RUN = 0.5
RECENT_RUNS = 10
UNFINISHED_BACKFILLS = 100


class PastCalls(CallSource, Protocol):
    """Where old call legs come from; `sync.twilio` explains each method."""

    def calls_between(self, start: datetime, end: datetime) -> Iterator[CallLeg | Failure]: ...


class PastConversations(ConversationSource, Protocol):
    """Where old conversations come from; `sync.elevenlabs` explains each method."""

    def summaries_between(self, start: datetime, end: datetime) -> Iterator[ConversationSummary | Failure]: ...


Entry = CallLeg | Conversation | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """Part of what a slice lists: calls as they are, of conversations the ids whose detail is needed."""

    slice: int
    entries: Sequence[Entry] = ()
    ids: Sequence[str] = ()
    is_last: bool = False


def backfill_twilio(provider: PastCalls, store: Store, window: Window, conditions: Conditions) -> SyncRun:
    """Fetch every leg that started in `[start, end)`, and their parents wherever they started. May be repeated."""
    with _opened(store, "twilio", window, conditions) as backfill:
        with closing(run_ahead(_list_calls(provider, backfill.walk), at_most=CALLS_AHEAD)) as batches:
            for listed in batches:
                backfill.take(listed)
        for parents in missing_generations(store, since=lambda: backfill.oldest):
            backfill.save_each(provider.calls(parents))
        backfill.save_each(once_more(provider.calls, backfill.take_failed(), backfill.leave))
    return store.run(backfill.run.id) or backfill.run.record


def backfill_elevenlabs(provider: PastConversations, store: Store, window: Window, conditions: Conditions) -> SyncRun:
    """Fetch every conversation that started in `[start, end)` and is not stored in its final version yet."""
    with _opened(store, "elevenlabs", window, conditions) as backfill:
        listed = run_ahead(_list_conversations(provider, store, backfill.walk), at_most=LISTED_AHEAD)
        with closing(listed):
            backfill.save_each(provider.conversations(backfill.ids_of(listed)))
        backfill.save_each(once_more(provider.conversations, backfill.take_failed(), backfill.leave))
        if backfill.broken_off:
            raise backfill.broken_off
    return store.run(backfill.run.id) or backfill.run.record


def _list_calls(provider: PastCalls, walk: Walk) -> Iterator[_Listed]:
    for number, (start, end) in enumerate(walk.slices):
        for batch in in_batches(provider.calls_between(start, end), CALLS_A_BATCH):
            yield _Listed(slice=number, entries=batch)
        yield _Listed(slice=number, is_last=True)


def _list_conversations(provider: PastConversations, store: Store, walk: Walk) -> Iterator[_Listed]:
    """Yield what the slices list, in order, while the next ones are being listed: a list comes page after page."""

    def list_slice(number: int) -> tuple[list[_Listed], ProviderError | None]:
        parts: list[_Listed] = []
        try:
            parts.extend(_list_slice(provider, store, number, walk.slices[number]))
        except ProviderError as exc:
            return parts, exc
        return parts, None

    pool = ThreadPoolExecutor(LISTS_AT_ONCE, thread_name_prefix="list")
    lists: deque[Future[tuple[list[_Listed], ProviderError | None]]] = deque()
    try:
        for number in range(len(walk.slices) + LISTS_AT_ONCE):
            if number < len(walk.slices):
                lists.append(pool.submit(list_slice, number))
            if lists and number >= LISTS_AT_ONCE - 1:
                parts, broken_off = lists.popleft().result()
                walk.listed += sum(len(part.ids) + len(part.entries) for part in parts)
                yield from parts
                if broken_off:
                    raise broken_off
    finally:
        pool.shutdown(cancel_futures=True)


def _list_slice(provider: PastConversations, store: Store, number: int, window: Window) -> Iterator[_Listed]:
    seen: set[str] = set()  # a list that grows while it is read shows a record on two pages
    for batch in in_batches(provider.summaries_between(*window), LISTED_A_BATCH):
        summaries = [entry for entry in batch if isinstance(entry, ConversationSummary)]
        failures = [entry for entry in batch if isinstance(entry, Failure)]
        ids = [each for each in ids_to_fetch(store, summaries) if each not in seen]
        seen.update(ids)
        yield _Listed(slice=number, ids=ids, entries=failures)
    yield _Listed(slice=number, is_last=True)


class _Backfill:
    """A backfill underway: what it saves, what failed, and how far it is."""

    def __init__(self, run: Run, store: Store, walk: Walk, conditions: Conditions) -> None:
        self.run = run
        self.walk = walk
        self.oldest = run.record.window_start  # or a parent from before
        self.broken_off: ProviderError | None = None
        self._source = run.record.source
        self._store = store
        self._conditions = conditions
        self._failed_before = set(failed_before(store, run.record.source))
        self._tally = Tally()
        self._put_off: set[str] = set()
        self._failed: set[str] = set()
        self._refresh_at = time.monotonic() + REFRESH_EVERY
        self._looked_at = 0.0

    def ids_of(self, listed: Iterable[_Listed]) -> Iterator[str]:
        """Yield the ids to fetch as they are asked for. What a list gave before it broke off is still fetched.

        Those that failed in a run before wait until the end: if they fail again, the provider may well work.
        """
        try:
            for part in listed:
                self.take(part)
                self._put_off.update(self._failed_before.intersection(part.ids))
                yield from (record_id for record_id in part.ids if record_id not in self._failed_before)
        except ProviderError as exc:
            self.broken_off = exc

    def take(self, listed: _Listed) -> None:
        """Save what a list gave, and remember what is still to be fetched."""
        self.walk.take(listed.slice, listed.ids, is_last=listed.is_last)
        self.save(listed.entries)
        if listed.is_last:
            self._tally.forget_saved()  # another slice lists other records

    def take_failed(self) -> list[str]:
        """Return what failed so far, in this run or one before, to try it again."""
        failed, self._failed = self._failed, set()
        before = [each for each in failed_before(self._store, self._source) if each not in failed]
        self.walk.listed += len(set(before) - self._put_off)
        self.run.count(done=-len(failed))
        return [*before, *sorted((failed | self._put_off).difference(before))]

    def leave(self, ids: Iterable[str]) -> None:
        """Count records that failed before and were not asked for any more."""
        self.run.count(failed=self._tally.leave(ids))

    def save_each(self, entries: Iterable[Entry]) -> None:
        size = CALLS_A_BATCH if self._source == "twilio" else CONVERSATIONS_A_BATCH
        with closing(in_batches(entries, size, within=SAVE_WITHIN)) as batches:
            for batch in batches:
                self.save(batch)

    def save(self, batch: Sequence[Entry]) -> None:
        """Save a batch and what failed of it, tell how far the run is, and refresh balances when it is time to."""
        legs = [entry for entry in batch if isinstance(entry, CallLeg)]
        conversations = [entry for entry in batch if isinstance(entry, Conversation)]
        failures = [entry for entry in batch if isinstance(entry, Failure)]
        self._list_failures(failures)
        if legs:
            self._store.save_calls(legs, refresh=False)
            self.oldest = min(self.oldest, *(leg.started_at for leg in legs))
        if conversations:
            self._store.save_conversations(conversations, refresh=False)
        for entry in batch:
            self.walk.came(entry.record_id)
        saved, failed = self._tally.add(batch)
        self.run.count(
            done=len(batch),
            saved=saved,
            failed=failed,
            total=self.walk.listed if self._source == "elevenlabs" else None,  # Twilio's pages do not tell it
            position=self.walk.position,
        )
        self._refresh_now_and_then()
        self._wait_for_hourly_run()

    def _list_failures(self, failures: Sequence[Failure]) -> None:
        if named := [failure for failure in failures if failure.record_id]:  # the others cannot be tried again
            self._store.save_failures(self._source, named, now=self._conditions.clock())
            self._failed.update(failure.record_id for failure in named)

    def _refresh_now_and_then(self) -> None:
        start = time.monotonic()
        if start < self._refresh_at:
            return
        while self._store.refresh_next(self._source) and time.monotonic() - start < REFRESH_FOR:
            pass
        took = time.monotonic() - start
        self._refresh_at = start + took + max(REFRESH_EVERY, WORK_PER_REFRESH * took)

    def _wait_for_hourly_run(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_FOR_HOURLY_RUN:
            return
        while self._hourly_run_works():
            self._conditions.should_stop.wait(WAIT_FOR_HOURLY_RUN)
            self.run.count()
        self._looked_at = time.monotonic()

    def _hourly_run_works(self) -> bool:
        now = self._conditions.clock()
        runs = self._store.runs(self._source, limit=RECENT_RUNS)
        return any(run.kind is not RunKind.BACKFILL and is_alive(run, now) for run in runs)


@contextmanager
def _opened(store: Store, source: Source, window: Window, conditions: Conditions) -> Iterator[_Backfill]:
    """Hold the lock of a source's backfill. Balances are up to date when the block ends, however it ends."""
    with open_run(store, source, RunKind.BACKFILL, window, conditions) as run:
        backfill = _Backfill(run, store, Walk(window, _walked(store, source)), conditions)
        try:
            yield backfill
        except BaseException:
            with suppress(StoreError):  # the next save or refresh of this source catches up
                store.refresh_balances(source)
            raise
        store.refresh_balances(source)
        run.count(position=window[0])


def _walked(store: Store, source: Source) -> list[Window]:
    """Return the stretches that backfills have walked since the last one that came to its end."""
    walked: list[Window] = []
    for run in store.runs(source, kind=RunKind.BACKFILL, limit=UNFINISHED_BACKFILLS):
        if run.state is RunState.OK:
            break
        if run.position:
            walked.append((run.position, run.window_end))
    return walked
