"""The whole agency's records, hour by hour: made when first asked for, found by identifier or by time."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from demo.conversations import Conversation
from demo.fleet import WORKSPACES, Fleet
from demo.identifiers import CALL, CONVERSATION, hour_in
from demo.legs import Leg
from demo.rhythm import SECONDS_PER_HOUR
from demo.traffic import Traffic

Record = TypeVar("Record", Leg, Conversation)
Position = tuple[int, str]  # a record's beginning (unix seconds) and its identifier: the order of every list


@dataclass(frozen=True, slots=True)
class Hour:
    """What begins in one hour, oldest first."""

    legs: tuple[Leg, ...]
    conversations: tuple[Conversation, ...]


class Timeline:
    """All records of a fleet. Ranges are `[first, end)`; what has not begun at `now` does not exist yet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._made: dict[int, tuple[dict[str, Leg], dict[str, Conversation]]] = {}
        self._hours: dict[int, Hour] = {}

    def make_until(self, now: int) -> None:
        """Make all that has begun by now, so that no answer has to wait for it."""
        for hour in range(self._fleet.first_hour, now // SECONDS_PER_HOUR + 1):
            self._hour(hour)

    def leg(self, sid: str, now: int) -> Leg | None:
        hour = hour_in(CALL, sid)
        leg = self._made_in(hour)[0].get(sid) if self._is_past(hour, now) else None
        return leg if leg and leg.created <= now else None

    def conversation(self, conversation_id: str, now: int) -> Conversation | None:
        hour = hour_in(CONVERSATION, conversation_id)
        found = self._made_in(hour)[1].get(conversation_id) if self._is_past(hour, now) else None
        return found if found and found.started <= now else None

    def legs(self, first: Position, end: Position, *, newest_first: bool) -> Iterator[Leg]:
        for hour in self._hours_between(first, end, newest_first):
            yield from _cut(hour.legs, first, end, newest_first)

    def conversations(self, first: Position, end: Position, *, newest_first: bool) -> Iterator[Conversation]:
        for hour in self._hours_between(first, end, newest_first):
            yield from _cut(hour.conversations, first, end, newest_first)

    def _is_past(self, hour: int, now: int) -> bool:
        return self._fleet.first_hour <= hour <= now // SECONDS_PER_HOUR

    def _hours_between(self, first: Position, end: Position, newest_first: bool) -> Iterator[Hour]:
        oldest = max(first[0] // SECONDS_PER_HOUR, self._fleet.first_hour)
        hours = range(oldest, end[0] // SECONDS_PER_HOUR + 1)
        return map(self._hour, reversed(hours) if newest_first else hours)

    def _hour(self, hour: int) -> Hour:
        """Collect what begins in `hour`. A queued or passed-on call may begin an hour after the one it was made in."""
        if hour not in self._hours:
            sources = (self._made_in(hour - 1), self._made_in(hour))
            self._hours[hour] = Hour(
                _ordered((leg for legs, _ in sources for leg in legs.values()), hour),
                _ordered((talk for _, talks in sources for talk in talks.values()), hour),
            )
        return self._hours[hour]

    def _made_in(self, hour: int) -> tuple[dict[str, Leg], dict[str, Conversation]]:
        if hour not in self._made:
            made = [
                Traffic(self._fleet, workspace, hour)
                for workspace in WORKSPACES
                if hour >= self._fleet.first_hour_of(workspace)
            ]
            self._made[hour] = (
                {leg.sid: leg for traffic in made for leg in traffic.legs},
                {talk.conversation_id: talk for traffic in made for talk in traffic.conversations},
            )
        return self._made[hour]


def _ordered(records: Iterator[Record], hour: int) -> tuple[Record, ...]:
    of_this_hour = (record for record in records if record.position[0] // SECONDS_PER_HOUR == hour)
    return tuple(sorted(of_this_hour, key=_position))


def _cut(records: Sequence[Record], first: Position, end: Position, newest_first: bool) -> Sequence[Record]:
    kept = records[bisect_left(records, first, key=_position) : bisect_left(records, end, key=_position)]
    return kept[::-1] if newest_first else kept


def _position(record: Leg | Conversation) -> Position:
    return record.position
