"""Fetching many records at once: as they come, without end, and one bad record does not stop the others."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from queue import SimpleQueue
from threading import Barrier, Event, current_thread
from threading import enumerate as all_threads
from time import sleep
from typing import Any

import pytest

from sync.errors import (
    MalformedRecordError,
    NotYetError,
    ProviderDownError,
    RecordNotFoundError,
    RejectedRequestError,
    UnexpectedAnswerError,
    WrongCredentialsError,
)
from sync.fanout import ASKED_FOR, SAMPLE, fetch_each
from sync.models import Failure

PATIENCE = 10  # seconds


def test_every_record_comes_once() -> None:
    ids = [str(number) for number in range(1000)]

    assert sorted(fetch_each(lambda record_id: record_id, ids, workers=8), key=str) == sorted(ids)


def test_nothing_to_fetch_is_nothing() -> None:
    assert list(fetch_each(lambda record_id: record_id, [], workers=8)) == []


def test_several_are_fetched_at_once() -> None:
    all_are_there = Barrier(8, timeout=PATIENCE)

    def fetch(record_id: str) -> str:
        all_are_there.wait()
        return record_id

    assert len(list(fetch_each(fetch, map(str, range(8)), workers=8))) == 8


def test_a_slow_record_does_not_hold_up_the_others() -> None:
    others_have_come = Event()

    def fetch(record_id: str) -> str:
        if record_id == "0":
            others_have_come.wait(PATIENCE)
        return record_id

    came = []
    for record_id in fetch_each(fetch, map(str, range(20)), workers=2):
        came.append(record_id)
        if len(came) == 19:
            others_have_come.set()

    assert came[-1] == "0"


@pytest.mark.parametrize(("error", "is_gone"), [(MalformedRecordError, False), (RecordNotFoundError, True)])
def test_a_bad_record_is_a_failure_among_the_others(error: type[Exception], is_gone: bool) -> None:
    def fetch(record_id: str) -> str:
        if record_id == "3":
            raise error("It cannot be read.")
        return record_id

    came = list(fetch_each(fetch, map(str, range(10)), workers=4))

    assert [entry for entry in came if isinstance(entry, Failure)] == [
        Failure(record_id="3", error="It cannot be read.", is_gone=is_gone)
    ]
    assert len(came) == 10


def test_an_error_of_more_than_one_record_is_raised_and_stops_the_rest() -> None:
    asked = []

    def fetch(record_id: str) -> str:
        asked.append(record_id)
        sleep(0.001)
        if record_id == "5":
            raise WrongCredentialsError("The key is wrong.")
        return record_id

    with pytest.raises(WrongCredentialsError, match="The key is wrong"):
        list(fetch_each(fetch, map(str, range(10_000)), workers=4))

    assert len(asked) < 1000
    assert no_thread_fetches()


DOUBTFUL = [ProviderDownError, RejectedRequestError, UnexpectedAnswerError]


@pytest.mark.parametrize("error", DOUBTFUL)
def test_a_record_that_alone_is_refused_is_a_failure_among_the_others(error: type[Exception]) -> None:
    def fetch(record_id: str) -> str:
        if int(record_id) % 10 == 3:
            raise error("It is refused.")
        return record_id

    came = list(fetch_each(fetch, map(str, range(100)), workers=4))

    failed = {each.record_id for each in came if isinstance(each, Failure)}
    assert (len(came), failed) == (100, {str(number) for number in range(3, 100, 10)})


@pytest.mark.parametrize("error", DOUBTFUL)
def test_when_everything_is_refused_the_error_is_raised_after_the_failures(error: type[Exception]) -> None:
    def fetch(record_id: str) -> str:
        raise error("It is refused.")

    outcomes = fetch_each(fetch, ["1", "2", "3"], workers=4)
    came = [next(outcomes) for _ in range(3)]

    assert {each.record_id for each in came if isinstance(each, Failure)} == {"1", "2", "3"}
    with pytest.raises(error, match="It is refused"):
        next(outcomes)


def test_when_the_provider_goes_down_meanwhile_the_rest_is_not_asked_for() -> None:
    asked = []

    def fetch(record_id: str) -> str:
        asked.append(record_id)
        if int(record_id) >= 50:
            raise ProviderDownError("It is down.")
        return record_id

    with pytest.raises(ProviderDownError, match="It is down"):
        list(fetch_each(fetch, map(str, range(10_000)), workers=4))

    assert len(asked) < 1000
    assert no_thread_fetches()


@pytest.mark.parametrize("error", DOUBTFUL)
@pytest.mark.parametrize(
    "good",
    [range(2950, 3000), range(1500, 1900), range(2999, 3000), range(0, 3000, 1000)],
    ids=["at the end", "in the middle", "the very last", "here and there"],
)
def test_refused_records_starve_no_good_ones_however_many_they_are(error: type[Exception], good: range) -> None:
    def fetch(record_id: str) -> str:
        if int(record_id) not in good:
            raise error("It is refused.")
        return record_id

    wanted, came = {str(number) for number in good}, set[str]()
    left = [str(number) for number in range(3000)]
    for _ in range(60):  # runs: what failed in one is not asked for first in the next
        failed = set[str]()
        with suppress(error):
            for entry in fetch_each(fetch, left, workers=64):
                (failed if isinstance(entry, Failure) else came).add(
                    entry.record_id if isinstance(entry, Failure) else entry
                )
        left = [record_id for record_id in left if record_id not in failed | came]
        if came == wanted:
            break

    assert came == wanted


@pytest.mark.parametrize("error", DOUBTFUL)
def test_good_ones_behind_a_thousand_refused_ones_come_at_once(error: type[Exception]) -> None:
    def fetch(record_id: str) -> str:
        if int(record_id) < 1300:
            raise error("It is refused.")
        return record_id

    entries: list[str | Failure] = []
    with suppress(error):
        entries.extend(fetch_each(fetch, [str(number) for number in range(1350)], workers=64))

    assert {entry for entry in entries if not isinstance(entry, Failure)} == {str(n) for n in range(1300, 1350)}


@pytest.mark.parametrize("kind", [list, iter])
def test_before_giving_up_records_from_all_over_the_list_are_asked_for(kind: Callable[[list[str]], Any]) -> None:
    asked = []

    def fetch(record_id: str) -> str:
        asked.append(int(record_id))
        raise RejectedRequestError("It is refused.")

    with pytest.raises(RejectedRequestError) as caught:
        list(fetch_each(fetch, kind([str(number) for number in range(5000)]), workers=8))

    assert 4999 in asked, "the very last"
    assert SAMPLE - 2 <= len([number for number in asked if number > ASKED_FOR]) <= SAMPLE
    assert len(asked) <= 2 * ASKED_FOR
    assert caught.value.left + len(asked) >= 5000 - ASKED_FOR
    assert str(caught.value) == f"It is refused; {caught.value.left:,} records were left for the next run."
    assert no_thread_fetches()


def test_a_record_that_has_not_begun_is_left_out_and_shows_that_the_provider_works() -> None:
    def fetch(record_id: str) -> str:
        if record_id == "0":
            raise NotYetError("It has no date.")
        raise RejectedRequestError("It is refused.")

    came = list(fetch_each(fetch, map(str, range(3)), workers=4))

    assert {entry.record_id for entry in came if isinstance(entry, Failure)} == {"1", "2"}
    assert len(came) == 2


def test_ids_are_taken_as_they_are_needed() -> None:
    taken = 0

    def ids() -> Iterator[str]:
        nonlocal taken
        for taken in count(1):
            yield str(taken)

    records = fetch_each(lambda record_id: record_id, ids(), workers=4)
    for _ in range(50):
        next(records)
    records.close()  # type: ignore[attr-defined]  it is a generator

    assert taken <= 50 + ASKED_FOR


def test_ids_are_taken_in_the_readers_thread() -> None:
    threads = set()

    def ids() -> Iterator[str]:
        for number in range(10):
            threads.add(current_thread())
            yield str(number)

    list(fetch_each(lambda record_id: record_id, ids(), workers=4))

    assert threads == {current_thread()}


def test_work_goes_on_while_the_reader_is_busy_but_not_without_bound() -> None:
    asked, enough, fetched = 0, Event(), SimpleQueue[str]()

    def ids() -> Iterator[str]:
        nonlocal asked
        for asked in range(2000):
            if asked == 100:
                enough.set()
            yield str(asked)

    def fetch(record_id: str) -> str:
        assert enough.wait(PATIENCE)
        fetched.put(record_id)
        return record_id

    records = fetch_each(fetch, ids(), workers=8)
    next(records)
    for _ in range(100):
        fetched.get(timeout=PATIENCE)  # while nobody reads

    assert asked < ASKED_FOR
    assert len(list(records)) == 1999


def test_an_error_of_the_ids_is_raised_and_leaves_no_thread() -> None:
    def ids() -> Iterator[str]:
        yield from map(str, range(5))
        raise ProviderDownError("The list broke off.")

    with pytest.raises(ProviderDownError, match="The list broke off"):
        list(fetch_each(lambda record_id: record_id, ids(), workers=4))

    assert no_thread_fetches()


def test_a_reader_that_leaves_ends_the_threads() -> None:
    records = fetch_each(lambda record_id: record_id, map(str, range(1000)), workers=4)
    next(records)

    records.close()  # type: ignore[attr-defined]  it is a generator

    assert no_thread_fetches()


def no_thread_fetches() -> bool:
    return not [thread for thread in all_threads() if thread.name.startswith("fetch")]
