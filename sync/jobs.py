"""The hourly jobs: list, fetch details, save with balances, and fetch again what was still open."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from sync.batches import in_batches
from sync.errors import VoiceLedgerError
from sync.fanout import OF_ONE_RECORD_OR_ALL
from sync.models import (
    CallLeg,
    Conversation,
    ConversationSummary,
    Failure,
    RunKind,
    Source,
    StoredConversation,
    SyncRun,
    Window,
)
from sync.runs import Conditions, Run, last_success, open_run
from sync.store import Store
from sync.times import HOUR

DAY = timedelta(days=1)
MARGIN = timedelta(minutes=15)  # for records that reach the provider's list late
SWEEP_EVERY = timedelta(hours=23, minutes=30)  # once a day, although no run is on the second
SWEEP_BACK = timedelta(days=3)
REREAD_AFTER = timedelta(hours=20)  # a sweep reads details again that are older than this
EVERY_FAILURE = 2**31 - 1
GENERATIONS = 20  # of parents that one run follows, so that it ends although a provider names ever more of them
CALLS_A_BATCH = 1000
CONVERSATIONS_A_BATCH = 200

Item = TypeVar("Item")
Record = TypeVar("Record", CallLeg, Conversation)
Fetch = Callable[[Iterable[str]], Iterator[Record | Failure]]


class CallSource(Protocol):
    """Where call legs come from; `sync.twilio` explains each method."""

    def calls_since(self, start: datetime) -> Iterator[CallLeg | Failure]: ...
    def unfinished_calls(self) -> Iterator[CallLeg | Failure]: ...
    def calls(self, sids: Iterable[str]) -> Iterator[CallLeg | Failure]: ...


class ConversationSource(Protocol):
    """Where conversations come from; `sync.elevenlabs` explains each method."""

    def summaries_since(self, start: datetime) -> Iterator[ConversationSummary | Failure]: ...
    def conversations(self, ids: Iterable[str]) -> Iterator[Conversation | Failure]: ...


def plan(store: Store, source: Source, *, now: datetime, first_sync: timedelta) -> tuple[RunKind, Window]:
    """Return what the next run lists: from the end of the last one (at least an hour), with a margin, until now.

    After an outage the window is as long as the outage. Once a day it reaches back to list the last days again, and
    after an outage the days before it, whose records may have changed since. What a run from a clock that was ahead
    claims to have listed does not count.
    """
    last, swept = last_success(store, source, now=now), last_success(store, source, RunKind.SWEEP, now=now)
    start = min(now - HOUR, last.window_end) if last else now - first_sync
    if swept and now - SWEEP_EVERY < swept.window_end:
        return RunKind.HOURLY, (start - MARGIN, now)
    due = min(now, swept.window_end + DAY) if swept else now
    return RunKind.SWEEP, (min(start, due - SWEEP_BACK) - MARGIN, now)


def sync_twilio(provider: CallSource, store: Store, conditions: Conditions) -> SyncRun:
    """Bring calls and balances up to now. May be repeated; a run in progress raises AlreadyRunningError."""
    now = conditions.clock()
    kind, window = plan(store, "twilio", now=now, first_sync=conditions.first_sync)
    with open_run(store, "twilio", kind, window, conditions) as run:
        store.refresh_balances("twilio")  # which a run that was killed left behind
        job = _Job(store, run, conditions)
        job.save_calls(provider.calls_since(window[0]))
        job.save_calls(provider.unfinished_calls())
        job.save_calls(job.each(provider.calls, store.open_ids("twilio", now=now)))
        for parents in missing_generations(store, since=lambda: window[0]):
            job.save_calls(job.each(provider.calls, parents))
    return _closed(store, run)


def sync_elevenlabs(provider: ConversationSource, store: Store, conditions: Conditions) -> SyncRun:
    """Bring conversations and balances up to now. May be repeated; a run in progress raises AlreadyRunningError."""
    now = conditions.clock()
    kind, window = plan(store, "elevenlabs", now=now, first_sync=conditions.first_sync)
    with open_run(store, "elevenlabs", kind, window, conditions) as run:
        store.refresh_balances("elevenlabs")  # which a run that was killed left behind
        listed, broken_off = _all_that_comes(provider.summaries_since(window[0]))
        job = _Job(store, run, conditions)
        job.save_failures([entry for entry in listed if isinstance(entry, Failure)])
        summaries = [entry for entry in listed if isinstance(entry, ConversationSummary)]
        reread_before = now - REREAD_AFTER if kind is RunKind.SWEEP else None
        wanted = ids_to_fetch(store, summaries, reread_before)
        wanted += sorted(set(store.open_ids("elevenlabs", now=now)).difference(wanted))
        run.expect(len(wanted))
        job.save_conversations(job.each(provider.conversations, wanted))
        if broken_off:
            raise broken_off
    return _closed(store, run)


def skip_elevenlabs(store: Store, reason: str, conditions: Conditions) -> SyncRun:
    """Write down that the hourly run did not take place, and why. Only what a killed run left behind is repaired."""
    now = conditions.clock()
    store.refresh_balances("elevenlabs")
    _, window = plan(store, "elevenlabs", now=now, first_sync=conditions.first_sync)
    return store.record_skipped("elevenlabs", window, reason, now=now)


def failed_before(store: Store, source: Source) -> list[str]:
    """Return the ids of all records that could not be fetched or read so far, those first that were not tried longest.

    So each has its turn, although a run may give up after some of them.
    """
    return [failure.record_id for failure in reversed(store.failures(source, limit=EVERY_FAILURE)) if failure.record_id]


def missing_generations(store: Store, since: Callable[[], datetime]) -> Iterator[list[str]]:
    """Yield the parents of stored legs that are not stored, then theirs, and so on; each is asked for once."""
    asked: set[str] = set()
    for _ in range(GENERATIONS):
        parents = set(store.missing_parents(since=since())) - asked
        if not parents:
            return
        yield sorted(parents)
        asked |= parents


def once_more(
    fetch: Fetch[Record], ids: Sequence[str], on_left: Callable[[Iterable[str]], None]
) -> Iterator[Record | Failure]:
    """Yield what becomes of records that failed before. That they fail again stops nothing.

    `on_left` is told which of them were not asked for any more.
    """
    left = set(ids)
    try:
        for entry in fetch(ids):
            left.discard(entry.record_id)
            yield entry
    except OF_ONE_RECORD_OR_ALL:
        on_left(left)


class Tally:
    """Counts each record of a run once, although a list may show it twice, and several lists may show it."""

    def __init__(self) -> None:
        self._saved: set[str] = set()
        self._failed: set[str] = set()

    def add(self, entries: Iterable[CallLeg | Conversation | Failure]) -> tuple[int, int]:
        """Return by how much the numbers of saved and of failed records change."""
        saved, failed = len(self._saved), len(self._failed)
        nameless = 0
        for entry in entries:
            if not isinstance(entry, Failure):
                self._saved.add(entry.record_id)
                self._failed.discard(entry.record_id)
            elif entry.record_id:
                self._failed.add(entry.record_id)
            else:
                nameless += 1
        return len(self._saved) - saved, len(self._failed) - failed + nameless

    def leave(self, ids: Iterable[str]) -> int:
        """Return how many more records have failed, now that these are not asked for again."""
        failed = len(self._failed)
        self._failed.update(ids)
        return len(self._failed) - failed

    def forget_saved(self) -> None:
        """Nothing that was saved so far comes again: so much need not be kept in mind during a long walk back."""
        self._saved.clear()


class _Job:
    """What an hourly run saves and counts."""

    def __init__(self, store: Store, run: Run, conditions: Conditions) -> None:
        self._store, self._run, self._conditions = store, run, conditions
        self._tally = Tally()
        self._failed_before = {
            record_id: place for place, record_id in enumerate(failed_before(store, run.record.source))
        }

    def each(self, fetch: Fetch[Record], ids: Sequence[str]) -> Iterator[Record | Failure]:
        """Fetch records by their ids, those that failed in a run before last: if they fail again, nothing stops."""
        order = self._failed_before
        yield from fetch([record_id for record_id in ids if record_id not in order])
        again = sorted((record_id for record_id in ids if record_id in order), key=order.__getitem__)
        yield from once_more(fetch, again, lambda left: self._run.count(failed=self._tally.leave(left)))

    def save_calls(self, entries: Iterable[CallLeg | Failure]) -> None:
        with closing(in_batches(entries, CALLS_A_BATCH)) as batches:
            for batch in batches:
                self._list_failures(batch)
                self._store.save_calls([entry for entry in batch if isinstance(entry, CallLeg)])
                saved, failed = self._tally.add(batch)
                self._run.count(done=saved + failed, saved=saved, failed=failed)

    def save_conversations(self, entries: Iterable[Conversation | Failure]) -> None:
        with closing(in_batches(entries, CONVERSATIONS_A_BATCH)) as batches:
            for batch in batches:
                self._list_failures(batch)
                self._store.save_conversations([entry for entry in batch if isinstance(entry, Conversation)])
                saved, failed = self._tally.add(batch)
                self._run.count(done=len(batch), saved=saved, failed=failed)

    def save_failures(self, failures: Sequence[Failure]) -> None:
        if failures:
            self._list_failures(failures)
            self._run.count(failed=self._tally.add(failures)[1])

    def _list_failures(self, entries: Iterable[CallLeg | Conversation | Failure]) -> None:
        """List what failed. Without an id there is nothing to try again."""
        named = [entry for entry in entries if isinstance(entry, Failure) and entry.record_id]
        if named:
            self._store.save_failures(self._run.record.source, named, now=self._conditions.clock())


def _all_that_comes(items: Iterable[Item]) -> tuple[list[Item], VoiceLedgerError | None]:
    """Return what a list gives before it breaks off, and the error if it does; one that gives nothing raises it."""
    came: list[Item] = []
    try:
        came.extend(items)
    except VoiceLedgerError as exc:
        if not came:
            raise
        return came, exc
    return came, None


def ids_to_fetch(
    store: Store, summaries: Sequence[ConversationSummary], reread_before: datetime | None = None
) -> list[str]:
    """Return the ids whose detail is needed, oldest first, so that each batch touches few balances."""
    wanted = []
    for batch in in_batches(sorted(summaries, key=lambda summary: summary.started_at), CONVERSATIONS_A_BATCH):
        known = store.known_conversations(summary.conversation_id for summary in batch)
        for summary in batch:
            stored = known.get(summary.conversation_id)
            if stored is None or _differs(summary, stored) or (reread_before and stored.fetched_at < reread_before):
                wanted.append(summary.conversation_id)
    return list(dict.fromkeys(wanted))


def _differs(summary: ConversationSummary, stored: StoredConversation) -> bool:
    return not stored.is_final or (summary.status, summary.duration) != (stored.status, stored.duration)


def _closed(store: Store, run: Run) -> SyncRun:
    return store.run(run.id) or run.record
