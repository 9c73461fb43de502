"""Moving house: copy everything from one store to another, oldest first; may be stopped and started again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from sync.errors import StoreError
from sync.models import SOURCES, UNASSIGNED, CallLeg, Conversation, RunState, Source
from sync.store import Store

PAGE = 1000

OnProgress = Callable[[Source, int, int], None]  # source, done, total


def copy_store(origin: Store, target: Store, *, on_progress: OnProgress, page_size: int = PAGE) -> None:
    """Copy ownership, records and watermarks, then prove that all balances are equal. May be repeated.

    Pages that the target holds already, in the same version, are not written again.
    """
    _copy_registry(origin, target)
    counts = origin.count_rows()
    totals: dict[Source, int] = {"twilio": counts["calls"], "elevenlabs": counts["elevenlabs_conversations"]}
    for source in SOURCES:
        done = 0
        for page in _pages(origin, source, page_size):
            _save_unknown(target, source, page)
            done += len(page)
            on_progress(source, done, totals[source])
        _copy_watermark(origin, target, source)
    _prove_equal(origin, target)


def _copy_registry(origin: Store, target: Store) -> None:
    ids = {UNASSIGNED: UNASSIGNED}
    for workspace in origin.workspaces():
        if workspace.id != UNASSIGNED:
            ids[workspace.id] = target.find_or_add_workspace(workspace.name)
    for phone in origin.phones():
        target.save_phone(replace(phone, workspace_id=ids[phone.workspace_id]))
    for agent in origin.agents():
        target.save_agent(replace(agent, workspace_id=ids[agent.workspace_id]))


def _pages(origin: Store, source: Source, size: int) -> Iterator[Sequence[CallLeg] | Sequence[Conversation]]:
    after: tuple[datetime, str] | None = None
    while page := origin.calls_after(after, size) if source == "twilio" else origin.conversations_after(after, size):
        yield page
        after = (page[-1].started_at, _key(page[-1]))


def _key(record: CallLeg | Conversation) -> str:
    return record.sid if isinstance(record, CallLeg) else record.conversation_id


def _save_unknown(target: Store, source: Source, page: Sequence[CallLeg] | Sequence[Conversation]) -> None:
    known = target.known_versions(source, [_key(record) for record in page])
    new = [record for record in page if known.get(_key(record)) != record.fetched_at]
    if legs := [record for record in new if isinstance(record, CallLeg)]:
        target.save_calls(legs)
    if conversations := [record for record in new if isinstance(record, Conversation)]:
        target.save_conversations(conversations)


def _copy_watermark(origin: Store, target: Store, source: Source) -> None:
    """Let the target's next run start where the origin's last one ended."""
    last, known = origin.last_success(source), target.last_success(source)
    if last is None or (known and known.window_end >= last.window_end):
        return
    window = (last.window_start, last.window_end)
    run = target.begin_run(source, last.kind, window, owner="copy", now=last.started_at, stale_before=last.started_at)
    target.save_progress(
        replace(run, done=last.done, total=last.total, saved=last.saved, failed=last.failed), now=last.heartbeat_at
    )
    target.finish_run(run.id, RunState.OK, "Copied from another store.", now=last.finished_at or last.heartbeat_at)


def _prove_equal(origin: Store, target: Store) -> None:
    """Compare what each workspace adds up to on both sides, and every stored balance with its records."""
    for source in SOURCES:
        if _by_name(origin, source) != _by_name(target, source) or target.wrong_snapshots(source):
            raise StoreError(
                f"The balances of {source} are not equal on both sides: a sync may have run meanwhile; stop it and "
                "start the copy again."
            )


def _by_name(store: Store, source: Source) -> dict[str, object]:
    names = {workspace.id: workspace.name for workspace in store.workspaces()}
    if source == "twilio":
        return {names[s.workspace_id]: (s.snapshot_date, s.totals) for s in store.twilio_snapshots()}
    return {names[s.workspace_id]: (s.snapshot_date, s.totals) for s in store.elevenlabs_snapshots()}
