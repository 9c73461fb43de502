"""The number of requests in flight, against simulated providers on a clock of their own: nothing here waits."""

import heapq
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from random import Random
from threading import Event, Lock, Thread
from time import sleep

import pytest

from sync.limits import FIRST, MOST, ConcurrencyLimit, Request

PATIENCE = 10  # seconds
USUAL = 0.2  # seconds that an answer takes
FEW = 0.02  # of the requests may be refused


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


Capacity = Callable[[float], int]
Latency = Callable[[int, int], float]  # of the requests in flight and the capacity


def steady(in_flight: int, capacity: int) -> float:
    return USUAL


def queueing(in_flight: int, capacity: int) -> float:
    return USUAL * max(1.0, in_flight / capacity)


@dataclass(order=True)
class Underway:
    ends_at: float
    number: int
    block: AbstractContextManager[Request] = field(compare=False)
    request: Request = field(compare=False)
    is_refused: bool = field(compare=False)


class Simulation:
    """A client with endless work, and a provider that refuses above its capacity, or lets wait if it `queues`."""

    def __init__(
        self,
        capacity: Capacity,
        *,
        latency: Latency = steady,
        queues: bool = False,
        refuses_after: float = 0.05,
        most: int = MOST,
    ) -> None:
        self.clock = Clock()
        self.limit = ConcurrencyLimit(most=most, clock=self.clock)
        self.most_in_flight = self.requests = self.refusals = 0
        self._capacity, self._latency, self._queues, self._refuses_after = capacity, latency, queues, refuses_after
        self._underway: list[Underway] = []
        self._numbers = itertools.count()
        self._accepted = 0

    def run(self, until: float) -> float:
        """Go on until that second, and return how many requests were in flight on average."""
        start = self.clock.now
        busy = 0.0
        while self.clock.now < until:
            while self.limit.in_flight < self.limit.limit:
                self._send()
            self.most_in_flight = max(self.most_in_flight, self.limit.in_flight)
            busy += self.limit.in_flight * (self._underway[0].ends_at - self.clock.now)
            self._end(heapq.heappop(self._underway))
        return busy / (self.clock.now - start)

    def refused_share(self) -> float:
        return self.refusals / self.requests

    def _send(self) -> None:
        block = self.limit.request("detail")
        request = block.__enter__()
        capacity = self._capacity(self.clock.now)
        is_refused = not self._queues and self._accepted >= capacity
        self._accepted += not is_refused
        self.requests += 1
        self.refusals += is_refused
        takes = self._refuses_after if is_refused else self._latency(self._accepted, capacity)
        heapq.heappush(
            self._underway, Underway(self.clock.now + takes, next(self._numbers), block, request, is_refused)
        )

    def _end(self, ended: Underway) -> None:
        self.clock.now = ended.ends_at
        self._accepted -= not ended.is_refused
        ended.request.refused, ended.request.answered = ended.is_refused, not ended.is_refused
        ended.block.__exit__(None, None, None)


def test_the_first_requests_are_few() -> None:
    assert ConcurrencyLimit().limit == FIRST


def test_without_a_limit_of_the_provider_it_rises_to_the_most_within_two_seconds() -> None:
    simulation = Simulation(lambda _: 10_000)

    simulation.run(2)

    assert simulation.limit.limit == MOST
    assert simulation.refusals == 0


@pytest.mark.parametrize("refuses_after", [0.01, USUAL], ids=["at once", "as late as it answers"])
@pytest.mark.parametrize("capacity", [1, 2, 5, 20, 50])
def test_a_provider_that_refuses_is_used_up_to_its_capacity_with_few_refusals(
    capacity: int, refuses_after: float
) -> None:
    simulation = Simulation(lambda _: capacity, refuses_after=refuses_after)

    simulation.run(60)

    assert simulation.run(240) == pytest.approx(capacity, rel=0.05)
    assert simulation.refused_share() < FEW


def test_few_are_refused_of_the_first_thousand_requests_already() -> None:
    simulation = Simulation(lambda _: 20)

    while simulation.requests < 1000:
        simulation.run(simulation.clock.now + 1)

    assert simulation.refused_share() < FEW


@pytest.mark.parametrize("capacity", [5, 10, 20])
def test_a_provider_that_lets_wait_is_kept_busy_without_a_long_queue(capacity: int) -> None:
    simulation = Simulation(lambda _: capacity, latency=queueing, queues=True)

    simulation.run(60)

    assert capacity <= simulation.run(240) <= 3 * capacity
    assert simulation.refusals == 0


def test_answers_that_differ_widely_by_themselves_do_not_look_like_a_queue() -> None:
    random = Random(1)
    simulation = Simulation(lambda _: 10_000, latency=lambda *_: USUAL * random.lognormvariate(0, 0.5))

    simulation.run(30)

    assert simulation.run(240) > 0.8 * MOST


def test_a_provider_that_gets_slower_whatever_one_does_is_used_fully_again_after_a_while() -> None:
    simulation = Simulation(lambda _: 10_000, latency=lambda *_: USUAL if simulation.clock.now < 60 else 10 * USUAL)
    simulation.run(60)

    at_first = simulation.run(150)
    later = simulation.run(600)

    assert at_first < 0.7 * MOST
    assert simulation.run(660) > 0.9 * MOST
    assert later > at_first


def test_kinds_of_requests_that_take_longer_by_nature_are_judged_for_themselves() -> None:
    clock = Clock()
    limit = ConcurrencyLimit(clock=clock)

    for number in range(400):
        kind, takes = ("list", 3.0) if number % 4 == 0 else ("detail", 0.1)
        blocks = [limit.request(kind) for _ in range(limit.limit)]
        requests = [block.__enter__() for block in blocks]
        clock.now += takes
        for block, request in zip(blocks, requests, strict=True):
            request.answered = True
            block.__exit__(None, None, None)

    assert limit.limit == MOST


def test_less_capacity_is_followed_within_seconds_and_its_return_within_two_minutes() -> None:
    simulation = Simulation(lambda now: 8 if 60 <= now < 120 else 40)

    before = simulation.run(60)
    simulation.run(65)
    meanwhile = simulation.run(120)
    simulation.run(240)
    after = simulation.run(300)

    assert before == pytest.approx(40, rel=0.1)
    assert meanwhile == pytest.approx(8, rel=0.1)
    assert after == pytest.approx(40, rel=0.1)
    assert simulation.refused_share() < FEW


def test_capacity_that_goes_up_and_down_all_the_time_is_followed_with_few_refusals() -> None:
    capacity = Random(3)
    levels = [capacity.randint(4, 50) for _ in range(40)]
    simulation = Simulation(lambda now: levels[int(now // 30) % len(levels)])

    simulation.run(1200)

    assert simulation.refused_share() < FEW


def test_a_quota_per_second_is_used_with_few_refusals() -> None:
    """Such a provider refuses by time, whatever is in flight."""
    sent: list[float] = []

    def quota(now: float) -> int:
        while sent and sent[0] <= now - 1:
            sent.pop(0)
        if len(sent) == 50:
            return 0
        sent.append(now)
        return 10_000

    simulation = Simulation(quota)

    simulation.run(240)

    assert simulation.refused_share() < FEW
    assert simulation.requests > 0.8 * 50 * 240


@pytest.mark.parametrize("most", [1, 3, 10])
def test_never_more_than_the_most_are_in_flight(most: int) -> None:
    simulation = Simulation(lambda _: 10_000, most=most)

    simulation.run(60)

    assert simulation.most_in_flight == most


def test_the_most_may_be_lowered_at_any_time() -> None:
    simulation = Simulation(lambda _: 10_000)
    simulation.run(10)

    simulation.limit.most = 5
    simulation.run(11)

    assert simulation.limit.in_flight <= 5


def test_little_work_says_nothing_about_what_would_be_possible() -> None:
    clock = Clock()
    limit = ConcurrencyLimit(clock=clock)

    for _ in range(1000):
        with limit.request("detail") as request:
            clock.now += USUAL
            request.answered = True

    assert limit.limit == FIRST


def test_requests_that_fail_for_another_reason_change_nothing() -> None:
    limit = ConcurrencyLimit()

    for _ in range(20):
        with pytest.raises(OSError, match="reset"), limit.request("detail"):
            raise OSError("reset")

    assert (limit.limit, limit.in_flight) == (FIRST, 0)


def test_many_threads_never_have_more_in_flight_than_allowed_and_all_get_through() -> None:
    limit = ConcurrencyLimit(most=16)
    lock = Lock()
    at_once: list[int] = []
    inside = 0

    def work(_: int) -> None:
        nonlocal inside
        with limit.request("detail") as request:
            with lock:
                inside += 1
                at_once.append(inside)
            sleep(0.001)
            with lock:
                inside -= 1
            request.answered = True

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(work, range(1500)))

    assert max(at_once) <= 16
    assert max(at_once) > FIRST
    assert (limit.in_flight, len(at_once)) == (0, 1500)


def test_whoever_waits_longest_is_next() -> None:
    limit = ConcurrencyLimit(most=1)
    free, served = Event(), []

    def holder() -> None:
        with limit.request("detail"):
            free.wait(PATIENCE)

    def worker(number: int) -> None:
        with limit.request("detail"):
            served.append(number)

    threads = [Thread(target=holder)]
    threads[0].start()
    wait_until(lambda: limit.in_flight == 1)
    for number in range(20):
        threads.append(Thread(target=worker, args=(number,)))
        threads[-1].start()
        sleep(0.005)
    free.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert served == list(range(20))


def test_one_request_among_many_workers_that_ask_again_at_once_is_not_passed_over() -> None:
    limit = ConcurrencyLimit(most=4)
    over = Event()
    rounds = [0] * 24

    def worker(number: int) -> None:
        while not over.is_set():
            with limit.request("detail") as request:
                sleep(0.0005)
                request.answered = True
            rounds[number] += 1

    threads = [Thread(target=worker, args=(number,)) for number in range(len(rounds))]
    for thread in threads:
        thread.start()
    wait_until(lambda: min(rounds) >= 1)
    before = sum(rounds)
    with limit.request("list"):
        waited_for = sum(rounds) - before
    wait_until(lambda: sum(rounds) > 1500)
    over.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert waited_for <= 2 * len(rounds)
    assert max(rounds) <= 2 * min(rounds) + 10


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(int(PATIENCE / 0.002)):
        if condition():
            return
        sleep(0.002)
    raise AssertionError("it did not happen in time")
