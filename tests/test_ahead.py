"""A generator that runs ahead in a thread: same items, same order, same error, bounded, and gone when nobody reads."""

from collections.abc import Callable, Iterator
from itertools import count
from threading import Thread, current_thread
from threading import enumerate as all_threads
from time import monotonic, sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.ahead import run_ahead
from sync.errors import ProviderDownError

PATIENCE = 10  # seconds


@given(st.lists(st.integers()), st.integers(0, 3))
def test_items_come_in_order(items: list[int], at_most: int) -> None:
    assert list(run_ahead(items, at_most=at_most)) == items


@given(st.lists(st.none() | st.just(0) | st.just(False), max_size=5))
def test_items_may_be_anything(items: list[object]) -> None:
    assert list(run_ahead(items, at_most=1)) == items


def test_items_are_made_before_they_are_asked_for_up_to_a_bound() -> None:
    made: list[int] = []

    ahead = run_ahead(numbered(made), at_most=3)
    first = next(ahead)
    wait_until(lambda: len(made) == 5)
    sleep(0.05)

    assert first == 1
    assert len(made) == 5, "one was taken, three wait, and one has no room yet"
    ahead.close()


def test_without_a_bound_all_are_made_at_once() -> None:
    made: list[int] = []

    ahead = run_ahead(numbered(made, end=1000), at_most=0)
    next(ahead)
    wait_until(lambda: len(made) == 1000)

    assert list(ahead) == list(range(2, 1001))


def test_items_are_made_in_a_thread_of_their_own() -> None:
    def threads() -> Iterator[Thread]:
        yield current_thread()

    assert current_thread() not in list(run_ahead(threads(), at_most=1))


def test_an_error_comes_after_the_items_before_it() -> None:
    def breaking_off() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ProviderDownError("It is down.")

    ahead = run_ahead(breaking_off(), at_most=1)

    assert [next(ahead) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ProviderDownError, match="It is down"):
        next(ahead)


def test_a_reader_that_leaves_stops_the_thread_although_there_is_no_end() -> None:
    ahead = run_ahead(count(), at_most=2)
    next(ahead)

    ahead.close()

    wait_until(lambda: not [thread for thread in all_threads() if thread.name == "ahead"])


def test_nothing_is_made_before_the_first_is_asked_for() -> None:
    made: list[int] = []

    run_ahead(numbered(made), at_most=3)
    sleep(0.02)

    assert made == []


def numbered(made: list[int], end: int = 10**9) -> Iterator[int]:
    for number in range(1, end + 1):
        made.append(number)
        yield number


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline, "it did not happen in time"
        sleep(0.002)
