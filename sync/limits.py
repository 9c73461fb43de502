"""How many requests a provider takes at once: found out by trying, as TCP does, since neither of them publishes it.

More while answers are good, fewer when requests are refused (429) or answers get slow. The first rise grows like TCP's
slow start. After it only now and then a level is tried that is not known to work, ever more rarely if it does not, so
that refusals stay far below 2 % of the requests. Latency is judged per kind of request, against the best average so
far (Netflix's concurrency-limits do so too): a single fast answer says little, sizes differ.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

FIRST = 4
MOST = 64
GROWTH = 0.5  # added for each good answer at first: half as many again per round
REFUSED = 0.8  # what is left of the requests that were in flight when one was refused
SLOWED = 0.9  # what is left of the limit when answers have become slow
SLOW = 3.0  # answers this many times slower than at best: fewer
LAGGING = 2.0  # this many times slower: no more
SMOOTHING = 0.05  # weight of a new answer in the average
ENOUGH = 20  # answers, before an average says anything
FIRST_PROBE, LONGEST_PROBE = 0.5, 30.0  # seconds between attempts to go beyond what is known to work


@dataclass(slots=True)
class Request:
    """One request in flight. Set `refused` before it ends if the provider said that there are too many."""

    kind: str
    started_at: float
    level: int  # which level it was sent under: a refusal says nothing about a later one
    in_flight: int  # when it was sent, with itself
    refused: bool = False
    answered: bool = False


class ConcurrencyLimit:
    """The requests of one process to one provider share it. Safe with several threads; who waits longest is next."""

    def __init__(self, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.clock = clock
        self.in_flight = 0
        self._level = _Level(clock)
        self._latencies: dict[str, _Latency] = {}
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    @property
    def limit(self) -> int:
        """The number of requests that may be in flight now."""
        return max(1, min(int(self._level.limit), self.most))

    @contextmanager
    def request(self, kind: str) -> Iterator[Request]:
        """Wait for a free place, and hold it for the length of the block. `kind` groups requests of like latency."""
        self._take_place()
        request = Request(kind, self.clock(), self._level.number, self.in_flight)
        try:
            yield request
        finally:
            with self._lock:
                self._learn(request)
                self.in_flight -= 1
                self._let_in()

    def _take_place(self) -> None:
        with self._lock:
            turn = threading.Event()
            self._waiting.append(turn)
            self._let_in()
        turn.wait()

    def _let_in(self) -> None:
        while self._waiting and self.in_flight < self.limit:
            self.in_flight += 1
            self._waiting.popleft().set()

    def _learn(self, request: Request) -> None:
        if request.refused:
            self._level.refused(request)
        elif request.answered:
            latency = self._latencies.setdefault(request.kind, _Latency())
            latency.add(self.clock() - request.started_at, is_undisturbed=self._level.limit <= FIRST)
            if self.in_flight >= self.limit:  # else nobody knows whether more would work
                self._level.answered(request, latency.slowness, may_grow=self.limit < self.most)


class _Level:
    """The limit, and what is known about it: how many worked, and when a higher one is tried again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.limit = float(FIRST)
        self.number = 0
        self._clock = clock
        self._works: float | None = None  # None until the first rise has met its end
        self._step = 1
        self._probe_every = FIRST_PROBE
        self._changed_at = 0.0
        self._good_answers = 0

    def refused(self, request: Request) -> None:
        if request.level != self.number:
            return
        if self._works and self.limit > self._works:  # it was one attempt too many
            self._probe_every = min(self._probe_every * 2, LONGEST_PROBE)
            self._set(self._works)
        else:
            self._set(min(self.limit, request.in_flight) * REFUSED)
        self._works = self.limit
        self._step = 1

    def answered(self, request: Request, slowness: float, *, may_grow: bool) -> None:
        self._good_answers += request.level == self.number
        if slowness > SLOW:
            if request.level == self.number and self.limit > FIRST:  # of few requests none waits for the others
                self._set(max(FIRST, self.limit * SLOWED))
                self._works, self._step, self._probe_every = self.limit, 1, FIRST_PROBE
        elif slowness > LAGGING or not may_grow:
            return
        elif self._works is None:
            self.limit += GROWTH
        elif self._clock() - self._changed_at >= self._probe_every and self._good_answers >= self.limit:
            self._try_more(self._works)

    def _try_more(self, worked: float) -> None:
        """Take the present level for one that works, and try a higher one: step by step, in strides if that goes on."""
        if self.limit > worked:
            self._step = max(1, min(self._step * 2, int(self.limit / 4)))
            self._probe_every = FIRST_PROBE
        self._works = self.limit
        self._set(self.limit + self._step)

    def _set(self, limit: float) -> None:
        self.limit = max(1.0, float(int(limit)))
        self.number += 1
        self._changed_at = self._clock()
        self._good_answers = 0


class _Latency:
    """How long answers of one kind take on average, and took at best."""

    def __init__(self) -> None:
        self._answers = 0
        self._usual = 0.0
        self._best = float("inf")

    def add(self, seconds: float, *, is_undisturbed: bool) -> None:
        """With few requests in flight they do not slow each other down: then what is usual is the best there is."""
        self._answers += 1
        self._usual += max(SMOOTHING, 1 / self._answers) * (seconds - self._usual)
        if self._answers >= ENOUGH:
            self._best = self._usual if is_undisturbed else min(self._best, self._usual)

    @property
    def slowness(self) -> float:
        """How many times slower than at best; 1 as long as nobody knows."""
        return self._usual / self._best if 0 < self._best < float("inf") else 1.0
