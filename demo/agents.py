"""The agency's AI agents on ElevenLabs and the language model each of them runs on."""

from dataclasses import dataclass
from functools import cached_property

from demo.identifiers import digest


@dataclass(frozen=True, kw_only=True)
class Agent:
    """An agent. `fallback` is the model that steps in when its own does not answer."""

    name: str
    model: str
    fallback: str = "gemini-2.5-flash"
    source: str = "widget"  # how conversations without a phone begin
    is_registered: bool = True

    @cached_property
    def agent_id(self) -> str:
        return f"agent_{digest('agent', self.name)[:28]}"


AGENTS = (
    Agent(name="Brightwater reception", model="gpt-4o-mini"),
    Agent(name="Brightwater reminders", model="gpt-4o-mini"),
    Agent(name="Northgate dispatcher", model="gemini-2.5-flash", fallback="gpt-4o-mini"),
    Agent(name="Harborview tenant desk", model="gemini-2.5-flash", fallback="gpt-4o-mini"),
    Agent(name="Harborview leasing", model="gpt-4o-mini", source="widget"),
    Agent(name="Lucia reservations", model="gemini-2.5-flash", fallback="gpt-4o-mini"),
    Agent(name="Lucia WhatsApp", model="gpt-4o-mini", source="whatsapp"),
    Agent(name="Whitcombe intake", model="claude-sonnet-4-5"),
    Agent(name="Fernway support", model="gpt-4o-mini"),
    Agent(name="Fernway returns", model="custom-llm"),
    Agent(name="Fernway web chat", model="claude-sonnet-4-5", source="react_sdk"),
    Agent(name="Summit sales", model="gpt-4o-mini"),
    Agent(name="Summit service", model="custom-llm"),
    Agent(name="Summit showroom kiosk", model="gpt-4o-mini", source="js_sdk", is_registered=False),
    Agent(name="Little Acorn front desk", model="gemini-2.5-flash", fallback="gpt-4o-mini"),
)
BY_NAME = {agent.name: agent for agent in AGENTS}


def named(name: str) -> Agent:
    return BY_NAME[name]
