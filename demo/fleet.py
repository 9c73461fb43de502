"""The made-up agency: its clients, their phone numbers and agents, and how busy each of them is."""

from dataclasses import dataclass
from datetime import datetime

from demo.agents import Agent, named
from demo.rhythm import SECONDS_PER_HOUR, Rhythm

HOURS_PER_DAY = 24
YOUNGEST_DAYS = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A phone number that the agency rents, and the agent that answers it. `pbx`: the client's own telephone system."""

    number: str
    label: str
    agent: Agent
    is_registered: bool = True
    pbx: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A client. Rates are per ordinary day; the other numbers are shares between 0 and 1."""

    name: str
    trade: str
    rhythm: Rhythm
    calls_per_day: float
    outbound: float
    talk_seconds: float
    lines: tuple[Line, ...]
    chat_agent: Agent | None = None
    chats_per_day: float = 0.0
    trunk_talks_per_day: float = 0.0  # with an agent behind a carrier's SIP trunk, not Twilio's
    sms_per_day: float = 0.0
    whatsapp: float = 0.0  # of the inbound calls
    is_youngest: bool = False


DENTAL = Workspace(
    name="Brightwater Dental",
    trade="appointment",
    rhythm=Rhythm(
        zone="America/New_York", spans=((8, 12, 1), (12, 13, 0.4), (13, 18, 0.8)), days=(1.2, 1, 1, 1, 0.9, 0.3, 0)
    ),
    calls_per_day=27,
    outbound=0.45,
    talk_seconds=130,
    sms_per_day=1,
    lines=(
        Line(number="+12125550101", label="Brightwater main", agent=named("Brightwater reception")),
        Line(number="+12125550102", label="Brightwater reminders", agent=named("Brightwater reminders")),
    ),
)
PLUMBING = Workspace(
    name="Northgate Plumbing & Heating",
    trade="call-out",
    rhythm=Rhythm(zone="America/Chicago", spans=((7, 18, 1), (18, 23, 0.8)), days=(1, 1, 1, 1, 1, 1.2, 1.1), quiet=0.4),
    calls_per_day=24,
    outbound=0.1,
    talk_seconds=170,
    lines=(
        Line(number="+13125550103", label="Northgate emergency", agent=named("Northgate dispatcher")),
        Line(number="+13125550104", label="Northgate office", agent=named("Northgate dispatcher")),
        Line(
            number="+13125550105",
            label="Northgate van stickers",
            agent=named("Northgate dispatcher"),
            is_registered=False,
        ),
    ),
)
PROPERTY = Workspace(
    name="Harborview Property Management",
    trade="repair",
    rhythm=Rhythm(
        zone="America/Los_Angeles", spans=((8, 18, 1), (18, 21, 0.3)), days=(1.1, 1, 1, 1, 1, 0.4, 0.2), quiet=0.05
    ),
    calls_per_day=26,
    outbound=0.2,
    talk_seconds=190,
    lines=(
        Line(number="+14155550106", label="Harborview tenants", agent=named("Harborview tenant desk")),
        Line(number="+14155550107", label="Harborview leasing", agent=named("Harborview leasing")),
    ),
    chat_agent=named("Harborview leasing"),
    chats_per_day=2,
)
RESTAURANT = Workspace(
    name="Trattoria Lucia",
    trade="table",
    rhythm=Rhythm(
        zone="Europe/London", spans=((11, 15, 0.7), (17, 21, 1.6)), days=(0.3, 0.8, 0.9, 1, 1.6, 1.8, 1.1), quiet=0.02
    ),
    calls_per_day=24,
    outbound=0.08,
    talk_seconds=80,
    whatsapp=0.03,
    lines=(Line(number="+442079460001", label="Trattoria Lucia", agent=named("Lucia reservations")),),
    chat_agent=named("Lucia WhatsApp"),
    chats_per_day=2,
)
LAW = Workspace(
    name="Whitcombe & Hale Law",
    trade="consultation",
    rhythm=Rhythm(zone="Europe/London", spans=((9, 13, 1), (13, 14, 0.3), (14, 18, 1))),
    calls_per_day=19,
    outbound=0.25,
    talk_seconds=260,
    lines=(
        Line(number="+442079460002", label="Whitcombe reception", agent=named("Whitcombe intake")),
        Line(
            number="+442079460003",
            label="Whitcombe new clients",
            agent=named("Whitcombe intake"),
            pbx="pbx.whitcombe.example.com",
        ),
    ),
    trunk_talks_per_day=1,
)
SHOP = Workspace(
    name="Fernway Outfitters",
    trade="order",
    rhythm=Rhythm(
        zone="America/Denver", spans=((8, 20, 1), (20, 23, 0.5)), days=(1.2, 1, 1, 1, 1, 1.3, 1.2), quiet=0.06
    ),
    calls_per_day=34,
    outbound=0.15,
    talk_seconds=150,
    lines=(
        Line(number="+13035550108", label="Fernway support", agent=named("Fernway support")),
        Line(number="+13035550109", label="Fernway returns", agent=named("Fernway returns")),
        Line(number="+13035550110", label="Fernway pop-up store", agent=named("Fernway support"), is_registered=False),
    ),
    chat_agent=named("Fernway web chat"),
    chats_per_day=5,
)
CARS = Workspace(
    name="Summit Auto Group",
    trade="test drive",
    rhythm=Rhythm(zone="America/Phoenix", spans=((9, 19, 1),), days=(1, 0.9, 0.9, 1, 1.1, 1.4, 0), quiet=0.02),
    calls_per_day=27,
    outbound=0.5,
    talk_seconds=140,
    lines=(
        Line(number="+16025550111", label="Summit sales", agent=named("Summit sales")),
        Line(number="+16025550112", label="Summit service", agent=named("Summit service")),
    ),
    chat_agent=named("Summit showroom kiosk"),
    chats_per_day=1,
)
TUTORING = Workspace(
    name="Little Acorn Tutoring",
    trade="lesson",
    rhythm=Rhythm(zone="America/New_York", spans=((14, 20, 1),), days=(1, 1, 1, 1, 0.6, 0.5, 0)),
    calls_per_day=6,
    outbound=0.1,
    talk_seconds=120,
    lines=(Line(number="+16465550113", label="Little Acorn", agent=named("Little Acorn front desk")),),
    is_youngest=True,
)
WORKSPACES = (DENTAL, PLUMBING, PROPERTY, RESTAURANT, LAW, SHOP, CARS, TUTORING)
LINES = tuple(line for workspace in WORKSPACES for line in workspace.lines)

MOVED_NUMBER = "+14155550107"  # from Harborview to Summit: see registry.phones
MOVED_TO = CARS


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The agency from `days` before `opened_at` on. `scale` multiplies how much happens."""

    opened_at: datetime
    seed: int = 7
    days: int = 90
    scale: float = 1.0

    @property
    def first_hour(self) -> int:
        """The first hour (since 1970) with records: the UTC midnight `days` before `opened_at`."""
        return self._midnight(self.days)

    def first_hour_of(self, workspace: Workspace) -> int:
        """The youngest client began three weeks before the fleet was opened."""
        if workspace.is_youngest:
            return max(self.first_hour, self._midnight(YOUNGEST_DAYS))
        return self.first_hour

    def _midnight(self, days_ago: int) -> int:
        today = int(self.opened_at.timestamp()) // SECONDS_PER_HOUR // HOURS_PER_DAY
        return (today - days_ago) * HOURS_PER_DAY
