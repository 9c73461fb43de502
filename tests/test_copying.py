"""Moving house: everything arrives, in both directions; a copy that was cut off goes on; a difference is told."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from sync.copying import copy_store
from sync.errors import StoppedError, StoreError
from sync.jobs import plan
from sync.models import UNASSIGNED, Agent, CallLeg, DayDigest, Failure, RunKind, RunState, Source
from sync.sqlite_store import SqliteStore
from sync.store import Store
from tests.records import (
    DAY,
    FETCHED,
    HOUR,
    OTHER_NUMBER,
    OUR_AGENT,
    OUR_NUMBER,
    TEN,
    make_conversation,
    make_leg,
    make_phone,
)
from tests.registering import add_workspace, register, register_agent

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

    def save_calls(self, legs: Sequence[CallLeg], *, refresh: bool = True) -> None:
        if not self._pages:
            raise StoppedError("Stopped in the middle.")
        self._pages -= 1
        super().save_calls(legs, refresh=refresh)
        self.legs_written += len(legs)


def copy(origin: Store, target: Store) -> None:
    copy_store(origin, target, on_progress=lambda *_: None, page_size=10)  # a few records fill several pages


def fill(store: Store) -> None:
    """Two clients, a number that moved, a child leg, unpriced and unassigned records, and a successful run."""
    add_workspace(store, "Only in the origin")
    acme, borealis = add_workspace(store, "Acme"), add_workspace(store, "Borealis")
    register(store, make_phone(workspace_id=acme, phone_number=OUR_NUMBER, valid_until=TEN + 5 * HOUR))
    register(store, make_phone(workspace_id=borealis, phone_number=OUR_NUMBER, valid_from=TEN + 5 * HOUR))
    register_agent(store, Agent(agent_id=OUR_AGENT, workspace_id=borealis))
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
    store.save_progress(replace(run, saved=CALLS, refused=3, in_flight=2), now=TEN + DAY)
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
    add_workspace(sqlite, "Was here before")

    copy(store, sqlite)

    assert balances(sqlite) == balances(store)


@pytest.mark.parametrize("direction", ["out", "back"])
def test_history_failures_and_what_is_gone_come_along(store: Store, sqlite: Store, direction: str) -> None:
    origin, target = (store, sqlite) if direction == "out" else (sqlite, store)
    fill(origin)
    origin.save_failures("twilio", [Failure(record_id="CA03", error="No answer.")], now=TEN)
    origin.save_failures("twilio", [Failure(record_id="CA03", error="Still none.")], now=TEN + HOUR)
    origin.save_failures("elevenlabs", [Failure(record_id="conv_04", error="", is_gone=True)], now=TEN)
    origin.record_skipped("elevenlabs", (TEN, TEN + HOUR), "The flag is set.", now=TEN + HOUR)
    origin.begin_run("twilio", RunKind.BACKFILL, (TEN, TEN + DAY), owner="test", now=TEN + DAY, stale_before=TEN)

    copy(origin, target)
    copy(origin, target)

    assert target.runs() == [run for run in origin.runs() if run.state is not RunState.RUNNING]
    assert target.failures("twilio") == origin.failures("twilio")
    assert (target.gone_ids("twilio"), target.gone_ids("elevenlabs")) == ([], ["conv_04"])
    assert target.failures("elevenlabs") == []


@pytest.mark.parametrize("direction", ["out", "back"])
def test_workspaces_and_runs_keep_their_numbers_and_new_ones_get_others(
    store: Store, sqlite: Store, direction: str
) -> None:
    origin, target = (store, sqlite) if direction == "out" else (sqlite, store)
    fill(origin)

    copy(origin, target)
    add_workspace(target, "Cumulus")
    run = target.begin_run("twilio", RunKind.HOURLY, (TEN, TEN + DAY), owner="", now=TEN + DAY, stale_before=TEN)

    clients = [workspace for workspace in origin.workspaces() if workspace.id != UNASSIGNED]
    *copied, new, unassigned = sorted(target.workspaces(), key=lambda each: (each.id == UNASSIGNED, each.id))
    assert copied == sorted(clients, key=lambda each: each.id)
    assert (new.name, unassigned.name) == ("Cumulus", "Unassigned")
    assert run.id > max(run.id for run in origin.runs())


@pytest.mark.parametrize("direction", ["out", "back"])
def test_runs_whose_numbers_are_taken_get_new_ones(store: Store, sqlite: Store, direction: str) -> None:
    origin, target = (store, sqlite) if direction == "out" else (sqlite, store)
    for number in range(3):
        origin.record_skipped("twilio", (TEN, TEN + HOUR), f"theirs {number}", now=TEN + number * HOUR)
    target.record_skipped("twilio", (TEN, TEN + HOUR), "ours", now=TEN - HOUR)

    copy(origin, target)
    copy(origin, target)

    assert sorted(run.message or "" for run in target.runs()) == ["ours", "theirs 0", "theirs 1", "theirs 2"]


def test_the_currency_of_the_account_comes_along_although_an_older_leg_has_another(store: Store, sqlite: Store) -> None:
    store.save_calls([make_leg(sid="CA2", started_at=TEN + HOUR)])
    store.save_calls([make_leg(sid="CA1", price_unit="EUR")])

    copy(store, sqlite)

    assert sqlite.price_unit() == "USD"
    assert balances(sqlite) == balances(store)


@pytest.mark.parametrize("direction", ["out", "back"])
def test_digests_tell_days_apart_and_are_equal_in_both_stores(store: Store, sqlite: Store, direction: str) -> None:
    origin, target = (store, sqlite) if direction == "out" else (sqlite, store)
    fill(origin)
    origin.save_calls([make_leg(sid="CAlate", started_at=TEN + 10 * DAY, cost=Decimal("0.00000001"), duration=None)])

    copy(origin, target)

    twilio = origin.day_digests("twilio")
    assert (twilio, origin.day_digests("elevenlabs")) == (
        target.day_digests("twilio"),
        target.day_digests("elevenlabs"),
    )
    assert twilio[(TEN + 10 * DAY).date()] == DayDigest(records=1, fetched=int(FETCHED.timestamp()), cost=1, seconds=0)
    assert twilio[TEN.date()].records == CALLS


def test_a_record_fetched_at_the_very_end_of_a_second_is_equal_on_both_sides(store: Store, sqlite: Store) -> None:
    store.save_calls([make_leg(fetched_at=FETCHED.replace(microsecond=999_700))])

    copy(store, sqlite)

    assert sqlite.day_digests("twilio")[TEN.date()].fetched == int(FETCHED.timestamp())


class LivingStore(SqliteStore):
    """Saves another leg whenever it has been read from, so many times."""

    def __init__(self, path: Path, *, saves: int) -> None:
        super().__init__(path)
        self.saves = saves

    def calls_after(self, place: tuple[datetime, str] | None, limit: int) -> list[CallLeg]:
        found = super().calls_after(place, limit)
        if self.saves:
            self.saves -= 1
            self.save_calls([make_leg(sid=f"CAnew{self.saves}", started_at=TEN - self.saves * HOUR)])
        return found


def test_what_a_sync_saves_meanwhile_comes_along(store: Store, tmp_path: Path) -> None:
    with closing(LivingStore(tmp_path / "living.db", saves=5)) as origin:
        fill(origin)

        copy(origin, store)

        assert origin.saves == 0
        assert all_records(store) == all_records(origin)


def test_a_sync_that_never_pauses_is_told(store: Store, tmp_path: Path) -> None:
    with closing(LivingStore(tmp_path / "living.db", saves=10_000)) as origin:
        fill(origin)

        with pytest.raises(StoreError, match="A sync saved more in each of 3 rounds of copying"):
            copy_store(origin, store, on_progress=lambda *_: None, rounds=3)


def test_the_same_version_with_less_in_it_is_completed(store: Store, sqlite: Store) -> None:
    fill(store)
    sqlite.save_calls([make_leg(sid="CA01", cost=None)])

    copy(store, sqlite)

    assert all_records(sqlite) == all_records(store)


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
