"""Who calls and who is called: fictional numbers only (555-01xx, 020 7946 0xxx), and everything that is no number."""

from random import Random

from demo.fleet import Workspace

WITHHELD = ("+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253")
WITHHELD_NAMES = {"+266696687": "ANONYMOUS", "+7378742833": "RESTRICTED", "+2562533": "BLOCKED"}
AREA_CODES = (201, 206, 212, 303, 305, 312, 404, 415, 480, 503, 512, 602, 617, 646, 702, 773, 818, 917)
STAFF = ("anna", "ben", "carla", "dev", "elena")
WITHHELD_SHARE, CLIENT_SHARE, SIP_SHARE = 0.03, 0.012, 0.006


def is_british(number: str) -> bool:
    return number.startswith("+44")


def customer(random: Random, line_number: str) -> str:
    """Return a number that is never one of the agency's: those end below 20."""
    if is_british(line_number):
        return (
            f"+4420794600{random.randint(20, 99)}" if random.random() < 0.1 else f"+442079460{random.randint(100, 999)}"
        )
    return f"+1{random.choice(AREA_CODES)}55501{random.randint(20, 99)}"


def caller(random: Random, line_number: str) -> str:
    kind = random.random()
    if kind < WITHHELD_SHARE:
        return random.choice(WITHHELD)
    if kind < WITHHELD_SHARE + CLIENT_SHARE:
        return f"client:{random.choice(STAFF)}"
    if kind < WITHHELD_SHARE + CLIENT_SHARE + SIP_SHARE:
        return "sip:frontdesk@pbx.example.com"
    return customer(random, line_number)


def colleague(random: Random, workspace: Workspace) -> str:
    """Return whom a call is passed on to: mostly a staff phone, sometimes a softphone or a desk phone."""
    kind = random.random()
    if kind < 0.12:
        return f"client:{random.choice(STAFF)}"
    if kind < 0.2:
        return f"sip:{random.choice(STAFF)}@pbx.example.com"
    home = workspace.lines[0].number
    return f"{home[:-2]}{14 + random.randint(0, 4)}"


def passed_on_from(random: Random, original: str, line_number: str) -> str:
    """Return the caller of a child leg: often the original one, and a withheld one sometimes as a word."""
    if random.random() < 0.3:
        return line_number
    return WITHHELD_NAMES.get(original, original) if random.random() < 0.5 else original


def address(number: str, pbx: str, form: int) -> str:
    """Write a number as SIP trunks do, each in a form of its own."""
    return (
        f"sip:{number}@{pbx}",
        f"sip:{number}@{pbx};region=ie1;transport=tls",
        f"sip:{number[1:]}@203.0.113.9:5060;transport=tcp",
        f"sips:{number}@{pbx}:5061",
    )[form]


def typed(number: str, form: int) -> str:
    """Write a number as somebody typed it into the settings of a trunk."""
    return (number[1:], f"00{number[1:]}", f"+{number[1:3]} {number[3:5]} {number[5:9]} {number[9:]}")[form]


def tariff(direction: str, party: str) -> str:
    """Return the price list entry for a leg whose far end is `party`."""
    if direction.startswith("trunking-"):
        return "trunk"
    kind = party.split(":", 1)[0]
    if kind in ("client", "sip"):
        return kind
    if is_british(party):
        return "gb"
    return "inbound" if direction == "inbound" else "outbound"
