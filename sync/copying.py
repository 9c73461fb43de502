"""Moving house: copy everything from one store to another, oldest first; may be stopped and started again."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

from sync.errors import RegistryError, StoreError
from sync.models import PROVIDER_NAMES, SOURCES, CallLeg, Conversation, DayDigest, Failure, Source
from sync.registry import RegisterAgent, RegisterNumber
from sync.store import Store
from sync.times import utc_now

PAGE = 1000
ROUNDS = 20  # the first takes nearly all the time; each later one brings what was saved during the one before
FAILURES = 100_000
GONE = "The provider no longer has this record."

OnProgress = Callable[[Source, int, int], None]  # source, done, total
Digests = dict[Source, dict[date, DayDigest]]
Page = Sequence[CallLeg] | Sequence[Conversation]


def copy_store(
    origin: Store, target: Store, *, on_progress: OnProgress, page_size: int = PAGE, rounds: int = ROUNDS
) -> None:
    """Copy ownership, history, records and failures, then prove that both sides are equal. May be repeated.

    Only days that differ are read. What a sync saves in the origin meanwhile comes along in a further round.
    """
    before = digests(origin)
    for number in range(rounds):
        _copy_registry(origin, target)
        _copy_runs(origin, target, page_size)  # before the records, so that no watermark is ahead of them
        for source in SOURCES:
            _copy_records(origin, target, source, before[source], page_size, on_progress, again=number > 0)
            _copy_failures(origin, target, source)
        after = digests(origin)
        problem = difference(origin, target)
        if problem is None:
            return
        if number > 0 and after == before == digests(origin):
            raise StoreError(problem)
        before = after
    raise StoreError(
        f"A sync saved more in each of {rounds} rounds of copying; start the copy again when the sync or backfill has "
        "ended, it goes on where it was."
    )


def digests(store: Store) -> Digests:
    return {source: store.day_digests(source) for source in SOURCES}


def difference(origin: Store, target: Store) -> str | None:
    """Compare records day by day, owners, what each workspace adds up to, and the target's balances with its records.

    Balances that wait to be refreshed on either side are not compared: their records are.
    """
    for source in SOURCES:
        name = PROVIDER_NAMES[source]
        if origin.day_digests(source) != target.day_digests(source):
            return (
                f"The records of {name} are not equal on both sides: the target holds others; "
                "start with an empty target."
            )
        if target.wrong_snapshots(source):
            return f"Balances of {name} in the target are not the sum of their records; start with an empty target."
        waiting = origin.workspaces_to_refresh(source) or target.workspaces_to_refresh(source)
        if not waiting and balances_by_name(origin, source) != balances_by_name(target, source):
            return (
                f"The balances of {name} are not equal on both sides, although the records are; run "
                "`python -m sync verify` on the store that was read, and a backfill if it finds wrong balances."
            )
    if not owners(origin) <= owners(target):
        return "Workspaces, numbers or agents were changed while they were copied; start with an empty target."
    return None


def owners(store: Store) -> set[tuple[object, ...]]:
    """Return what is registered, with the names of workspaces in place of their ids."""
    names = {workspace.id: workspace.name for workspace in store.workspaces()}
    return {
        *((name,) for name in names.values()),
        *(
            (names[phone.workspace_id], phone.phone_number, phone.label, phone.valid_from, phone.valid_until)
            for phone in store.phones()
        ),
        *((names[agent.workspace_id], agent.agent_id, agent.label) for agent in store.agents()),
    }


def balances_by_name(store: Store, source: Source) -> dict[str, object]:
    names = {workspace.id: workspace.name for workspace in store.workspaces()}
    if source == "twilio":
        return {names[s.workspace_id]: (s.snapshot_date, s.totals) for s in store.twilio_snapshots()}
    return {names[s.workspace_id]: (s.snapshot_date, s.totals) for s in store.elevenlabs_snapshots()}


def pages(store: Store, source: Source, days: Sequence[date], size: int = PAGE) -> Iterator[Page]:
    """Yield the records of these days, in order, and where a page reaches further, some of the days after."""
    read = store.calls_after if source == "twilio" else store.conversations_after
    place: tuple[datetime, str] | None = None
    for day in sorted(days):
        start = datetime.combine(day, time(), UTC)
        place = max(place, (start, "")) if place else (start, "")
        while place[0] < start + timedelta(days=1):
            page: Page = read(place, size)
            if not page:
                return
            yield page
            place = (page[-1].started_at, page[-1].record_id)


def _copy_registry(origin: Store, target: Store) -> None:
    """Register in the target what the origin has. Raises RegistryError if the target knows better."""
    workspaces = origin.workspaces()
    target.add_workspaces(workspaces)
    if unit := origin.price_unit():
        target.expect_price_unit(unit)
    names = {workspace.id: workspace.name for workspace in workspaces}
    outcome = target.change_registry(
        [
            *(
                RegisterNumber(
                    workspace=names[phone.workspace_id],
                    phone_number=phone.phone_number,
                    label=phone.label,
                    valid_from=phone.valid_from,
                    valid_until=phone.valid_until,
                )
                for phone in origin.phones()
            ),
            *(
                RegisterAgent(workspace=names[agent.workspace_id], agent_id=agent.agent_id, label=agent.label)
                for agent in origin.agents()
            ),
        ]
    )
    if refusal := next(filter(None, outcome.refusals), None):
        raise RegistryError(refusal)


def _copy_runs(origin: Store, target: Store, size: int) -> None:
    last = 0
    while runs := origin.closed_runs_after(last, size):
        target.add_runs(runs)
        last = runs[-1].id


def _copy_records(
    origin: Store,
    target: Store,
    source: Source,
    by_day: dict[date, DayDigest],
    size: int,
    on_progress: OnProgress,
    *,
    again: bool,
) -> None:
    """Save the records of days that differ: unknown versions alone or, `again`, all, which mends older differences."""
    there = target.day_digests(source)
    days = [day for day, digest in by_day.items() if there.get(day) != digest]
    total = sum(digest.records for digest in by_day.values())
    done = total - sum(by_day[day].records for day in days)
    on_progress(source, done, total)
    for page in pages(origin, source, days, size):
        _save(target, page if again else _unknown(target, source, page))
        done = min(done + len(page), total)
        on_progress(source, done, total)
    target.refresh_balances(source)


def _unknown(target: Store, source: Source, page: Page) -> list[CallLeg | Conversation]:
    known = target.known_versions(source, [record.record_id for record in page])
    return [record for record in page if known.get(record.record_id) != record.fetched_at]


def _save(target: Store, records: Sequence[CallLeg | Conversation]) -> None:
    if legs := [record for record in records if isinstance(record, CallLeg)]:
        target.save_calls(legs, refresh=False)
    if conversations := [record for record in records if isinstance(record, Conversation)]:
        target.save_conversations(conversations, refresh=False)


def _copy_failures(origin: Store, target: Store, source: Source) -> None:
    """After the records, since saving one takes it off the list."""
    if gone := [Failure(record_id=each, error=GONE, is_gone=True) for each in origin.gone_ids(source)]:
        target.save_failures(source, gone, now=utc_now())
    if failures := origin.failures(source, limit=FAILURES):
        target.add_failures(failures)
