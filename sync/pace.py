"""A pace for those who ask too often: so many at once, then so many per second (a token bucket)."""

import time
from collections.abc import Callable


class Pace:
    """Lets `burst` through at once, and `per_second` after that. Not thread-safe: it belongs to one event loop."""

    def __init__(self, *, burst: float, per_second: float, seconds: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._per_second = per_second
        self._seconds = seconds
        self._left = burst
        self._counted_at = seconds()

    def delay(self) -> float:
        """Count one more, and return how many seconds it has to wait for its turn."""
        now = self._seconds()
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._per_second) - 1
        self._counted_at = now
        return max(0.0, -self._left / self._per_second)
