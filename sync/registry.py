"""Changes of who owns what. A store carries out a list of them at once, or only tells what they would move."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal, TypeVar

from sync.errors import RegistryError
from sync.models import E164, UNASSIGNED, AnyTotals, ElevenLabsTotals, TwilioTotals

BETWEEN_DIGITS = dict.fromkeys(map(ord, "()./"))
LONGEST_TEXT = 200  # characters of a name or a label


@dataclass(frozen=True, slots=True, kw_only=True)
class AddWorkspace:
    """Add a client; refused if the name is empty, or if one is there that differs in small and capital letters only."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameWorkspace:
    """Give a client another name; refused for Unassigned, and if another client has it (see AddWorkspace)."""

    workspace_id: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteWorkspace:
    """Remove a client with its numbers, agents and balances. Refused for Unassigned.

    What it used becomes Unassigned, or goes where it is registered otherwise (a conversation by its agent).
    """

    workspace_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterNumber:
    """Give a number to a workspace (added if it is new) for a period; refused if the number has an owner in it.

    The same number, workspace and `valid_from` again corrects the label and the end of that period.
    """

    workspace: str
    phone_number: str
    label: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveNumber:
    """Give a number to a workspace (added if new) from `valid_from` on; whoever owns it then has it until then.

    The new owner has it until the old period's former end, under its label. A number that nobody owns then is
    registered until its next period begins. Refused if it belongs to that workspace already.
    """

    workspace: str
    phone_number: str
    valid_from: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EditNumber:
    """Correct the label and the dates of one period of a number. Releasing a number is setting its `valid_until`."""

    phone_id: int
    label: str | None
    valid_from: datetime | None
    valid_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteNumber:
    """Remove one period of a number, as if it had never been registered."""

    phone_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterAgent:
    """Give the conversations of an agent that come without a registered number to a workspace (added if it is new).

    An agent has one owner, for all time: whoever had it before loses these conversations.
    """

    workspace: str
    agent_id: str
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteAgent:
    """Forget who owns an agent."""

    agent_id: str


RegistryChange = (
    AddWorkspace
    | RenameWorkspace
    | DeleteWorkspace
    | RegisterNumber
    | MoveNumber
    | EditNumber
    | DeleteNumber
    | RegisterAgent
    | DeleteAgent
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What all changes together add to a workspace's totals, or take from them (negative)."""

    workspace: str
    twilio: TwilioTotals = field(default_factory=TwilioTotals)
    elevenlabs: ElevenLabsTotals = field(default_factory=ElevenLabsTotals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a list of changes: per change a sentence why it was refused, or None; and what moved in all."""

    refusals: Sequence[str | None]
    effects: Sequence[Effect]  # only workspaces whose totals change, by name, Unassigned last


Reason = Literal[
    "name taken", "no workspace", "unassigned", "owned by nobody", "overlap", "owned already", "no period", "no agent"
]

REASONS: Mapping[Reason, str] = {
    "name taken": "There is a workspace of that name already; choose another name.",
    "no workspace": "There is no such workspace any more; load the page again.",
    "unassigned": "Unassigned can be neither renamed nor deleted; register its numbers instead.",
    "owned by nobody": "Unassigned owns nothing, it holds what nobody owns; end or delete the registration instead.",
    "overlap": "The number{number} belongs to another workspace, or has another period, in that time; end that first.",
    "owned already": "The number{number} belongs to that workspace already at that time; choose another date.",
    "no period": "There is no such period of a number any more; load the page again.",
    "no agent": "There is no such agent any more; load the page again.",
}


def refused(change: RegistryChange, reason: Reason) -> RegistryError:
    """Return why a store does not carry out a change, in a sentence without the number."""
    number = getattr(change, "phone_number", None)
    return RegistryError(REASONS[reason].format(number=f" …{number[-4:]}" if number else ""))


AnyChange = TypeVar("AnyChange", bound=RegistryChange)


def cleaned(change: AnyChange) -> AnyChange:
    """Return a change as stores take it: texts trimmed, numbers without spaces. Raises RegistryError for nonsense."""
    given = {f.name: getattr(change, f.name) for f in fields(change)}
    texts: dict[str, Any] = {name: CLEANERS[name](given[name]) for name in given if name in CLEANERS}
    start, end = given.get("valid_from"), given.get("valid_until")
    if start and end and start >= end:
        number = f" …{given['phone_number'][-4:]}" if "phone_number" in given else ""
        raise RegistryError(f"The number{number} cannot be registered: it would end before it begins; correct a date.")
    return replace(change, **texts)


def _text(value: str, what: str) -> str:
    """Return a text on one line, as databases and people can tell it from others."""
    text = " ".join(unicodedata.normalize("NFC", value).split())
    if len(text) > LONGEST_TEXT:
        raise RegistryError(f"The {what} is longer than {LONGEST_TEXT} characters; shorten it.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise RegistryError(f"The {what} contains characters that cannot be shown; type it anew.")
    return text


def _name(value: str) -> str:
    if name := _text(value, "workspace's name"):
        return name
    raise RegistryError("The workspace has no name; give it one.")


def _agent_id(value: str) -> str:
    if agent_id := _text(value, "agent's id"):
        return agent_id
    raise RegistryError("The agent has no id; copy it from ElevenLabs.")


def _number(value: str) -> str:
    # Copied from pages and spreadsheets, a number may hold marks that nobody sees (of text direction, for example), and
    # signs between groups of digits.
    number = "".join(sign for sign in value if not sign.isspace() and unicodedata.category(sign) not in ("Cf", "Pd"))
    if number.startswith("+"):
        number = number.replace("(0)", "").translate(BETWEEN_DIGITS)
    if E164.fullmatch(number):
        return number
    if not number:
        raise RegistryError("There is no phone number; give it in international form, such as +34911234567.")
    raise RegistryError(f"The number …{number[-4:]} is not in international form, such as +34911234567; correct it.")


def _label(value: str | None) -> str | None:
    return _text(value or "", "label") or None


CLEANERS: Mapping[str, Callable[..., str | None]] = {
    "name": _name,
    "workspace": _name,
    "label": _label,
    "phone_number": _number,
    "agent_id": _agent_id,
}


def looks_like(one: str, other: str) -> bool:
    """Tell whether people would take two names for the same one."""
    return one.lower() == other.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The names of workspaces and their latest totals, before or after changes."""

    names: Mapping[int, str]
    twilio: Mapping[int, TwilioTotals]
    elevenlabs: Mapping[int, ElevenLabsTotals]


def effects(before: State, after: State) -> list[Effect]:
    """Return what moved between two states; a workspace goes by its last name."""
    found = []
    for workspace_id, name in sorted({**before.names, **after.names}.items(), key=_by_name):
        twilio = _moved(TwilioTotals(), before.twilio.get(workspace_id), after.twilio.get(workspace_id))
        elevenlabs = _moved(ElevenLabsTotals(), before.elevenlabs.get(workspace_id), after.elevenlabs.get(workspace_id))
        if (twilio, elevenlabs) != (TwilioTotals(), ElevenLabsTotals()):
            found.append(Effect(workspace=name, twilio=twilio, elevenlabs=elevenlabs))
    return found


def _moved(nothing: AnyTotals, before: AnyTotals | None, after: AnyTotals | None) -> AnyTotals:
    return (after or nothing) - (before or nothing)


def _by_name(workspace: tuple[int, str]) -> tuple[bool, str]:
    return workspace[0] == UNASSIGNED, workspace[1]
