"""Turns the course of a call into the leg that Twilio will report: identity, parties and price."""

from random import Random

from demo import parties
from demo.courses import Course
from demo.fleet import Fleet, Line, Workspace
from demo.identifiers import CALL, identifier
from demo.legs import Leg
from demo.pricing import leg_price

FASTEST_PRICE, SLOWEST_PRICE = 2 * 60, 90 * 60  # seconds after the end
NEVER_PRICED = 0.15  # of the child legs to softphones: about 0.3 % of all legs
MACHINES = 0.2  # of the answered outbound calls


class Switchboard:
    """Makes the legs of one client's calls in one hour."""

    def __init__(self, fleet: Fleet, workspace: Workspace, hour: int, random: Random) -> None:
        self._origin = (fleet.seed, workspace.name, hour)
        self._hour = hour
        self._random = random
        self._made = 0

    def parent(self, course: Course, direction: str, line: Line, party: str) -> Leg:
        """Make the leg between one of the agency's lines and the outside world."""
        caller, called = (party, line.number) if direction == "inbound" else (line.number, party)
        return self._leg(course, direction, caller, called, far_end=party, line_number=line.number)

    def on_trunk(self, course: Course, line: Line, party: str, pbx: str, *, is_inbound: bool) -> Leg:
        """Make the leg between the outside world and a client's own telephone system behind an Elastic SIP trunk."""
        ours = parties.address(line.number, pbx, self._random.randrange(4))
        direction = "trunking-originating" if is_inbound else "trunking-terminating"
        caller, called = (party, ours) if is_inbound else (ours, party)
        return self._leg(course, direction, caller, called, far_end=party, line_number=line.number)

    def on_whatsapp(self, course: Course, line: Line, party: str) -> Leg:
        caller, called = f"whatsapp:{party}", f"whatsapp:{line.number}"
        return self._leg(course, "inbound", caller, called, far_end=party, line_number=line.number)

    def child(self, course: Course, parent: Leg, caller: str, called: str) -> Leg:
        return self._leg(course, "outbound-dial", caller, called, far_end=called, parent_sid=parent.sid)

    def _leg(
        self,
        course: Course,
        direction: str,
        caller: str,
        called: str,
        *,
        far_end: str,
        line_number: str | None = None,
        parent_sid: str | None = None,
    ) -> Leg:
        self._made += 1
        return Leg(
            sid=identifier(CALL, self._hour, *self._origin, self._made),
            parent_sid=parent_sid,
            direction=direction,
            caller=caller,
            called=called,
            line_number=line_number,
            course=course,
            price=self._price(course, direction, far_end),
            priced=self._priced_at(course),
            answered_by=self._answered_by(course, direction),
        )

    def _price(self, course: Course, direction: str, far_end: str) -> int | None:
        """Return what is asked in the end: nothing for a failed leg, no price at all where nobody picked up."""
        if course.outcome == "failed":
            return 0
        if course.answered is None:
            return None
        is_softphone = direction == "outbound-dial" and far_end.startswith("client:")
        if is_softphone and self._random.random() < NEVER_PRICED:
            return None
        return leg_price(parties.tariff(direction, far_end), course.ended - course.answered)

    def _priced_at(self, course: Course) -> int:
        if course.answered is None:
            return course.ended
        return course.ended + self._random.randint(FASTEST_PRICE, SLOWEST_PRICE)

    def _answered_by(self, course: Course, direction: str) -> str | None:
        if direction != "outbound-api" or course.answered is None:
            return None
        return "machine_start" if self._random.random() < MACHINES else "human"
