"""A conversation with an agent: everything that will ever happen in it, and what of that has happened by now."""

from dataclasses import dataclass

from demo.agents import Agent
from demo.charges import Charges
from demo.legs import Leg

TEXT_SOURCES = ("whatsapp", "twilio_sms")
GREETING = 2  # seconds that a conversation counts as only initiated


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLine:
    """Who spoke with whom where Twilio has no leg of it: `written` is the agency's `number` as ElevenLabs shows it."""

    number: str
    written: str
    party: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Times are unix seconds. Charges are known from `analysed` on; `is_old`: billed before dollar costs existed."""

    conversation_id: str
    agent: Agent
    trade: str
    leg: Leg | None
    line: OwnLine | None
    source: str
    visitor: str
    started: int
    ended: int
    analysed: int
    turns: int
    error: tuple[int, str] | None
    charges: Charges
    is_old: bool

    @property
    def position(self) -> tuple[int, str]:
        return self.started, self.conversation_id

    @property
    def outcome(self) -> str:
        return "failed" if self.error else "done"

    @property
    def text_only(self) -> bool:
        return self.source in TEXT_SOURCES

    def status_at(self, now: int) -> str:
        if now >= self.analysed:
            return self.outcome
        if now >= self.ended:
            return "processing"
        return "in-progress" if now >= self.started + GREETING else "initiated"

    def is_billed_at(self, now: int) -> bool:
        return now >= self.analysed

    def duration_at(self, now: int) -> int:
        return min(now, self.ended) - self.started

    def turns_at(self, now: int) -> int:
        if now >= self.ended:
            return self.turns
        return self.turns * (now - self.started) // (self.ended - self.started)
