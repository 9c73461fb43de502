"""The requests of one run: its client counts them, its heartbeats tell them to everybody else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Traffic:
    """How many requests are under way, and how many were refused because there were too many. Safe with threads."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.refused = 0
        self._lock = threading.Lock()

    @contextmanager
    def request(self) -> Iterator[None]:
        with self._lock:
            self.in_flight += 1
        try:
            yield
        finally:
            with self._lock:
                self.in_flight -= 1

    def count_refusal(self) -> None:
        with self._lock:
            self.refused += 1
