"""Makes the conversations that agents hold, on the phone or in writing, with their bill."""

from random import Random

from demo.agents import Agent
from demo.charges import NOTHING, Charges, charge
from demo.conversations import TEXT_SOURCES, Conversation, OwnLine
from demo.fleet import Fleet, Line, Workspace
from demo.identifiers import CONVERSATION, digest, identifier
from demo.legs import Leg
from demo.parties import typed

HOURS_PER_DAY = 24
OLD_PART = 9  # the first ninth of the history predates costs in dollars …
OLD_SHARE = 0.1  # … for every tenth conversation in it: about 1 % of all
CRASHES = 0.006  # conversations that break off, and are billed up to there
FEWEST_TURNS, MOST_TURNS = 4, 10
SECONDS_PER_TURN = 15
DIAL_ERROR = (404, "The call could not be connected")
CRASH = (1011, "The agent stopped answering")


class Interviews:
    """Makes the conversations of one client in one hour."""

    def __init__(self, fleet: Fleet, workspace: Workspace, hour: int, random: Random) -> None:
        self._origin = (fleet.seed, workspace.name, hour, "conversation")
        self._is_old_hour = hour < fleet.first_hour + fleet.days // OLD_PART * HOURS_PER_DAY
        self._workspace, self._hour, self._random = workspace, hour, random
        self._made = 0

    def on_the_phone(self, agent: Agent, leg: Leg, started: int, ended: int) -> Conversation:
        return self._held(agent, leg, "twilio", started, ended)

    def without_a_phone(self, agent: Agent, started: int, ended: int) -> Conversation:
        return self._held(agent, None, agent.source, started, ended)

    def behind_a_trunk(self, line: Line, party: str, started: int, ended: int) -> Conversation:
        own = OwnLine(number=line.number, written=typed(line.number, self._random.randrange(3)), party=party)
        return self._held(line.agent, None, "sip_trunk", started, ended, own)

    def by_sms(self, line: Line, party: str, started: int, ended: int) -> Conversation:
        own = OwnLine(number=line.number, written=line.number, party=party)
        return self._held(line.agent, None, "twilio_sms", started, ended, own)

    def never_connected(self, agent: Agent, leg: Leg) -> Conversation:
        """Make the failed conversation of a call that nobody picked up: no words, no cost."""
        end = leg.course.ended
        return self._made_of(agent, leg, "twilio", end, end, turns=0, error=DIAL_ERROR, charges=NOTHING)

    def _held(
        self, agent: Agent, leg: Leg | None, source: str, started: int, ended: int, line: OwnLine | None = None
    ) -> Conversation:
        turns = min(MOST_TURNS, max(FEWEST_TURNS, (ended - started) // SECONDS_PER_TURN))
        charges = charge(
            self._random, agent, started=started, seconds=ended - started, turns=turns, text_only=source in TEXT_SOURCES
        )
        error = CRASH if self._random.random() < CRASHES else None
        return self._made_of(agent, leg, source, started, ended, line, turns=turns, error=error, charges=charges)

    def _made_of(
        self,
        agent: Agent,
        leg: Leg | None,
        source: str,
        started: int,
        ended: int,
        line: OwnLine | None = None,
        *,
        turns: int,
        error: tuple[int, str] | None,
        charges: Charges,
    ) -> Conversation:
        self._made += 1
        return Conversation(
            conversation_id=identifier(CONVERSATION, self._hour, *self._origin, self._made),
            agent=agent,
            trade=self._workspace.trade,
            leg=leg,
            line=line,
            source=source,
            visitor=digest(*self._origin, self._made, "visitor")[:12],
            started=started,
            ended=ended,
            analysed=ended + self._random.randint(6, 90),
            turns=turns,
            error=error,
            charges=charges,
            is_old=self._is_old_hour and self._random.random() < OLD_SHARE,
        )
