"""A leg of a phone call: everything that will ever happen to it, and what of that has happened by now."""

from dataclasses import dataclass

from demo.courses import Course

UNDATED = "0123"  # last digit of the sid of a call that has no date while it is queued: every fourth


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """Times are unix seconds. `price` in 1e-8 dollars; None means that Twilio never names one."""

    sid: str
    parent_sid: str | None
    direction: str
    caller: str
    called: str
    line_number: str | None
    course: Course
    price: int | None
    priced: int
    answered_by: str | None

    @property
    def created(self) -> int:
        return self.course.created

    @property
    def position(self) -> tuple[int, str]:
        return self.course.created, self.sid

    def is_answered_at(self, now: int) -> bool:
        return self.course.answered is not None and now >= self.course.answered

    def is_over_at(self, now: int) -> bool:
        return now >= self.course.ended

    def status_at(self, now: int) -> str:
        if self.is_over_at(now):
            return self.course.outcome
        if self.is_answered_at(now):
            return "in-progress"
        return "ringing" if now >= self.course.dialled else "queued"

    def start_at(self, now: int) -> int | None:
        """Return the start time shown at `now`: none while queued, then the creation, moved on by the answer."""
        if now < self.course.dialled:
            return None
        return self.course.answered if self.is_answered_at(now) else self.course.created

    def dated_at(self, now: int) -> int | None:
        """Return the creation time shown at `now`: some of the queued calls have none yet."""
        is_queued = now < self.course.dialled
        return None if is_queued and self.sid[-1] in UNDATED else self.created

    def end_at(self, now: int) -> int | None:
        return self.course.ended if self.is_over_at(now) else None

    def duration_at(self, now: int) -> int | None:
        if not self.is_over_at(now):
            return None
        return self.course.ended - self.course.answered if self.course.answered is not None else 0

    def price_at(self, now: int) -> int | None:
        return self.price if now >= self.priced else None

    def updated_at(self, now: int) -> int | None:
        """Twilio leaves date_updated at the end time: a price that comes later does not move it."""
        if self.dated_at(now) is None:
            return None
        return self.end_at(now) or self.start_at(now) or self.created
