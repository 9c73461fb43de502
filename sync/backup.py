"""Backup and restore: one SQLite file, whatever the store; what was restored is proven equal to it."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from sync.copying import FAILURES, OnProgress, copy_store, difference, owners, pages
from sync.errors import StoreError
from sync.models import PROVIDER_NAMES, SOURCES, RunState, SyncRun
from sync.sentences import counted
from sync.store import Store
from sync.times import utc_now

RUNS = 1000

OPEN_IN_BACKUP = "The backup was made while this run was going on; what it had saved is in it, the next run goes on."


@runtime_checkable
class OneFile(Protocol):
    """A store that is one file, and is copied as a whole, of one moment, while others write."""

    @property
    def path(self) -> Path: ...

    def become(self, other: Path) -> None: ...


class NewBackup(Protocol):
    """Gives an empty store, which becomes the file when the block ends well, and leaves nothing when it does not."""

    def __call__(self, file: Path, *, replace: bool) -> AbstractContextManager[Store]: ...


class OpenBackup(Protocol):
    """Gives what a backup holds, in today's schema: a copy, which may be changed, and lies beside another file."""

    def __call__(self, file: Path, *, beside: Path) -> AbstractContextManager[Store]: ...


def back_up(
    store: Store, file: Path, *, data: str, new_backup: NewBackup, replace: bool, on_progress: OnProgress
) -> dict[str, int]:
    """Write everything into a new file while syncs go on, and return its numbers of rows. `data`: "demo" or "real".

    Raises StoreError if the file exists, unless it may be replaced; and if balances are wrong, when all is written.
    """
    if isinstance(store, OneFile) and file.exists() and file.samefile(store.path):
        raise StoreError(f"{file} is the database itself; name another file for the backup.")
    with new_backup(file, replace=replace) as copy:
        _copy(store, copy, on_progress)
        copy.claim_for(data)
        counts = copy.count_rows()
        wrong = [PROVIDER_NAMES[source] for source in SOURCES if copy.wrong_snapshots(source)]
    if wrong:
        raise StoreError(
            f"{file} was written as the store is, but balances of {' and '.join(wrong)} are not the sum of their "
            "records; `python -m sync verify` tells which."
        )
    return counts


def restore(store: Store, file: Path, *, data: str, open_backup: OpenBackup, on_progress: OnProgress) -> dict[str, int]:
    """Fill an empty store from a backup, prove that all is equal, and return the numbers of rows.

    One that was cut off may be repeated: the store may hold a part of the backup, but nothing else.
    """
    with open_backup(file, beside=store.path if isinstance(store, OneFile) else file) as backup:
        _claim(backup, file, data)
        _refuse_other_content(store, backup)
        _settle(backup)
        _copy(backup, store, on_progress)
        if problem := difference(backup, store):
            raise StoreError(problem)
        return store.count_rows()


def _copy(origin: Store, target: Store, on_progress: OnProgress) -> None:
    if isinstance(origin, OneFile) and isinstance(target, OneFile):
        target.become(origin.path)
        counts = target.count_rows()
        on_progress("twilio", counts["calls"], counts["calls"])
        on_progress("elevenlabs", counts["elevenlabs_conversations"], counts["elevenlabs_conversations"])
    else:
        copy_store(origin, target, on_progress=on_progress)


def _claim(backup: Store, file: Path, data: str) -> None:
    try:
        backup.claim_for(data)
    except StoreError as exc:
        other = "real" if data == "demo" else "demo"
        raise StoreError(
            f"The backup {file} holds {other} data, which never mixes with {data} data; "
            + ("set the providers' keys first." if data == "demo" else "remove the providers' keys, or take another.")
        ) from exc


def _settle(backup: Store) -> None:
    """Close the runs that were open, and bring balances up to date that a backfill had left for later."""
    for run in backup.notable_runs():
        if run.state is RunState.RUNNING:
            backup.finish_run(run.id, RunState.INTERRUPTED, OPEN_IN_BACKUP, now=utc_now())
    for source in SOURCES:
        backup.refresh_balances(source)


def _refuse_other_content(store: Store, backup: Store) -> None:
    if not _is_part_of(store, backup):
        rows = store.count_rows()
        raise StoreError(
            f"The store holds data that is not in the backup ({counted(rows['calls'], 'call leg')}, "
            f"{counted(rows['elevenlabs_conversations'], 'conversation')}, "
            f"{counted(rows['workspace_phones'], 'number')}, {counted(rows['sync_runs'], 'run')}); "
            "restore into an empty one: set DATABASE_PATH to a new file, or SUPABASE_URL to a new project."
        )


def _is_part_of(store: Store, backup: Store) -> bool:
    """Tell whether the backup has all that the store has, in the same version, as after a restore that was cut off."""
    return (
        owners(store) <= owners(backup)
        and not any(run.state is RunState.RUNNING for run in store.notable_runs())
        and _runs(store) <= _runs(backup)
        and _failures(store) <= _failures(backup)
        and all(
            backup.known_versions(source, [record.record_id for record in page])
            == {record.record_id: record.fetched_at for record in page}
            for source in SOURCES
            for page in pages(store, source, list(store.day_digests(source)))
        )
    )


def _runs(store: Store) -> set[tuple[object, ...]]:
    found: set[tuple[object, ...]] = set()
    page: list[SyncRun] = []
    while page := store.closed_runs_after(page[-1].id if page else 0, RUNS):
        found |= {(run.source, run.kind, run.started_at, run.state) for run in page}
    return found


def _failures(store: Store) -> set[tuple[str, str]]:
    return {(each.source, each.record_id) for source in SOURCES for each in store.failures(source, limit=FAILURES)}
