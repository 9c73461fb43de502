"""The query parameters of Twilio's call list. Names it does not know are ignored, as Twilio does."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from demo.legs import Leg
from demo.refusals import twilio_refusal

STATUSES = {"queued", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"}
TIMES = ("StartTime", "StartTime<", "StartTime>", "EndTime", "EndTime<", "EndTime>")
NAMES = ("Status", "To", "From", "ParentCallSid", *TIMES)
FOREVER = 2**40
LONGEST_WAIT = 3600  # seconds from a leg's creation to its start time, at most


class CallFilter:
    """What a caller asked for. `carried` are the parameters that the paging links repeat."""

    def __init__(self, query: Mapping[str, str]) -> None:
        self.carried = {name: query[name] for name in NAMES if query.get(name)}
        status = self.carried.get("Status")
        if status and status not in STATUSES:
            raise twilio_refusal(400, 20001, f"Invalid Status: {status}")
        self._start = _range(self.carried, "StartTime")
        self._end = _range(self.carried, "EndTime")

    @property
    def created_between(self) -> tuple[int, int]:
        """The creation times that can match, so that no one has to look at the whole history."""
        first, end = self._start or (0, FOREVER)
        return first - LONGEST_WAIT, end

    def accepts(self, leg: Leg, now: int) -> bool:
        return (
            self.carried.get("Status", leg.status_at(now)) == leg.status_at(now)
            and self.carried.get("To", leg.called) == leg.called
            and self.carried.get("From", leg.caller) == leg.caller
            and self.carried.get("ParentCallSid", leg.parent_sid) == leg.parent_sid
            and _lies_in(leg.start_at(now), self._start)
            and _lies_in(leg.end_at(now), self._end)
        )


def _range(carried: Mapping[str, str], name: str) -> tuple[int, int] | None:
    """Return `[first, end)` in unix seconds. A bare name means that whole UTC day; `>` means on or after."""
    if not any(f"{name}{operator}" in carried for operator in ("", "<", ">")):
        return None
    first, end = 0, FOREVER
    if f"{name}>" in carried:
        first = _moment(carried, f"{name}>")
    if f"{name}<" in carried:
        end = _moment(carried, f"{name}<")
    if name in carried:
        day = _moment(carried, name) // 86_400 * 86_400
        first, end = max(first, day), min(end, day + 86_400)
    return first, end


def _moment(carried: Mapping[str, str], name: str) -> int:
    try:
        moment = datetime.fromisoformat(carried[name])
    except ValueError as exc:
        raise twilio_refusal(400, 20001, f"Invalid {name}: {carried[name]}") from exc
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.fromtimestamp(0, UTC)
    return -(-seconds // timedelta(seconds=1))


def _lies_in(moment: int | None, limits: tuple[int, int] | None) -> bool:
    """A leg without that time is in no range: Twilio's time filters leave queued calls out."""
    return limits is None or (moment is not None and limits[0] <= moment < limits[1])
