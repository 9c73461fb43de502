"""What a store must hold when all is over: the simulated fleet's own records, each once, with its newest values."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from demo import registry
from demo.elevenlabs_records import conversation_record, phone_number_id
from demo.fleet import LINES, Fleet
from demo.timeline import Timeline
from demo.twilio_records import call_record, number_sid
from sync.models import UNBILLED_CALL_STATUSES, ElevenLabsTotals, TwilioTotals
from tests.records import Sql

UNASSIGNED = "Unassigned"
CALL_DETAILS = ("direction", "from_number", "to_number", "price_unit")
CHARGES = ("llm_price", "llm_charge", "platform_price", "call_charge")
CONVERSATION_DETAILS = ("agent_id", "agent_number", "call_sid", "credits", *CHARGES)
FOR_EVER = 2**40

# Both providers name our numbers by ids of theirs too, which are the same however the number is written.
NUMBER_OF = {name(line.number): line.number for line in LINES for name in (number_sid, phone_number_id)}

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is compared of a record, whichever provider it is from."""

    record_id: str
    status: str
    started_at: datetime
    duration: int | None
    cost: Decimal | None
    workspace: str
    details: tuple[object, ...]  # as CALL_DETAILS, or CONVERSATION_DETAILS, name them
    parent: str | None = None


Facts = dict[str, Fact]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """All that the providers have at one moment."""

    calls: Facts
    conversations: Facts


def truth(fleet: Fleet, now: datetime, shown: Callable[[Record], Record], registered_at: datetime) -> Truth:
    """Read the fleet's records past any server; `shown` makes the providers' later changes to one."""
    timeline, moment = Timeline(fleet), int(now.timestamp())
    span = ((0, ""), (moment + 1, ""))
    owners = _Owners(registered_at)
    legs = [shown(call_record(leg, moment)) for leg in timeline.legs(*span, newest_first=False)]
    talks = [shown(conversation_record(talk, moment)) for talk in timeline.conversations(*span, newest_first=False)]
    dated = [leg for leg in legs if leg["start_time"] or leg["date_created"]]  # the others are not there yet
    own = {leg["sid"]: _call(leg, owners) for leg in dated}
    return Truth(
        calls={sid: replace(fact, workspace=_inherited(fact, own)) for sid, fact in own.items()},
        conversations={talk["conversation_id"]: _conversation(talk, owners) for talk in talks},
    )


class _Owners:
    """Who owned a number at a moment, and whose an agent is, as the demo registers them."""

    def __init__(self, registered_at: datetime) -> None:
        self._phones = registry.phones(registered_at)
        self._agents = {agent.agent_id: agent.workspace for agent in registry.agents()}

    def of_number(self, number: str | None, moment: datetime) -> str | None:
        for phone in self._phones:
            has_begun = phone.valid_from is None or phone.valid_from <= moment
            has_ended = phone.valid_until is not None and phone.valid_until <= moment
            if phone.phone_number == number and has_begun and not has_ended:
                return phone.workspace
        return None

    def of_agent(self, agent_id: str) -> str | None:
        return self._agents.get(agent_id)


def _call(raw: Record, owners: _Owners) -> Fact:
    started_at = parsedate_to_datetime(raw["start_time"] or raw["date_created"])
    is_free = raw["price"] is None and raw["status"] in UNBILLED_CALL_STATUSES
    ours = NUMBER_OF.get(raw["phone_number_sid"])
    return Fact(
        record_id=raw["sid"],
        status=raw["status"],
        started_at=started_at,
        duration=None if raw["duration"] is None else int(raw["duration"]),
        cost=Decimal(0) if is_free else None if raw["price"] is None else abs(Decimal(raw["price"])),
        workspace=owners.of_number(ours, started_at) or UNASSIGNED,
        details=(raw["direction"], *_sides(raw, ours), raw["price_unit"]),
        parent=raw["parent_call_sid"],
    )


def _sides(raw: Record, ours: str | None) -> tuple[str, str]:
    """Return who called whom; on a trunk our number is written as an address, and kept as a number."""
    match raw["direction"]:
        case "trunking-originating":
            return raw["from"], ours or ""
        case "trunking-terminating":
            return ours or "", raw["to"]
        case _:
            return raw["from"], raw["to"]


def _inherited(fact: Fact, facts: Mapping[str, Fact]) -> str:
    """Return the workspace of the topmost leg that has one."""
    parent = facts.get(fact.parent or "")
    above = _inherited(parent, facts) if parent else UNASSIGNED
    return fact.workspace if above == UNASSIGNED else above


def _conversation(raw: Record, owners: _Owners) -> Fact:
    metadata = raw["metadata"]
    started_at = datetime.fromtimestamp(metadata["start_time_unix_secs"], UTC)
    phone_call, charging = metadata["phone_call"] or {}, metadata["charging"] or {}
    number = NUMBER_OF.get((phone_call or metadata["sms"] or {}).get("phone_number_id"))
    charges = (_exact(charging.get(name)) for name in CHARGES)
    return Fact(
        record_id=raw["conversation_id"],
        status=raw["status"],
        started_at=started_at,
        duration=metadata["call_duration_secs"],
        cost=metadata["cost_fiat"],
        workspace=owners.of_number(number, started_at) or owners.of_agent(raw["agent_id"]) or UNASSIGNED,
        details=(raw["agent_id"], number, phone_call.get("call_sid"), metadata["cost"], *charges),
    )


def stored(sql: Sql) -> Truth:
    """Read a store's records with plain SQL, past the product."""
    calls = sql(
        f"select sid, status, started_at, duration, cost, workspaces.name, parent_call_sid, {', '.join(CALL_DETAILS)}"
        " from calls join workspaces on workspaces.id = workspace_id"
    )
    conversations = sql(
        "select conversation_id, status, started_at, duration, cost, workspaces.name, null,"
        f" {', '.join(CONVERSATION_DETAILS)}"
        " from elevenlabs_conversations join workspaces on workspaces.id = workspace_id"
    )
    return Truth(calls=_facts(calls), conversations=_facts(conversations))


def _facts(rows: Iterable[tuple[Any, ...]]) -> Facts:
    facts = [
        Fact(
            record_id=record_id,
            status=status,
            started_at=datetime.fromisoformat(started_at) if isinstance(started_at, str) else started_at,
            duration=duration,
            cost=None if cost is None else Decimal(str(cost)),
            workspace=workspace,
            details=tuple(map(_exact, details)),
            parent=parent,
        )
        for record_id, status, started_at, duration, cost, workspace, parent, *details in rows
    ]
    return {fact.record_id: fact for fact in facts}


def _exact(value: object) -> object:
    return Decimal(str(value)) if isinstance(value, int | float | Decimal) else value


def gone(sql: Sql) -> set[str]:
    """Return the stored records that their provider has said to have no longer (404), and not listed again since."""
    rows = sql(
        "select sid from calls where is_gone"
        " union all select conversation_id from elevenlabs_conversations where is_gone"
    )
    return {str(record_id) for (record_id,) in rows}


def as_far_as_shown(there: Truth, found: Truth, gone: set[str]) -> Truth:
    """Return the truth, but keep of a record that its provider denies what was last seen of it, as the ledger does."""

    def seen(facts: Facts, stored: Facts) -> Facts:
        return {id_: stored[id_] if id_ in gone and id_ in stored else fact for id_, fact in facts.items()}

    return Truth(calls=seen(there.calls, found.calls), conversations=seen(there.conversations, found.conversations))


def differences(expected: Truth, found: Truth) -> list[str]:
    """Say of each record what the store has wrong; nothing if all is well."""
    pairs = [(expected.calls, found.calls), (expected.conversations, found.conversations)]
    return [
        f"{record_id}: {there.get(record_id, 'missing')} instead of {here.get(record_id, 'nothing')}"
        for here, there in pairs
        for record_id in sorted(here.keys() | there.keys())
        if here.get(record_id) != there.get(record_id)
    ]


def twilio_totals(facts: Facts) -> dict[str, TwilioTotals]:
    totals: dict[str, TwilioTotals] = defaultdict(TwilioTotals)
    for fact in facts.values():
        totals[fact.workspace] += TwilioTotals(
            total_calls=int(fact.parent is None),
            total_legs=1,
            total_cost=fact.cost or Decimal(0),
            total_duration=(fact.duration or 0) if fact.parent is None else 0,
            billed_minutes=-(-(fact.duration or 0) // 60),
            unpriced_calls=int(fact.cost is None),
        )
    return dict(totals)


def elevenlabs_sums(facts: Facts) -> dict[str, ElevenLabsTotals]:
    """Add up what of a conversation is compared; the other totals stay at nothing."""
    totals: dict[str, ElevenLabsTotals] = defaultdict(ElevenLabsTotals)
    for fact in facts.values():
        totals[fact.workspace] += ElevenLabsTotals(
            total_conversations=1,
            total_cost=fact.cost or Decimal(0),
            total_duration=fact.duration or 0,
            unpriced_conversations=int(fact.cost is None),
        )
    return dict(totals)
