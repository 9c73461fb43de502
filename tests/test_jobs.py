"""The hourly jobs: which window, which records again, what survives a bad day, and that the totals are right."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from threading import Event
from typing import Any

import httpx
import pytest
import simplejson

from demo import registry
from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from demo.faults import Faults
from demo.fleet import Fleet
from demo.server import create_app, running
from sync import jobs
from sync.demo_providers import register_demo_clients
from sync.elevenlabs import ElevenLabsClient
from sync.errors import AlreadyRunningError, ProviderDownError, ProviderError, StoppedError, UnexpectedAnswerError
from sync.http import RetryPolicy
from sync.models import SOURCES, CallLeg, Conversation, ConversationSummary, Failure, RunKind, RunState, Source, SyncRun
from sync.runs import Conditions, open_run
from sync.store import Store
from sync.twilio import TwilioClient
from tests.faults.truth import NUMBER_OF
from tests.records import Sql, make_conversation, make_leg
from tests.scripted_server import Answer, ScriptedServer

NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MARGIN = 15 * MINUTE
FIRST_SYNC = 10 * DAY
PROBLEM = "The provider has a problem of its own."
QUICK_TO_GIVE_UP = RetryPolicy(
    budget=timedelta(seconds=0.2), first_pause=timedelta(milliseconds=5), longest_pause=timedelta(milliseconds=50)
)
QUICK = RetryPolicy(
    budget=timedelta(seconds=10), first_pause=timedelta(milliseconds=1), longest_pause=timedelta(milliseconds=5)
)


class Clock:
    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class FakeTwilio:
    """Twilio as a job sees it. `legs` is what it knows; the other attributes say what goes wrong, or was asked."""

    def __init__(self, clock: Clock) -> None:
        self.legs: dict[str, CallLeg] = {}
        self.unlisted: set[str] = set()
        self.unreadable: set[str] = set()
        self.breaks_off_after: int | None = None
        self.asked_from: list[datetime] = []
        self.asked_for: list[str] = []
        self._clock = clock

    def put(self, sid: str, **changes: Any) -> None:
        self.legs[sid] = make_leg(**{"sid": sid, "started_at": NOW - HOUR / 2} | changes)

    def calls_since(self, start: datetime) -> Iterator[CallLeg | Failure]:
        self.asked_from.append(start)
        listed = [leg for leg in self.legs.values() if leg.started_at >= start and leg.sid not in self.unlisted]
        for leg in listed[: self.breaks_off_after]:
            yield self._seen(leg)
        if self.breaks_off_after is not None:
            raise ProviderDownError(PROBLEM)

    def unfinished_calls(self) -> Iterator[CallLeg | Failure]:
        yield from (self._seen(leg) for leg in self.legs.values() if leg.status in ("queued", "ringing", "in-progress"))

    def calls(self, sids: Iterable[str]) -> Iterator[CallLeg | Failure]:
        for sid in sids:
            self.asked_for.append(sid)
            gone = Failure(record_id=sid, error="Twilio does not know this record.", is_gone=True)
            yield self._seen(self.legs[sid]) if sid in self.legs else gone

    def _seen(self, leg: CallLeg) -> CallLeg | Failure:
        if leg.sid in self.unreadable:
            return Failure(record_id=leg.sid, error="Twilio sent a call that cannot be read.")
        return replace(leg, fetched_at=self._clock())


class FakeElevenLabs:
    """ElevenLabs as a job sees it. `talks` is what it knows; the other attributes as in FakeTwilio."""

    def __init__(self, clock: Clock) -> None:
        self.talks: dict[str, Conversation] = {}
        self.unlisted: set[str] = set()
        self.unreadable: set[str] = set()
        self.unreadable_in_list: set[str] = set()
        self.breaks_off_after: int | None = None
        self.asked_from: list[datetime] = []
        self.asked_for: list[str] = []
        self._clock = clock

    def put(self, name: str, **changes: Any) -> None:
        self.talks[name] = make_conversation(**{"conversation_id": name, "started_at": NOW - HOUR} | changes)

    def summaries_since(self, start: datetime) -> Iterator[ConversationSummary | Failure]:
        self.asked_from.append(start)
        listed = [talk for name, talk in self.talks.items() if talk.started_at >= start and name not in self.unlisted]
        for talk in listed[: self.breaks_off_after]:
            yield self._summary(talk)
        if self.breaks_off_after is not None:
            raise UnexpectedAnswerError(PROBLEM)

    def _summary(self, talk: Conversation) -> ConversationSummary | Failure:
        if talk.conversation_id in self.unreadable_in_list:
            return Failure(record_id=talk.conversation_id, error="ElevenLabs lists what cannot be read.")
        return ConversationSummary(
            conversation_id=talk.conversation_id,
            started_at=talk.started_at,
            status=talk.status,
            duration=talk.duration,
        )

    def conversations(self, ids: Iterable[str]) -> Iterator[Conversation | Failure]:
        for name in ids:
            self.asked_for.append(name)
            if name in self.unreadable:
                yield Failure(record_id=name, error="ElevenLabs sent a conversation that cannot be read.")
            elif name in self.talks:
                yield replace(self.talks[name], fetched_at=self._clock())
            else:
                yield Failure(record_id=name, error="ElevenLabs does not know this record.", is_gone=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def twilio(clock: Clock) -> FakeTwilio:
    return FakeTwilio(clock)


@pytest.fixture
def elevenlabs(clock: Clock) -> FakeElevenLabs:
    return FakeElevenLabs(clock)


@pytest.fixture
def sync_twilio(twilio: FakeTwilio, store: Store, clock: Clock) -> Callable[[], SyncRun]:
    return lambda: jobs.sync_twilio(twilio, store, Conditions(first_sync=FIRST_SYNC, clock=clock))


@pytest.fixture
def sync_elevenlabs(elevenlabs: FakeElevenLabs, store: Store, clock: Clock) -> Callable[[], SyncRun]:
    return lambda: jobs.sync_elevenlabs(elevenlabs, store, Conditions(first_sync=FIRST_SYNC, clock=clock))


Sync = Callable[[], SyncRun]


def finished(store: Store, source: Source, kind: RunKind, end: datetime) -> None:
    """Write a successful run that ended at `end` into the history."""
    run = store.begin_run(source, kind, (end - HOUR, end), owner="", now=end, stale_before=end)
    store.finish_run(run.id, RunState.OK, None, now=end)


def planned(store: Store, now: datetime = NOW, first_sync: timedelta = FIRST_SYNC) -> tuple[RunKind, datetime]:
    kind, (start, end) = jobs.plan(store, "twilio", now=now, first_sync=first_sync)
    assert end == now
    return kind, start


# What another run left behind


@pytest.mark.parametrize("how", ["a run", "a run that fails", "a skipped run"])
@pytest.mark.parametrize("source", SOURCES)
def test_the_next_run_repairs_balances_that_a_killed_one_left_behind_also_when_nothing_is_new(
    store: Store, clock: Clock, twilio: FakeTwilio, elevenlabs: FakeElevenLabs, source: Source, how: str
) -> None:
    old = NOW - 30 * DAY
    store.save_calls([make_leg(sid="CAold", started_at=old)], refresh=False)
    store.save_conversations([make_conversation(conversation_id="c_old", started_at=old)], refresh=False)
    conditions = Conditions(first_sync=FIRST_SYNC, clock=clock)
    if how == "a run that fails":
        twilio.breaks_off_after = elevenlabs.breaks_off_after = 0

    with suppress(ProviderError):
        if source == "twilio":
            jobs.sync_twilio(twilio, store, conditions)
        elif how == "a skipped run":
            jobs.skip_elevenlabs(store, "It is switched off.", conditions)
        else:
            jobs.sync_elevenlabs(elevenlabs, store, conditions)

    assert store.workspaces_to_refresh(source) == 0
    assert len(store.twilio_snapshots() if source == "twilio" else store.elevenlabs_snapshots()) == 1


# Windows


def test_the_first_run_reaches_as_far_back_as_it_is_told(store: Store) -> None:
    assert planned(store) == (RunKind.SWEEP, NOW - FIRST_SYNC - MARGIN)


def test_the_first_run_reaches_back_at_least_as_far_as_a_sweep(store: Store) -> None:
    assert planned(store, first_sync=DAY) == (RunKind.SWEEP, NOW - 3 * DAY - MARGIN)


@pytest.mark.parametrize(
    ("since_last_end", "reach"),
    [
        pytest.param(HOUR, HOUR, id="on time"),
        pytest.param(5 * MINUTE, HOUR, id="soon after the last one: an hour at least"),
        pytest.param(7 * HOUR, 7 * HOUR, id="after an outage: as long as the outage"),
        pytest.param(-2 * HOUR, 9 * HOUR, id="last one from a clock that was ahead: as if it had not been"),
    ],
)
def test_the_next_window_begins_a_margin_before_the_last_end(
    store: Store, since_last_end: timedelta, reach: timedelta
) -> None:
    finished(store, "twilio", RunKind.SWEEP, NOW - 9 * HOUR)
    finished(store, "twilio", RunKind.HOURLY, NOW - since_last_end)

    assert planned(store) == (RunKind.HOURLY, NOW - reach - MARGIN)


@pytest.mark.parametrize(
    ("since_sweep", "expected"),
    [(23 * HOUR, (RunKind.HOURLY, HOUR)), (24 * HOUR - MINUTE, (RunKind.SWEEP, 3 * DAY))],
)
def test_once_a_day_the_last_three_days_are_listed_again(
    store: Store, since_sweep: timedelta, expected: tuple[RunKind, timedelta]
) -> None:
    finished(store, "twilio", RunKind.SWEEP, NOW - since_sweep)
    finished(store, "twilio", RunKind.HOURLY, NOW - HOUR)

    assert planned(store) == (expected[0], NOW - expected[1] - MARGIN)


def test_an_outage_longer_than_a_sweep_is_listed_whole_with_the_days_before_it(store: Store) -> None:
    """A record of the day before the outage may have got its price, or another one, in the middle of it."""
    finished(store, "twilio", RunKind.SWEEP, NOW - 12 * DAY)

    assert planned(store) == (RunKind.SWEEP, NOW - 14 * DAY - MARGIN)


def test_nothing_is_left_out_after_a_run_whose_clock_was_hours_ahead_and_an_outage(store: Store) -> None:
    begun = NOW - 8 * DAY
    finished(store, "twilio", RunKind.SWEEP, begun + 9 * HOUR)

    _, start = planned(store)

    assert start < begun


def test_a_sweep_from_a_clock_that_was_ahead_does_not_put_off_the_next(store: Store) -> None:
    finished(store, "twilio", RunKind.SWEEP, NOW + 400 * DAY)

    assert planned(store) == (RunKind.SWEEP, NOW - FIRST_SYNC - MARGIN), "nobody knows what it has listed"


@pytest.mark.parametrize("ahead", [HOUR, 400 * DAY, 4 * 365 * DAY])
def test_a_run_from_a_clock_that_was_ahead_does_not_shorten_the_window_after_an_outage(
    store: Store, ahead: timedelta
) -> None:
    finished(store, "twilio", RunKind.SWEEP, NOW - 8 * DAY)
    finished(store, "twilio", RunKind.HOURLY, NOW - 7 * DAY)
    finished(store, "twilio", RunKind.SWEEP, NOW + ahead)
    finished(store, "twilio", RunKind.HOURLY, NOW + ahead + HOUR)

    kind, start = planned(store)

    assert kind is RunKind.SWEEP
    assert start <= NOW - 7 * DAY - MARGIN


def test_a_price_that_came_during_a_long_outage_is_found_after_it(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync, clock: Clock, sql: Sql
) -> None:
    twilio.put("CA1", started_at=NOW - HOUR, cost=None)
    sync_twilio()
    clock.now += 8 * DAY  # by then it is too old to be fetched again by its sid
    twilio.put("CA1", started_at=NOW - HOUR, cost=Decimal("0.5"))

    sync_twilio()

    assert [Decimal(str(cost)) for (cost,) in sql("select cost from calls")] == [Decimal("0.5")]


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.INTERRUPTED])
def test_only_a_successful_run_moves_the_next_window(store: Store, state: RunState) -> None:
    finished(store, "twilio", RunKind.SWEEP, NOW - 5 * HOUR)
    run = store.begin_run("twilio", RunKind.HOURLY, (NOW - HOUR, NOW), owner="", now=NOW, stale_before=NOW)
    store.finish_run(run.id, state, "It did not work.", now=NOW)

    assert planned(store) == (RunKind.HOURLY, NOW - 5 * HOUR - MARGIN)


def test_one_sources_runs_do_not_move_the_others_window(store: Store) -> None:
    finished(store, "elevenlabs", RunKind.SWEEP, NOW - HOUR)

    assert planned(store) == (RunKind.SWEEP, NOW - FIRST_SYNC - MARGIN)


# Twilio


def test_a_run_lists_its_window_and_closes_with_what_it_saved(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync
) -> None:
    twilio.put("CA1")
    twilio.put("CA2", started_at=NOW - 9 * DAY)
    twilio.put("CA-older", started_at=NOW - 11 * DAY)

    run = sync_twilio()

    assert (run.state, run.kind, run.saved, run.failed, run.message) == (RunState.OK, RunKind.SWEEP, 2, 0, None)
    assert (run.window_start, run.window_end, run.finished_at) == (NOW - FIRST_SYNC - MARGIN, NOW, NOW)
    assert twilio.asked_from == [NOW - FIRST_SYNC - MARGIN]
    assert store.count_rows()["calls"] == 2
    assert store.twilio_balances([None])[0][0].total_cost == Decimal("0.0170")


def test_the_same_run_again_changes_nothing(store: Store, twilio: FakeTwilio, sync_twilio: Sync, sql: Sql) -> None:
    twilio.put("CA1")
    twilio.put("CA2", started_at=NOW - 2 * DAY, cost=None)
    sync_twilio()
    before = sql("select * from twilio_snapshots order by id"), store.twilio_balances([NOW - DAY, None])

    sync_twilio()

    assert (sql("select * from twilio_snapshots order by id"), store.twilio_balances([NOW - DAY, None])) == before
    assert store.count_rows()["calls"] == 2


def test_a_price_that_comes_late_is_fetched_by_sid_long_after_the_window(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync, clock: Clock
) -> None:
    twilio.put("CA1", cost=None)
    twilio.put("CA2")
    sync_twilio()
    unpriced = store.twilio_balances([None])[0][0]
    clock.now = NOW + 5 * HOUR
    twilio.put("CA1", cost=Decimal("0.38930"))

    sync_twilio()

    priced = store.twilio_balances([None])[0][0]
    assert twilio.asked_for == ["CA1"]
    assert (unpriced.unpriced_calls, unpriced.total_cost) == (1, Decimal("0.0085"))
    assert (priced.unpriced_calls, priced.total_cost) == (0, Decimal("0.3978"))


def test_a_call_that_goes_on_for_hours_is_fetched_until_it_has_ended(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync, clock: Clock
) -> None:
    twilio.put("CA1", status="in-progress", duration=None, cost=None, ended_at=None)
    sync_twilio()
    clock.now = NOW + 4 * HOUR
    twilio.put("CA1", duration=15_000)
    sync_twilio()
    clock.now = NOW + 5 * HOUR

    sync_twilio()

    assert twilio.asked_for == ["CA1"], "once it has ended and is priced, it is not asked for any more"
    assert store.twilio_balances([None])[0][0].total_duration == 15_000


def test_a_queued_call_is_found_although_the_filter_by_time_leaves_it_out(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync
) -> None:
    twilio.put("CA1", status="queued", duration=None, cost=None, ended_at=None)
    twilio.unlisted.add("CA1")

    sync_twilio()

    assert store.count_rows()["calls"] == 1


def test_a_call_that_twilio_has_deleted_is_kept_and_not_asked_for_again(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync, clock: Clock, sql: Sql
) -> None:
    twilio.put("CA1", cost=None)
    sync_twilio()
    twilio.legs.clear()
    for hours in (3, 6):
        clock.now = NOW + hours * HOUR
        run = sync_twilio()

    assert run.state is RunState.OK
    assert twilio.asked_for == ["CA1"]
    assert store.twilio_balances([None])[0][0].total_calls == 1
    assert sql("select count(*) from sync_failures") == [(0,)]


def test_a_call_that_cannot_be_read_is_listed_and_leaves_the_list_when_it_can(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync, clock: Clock, sql: Sql
) -> None:
    twilio.put("CA1")
    twilio.put("CA2")
    twilio.unreadable.add("CA2")
    first = sync_twilio()
    listed = sql("select source, record_id, attempts from sync_failures")
    clock.now = NOW + 3 * HOUR
    sync_twilio()
    again = sql("select source, record_id, attempts from sync_failures")
    clock.now = NOW + 6 * HOUR
    twilio.unreadable.clear()

    last = sync_twilio()

    assert (first.state, first.saved, first.failed) == (RunState.OK, 1, 1)
    assert first.message is not None
    assert first.message.startswith("1 record could not be fetched or read")
    assert (listed, again) == ([("twilio", "CA2", 1)], [("twilio", "CA2", 2)])
    assert sql("select count(*) from sync_failures") == [(0,)]
    assert (last.failed, last.message, store.count_rows()["calls"]) == (0, None, 2)


def test_a_parent_from_before_the_window_is_fetched(store: Store, twilio: FakeTwilio, sync_twilio: Sync) -> None:
    twilio.put("CA1", parent_call_sid="CA-parent")
    twilio.put("CA-parent", started_at=NOW - FIRST_SYNC - HOUR)

    sync_twilio()

    assert twilio.asked_for == ["CA-parent"]
    assert store.twilio_balances([None])[0][0].total_calls == 1
    assert store.twilio_balances([None])[0][0].total_legs == 2


def test_parents_that_the_list_leaves_out_are_fetched_up_to_the_first(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync
) -> None:
    twilio.put("CA1", parent_call_sid="CA-parent")
    twilio.put("CA-parent", parent_call_sid="CA-grandparent")
    twilio.put("CA-grandparent")
    twilio.unlisted |= {"CA-parent", "CA-grandparent"}

    sync_twilio()

    assert twilio.asked_for == ["CA-parent", "CA-grandparent"]
    assert store.twilio_balances([None])[0][0].total_legs == 3


def test_a_parent_that_twilio_does_not_have_is_asked_for_once_in_a_run(
    twilio: FakeTwilio, sync_twilio: Sync, store: Store
) -> None:
    twilio.put("CA1", parent_call_sid="CA-gone")

    run = sync_twilio()

    assert twilio.asked_for == ["CA-gone"]
    assert (run.state, run.saved) == (RunState.OK, 1)
    assert store.count_rows()["calls"] == 1


def test_a_sweep_finds_what_reached_the_list_a_day_late(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync, clock: Clock
) -> None:
    sync_twilio()
    twilio.put("CA1")
    twilio.unlisted.add("CA1")
    clock.now = NOW + 12 * HOUR
    sync_twilio()
    twilio.unlisted.clear()
    clock.now = NOW + 24 * HOUR

    run = sync_twilio()

    assert run.kind is RunKind.SWEEP
    assert store.count_rows()["calls"] == 1


def test_a_list_that_breaks_off_keeps_what_came_and_fails_with_the_sentence(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync, clock: Clock
) -> None:
    for number in range(1500):
        twilio.put(f"CA{number}")
    twilio.breaks_off_after = 1200

    with pytest.raises(ProviderDownError, match=PROBLEM):
        sync_twilio()

    (run,) = store.runs("twilio")
    assert (run.state, run.saved, run.message) == (RunState.FAILED, 1200, PROBLEM)
    assert store.count_rows()["calls"] == 1200
    assert store.wrong_snapshots("twilio") == []
    assert store.last_success("twilio") is None


def test_a_failed_run_is_made_up_for_by_the_next(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync, clock: Clock
) -> None:
    sync_twilio()
    clock.now = NOW + 2 * HOUR
    twilio.put("CA1", started_at=NOW + HOUR)
    twilio.breaks_off_after = 0
    with pytest.raises(ProviderDownError):
        sync_twilio()
    clock.now = NOW + 9 * HOUR
    twilio.breaks_off_after = None

    run = sync_twilio()

    assert run.window_start == NOW - MARGIN
    assert store.count_rows()["calls"] == 1


def test_a_program_error_is_recorded_without_its_inside(store: Store, clock: Clock) -> None:
    class Broken(FakeTwilio):
        def unfinished_calls(self) -> Iterator[CallLeg | Failure]:
            raise KeyError("+34600111222")

    with pytest.raises(KeyError):
        jobs.sync_twilio(Broken(clock), store, Conditions(first_sync=FIRST_SYNC, clock=clock))

    (run,) = store.runs("twilio")
    assert run.state is RunState.FAILED
    assert run.message == "An error in the program (KeyError); see the log, the next run goes on."


def test_a_second_run_of_the_same_source_is_refused_before_it_asks_anything(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync, clock: Clock
) -> None:
    conditions = Conditions(first_sync=FIRST_SYNC, clock=clock)

    with open_run(store, "twilio", RunKind.HOURLY, (NOW - HOUR, NOW), conditions) as run:
        clock.now = NOW + SECOND
        with pytest.raises(AlreadyRunningError) as caught:
            sync_twilio()

    assert caught.value.run.id == run.id
    assert twilio.asked_from == []
    assert len(store.runs()) == 1


def test_a_run_that_is_told_to_stop_ends_between_two_batches_and_the_next_completes_it(
    store: Store, twilio: FakeTwilio, sync_twilio: Sync, clock: Clock
) -> None:
    for number in range(2500):
        twilio.put(f"CA{number}")
    should_stop = Event()
    conditions = Conditions(
        first_sync=FIRST_SYNC, clock=clock, should_stop=should_stop, on_progress=lambda _: should_stop.set()
    )

    with pytest.raises(StoppedError):
        jobs.sync_twilio(twilio, store, conditions)
    stopped = store.runs("twilio")[0]
    saved = store.count_rows()["calls"]
    run = sync_twilio()

    assert (stopped.state, stopped.saved, saved) == (RunState.INTERRUPTED, 1000, 1000)
    assert stopped.message == "The run was stopped; what it had saved is kept, the next run goes on."
    assert (run.state, store.count_rows()["calls"]) == (RunState.OK, 2500)
    assert store.twilio_balances([None])[0][0].total_calls == 2500


# ElevenLabs


def test_only_new_conversations_are_asked_for_in_detail(
    store: Store, elevenlabs: FakeElevenLabs, sync_elevenlabs: Sync, clock: Clock
) -> None:
    elevenlabs.put("c1")
    elevenlabs.put("c2", started_at=NOW - 2 * HOUR)
    first = sync_elevenlabs()
    asked_first = elevenlabs.asked_for.copy()
    elevenlabs.asked_for.clear()
    clock.now = NOW + HOUR / 2

    second = sync_elevenlabs()

    assert asked_first == ["c2", "c1"], "oldest first, so that each batch touches few balances"
    assert elevenlabs.asked_for == []
    assert (first.saved, first.done, first.total) == (2, 2, 2)
    assert (second.state, second.saved, second.total) == (RunState.OK, 0, 0)
    assert store.elevenlabs_balances([None])[0][0].total_credits == 2 * 526


@pytest.mark.parametrize("changes", [{"status": "failed"}, {"duration": 91}])
def test_a_conversation_that_the_list_shows_otherwise_is_asked_for_again(
    store: Store, elevenlabs: FakeElevenLabs, sync_elevenlabs: Sync, clock: Clock, changes: dict[str, Any]
) -> None:
    elevenlabs.put("c1")
    sync_elevenlabs()
    elevenlabs.put("c1", **changes)
    clock.now = NOW + MINUTE

    sync_elevenlabs()

    assert elevenlabs.asked_for == ["c1", "c1"]


@pytest.mark.parametrize(
    "open_one", [{"status": "in-progress", "cost": None}, {"status": "processing"}, {"cost": None}]
)
def test_an_open_conversation_is_asked_for_by_id_long_after_the_window(
    store: Store, elevenlabs: FakeElevenLabs, sync_elevenlabs: Sync, clock: Clock, open_one: dict[str, Any]
) -> None:
    elevenlabs.put("c1", **open_one)
    sync_elevenlabs()
    elevenlabs.put("c1")
    for hours in (5, 10):
        clock.now = NOW + hours * HOUR
        sync_elevenlabs()

    assert elevenlabs.asked_for == ["c1", "c1"]
    assert store.elevenlabs_balances([None])[0][0].unpriced_conversations == 0


def test_a_conversation_that_was_read_right_after_its_end_is_read_once_more(
    elevenlabs: FakeElevenLabs, sync_elevenlabs: Sync, clock: Clock
) -> None:
    elevenlabs.put("c1", started_at=NOW - 10 * MINUTE)
    sync_elevenlabs()
    for hours in (1, 2):
        clock.now = NOW + hours * HOUR
        sync_elevenlabs()

    assert elevenlabs.asked_for == ["c1", "c1"]


def test_a_sweep_reads_the_details_of_three_days_again(
    store: Store, elevenlabs: FakeElevenLabs, sync_elevenlabs: Sync, clock: Clock
) -> None:
    elevenlabs.put("c-young")
    elevenlabs.put("c-old", started_at=NOW - 4 * DAY)
    sync_elevenlabs()
    elevenlabs.asked_for.clear()
    elevenlabs.put("c-young", cost=Decimal("0.2"))
    clock.now = NOW + DAY

    run = sync_elevenlabs()

    assert run.kind is RunKind.SWEEP
    assert elevenlabs.asked_from[-1] == NOW + DAY - 3 * DAY - MARGIN
    assert elevenlabs.asked_for == ["c-young"]
    assert store.elevenlabs_balances([None])[0][0].total_cost == Decimal("0.30420315")


def test_a_conversation_that_elevenlabs_has_deleted_is_kept(
    store: Store, elevenlabs: FakeElevenLabs, sync_elevenlabs: Sync, clock: Clock
) -> None:
    elevenlabs.put("c1", cost=None)
    sync_elevenlabs()
    elevenlabs.talks.clear()
    for hours in (3, 6):
        clock.now = NOW + hours * HOUR
        run = sync_elevenlabs()

    assert run.state is RunState.OK
    assert elevenlabs.asked_for == ["c1", "c1"]
    assert store.elevenlabs_balances([None])[0][0].total_conversations == 1


def test_a_conversation_that_cannot_be_read_is_listed_and_leaves_the_list_when_it_can(
    store: Store, elevenlabs: FakeElevenLabs, sync_elevenlabs: Sync, clock: Clock, sql: Sql
) -> None:
    for name in ("c1", "c2", "c3"):
        elevenlabs.put(name)
    elevenlabs.unreadable.add("c2")
    elevenlabs.unreadable_in_list.add("c3")
    first = sync_elevenlabs()
    listed = sql("select record_id from sync_failures order by 1")
    clock.now = NOW + 3 * HOUR
    elevenlabs.unreadable.clear()

    last = sync_elevenlabs()

    assert (first.state, first.saved, first.failed) == (RunState.OK, 1, 2)
    assert listed == [("c2",), ("c3",)]
    assert (last.saved, last.failed) == (2, 0)
    assert sql("select count(*) from sync_failures") == [(0,)]


def make_detail(name: str, began: int) -> dict[str, Any]:
    """Return a conversation as ElevenLabs writes it, with what is needed and no more."""
    metadata = {"start_time_unix_secs": began, "call_duration_secs": 53, "cost": 526, "charging": {}}
    return {"conversation_id": name, "agent_id": "agent_1", "status": "done", "metadata": metadata}


@pytest.mark.parametrize(
    "bad",
    [
        Answer(status=422, body={"detail": [{"msg": "not this one"}]}),
        Answer(status=500),
        Answer(body="<html>Sorry</html>"),
    ],
)
def test_a_conversation_that_elevenlabs_refuses_again_and_again_stops_no_other(
    store: Store, clock: Clock, sql: Sql, bad: Answer
) -> None:
    with ScriptedServer() as provider:
        began = int((NOW - HOUR).timestamp())
        details = [make_detail(f"c{number}", began + number) for number in range(1, 30)]
        listed = [
            {"conversation_id": each["conversation_id"], "status": "done", **each["metadata"]} for each in details
        ]
        provider.on("/v1/convai/conversations", Answer(body={"conversations": listed, "has_more": False}))
        for each in details:
            name = each["conversation_id"]
            is_bad = name == "c1"  # the oldest, which is asked for first
            provider.on(f"/v1/convai/conversations/{name}", bad if is_bad else Answer(body=each))
        client = ElevenLabsClient("key", base_url=provider.url, retries=QUICK_TO_GIVE_UP, clock=clock)
        conditions = Conditions(first_sync=FIRST_SYNC, clock=clock)

        first = jobs.sync_elevenlabs(client, store, conditions)
        clock.now += 2 * HOUR
        second = jobs.sync_elevenlabs(client, store, conditions)

    assert (first.state, first.saved, first.failed) == (RunState.OK, 28, 1)
    assert (second.state, second.failed) == (RunState.OK, 1)
    assert sql("select record_id, attempts from sync_failures") == [("c1", 2)]


def test_a_conversation_list_that_breaks_off_still_reads_what_it_gave(
    store: Store, elevenlabs: FakeElevenLabs, sync_elevenlabs: Sync
) -> None:
    for number in range(5):
        elevenlabs.put(f"c{number}")
    elevenlabs.breaks_off_after = 3

    with pytest.raises(UnexpectedAnswerError, match=PROBLEM):
        sync_elevenlabs()

    (run,) = store.runs("elevenlabs")
    assert (run.state, run.saved, run.message) == (RunState.FAILED, 3, PROBLEM)
    assert store.count_rows()["elevenlabs_conversations"] == 3
    assert store.last_success("elevenlabs") is None


def test_a_conversation_list_that_gives_nothing_fails_at_once(
    store: Store, elevenlabs: FakeElevenLabs, sync_elevenlabs: Sync
) -> None:
    elevenlabs.breaks_off_after = 0

    with pytest.raises(UnexpectedAnswerError, match=PROBLEM):
        sync_elevenlabs()

    assert store.runs("elevenlabs")[0].state is RunState.FAILED


def test_a_stopped_run_is_completed_without_reading_anything_twice(
    store: Store, elevenlabs: FakeElevenLabs, sync_elevenlabs: Sync, clock: Clock
) -> None:
    for number in range(450):
        elevenlabs.put(f"c{number}")
    should_stop = Event()

    def stop_after_the_first_batch(run: SyncRun) -> None:
        if run.done:
            should_stop.set()

    with pytest.raises(StoppedError):
        jobs.sync_elevenlabs(
            elevenlabs,
            store,
            Conditions(
                first_sync=FIRST_SYNC, clock=clock, should_stop=should_stop, on_progress=stop_after_the_first_batch
            ),
        )
    stopped, saved = store.runs("elevenlabs")[0], store.count_rows()["elevenlabs_conversations"]
    run = sync_elevenlabs()

    assert (stopped.state, stopped.saved, saved) == (RunState.INTERRUPTED, 200, 200)
    assert (run.state, run.saved) == (RunState.OK, 250)
    assert len(elevenlabs.asked_for) == len(set(elevenlabs.asked_for)) == 450


def test_progress_is_told_batch_by_batch(store: Store, elevenlabs: FakeElevenLabs, clock: Clock) -> None:
    for number in range(450):
        elevenlabs.put(f"c{number}")
    told: list[tuple[int, int | None]] = []

    jobs.sync_elevenlabs(
        elevenlabs,
        store,
        Conditions(first_sync=FIRST_SYNC, clock=clock, on_progress=lambda run: told.append((run.done, run.total))),
    )

    assert told == [(0, None), (0, 450), (200, 450), (400, 450), (450, 450)]


def test_a_run_that_is_switched_off_is_recorded_with_the_reason_and_moves_no_window(store: Store, clock: Clock) -> None:
    finished(store, "elevenlabs", RunKind.SWEEP, NOW - 5 * HOUR)

    run = jobs.skip_elevenlabs(store, "The flag is set.", Conditions(first_sync=FIRST_SYNC, clock=clock))

    window = jobs.plan(store, "elevenlabs", now=NOW, first_sync=FIRST_SYNC)[1]
    assert (run.state, run.message, run.finished_at) == (RunState.SKIPPED, "The flag is set.", NOW)
    assert store.runs("elevenlabs", limit=1) == [run]
    assert window == (NOW - 5 * HOUR - MARGIN, NOW)


# Against the simulated providers: what the runs add up to equals what the servers' own JSON adds up to

Totals = dict[str, dict[str, Any]]
UNASSIGNED = "Unassigned"


class DemoServer:
    """The simulated providers over HTTP, their clients, and their raw JSON."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._http = httpx.Client(
            base_url=url,
            auth=(ACCOUNT_SID, AUTH_TOKEN),
            headers={"xi-api-key": ELEVENLABS_API_KEY},
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()

    def sync(self, store: Store, first_sync: timedelta) -> list[SyncRun]:
        conditions = Conditions(first_sync=first_sync, clock=self._clock)
        login = (ACCOUNT_SID, AUTH_TOKEN)
        with TwilioClient(ACCOUNT_SID, login, base_url=self._url, retries=QUICK, clock=self._clock) as twilio:
            first = jobs.sync_twilio(twilio, store, conditions)
        with ElevenLabsClient(ELEVENLABS_API_KEY, base_url=self._url, retries=QUICK, clock=self._clock) as elevenlabs:
            return [first, jobs.sync_elevenlabs(elevenlabs, store, conditions)]

    def get(self, path: str) -> Any:
        return simplejson.loads(self._http.get(path).raise_for_status().text, use_decimal=True)

    def calls(self) -> list[dict[str, Any]]:
        found, uri = [], f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json?PageSize=1000"
        while uri:
            page = self.get(uri)
            found += page["calls"]
            uri = page["next_page_uri"]
        return found

    def conversations(self) -> list[dict[str, Any]]:
        path, found, cursor = "/v1/convai/conversations", [], ""
        while True:
            page = self.get(f"{path}?page_size=100&cursor={cursor}")
            found += [self.get(f"{path}/{each['conversation_id']}") for each in page["conversations"]]
            if not page["has_more"]:
                return found
            cursor = page["next_cursor"]


@contextmanager
def demo_server(fleet: Fleet, clock: Clock, faults: Faults | None = None) -> Iterator[DemoServer]:
    with running(create_app(fleet, faults=faults, clock=clock)) as url:
        server = DemoServer(url, clock)
        try:
            yield server
        finally:
            server.close()


def owner_of(number: str | None, moment: datetime) -> str | None:
    for phone in registry.phones(NOW):
        has_begun = phone.valid_from is None or phone.valid_from <= moment
        if phone.phone_number == number and has_begun and (phone.valid_until is None or moment < phone.valid_until):
            return phone.workspace
    return None


def expected_of_twilio(calls: list[dict[str, Any]]) -> Totals:
    calls = [call for call in calls if call["start_time"] or call["date_created"]]  # the others are not there yet
    by_sid = {call["sid"]: call for call in calls}

    def workspace_of(call: dict[str, Any]) -> str:
        parent = by_sid.get(call["parent_call_sid"])
        inherited = workspace_of(parent) if parent else UNASSIGNED
        ours = NUMBER_OF.get(call["phone_number_sid"])
        moment = parsedate_to_datetime(call["start_time"] or call["date_created"])
        return inherited if inherited != UNASSIGNED else owner_of(ours, moment) or UNASSIGNED

    names = ("total_calls", "total_legs", "total_cost", "total_duration", "billed_minutes", "unpriced_calls")
    totals: Totals = {}
    for call in calls:
        total = totals.setdefault(workspace_of(call), dict.fromkeys(names, 0))
        seconds = int(call["duration"] or 0)
        if call["parent_call_sid"] is None:
            total["total_calls"] += 1
            total["total_duration"] += seconds
        total["total_legs"] += 1
        total["billed_minutes"] += -(-seconds // 60)
        total["total_cost"] += -Decimal(call["price"] or 0)
        is_free = call["status"] in ("busy", "failed", "no-answer", "canceled")
        total["unpriced_calls"] += call["price"] is None and not is_free
    return totals


def expected_of_elevenlabs(talks: list[dict[str, Any]]) -> Totals:
    agents = {agent.agent_id: agent.workspace for agent in registry.agents()}
    totals: Totals = {}
    for talk in talks:
        metadata, charging = talk["metadata"], talk["metadata"]["charging"]
        number = NUMBER_OF.get((metadata["phone_call"] or metadata["sms"] or {}).get("phone_number_id"))
        started_at = datetime.fromtimestamp(metadata["start_time_unix_secs"], UTC)
        workspace = owner_of(number, started_at) or agents.get(talk["agent_id"]) or UNASSIGNED
        amounts = {
            "total_conversations": 1,
            "total_cost": metadata["cost_fiat"],
            "total_duration": metadata["call_duration_secs"],
            "total_credits": metadata["cost"],
            "llm_price": charging["llm_price"],
            "llm_charge": charging["llm_charge"],
            "platform_price": charging.get("platform_price"),
            "call_charge": charging["call_charge"],
            "free_minutes_consumed": charging.get("free_minutes_consumed"),
            "free_llm_dollars_consumed": charging.get("free_llm_dollars_consumed"),
            "dev_discount": charging["dev_discount"],
            "unpriced_conversations": metadata["cost_fiat"] is None,
        }
        total = totals.setdefault(workspace, {**dict.fromkeys(amounts, 0), "llm_usage": {}})
        for name, amount in amounts.items():
            total[name] += amount or 0
        models = charging["llm_usage"].get("initiated_generation", {}).get("model_usage", {})
        for model, categories in models.items():
            for category, used in categories.items():
                if used["tokens"] or used["price"]:
                    of_model = total["llm_usage"].setdefault(model, {})
                    so_far = of_model.setdefault(category, {"tokens": 0, "price": 0})
                    of_model[category] = {name: so_far[name] + used[name] for name in so_far}
    return totals


def assert_totals_are_the_servers_own(store: Store, server: DemoServer) -> None:
    names = {workspace.id: workspace.name for workspace in store.workspaces()}
    (twilio,), (elevenlabs,) = store.twilio_balances([None]), store.elevenlabs_balances([None])
    assert {names[key]: asdict(total) for key, total in twilio.items()} == expected_of_twilio(server.calls())
    assert {names[key]: asdict(total) for key, total in elevenlabs.items()} == expected_of_elevenlabs(
        server.conversations()
    )
    assert store.wrong_snapshots("twilio") == store.wrong_snapshots("elevenlabs") == []


def test_one_long_first_run_adds_up_to_the_servers_own_records(store: Store, clock: Clock) -> None:
    register_demo_clients(store, now=NOW)
    with demo_server(Fleet(opened_at=NOW, days=33, scale=0.15), clock) as server:
        runs = server.sync(store, 40 * DAY)

        assert [run.state for run in runs] == [RunState.OK, RunState.OK]
        assert_totals_are_the_servers_own(store, server)
        assert len(store.twilio_balances([None])[0]) == 9, "every client and Unassigned"


def test_hour_by_hour_adds_up_to_the_same_as_the_servers_own_records(store: Store, clock: Clock) -> None:
    register_demo_clients(store, now=NOW)
    with demo_server(Fleet(opened_at=NOW, days=2, scale=0.3), clock) as server:
        for hours_ago in (26, *range(12, -1, -1)):
            clock.now = NOW - hours_ago * HOUR
            server.sync(store, 3 * DAY)

        assert_totals_are_the_servers_own(store, server)


def test_a_bad_day_of_the_providers_changes_no_total(store: Store, clock: Clock) -> None:
    register_demo_clients(store, now=NOW)
    faults = Faults({"error500": 0.1, "error503": 0.1, "cut_body": 0.1}, seed=3)
    with demo_server(Fleet(opened_at=NOW, days=2, scale=0.5), clock, faults) as server:
        runs = server.sync(store, 3 * DAY)
        faults.rates.clear()

        assert [run.failed for run in runs] == [0, 0]
        assert_totals_are_the_servers_own(store, server)


def test_records_that_were_gone_or_malformed_for_a_while_are_complete_after_the_next_run(
    store: Store, clock: Clock, sql: Sql
) -> None:
    register_demo_clients(store, now=NOW)
    faults = Faults()
    with demo_server(Fleet(opened_at=NOW, days=2, scale=0.5), clock, faults) as server:
        faults.once("malformed", on="/v1/convai/conversations/conv", times=5)
        faults.once("not_found", on="/v1/convai/conversations/conv", times=5)
        first = server.sync(store, 3 * DAY)
        clock.now = NOW + HOUR
        second = server.sync(store, 3 * DAY)

        assert first[1].failed >= 8, "a damaged field may be one that nobody reads"
        assert second[1].failed == 0
        assert sql("select count(*) from sync_failures") == [(0,)]
        assert_totals_are_the_servers_own(store, server)
