"""What happens at one client in one hour: a pure function of the seed, the client and the hour."""

from math import exp
from random import Random

from demo import parties
from demo.conversations import Conversation
from demo.courses import Course, answered, in_vain
from demo.fleet import Fleet, Line, Workspace
from demo.interviews import Interviews
from demo.legs import Leg
from demo.outcomes import INBOUND, OUTBOUND, TRANSFER, pick, talk_seconds
from demo.rhythm import SECONDS_PER_HOUR
from demo.switchboard import Switchboard

AGENT_SHARE = 0.58  # of the answered inbound calls
MENU_SHARE = 0.22  # hear opening hours or leave a message; the rest is put through to staff at once
TRANSFER_SHARE = 0.15  # of those that an agent answered
BATCH_SHARE = 0.5  # of the outbound calls are started together and wait their turn
LONGEST_QUEUE = 900
LONGEST_BEFORE_TRANSFER = 600  # with the queue: nothing begins later than an hour after its hour (see timeline)
LOGGED_FAILURES = 0.3  # of the calls nobody picked up leave a failed conversation
PBX_SHARE = 0.25  # of the calls of a line with a telephone system of the client's own
LONGEST_CHAT = {"whatsapp": 8 * 3600, "twilio_sms": 3600}  # people answer a message hours later
ORDINARY_CHAT = 480


class Traffic:
    """One client's hour. `legs` and `conversations` are complete once it is made."""

    def __init__(self, fleet: Fleet, workspace: Workspace, hour: int) -> None:
        self.legs: list[Leg] = []
        self.conversations: list[Conversation] = []
        self._random = random = Random(f"{fleet.seed}/{workspace.name}/{hour}")  # noqa: S311  made-up data, no secret
        self._workspace, self._begin = workspace, hour * SECONDS_PER_HOUR
        self._switchboard = Switchboard(fleet, workspace, hour, random)
        self._interviews = Interviews(fleet, workspace, hour, random)
        self._batch_at = self._queue_until = self._begin + random.randint(0, 2400)
        share = workspace.rhythm.share(hour) * fleet.scale
        for _ in range(poisson(random, workspace.calls_per_day * share)):
            self._call()
        for _ in range(poisson(random, workspace.chats_per_day * share)):
            self._chat()
        for _ in range(poisson(random, workspace.trunk_talks_per_day * share)):
            self._talk_behind_a_trunk()
        for _ in range(poisson(random, workspace.sms_per_day * share)):
            self._text_messages()

    def _call(self) -> None:
        line = self._random.choice(self._workspace.lines)
        if line.pbx and self._random.random() < PBX_SHARE:
            self._over_the_trunk(line, line.pbx)
        elif self._random.random() < self._workspace.outbound:
            self._outbound(line)
        else:
            self._inbound(line)

    def _inbound(self, line: Line) -> None:
        party = parties.caller(self._random, line.number)
        created, outcome = self._moment(), pick(self._random, INBOUND)
        if outcome != "completed":
            self._missed(line, party, "inbound", in_vain(self._random, created, created, outcome))
            return
        course = answered(created, created, self._random.randint(1, 6), self._talk())
        if self._workspace.whatsapp and self._random.random() < self._workspace.whatsapp:
            customer = parties.customer(self._random, line.number)
            self.legs.append(self._switchboard.on_whatsapp(course, line, customer))
            return
        handling = self._random.random()
        if handling < MENU_SHARE:
            self.legs.append(self._switchboard.parent(course, "inbound", line, party))
        elif handling < 1 - AGENT_SHARE:
            self._put_through(line, party, course, after=1)
        elif self._random.random() < TRANSFER_SHARE:
            self._put_through(line, party, course, after=self._random.randint(20, LONGEST_BEFORE_TRANSFER // 3))
        else:
            self._handled(line, party, "inbound", course)

    def _outbound(self, line: Line) -> None:
        party = parties.customer(self._random, line.number)
        created, dialled = self._queued() if self._random.random() < BATCH_SHARE else (self._moment(),) * 2
        outcome = pick(self._random, OUTBOUND)
        if outcome == "completed":
            course = answered(created, dialled, self._random.randint(3, 25), self._talk())
            self._handled(line, party, "outbound-api", course)
        else:
            self._missed(line, party, "outbound-api", in_vain(self._random, created, dialled, outcome))

    def _over_the_trunk(self, line: Line, pbx: str) -> None:
        """People speak on both sides; no agent takes part."""
        party, created = parties.customer(self._random, line.number), self._moment()
        is_inbound = self._random.random() >= self._workspace.outbound
        course = answered(created, created, self._random.randint(1, 20), self._talk())
        self.legs.append(self._switchboard.on_trunk(course, line, party, pbx, is_inbound=is_inbound))

    def _handled(self, line: Line, party: str, direction: str, course: Course) -> None:
        """An agent speaks from the answer to the end."""
        leg = self._switchboard.parent(course, direction, line, party)
        self.legs.append(leg)
        self._interview(line, leg, course.ended)

    def _put_through(self, line: Line, party: str, course: Course, *, after: int) -> None:
        """An agent, if there is time for one, passes the call on; the parent leg lasts until its child has ended."""
        picked_up = course.answered or course.dialled
        child_course = self._child_course(picked_up + after)
        parent = self._switchboard.parent(
            course.lasting_until(child_course.ended + self._random.randint(0, 3)), "inbound", line, party
        )
        caller = parties.passed_on_from(self._random, party, line.number)
        called = parties.colleague(self._random, self._workspace)
        self.legs += [parent, self._switchboard.child(child_course, parent, caller, called)]
        if after > 1:
            self._interview(line, parent, child_course.created)

    def _child_course(self, created: int) -> Course:
        outcome = pick(self._random, TRANSFER)
        if outcome == "completed":
            return answered(created, created, self._random.randint(3, 15), self._talk())
        return in_vain(self._random, created, created, outcome)

    def _missed(self, line: Line, party: str, direction: str, course: Course) -> None:
        leg = self._switchboard.parent(course, direction, line, party)
        self.legs.append(leg)
        if direction == "outbound-api" and self._random.random() < LOGGED_FAILURES:
            self.conversations.append(self._interviews.never_connected(line.agent, leg))

    def _interview(self, line: Line, leg: Leg, ended: int) -> None:
        started = leg.course.answered or leg.created
        self.conversations.append(self._interviews.on_the_phone(line.agent, leg, started, ended))

    def _chat(self) -> None:
        agent = self._workspace.chat_agent
        if agent is None:
            return
        started = self._moment()
        seconds = self._random.randint(30, LONGEST_CHAT.get(agent.source, ORDINARY_CHAT))
        self.conversations.append(self._interviews.without_a_phone(agent, started, started + seconds))

    def _talk_behind_a_trunk(self) -> None:
        line = next(line for line in self._workspace.lines if line.pbx)
        started = self._moment()
        party = parties.customer(self._random, line.number)
        self.conversations.append(self._interviews.behind_a_trunk(line, party, started, started + self._talk()))

    def _text_messages(self) -> None:
        line = self._workspace.lines[-1]
        started = self._moment()
        seconds = self._random.randint(30, LONGEST_CHAT["twilio_sms"])
        party = parties.customer(self._random, line.number)
        self.conversations.append(self._interviews.by_sms(line, party, started, started + seconds))

    def _queued(self) -> tuple[int, int]:
        """Return when a call of the hour's batch is created, and when its turn comes."""
        self._queue_until = min(self._queue_until + self._random.randint(60, 300), self._batch_at + LONGEST_QUEUE)
        return self._batch_at, self._queue_until

    def _moment(self) -> int:
        return self._begin + self._random.randrange(SECONDS_PER_HOUR)

    def _talk(self) -> int:
        return talk_seconds(self._random, self._workspace.talk_seconds)


def poisson(random: Random, expected: float) -> int:
    """Draw how often something happens that happens `expected` times on average (Knuth's method)."""
    limit, product, count = exp(-expected), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count
