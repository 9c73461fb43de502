"""The hourly jobs: list, fetch details, save with balances, and fetch again what was still open."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, suppress
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
from sync.runs import Conditions, Run, open_run
from sync.store import Store
from sync.times import HOUR

DAY = timedelta(days=1)
MARGIN = timedelta(minutes=15)  # for records that reach the provider's list late
SWEEP_EVERY = timedelta(hours=23, minutes=30)  # once a day, although no run is on the second
SWEEP_BACK = timedelta(days=3)
REREAD_AFTER = timedelta(hours=20)  # a sweep reads details again that are older than this
FAILED_BEFORE = 1000  # records that are tried again
CALLS_A_BATCH = 1000
CONVERSATIONS_A_BATCH = 200

Item = TypeVar("Item")
Fetch = Callable[[Iterable[str]], Iterator[Item | Failure]]


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
    after an outage the days before it, whose records may have changed since.
    """
    last, swept = store.last_success(source), store.last_success(source, RunKind.SWEEP)
    start = min(now - HOUR, last.window_end) if last else now - first_sync
    if swept and now - SWEEP_EVERY < swept.window_end <= now:  # one that ends later is from a clock that was ahead
        return RunKind.HOURLY, (start - MARGIN, now)
    due = min(now, swept.window_end + DAY) if swept else now
    return RunKind.SWEEP, (min(start, due - SWEEP_BACK) - MARGIN, now)


def sync_twilio(provider: CallSource, store: Store, conditions: Conditions) -> SyncRun:
    """Bring calls and balances up to now. May be repeated; a run in progress raises AlreadyRunningError."""
    now = conditions.clock()
    kind, window = plan(store, "twilio", now=now, first_sync=conditions.first_sync)
    with open_run(store, "twilio", kind, window, conditions) as run:
        store.refresh_balances("twilio")  # which a run that was killed left behind
        failed = failed_before(store, "twilio")
        _save_calls(store, run, provider.calls_since(window[0]), conditions)
        _save_calls(store, run, provider.unfinished_calls(), conditions)
        open_ids = store.open_ids("twilio", now=now)
        _save_calls(store, run, _each(provider.calls, open_ids, failed), conditions)
        asked: set[str] = set()
        while parents := set(store.missing_parents(since=window[0])) - asked:
            _save_calls(store, run, _each(provider.calls, sorted(parents), failed), conditions)
            asked |= parents
    return _closed(store, run)


def sync_elevenlabs(provider: ConversationSource, store: Store, conditions: Conditions) -> SyncRun:
    """Bring conversations and balances up to now. May be repeated; a run in progress raises AlreadyRunningError."""
    now = conditions.clock()
    kind, window = plan(store, "elevenlabs", now=now, first_sync=conditions.first_sync)
    with open_run(store, "elevenlabs", kind, window, conditions) as run:
        store.refresh_balances("elevenlabs")  # which a run that was killed left behind
        listed, broken_off = _all_that_comes(provider.summaries_since(window[0]))
        _save_failures(store, run, [entry for entry in listed if isinstance(entry, Failure)], conditions)
        summaries = [entry for entry in listed if isinstance(entry, ConversationSummary)]
        reread_before = now - REREAD_AFTER if kind is RunKind.SWEEP else None
        wanted = ids_to_fetch(store, summaries, reread_before)
        wanted += sorted(set(store.open_ids("elevenlabs", now=now)).difference(wanted))
        run.expect(len(wanted))
        entries = _each(provider.conversations, wanted, failed_before(store, "elevenlabs"))
        with closing(in_batches(entries, CONVERSATIONS_A_BATCH)) as batches:
            for batch in batches:
                _save_failures(store, run, [entry for entry in batch if isinstance(entry, Failure)], conditions)
                conversations = [entry for entry in batch if isinstance(entry, Conversation)]
                store.save_conversations(conversations)
                run.count(done=len(batch), saved=len(conversations))
        if broken_off:
            raise broken_off
    return _closed(store, run)


def skip_elevenlabs(store: Store, reason: str, conditions: Conditions) -> SyncRun:
    """Write down that the hourly run did not take place, and why. Only what a killed run left behind is repaired."""
    now = conditions.clock()
    store.refresh_balances("elevenlabs")
    _, window = plan(store, "elevenlabs", now=now, first_sync=conditions.first_sync)
    return store.record_skipped("elevenlabs", window, reason, now=now)


def failed_before(store: Store, source: Source) -> set[str]:
    """Return the ids of the records that could not be fetched or read so far."""
    return {failure.record_id for failure in store.failures(source, limit=FAILED_BEFORE)} - {""}


def _each(fetch: Fetch[Item], ids: Sequence[str], failed: Collection[str]) -> Iterator[Item | Failure]:
    """Fetch records by their ids, those that `failed` before last: if they fail again, the provider may well work."""
    yield from fetch([record_id for record_id in ids if record_id not in failed])
    yield from once_more(fetch([record_id for record_id in ids if record_id in failed]))


def once_more(entries: Iterator[Item | Failure]) -> Iterator[Item | Failure]:
    """Yield what becomes of records that failed before; that they fail again stops nothing."""
    with suppress(*OF_ONE_RECORD_OR_ALL):
        yield from entries


def _save_calls(store: Store, run: Run, entries: Iterable[CallLeg | Failure], conditions: Conditions) -> None:
    with closing(in_batches(entries, CALLS_A_BATCH)) as batches:
        for batch in batches:
            _save_failures(store, run, [entry for entry in batch if isinstance(entry, Failure)], conditions)
            legs = [entry for entry in batch if isinstance(entry, CallLeg)]
            store.save_calls(legs)
            run.count(done=len(batch), saved=len(legs))


def _save_failures(store: Store, run: Run, failures: Sequence[Failure], conditions: Conditions) -> None:
    if named := [failure for failure in failures if failure.record_id]:  # without an id there is nothing to try again
        store.save_failures(run.record.source, named, now=conditions.clock())
    if failures:
        run.count(failed=len(failures))


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
