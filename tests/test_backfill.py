"""The historical sync: all of a period, once, wherever it was stopped, with right balances whatever came between."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from demo.faults import Faults
from demo.fleet import Fleet
from demo.server import create_app, running
from sync import jobs
from sync.backfill import CALLS_A_BATCH, CALLS_AHEAD, backfill_elevenlabs, backfill_twilio
from sync.demo_providers import register_demo_clients
from sync.elevenlabs import ElevenLabsClient
from sync.errors import AlreadyRunningError, ProviderDownError, StoppedError, UnexpectedAnswerError
from sync.limits import ConcurrencyLimit
from sync.models import (
    CallLeg,
    Conversation,
    ConversationSummary,
    Failure,
    RunKind,
    RunState,
    Source,
    SyncRun,
)
from sync.runs import STALE_AFTER, Conditions, open_run
from sync.slices import LENGTH
from sync.store import Store
from sync.supabase_store import SupabaseStore
from sync.twilio import TwilioClient
from tests.local_supabase import LocalSupabase
from tests.local_supabase.migrations import FILES
from tests.records import Sql, elevenlabs_ledger, make_leg, twilio_ledger
from tests.registering import add_workspace
from tests.test_jobs import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    PROBLEM,
    QUICK,
    Clock,
    DemoServer,
    FakeElevenLabs,
    FakeTwilio,
    assert_totals_are_the_servers_own,
)

PATIENCE = 20  # seconds
PAUSE = 0.02  # seconds before each conversation: several batches come of it
START = NOW - 30 * DAY
WINDOW = (START, NOW)
OpenStore = Callable[[], tuple[Store, Sql]]


class Listed:
    """Remembers which stretches were listed: several at a time, so that their order says nothing."""

    listed: list[tuple[datetime, datetime]]

    def newest_first(self) -> list[tuple[datetime, datetime]]:
        return sorted(self.listed, reverse=True)


class PastTwilio(Listed, FakeTwilio):
    """Lists stretches of the past too. `fails` says how many times a record still cannot be read."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.listed = []
        self.given = 0

    def calls_between(self, start: datetime, end: datetime) -> Iterator[CallLeg | Failure]:
        self.listed.append((start, end))
        found = [leg for leg in self.legs.values() if start <= leg.started_at < end and leg.sid not in self.unlisted]
        for leg in sorted(found, key=lambda leg: leg.started_at, reverse=True):
            if self.breaks_off_after is not None and self.given >= self.breaks_off_after:
                raise ProviderDownError(PROBLEM)
            self.given += 1
            yield self._seen(leg)


class PastElevenLabs(Listed, FakeElevenLabs):
    """Lists stretches of the past too. `fails` says how many more times the detail of a record cannot be read."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.listed = []
        self.fails: Counter[str] = Counter()
        self.shown_twice: set[str] = set()
        self.down_after: int | None = None
        self.pause = 0.0

    def summaries_between(self, start: datetime, end: datetime) -> Iterator[ConversationSummary | Failure]:
        self.listed.append((start, end))
        found = [talk for talk in self.talks.values() if start <= talk.started_at < end]
        found += [talk for talk in found if talk.conversation_id in self.shown_twice]
        for talk in sorted(found, key=lambda talk: talk.started_at, reverse=True):
            if self.breaks_off_after is not None and self._place(talk) >= self.breaks_off_after:
                raise UnexpectedAnswerError(PROBLEM)
            yield self._summary(talk)

    def _place(self, talk: Conversation) -> int:
        """Return how many are newer. Slices are listed at the same time, so counting what was given would be a race."""
        return sum(other.started_at > talk.started_at for other in self.talks.values())

    def conversations(self, ids: Iterable[str]) -> Iterator[Conversation | Failure]:
        for name in ids:
            if self.down_after is not None and len(self.asked_for) >= self.down_after:
                raise ProviderDownError(PROBLEM)
            sleep(self.pause)
            if self.fails[name] > 0:
                self.fails[name] -= 1
                self.asked_for.append(name)
                yield Failure(record_id=name, error="ElevenLabs sent a conversation that cannot be read.")
            else:
                yield from super().conversations([name])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def twilio(clock: Clock) -> PastTwilio:
    twilio = PastTwilio(clock)
    for number in range(60):
        twilio.put(f"CA{number}", started_at=NOW - MINUTE - number * DAY / 2)
    return twilio


@pytest.fixture
def elevenlabs(clock: Clock) -> PastElevenLabs:
    elevenlabs = PastElevenLabs(clock)
    for number in range(60):
        elevenlabs.put(f"c{number}", started_at=NOW - HOUR - number * DAY / 2)
    return elevenlabs


class Backfills:
    """Runs backfills of both sources over WINDOW, on one store."""

    def __init__(self, twilio: PastTwilio, elevenlabs: PastElevenLabs, store: Store, clock: Clock) -> None:
        self.sources = {"twilio": twilio, "elevenlabs": elevenlabs}
        self.store = store
        self.clock = clock

    def run(
        self,
        source: Source,
        *,
        window: tuple[datetime, datetime] = WINDOW,
        store: Store | None = None,
        should_stop: Event | None = None,
        on_progress: Callable[[SyncRun], None] = lambda run: None,
    ) -> SyncRun:
        conditions = Conditions(
            first_sync=DAY, clock=self.clock, should_stop=should_stop or Event(), on_progress=on_progress
        )
        backfill: Any = backfill_twilio if source == "twilio" else backfill_elevenlabs
        return cast(SyncRun, backfill(self.sources[source], store or self.store, window, conditions))

    def run_until(self, source: Source, is_enough: Callable[[SyncRun], bool]) -> SyncRun:
        """Stop a backfill when its progress is enough, and return the interrupted run."""
        should_stop = Event()

        def look(run: SyncRun) -> None:
            if is_enough(run):
                should_stop.set()

        with pytest.raises(StoppedError):
            self.run(source, should_stop=should_stop, on_progress=look)
        self.clock.now += timedelta(seconds=1)
        return self.store.runs(source, limit=1)[0]

    def hourly(self, source: Source) -> SyncRun:
        conditions = Conditions(first_sync=DAY, clock=self.clock)
        job: Any = jobs.sync_twilio if source == "twilio" else jobs.sync_elevenlabs
        return cast(SyncRun, job(self.sources[source], self.store, conditions))


@pytest.fixture
def backfills(twilio: PastTwilio, elevenlabs: PastElevenLabs, store: Store, clock: Clock) -> Backfills:
    return Backfills(twilio, elevenlabs, store, clock)


BOTH = pytest.mark.parametrize("source", ["twilio", "elevenlabs"])


def stored(store: Store, source: Source) -> int:
    return store.count_rows()["calls" if source == "twilio" else "elevenlabs_conversations"]


def counted(store: Store, source: Source) -> int:
    """Return how many records the balances know of."""
    if source == "twilio":
        return sum(total.total_legs for total in store.twilio_balances([None])[0].values())
    return sum(total.total_conversations for total in store.elevenlabs_balances([None])[0].values())


def assert_balances_are_right(store: Store, source: Source) -> None:
    assert store.wrong_snapshots(source) == []
    assert store.workspaces_to_refresh(source) == 0
    assert counted(store, source) == stored(store, source)


# The period


@BOTH
def test_all_of_the_period_is_fetched_and_nothing_else(backfills: Backfills, source: Source) -> None:
    backfills.sources[source].put("before", started_at=START - timedelta(seconds=1))
    backfills.sources[source].put("first", started_at=START)
    backfills.sources[source].put("after", started_at=NOW)

    run = backfills.run(source)

    assert (run.kind, run.state, run.saved, run.failed, run.message) == (RunKind.BACKFILL, RunState.OK, 61, 0, None)
    assert (run.window_start, run.window_end, run.position, run.done) == (START, NOW, START, 61)
    assert stored(backfills.store, source) == 61
    assert_balances_are_right(backfills.store, source)


@BOTH
def test_the_period_is_walked_newest_first_in_slices(backfills: Backfills, source: Source) -> None:
    backfills.run(source)

    listed = backfills.sources[source].newest_first()
    assert listed[0] == (NOW - LENGTH, NOW)
    assert [later for later, _ in listed[:-1]] == [end for _, end in listed[1:]]
    assert listed[-1][0] == START


def test_what_is_newer_is_fetched_first(backfills: Backfills, elevenlabs: PastElevenLabs) -> None:
    backfills.run("elevenlabs")

    numbers = [
        next(n for n, (start, _) in enumerate(elevenlabs.newest_first()) if talk.started_at >= start)
        for talk in map(elevenlabs.talks.__getitem__, elevenlabs.asked_for)
    ]
    assert numbers == sorted(numbers)


@BOTH
def test_a_period_without_records_is_done_at_once(backfills: Backfills, source: Source) -> None:
    run = backfills.run(source, window=(START - 20 * DAY, START - 10 * DAY))

    assert (run.state, run.saved, run.done, run.position) == (RunState.OK, 0, 0, START - 20 * DAY)


def test_parents_are_fetched_wherever_they_started(backfills: Backfills, twilio: PastTwilio) -> None:
    twilio.put("CA-child", parent_call_sid="CA-parent", started_at=START + HOUR)
    twilio.put("CA-parent", parent_call_sid="CA-grandparent", started_at=START - HOUR)
    twilio.put("CA-grandparent", started_at=START - 2 * DAY)

    backfills.run("twilio")

    assert twilio.asked_for == ["CA-parent", "CA-grandparent"]
    assert backfills.store.twilio_balances([None])[0][0].total_calls == 61


def test_what_is_stored_and_final_is_not_fetched_again(backfills: Backfills, elevenlabs: PastElevenLabs) -> None:
    backfills.store.save_conversations([elevenlabs.talks["c3"], replace(elevenlabs.talks["c4"], status="processing")])

    run = backfills.run("elevenlabs")

    assert "c3" not in elevenlabs.asked_for
    assert "c4" in elevenlabs.asked_for
    assert (run.saved, stored(backfills.store, "elevenlabs")) == (59, 60)


def test_a_second_backfill_of_the_same_period_asks_for_no_detail_and_changes_nothing(
    backfills: Backfills, elevenlabs: PastElevenLabs, sql: Sql
) -> None:
    backfills.run("elevenlabs")
    before = sql("select * from elevenlabs_snapshots order by id")
    elevenlabs.asked_for.clear()
    backfills.clock.now += MINUTE

    run = backfills.run("elevenlabs")

    assert elevenlabs.asked_for == []
    assert (run.state, run.saved, run.done, run.seconds_left) == (RunState.OK, 0, 0, None)
    assert sql("select * from elevenlabs_snapshots order by id") == before


def test_a_record_that_the_list_shows_twice_is_fetched_once(backfills: Backfills, elevenlabs: PastElevenLabs) -> None:
    elevenlabs.shown_twice = set(elevenlabs.talks)

    run = backfills.run("elevenlabs")

    assert len(elevenlabs.asked_for) == 60
    assert (run.done, run.total, run.position) == (60, 60, START)


# Stop and go on


def test_a_stopped_backfill_of_conversations_goes_on_and_fetches_none_twice(
    backfills: Backfills, elevenlabs: PastElevenLabs
) -> None:
    for number in range(450):
        elevenlabs.put(f"d{number}", started_at=NOW - MINUTE - number * HOUR)

    stopped = [backfills.run_until("elevenlabs", lambda run: run.saved >= 100) for _ in range(2)]
    run = backfills.run("elevenlabs")

    assert {each.state for each in stopped} == {RunState.INTERRUPTED}
    assert stopped[0].message == "The run was stopped; what it had saved is kept, the next run goes on."
    assert run.state is RunState.OK
    assert Counter(elevenlabs.asked_for) == Counter(list(elevenlabs.talks))
    assert sum(each.saved for each in [*stopped, run]) == stored(backfills.store, "elevenlabs") == 510
    assert_balances_are_right(backfills.store, "elevenlabs")


@BOTH
def test_balances_are_right_when_a_backfill_has_been_stopped(
    backfills: Backfills, elevenlabs: PastElevenLabs, source: Source
) -> None:
    elevenlabs.pause = PAUSE

    stopped = backfills.run_until(source, lambda run: run.saved > 0)

    assert 0 < stopped.saved < 60
    assert stored(backfills.store, source) == stopped.saved
    assert_balances_are_right(backfills.store, source)


@BOTH
def test_slices_that_were_walked_are_not_listed_again(
    backfills: Backfills, elevenlabs: PastElevenLabs, source: Source
) -> None:
    elevenlabs.pause = PAUSE
    stopped = backfills.run_until(source, lambda run: run.position is not None and run.position <= NOW - 2 * LENGTH)
    assert stopped.position is not None
    backfills.sources[source].listed.clear()
    backfills.clock.now += HOUR

    run = backfills.run(source, window=(START, NOW + HOUR))

    listed = backfills.sources[source].newest_first()
    assert listed[0] == (NOW, NOW + HOUR), "what has come since"
    assert listed[1][1] == stopped.position
    assert listed[-1][0] == START
    assert (run.state, run.position) == (RunState.OK, START)
    assert stored(backfills.store, source) == 60


@BOTH
def test_a_complete_backfill_forgets_what_was_walked_before(backfills: Backfills, source: Source) -> None:
    backfills.run_until(source, lambda run: run.position is not None and run.position <= NOW - LENGTH)
    backfills.run(source)
    backfills.sources[source].listed.clear()

    backfills.run(source)

    assert backfills.sources[source].newest_first()[0] == (NOW - LENGTH, NOW)


def test_a_stop_is_heeded_although_there_is_nothing_to_fetch(backfills: Backfills) -> None:
    backfills.run("elevenlabs")
    backfills.clock.now += MINUTE

    stopped = backfills.run_until("elevenlabs", lambda run: run.position is not None)

    assert stopped.state is RunState.INTERRUPTED


def test_two_backfills_of_a_source_do_not_run_at_once(backfills: Backfills, elevenlabs: PastElevenLabs) -> None:
    conditions = Conditions(first_sync=DAY, clock=backfills.clock)
    with open_run(backfills.store, "elevenlabs", RunKind.BACKFILL, WINDOW, conditions) as run:
        backfills.clock.now += timedelta(seconds=1)
        with pytest.raises(AlreadyRunningError) as caught:
            backfills.run("elevenlabs")

    assert caught.value.run.id == run.id
    assert elevenlabs.listed == []


class Killed(BaseException):
    """What stands for kill -9: from here on nothing reaches the store any more, no clean-up either."""


class DyingStore:
    """A store that is there for so many calls."""

    def __init__(self, store: Store, calls: int) -> None:
        self._store = store
        self._left = calls

    def __getattr__(self, name: str) -> Any:
        self._left -= 1
        if self._left < 0:
            raise Killed
        return getattr(self._store, name)


@given(st.lists(st.integers(2, 45), min_size=1, max_size=3), st.sampled_from(["twilio", "elevenlabs"]))
def test_killed_at_any_moment_it_loses_nothing_and_the_next_runs_mend_all(
    open_store: OpenStore, calls: list[int], source: Source
) -> None:
    store, sql = open_store()
    clock = Clock()
    twilio, elevenlabs = PastTwilio(clock), PastElevenLabs(clock)
    for number in range(40):
        started_at = NOW - MINUTE - number * DAY * 0.7
        twilio.put(f"CA{number}", started_at=started_at, cost=Decimal(number))
        elevenlabs.put(f"c{number}", started_at=started_at, cost=Decimal(number))
    backfills = Backfills(twilio, elevenlabs, store, clock)
    add_workspace(store, "Acme")

    for left in calls:
        with pytest.raises(Killed):  # noqa: PT012  it may also have come to its end before
            backfills.run(source, store=cast(Store, DyingStore(store, left)))
            raise Killed
        clock.now += 2 * STALE_AFTER
        assert store.wrong_snapshots(source) == []
        backfills.hourly(source)
        assert_balances_are_right(store, source)
    run = backfills.run(source)

    assert run.state is RunState.OK
    assert stored(store, source) == 40
    assert_balances_are_right(store, source)
    ledger: Any = twilio_ledger if source == "twilio" else elevenlabs_ledger
    assert max(total.total_cost for total in ledger(store, sql).values()) == sum(range(40))
    assert {each.state for each in store.runs(source)} <= {RunState.OK, RunState.INTERRUPTED}
    store.close()


# Bad records


def test_a_record_that_cannot_be_read_is_tried_again_at_the_end(
    backfills: Backfills, elevenlabs: PastElevenLabs
) -> None:
    elevenlabs.fails["c7"] = 1

    run = backfills.run("elevenlabs")

    assert (elevenlabs.asked_for[-1], len(elevenlabs.asked_for)) == ("c7", 61)
    assert (run.state, run.saved, run.failed, run.done, run.total) == (RunState.OK, 60, 0, 60, 60)
    assert backfills.store.failures("elevenlabs") == []


def test_a_record_that_cannot_be_read_at_all_is_listed_and_does_not_stop_the_rest(
    backfills: Backfills, elevenlabs: PastElevenLabs
) -> None:
    elevenlabs.fails["c7"] = 2

    run = backfills.run("elevenlabs")

    (failure,) = backfills.store.failures("elevenlabs")
    assert (run.state, run.saved, run.failed, run.position) == (RunState.OK, 59, 1, START)
    assert run.message is not None
    assert run.message.startswith("1 record could not be fetched or read")
    assert failure.record_id == "c7"
    assert elevenlabs.asked_for.count("c7") == 2
    assert failure.error == "ElevenLabs sent a conversation that cannot be read."
    assert_balances_are_right(backfills.store, "elevenlabs")


def test_a_record_that_failed_before_a_stop_is_tried_again_at_the_end_of_the_next_backfill(
    backfills: Backfills, elevenlabs: PastElevenLabs
) -> None:
    elevenlabs.fails["c0"] = 1  # the newest, so that its slice is walked before the stop
    backfills.run_until("elevenlabs", lambda run: run.position is not None and run.position <= NOW - LENGTH)
    listed = [failure.record_id for failure in backfills.store.failures("elevenlabs")]

    run = backfills.run("elevenlabs")

    assert listed == ["c0"]
    assert (run.state, run.failed, run.message) == (RunState.OK, 0, None)
    assert run.done == run.total
    assert backfills.store.failures("elevenlabs") == []
    assert stored(backfills.store, "elevenlabs") == 60


def test_a_record_that_the_list_shows_in_a_form_that_cannot_be_read_is_fetched_at_the_end(
    backfills: Backfills, elevenlabs: PastElevenLabs
) -> None:
    elevenlabs.unreadable_in_list.add("c7")

    run = backfills.run("elevenlabs")

    assert (run.state, run.saved, run.failed, run.done, run.total) == (RunState.OK, 60, 0, 60, 60)
    assert elevenlabs.asked_for[-1] == "c7"


def test_a_leg_that_cannot_be_read_is_listed_and_tried_again_at_the_end(
    backfills: Backfills, twilio: PastTwilio
) -> None:
    twilio.unreadable |= {"CA7", "CA8"}
    twilio.put("", started_at=NOW - DAY)
    twilio.unreadable.add("")

    run = backfills.run("twilio")

    assert twilio.asked_for == ["CA7", "CA8"], "one without an id cannot be asked for"
    assert (run.state, run.saved, run.failed, run.total) == (RunState.OK, 58, 3, None)
    assert {failure.record_id for failure in backfills.store.failures("twilio")} == {"CA7", "CA8"}


def test_a_failure_leaves_the_list_when_the_record_can_be_read_again(backfills: Backfills, twilio: PastTwilio) -> None:
    twilio.unreadable.add("CA7")
    backfills.run("twilio")
    twilio.unreadable.clear()
    backfills.clock.now += MINUTE

    run = backfills.run("twilio")

    assert (run.failed, backfills.store.failures("twilio"), stored(backfills.store, "twilio")) == (0, [], 60)


# Bad days


def test_a_provider_that_goes_down_fails_the_run_with_its_sentence_and_the_next_goes_on(
    backfills: Backfills, elevenlabs: PastElevenLabs
) -> None:
    elevenlabs.down_after = 40

    with pytest.raises(ProviderDownError, match=PROBLEM):
        backfills.run("elevenlabs")
    (failed,) = backfills.store.runs("elevenlabs")
    elevenlabs.down_after = None
    backfills.clock.now += MINUTE
    run = backfills.run("elevenlabs")

    assert (failed.state, failed.message, failed.saved) == (RunState.FAILED, PROBLEM, 40)
    assert failed.position is not None
    assert NOW - 3 * LENGTH <= failed.position < NOW
    assert (run.state, run.saved) == (RunState.OK, 20)
    assert len(elevenlabs.asked_for) == 60
    assert_balances_are_right(backfills.store, "elevenlabs")


@BOTH
def test_a_list_that_breaks_off_keeps_what_came_and_fails_with_the_sentence(
    backfills: Backfills, source: Source
) -> None:
    backfills.sources[source].breaks_off_after = 25

    with pytest.raises((ProviderDownError, UnexpectedAnswerError), match=PROBLEM):
        backfills.run(source)
    (failed,) = backfills.store.runs(source)
    kept = stored(backfills.store, source)
    backfills.sources[source].breaks_off_after = None
    backfills.clock.now += MINUTE
    run = backfills.run(source)

    assert (failed.state, failed.message, failed.saved, kept) == (RunState.FAILED, PROBLEM, 25, 25)
    assert failed.position == NOW - LENGTH, "the slice in which it broke off is not walked"
    assert (run.state, stored(backfills.store, source)) == (RunState.OK, 60)
    assert_balances_are_right(backfills.store, source)


def test_a_program_error_leaves_right_balances_too(backfills: Backfills, elevenlabs: PastElevenLabs) -> None:
    def fail(run: SyncRun) -> None:
        if run.saved:
            raise KeyError("+34600111222")

    with pytest.raises(KeyError):
        backfills.run("elevenlabs", on_progress=fail)

    (run,) = backfills.store.runs("elevenlabs")
    assert run.message == "An error in the program (KeyError); see the log, the next run goes on."
    assert_balances_are_right(backfills.store, "elevenlabs")


# Beside the hourly run


@BOTH
def test_a_backfill_does_not_move_the_hourly_window(backfills: Backfills, source: Source) -> None:
    before = jobs.plan(backfills.store, source, now=NOW, first_sync=DAY)
    backfills.run(source)

    assert jobs.plan(backfills.store, source, now=NOW, first_sync=DAY) == before
    assert backfills.store.last_success(source) is None


@BOTH
def test_the_hourly_run_gets_through_in_the_middle_of_a_backfill(backfills: Backfills, source: Source) -> None:
    hourly: list[SyncRun] = []

    def sync_once(run: SyncRun) -> None:
        if run.saved and not hourly:
            backfills.clock.now += timedelta(seconds=1)
            hourly.append(backfills.hourly(source))

    run = backfills.run(source, on_progress=sync_once)

    assert [each.state for each in [run, *hourly]] == [RunState.OK, RunState.OK]
    assert stored(backfills.store, source) == 60
    assert_balances_are_right(backfills.store, source)


def test_hourly_runs_in_another_thread_and_a_backfill_never_break_a_balance(
    backfills: Backfills, elevenlabs: PastElevenLabs
) -> None:
    elevenlabs.pause = 0.01
    for number in range(60):
        elevenlabs.put(
            f"d{number}", started_at=NOW - MINUTE - number * HOUR, cost=Decimal(number * 14285714).scaleb(-8)
        )
    problems: list[BaseException] = []

    def backfill() -> None:
        try:
            backfills.run("elevenlabs")
        except BaseException as exc:  # noqa: BLE001  told by the assertion below
            problems.append(exc)

    thread = Thread(target=backfill)
    thread.start()
    wrong: list[object] = []
    while thread.is_alive():
        backfills.clock.now += MINUTE
        backfills.hourly("elevenlabs")
        wrong += backfills.store.wrong_snapshots("elevenlabs")
        sleep(0.05)

    assert problems == []
    assert wrong == []
    assert stored(backfills.store, "elevenlabs") == 120
    assert_balances_are_right(backfills.store, "elevenlabs")


def test_a_backfill_waits_while_the_hourly_run_works(backfills: Backfills, elevenlabs: PastElevenLabs) -> None:
    conditions = Conditions(first_sync=DAY, clock=backfills.clock)
    thread = Thread(target=backfills.run, args=("elevenlabs",))

    with open_run(backfills.store, "elevenlabs", RunKind.HOURLY, (NOW - HOUR, NOW), conditions):
        thread.start()
        wait_until(lambda: bool(backfills.store.runs("elevenlabs", kind=RunKind.BACKFILL)))
        sleep(1)
        meanwhile = stored(backfills.store, "elevenlabs")
        was_waiting = thread.is_alive()
    thread.join(PATIENCE)

    assert was_waiting
    assert meanwhile < 60
    assert stored(backfills.store, "elevenlabs") == 60


def test_a_backfill_that_waits_can_be_stopped(backfills: Backfills) -> None:
    conditions = Conditions(first_sync=DAY, clock=backfills.clock)
    should_stop = Event()
    should_stop_soon = Thread(target=lambda: (sleep(0.5), should_stop.set()))

    with open_run(backfills.store, "twilio", RunKind.HOURLY, (NOW - HOUR, NOW), conditions):
        should_stop_soon.start()
        with pytest.raises(StoppedError):
            backfills.run("twilio", should_stop=should_stop)
    should_stop_soon.join()


def test_a_backfill_does_not_wait_for_an_hourly_run_whose_process_is_gone(backfills: Backfills) -> None:
    gone = NOW - 10 * MINUTE
    backfills.store.begin_run(
        "twilio", RunKind.HOURLY, (gone, gone), owner="another-machine:1:1", now=gone, stale_before=gone
    )

    assert backfills.run("twilio").state is RunState.OK


# Balances, progress, memory


class CountingStore:
    """A store that counts which of its methods are called, and how batches are saved."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any, **changes: Any) -> Any:
            self.calls[name] += 1
            if name.startswith("save_") and changes.get("refresh", True) is not False:
                self.calls[f"{name} with refresh"] += 1
            return method(*args, **changes)

        return call


@BOTH
def test_balances_are_not_refreshed_batch_by_batch(backfills: Backfills, source: Source) -> None:
    for number in range(3000):
        backfills.sources[source].put(f"x{number}", started_at=NOW - number * MINUTE)
    store = CountingStore(backfills.store)

    backfills.run(source, store=cast(Store, store))

    save = "save_calls" if source == "twilio" else "save_conversations"
    assert store.calls[save] >= 5
    assert store.calls[f"{save} with refresh"] == 0
    assert 1 <= store.calls["refresh_balances"] < store.calls[save] / 2
    assert_balances_are_right(backfills.store, source)


def test_progress_only_goes_forward_and_ends_at_all(backfills: Backfills, elevenlabs: PastElevenLabs) -> None:
    told: list[SyncRun] = []

    backfills.run("elevenlabs", on_progress=told.append)

    done, positions = [run.done for run in told], [run.position or NOW for run in told]
    shares = [run.share_walked for run in told]
    assert done == sorted(done)
    assert positions == sorted(positions, reverse=True)
    assert shares == sorted(shares, key=lambda share: share or 0)
    assert (shares[0], shares[-1]) == (0, 1)
    assert all(run.done <= run.total for run in told if run.total is not None)
    assert (told[-1].done, told[-1].total, told[-1].position) == (60, 60, START)


def test_of_twilio_the_total_and_the_time_left_are_unknown_rather_than_zero(backfills: Backfills) -> None:
    told: list[SyncRun] = []

    backfills.run("twilio", on_progress=told.append)

    assert {run.total for run in told} == {None}
    assert {run.seconds_left for run in told} == {None}


def test_legs_are_listed_only_a_few_batches_ahead_of_what_is_saved(
    backfills: Backfills, twilio: PastTwilio, open_sqlite: OpenStore
) -> None:
    for number in range(12 * CALLS_A_BATCH):
        twilio.legs[f"x{number}"] = make_leg(sid=f"x{number}", started_at=NOW - DAY)
    ahead = []
    store, _ = open_sqlite()

    with closing(store):
        backfills.run("twilio", store=store, on_progress=lambda run: ahead.append(twilio.given - run.saved))

    assert 0 < max(ahead) <= (CALLS_AHEAD + 2) * CALLS_A_BATCH


# Against the simulated providers


class DemoBackfills:
    """Backfills of a simulated fleet over HTTP."""

    def __init__(self, url: str, store: Store, clock: Clock, start: datetime) -> None:
        self._limit = ConcurrencyLimit()
        self._url, self._store, self._clock, self._start = url, store, clock, start

    def run(self, should_stop: Event | None = None, on_progress: Callable[[SyncRun], None] = lambda run: None) -> None:
        conditions = Conditions(
            first_sync=DAY, clock=self._clock, should_stop=should_stop or Event(), on_progress=on_progress
        )
        window = (self._start, self._clock())
        common: Any = {"base_url": self._url, "retries": QUICK, "clock": self._clock, "limit": self._limit}
        with TwilioClient(ACCOUNT_SID, (ACCOUNT_SID, AUTH_TOKEN), **common) as twilio:
            backfill_twilio(twilio, self._store, window, conditions)
        with ElevenLabsClient(ELEVENLABS_API_KEY, **common) as elevenlabs:
            backfill_elevenlabs(elevenlabs, self._store, window, conditions)


def test_a_backfill_adds_up_to_the_servers_own_records(store: Store, clock: Clock) -> None:
    register_demo_clients(store, now=NOW)
    with (
        running(create_app(Fleet(opened_at=NOW, days=25, scale=0.15), clock=clock)) as url,
        closing(DemoServer(url, clock)) as server,
    ):
        DemoBackfills(url, store, clock, NOW - 40 * DAY).run()

        assert_totals_are_the_servers_own(store, server)


def test_a_provider_that_refuses_and_breaks_changes_no_total_and_refuses_little(store: Store, clock: Clock) -> None:
    register_demo_clients(store, now=NOW)
    faults = Faults({"error500": 0.03, "cut_body": 0.03}, seed=3, latency=0.005, max_concurrency=10)
    with (
        running(create_app(Fleet(opened_at=NOW, days=18, scale=0.5), clock=clock, faults=faults)) as url,
        closing(DemoServer(url, clock)) as server,
    ):
        DemoBackfills(url, store, clock, NOW - 40 * DAY).run()
        faults.rates.clear()

        requests = Counter[str]()
        for counted in server.get("/demo/requests").values():
            requests.update(counted)
        assert requests["refused"] < 0.02 * requests.total()
        assert_totals_are_the_servers_own(store, server)


def test_stopped_again_and_again_a_backfill_of_the_simulated_providers_comes_to_the_same_end(
    store: Store, clock: Clock
) -> None:
    register_demo_clients(store, now=NOW)
    random, faults = Random(5), Faults(latency=0.02)
    with (
        running(create_app(Fleet(opened_at=NOW, days=10, scale=0.5), clock=clock, faults=faults)) as url,
        closing(DemoServer(url, clock)) as server,
    ):
        backfills = DemoBackfills(url, store, clock, NOW - 40 * DAY)
        for _ in range(4):
            should_stop, enough = Event(), random.randint(1, 40)

            def stop_at_random(run: SyncRun, should_stop: Event = should_stop, enough: int = enough) -> None:
                if run.source == "elevenlabs" and run.saved >= enough:
                    should_stop.set()

            with pytest.raises(StoppedError):
                backfills.run(should_stop, stop_at_random)
            clock.now += timedelta(seconds=1)
        backfills.run()

        assert sum(run.saved for run in store.runs("elevenlabs")) == stored(store, "elevenlabs"), "none twice"
        assert_totals_are_the_servers_own(store, server)


# A project of the 12-hour system


def test_old_balances_of_the_12_hour_system_stay_right_while_older_records_come_in_slices(
    supabase_of_the_12_hour_system: tuple[SupabaseStore, Sql],
) -> None:
    store, sql = supabase_of_the_12_hour_system
    clock = Clock()
    twilio = PastTwilio(clock)
    backfills = Backfills(twilio, PastElevenLabs(clock), store, clock)
    old_balance = sql("select min(snapshot_date) from twilio_snapshots")[0][0]
    twilio.put("CA-new", started_at=NOW - HOUR)
    backfills.hourly("twilio")
    carried_on = store.twilio_balances([None])[0][1].total_calls
    for number in range(40):
        twilio.put(f"CA{number}", started_at=NOW - MINUTE - number * DAY)

    run = backfills.run("twilio", window=(old_balance - 5 * DAY, NOW))

    in_window = sum(1 for leg in twilio.legs.values() if leg.started_at >= old_balance - 5 * DAY)
    assert carried_on == 8, "seven of the old balance, and one since"
    assert run.state is RunState.OK
    assert store.twilio_balances([None])[0][1].total_calls == in_window
    assert_balances_are_right(store, "twilio")


@pytest.fixture
def supabase_of_the_12_hour_system(supabase: LocalSupabase) -> Iterator[tuple[SupabaseStore, Sql]]:
    """Give a project that has been migrated, with a client, a number and a balance that no record stands behind."""
    assert FILES
    supabase.sql("insert into workspaces (id, name) values (1, 'Acme')")
    supabase.sql("insert into workspace_phones (workspace_id, phone_number) values (1, '+34910000001')")
    supabase.sql(
        "insert into twilio_snapshots (workspace_id, snapshot_date, total_calls, total_cost, total_duration) "
        "values (1, '2026-10-20T13:00:00Z', 7, 1.2345, 420)"
    )
    with closing(SupabaseStore(supabase.url, supabase.secret_key)) as store:
        yield store, supabase.sql


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline, "it did not happen in time"
        sleep(0.02)
