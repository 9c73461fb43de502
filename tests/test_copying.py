"""Moving house: everything arrives, in both directions; a copy that was cut off goes on; a difference is told."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from sync.copying import copy_store
from sync.errors import StoppedError, StoreError
from sync.jobs import plan
from sync.models import Agent, CallLeg, RunKind, RunState, Source
from sync.sqlite_store import SqliteStore
from sync.store import Store
from tests.records import (
    DAY,
    HOUR,
    OTHER_NUMBER,
    OUR_AGENT,
    OUR_NUMBER,
    TEN,
    make_conversation,
    make_leg,
    make_phone,
)

NOW = datetime(2026, 10, 26, 12, tzinfo=UTC)
CALLS, CONVERSATIONS = 25, 15


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    with closing(SqliteStore(tmp_path / "other.db")) as store:
        yield store


class StoppingStore(SqliteStore):
    """Counts the legs that it is given, and is stopped before it takes a page too many."""

    def __init__(self, path: Path, *, pages: int) -> None:
        super().__init__(path)
        self.legs_written = 0
        self._pages = pages

    def save_calls(self, legs: Sequence[CallLeg]) -> None:
        if not self._pages:
            raise StoppedError("Stopped in the middle.")
        self._pages -= 1
        super().save_calls(legs)
        self.legs_written += len(legs)


def copy(origin: Store, target: Store) -> None:
    copy_store(origin, target, on_progress=lambda *_: None, page_size=10)  # a few records fill several pages


def fill(store: Store) -> None:
    """Two clients, a number that moved, a child leg, unpriced and unassigned records, and a successful run."""
    store.find_or_add_workspace("Only in the origin")
    acme, borealis = store.find_or_add_workspace("Acme"), store.find_or_add_workspace("Borealis")
    store.save_phone(make_phone(workspace_id=acme, phone_number=OUR_NUMBER, valid_until=TEN + 5 * HOUR))
    store.save_phone(make_phone(workspace_id=borealis, phone_number=OUR_NUMBER, valid_from=TEN + 5 * HOUR))
    store.save_agent(Agent(agent_id=OUR_AGENT, workspace_id=borealis))
    store.save_calls(
        [
            make_leg(
                sid=f"CA{number:02}",
                started_at=TEN + number // 2 * HOUR,  # pairs share their start
                our_number=OTHER_NUMBER if number % 5 == 0 else OUR_NUMBER,
                parent_call_sid="CA01" if number == 24 else None,
                cost=None if number == 7 else Decimal("0.00041565") * number,
            )
            for number in range(CALLS)
        ]
    )
    store.save_conversations(
        [
            make_conversation(
                conversation_id=f"conv_{number:02}",
                started_at=TEN + number * HOUR,
                agent_number=None if number % 3 == 0 else OUR_NUMBER,
                cost=None if number == 4 else Decimal("0.12345678"),
            )
            for number in range(CONVERSATIONS)
        ]
    )
    run = store.begin_run("twilio", RunKind.SWEEP, (TEN, TEN + DAY), owner="test", now=TEN + DAY, stale_before=TEN)
    store.finish_run(run.id, RunState.OK, None, now=TEN + DAY)


def balances(store: Store) -> list[object]:
    """Return all that the workspaces add up to, by name, at several moments."""
    names = {workspace.id: workspace.name for workspace in store.workspaces()}
    moments = [TEN + HOUR / 2, TEN + 6 * HOUR, None]
    cuts = [*store.twilio_balances(moments), *store.elevenlabs_balances(moments)]
    return [{names[workspace]: totals for workspace, totals in cut.items()} for cut in cuts]


def all_records(store: Store) -> list[object]:
    return [*store.calls_after(None, 1000), *store.conversations_after(None, 1000)]


@pytest.mark.parametrize("direction", ["out", "back"])
def test_a_copy_has_the_same_records_owners_and_balances(store: Store, sqlite: Store, direction: str) -> None:
    origin, target = (store, sqlite) if direction == "out" else (sqlite, store)
    fill(origin)

    copy(origin, target)

    assert all_records(target) == all_records(origin)
    assert balances(target) == balances(origin)
    assert [workspace.name for workspace in target.workspaces()] == [
        workspace.name for workspace in origin.workspaces()
    ]
    assert not target.wrong_snapshots("twilio") + target.wrong_snapshots("elevenlabs")


def test_workspaces_that_the_target_numbers_differently_keep_their_usage(store: Store, sqlite: Store) -> None:
    fill(store)
    sqlite.find_or_add_workspace("Was here before")

    copy(store, sqlite)

    assert balances(sqlite) == balances(store)


def test_the_next_run_starts_where_the_origins_last_one_ended(store: Store, sqlite: Store) -> None:
    fill(store)

    copy(store, sqlite)

    assert plan(sqlite, "twilio", now=NOW, first_sync=90 * DAY) == plan(store, "twilio", now=NOW, first_sync=90 * DAY)


def test_a_copy_that_was_cut_off_goes_on_and_writes_no_page_twice(store: Store, tmp_path: Path) -> None:
    fill(store)
    path = tmp_path / "copy.db"

    with closing(StoppingStore(path, pages=2)) as first, pytest.raises(StoppedError):
        copy(store, first)
    with closing(StoppingStore(path, pages=100)) as second:
        copy(store, second)
    with closing(StoppingStore(path, pages=0)) as third:  # would be stopped if it wrote anything
        copy(store, third)

    with closing(SqliteStore(path)) as copied:
        assert balances(copied) == balances(store)
    assert (first.legs_written, second.legs_written) == (20, CALLS - 20)


def test_progress_ends_with_all_records_of_each_source(store: Store, sqlite: Store) -> None:
    fill(store)
    seen: dict[Source, tuple[int, int]] = {}

    copy_store(store, sqlite, on_progress=lambda source, done, total: seen.update({source: (done, total)}))

    assert seen == {"twilio": (CALLS, CALLS), "elevenlabs": (CONVERSATIONS, CONVERSATIONS)}


def test_a_target_that_holds_more_is_told_and_nothing_is_called_equal(store: Store, sqlite: Store) -> None:
    fill(store)
    sqlite.save_calls([make_leg(sid="CAother", started_at=TEN)])

    with pytest.raises(StoreError, match="not equal on both sides"):
        copy(store, sqlite)


def test_an_empty_store_is_copied_too(store: Store, sqlite: Store) -> None:
    copy(store, sqlite)

    assert all_records(sqlite) == []
