"""A pace: so many at once, then so many per second."""

import pytest

from sync.pace import Pace


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_first_pass_at_once_and_the_others_each_wait_for_the_one_before() -> None:
    pace = Pace(burst=2, per_second=4, seconds=Seconds())

    assert [pace.delay() for _ in range(4)] == [0, 0, 0.25, 0.5]


def test_a_rest_gives_as_many_at_once_as_fit_into_it_and_never_more_than_the_burst() -> None:
    seconds = Seconds()
    pace = Pace(burst=2, per_second=4, seconds=seconds)
    for _ in range(2):
        pace.delay()

    seconds.now += 0.25
    after_a_moment = [pace.delay(), pace.delay()]
    seconds.now += 3600
    after_an_hour = [pace.delay() for _ in range(3)]

    assert after_a_moment == [0, pytest.approx(0.25)]
    assert after_an_hour == [0, 0, pytest.approx(0.25)]
