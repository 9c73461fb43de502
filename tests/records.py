"""Made-up records: builders with defaults, strategies for random ones, and all the balances that a store holds of them.

Random records are few and crowded, so that they collide: three numbers, two agents, four days, often a full hour.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from sync.models import (
    Agent,
    CallLeg,
    Conversation,
    ElevenLabsTotals,
    LlmUsage,
    Phone,
    Source,
    TokenUsage,
    TwilioTotals,
)
from sync.registry import (
    AddWorkspace,
    DeleteAgent,
    DeleteNumber,
    DeleteWorkspace,
    EditNumber,
    MoveNumber,
    RegisterAgent,
    RegisterNumber,
    RegistryChange,
    RenameWorkspace,
)
from sync.store import Store
from tests.registering import add_workspace

Sql = Callable[[str], list[tuple[Any, ...]]]

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)

TEN = datetime(2026, 10, 24, 10, tzinfo=UTC)  # when records start that do not say otherwise
FETCHED = TEN + DAY
FIRST_DAY = datetime(2026, 10, 23, tzinfo=UTC)  # of random records; Europe's clocks change on the third

OUR_NUMBER, OTHER_NUMBER, THIRD_NUMBER = NUMBERS = ("+34910000001", "+34910000002", "+12120000003")
CALLER = "+34600000009"
OUR_AGENT, OTHER_AGENT = AGENTS = ("agent_sales", "agent_support")
WORKSPACES = ("Acme", "Borealis", "Cumulus")
NOT_AN_ID = 2**31 - 1

TABLES = (
    *("workspaces", "workspace_phones", "workspace_agents", "calls", "elevenlabs_conversations"),
    *("twilio_snapshots", "elevenlabs_snapshots", "stale_balances"),
)


def make_leg(**changes: Any) -> CallLeg:
    """Return an answered, priced inbound call to OUR_NUMBER, of 61 seconds at ten o'clock."""
    plain: dict[str, Any] = {
        "sid": "CA1",
        "parent_call_sid": None,
        "status": "completed",
        "direction": "inbound",
        "started_at": TEN,
        "ended_at": TEN + 61 * SECOND,
        "duration": 61,
        "cost": Decimal("0.0085"),
        "price_unit": "USD",
        "from_number": CALLER,
        "to_number": OUR_NUMBER,
        "our_number": OUR_NUMBER,
        "fetched_at": FETCHED,
    }
    return CallLeg(**plain | changes)


def make_conversation(**changes: Any) -> Conversation:
    """Return a finished, priced conversation of OUR_AGENT on OUR_NUMBER, of 90 seconds at ten o'clock."""
    plain: dict[str, Any] = {
        "conversation_id": "conv_1",
        "agent_id": OUR_AGENT,
        "agent_name": "Sales",
        "status": "done",
        "started_at": TEN,
        "duration": 90,
        "direction": "inbound",
        "channel": "twilio",
        "agent_number": OUR_NUMBER,
        "external_number": CALLER,
        "call_sid": "CA1",
        "termination_reason": None,
        "cost": Decimal("0.10420315"),
        "credits": 526,
        "llm_price": Decimal("0.00041565"),
        "llm_charge": 173,
        "platform_price": Decimal("0.1037875"),
        "call_charge": 353,
        "free_minutes_consumed": Decimal("1.5"),
        "free_llm_dollars_consumed": Decimal("0.002"),
        "dev_discount": False,
        "is_burst": False,
        "llm_usage": LlmUsage({"gemini-flash": {"input": TokenUsage(tokens=1200, price=Decimal("0.00041565"))}}),
        "fetched_at": FETCHED,
    }
    return Conversation(**plain | changes)


def make_phone(**changes: Any) -> Phone:
    return Phone(**{"id": NOT_AN_ID, "phone_number": OUR_NUMBER, "workspace_id": 1} | changes)


def moments(first_day: datetime = FIRST_DAY) -> st.SearchStrategy[datetime]:
    """Return moments of four days, more often than not at a full or half hour or a second beside it."""
    crowded = st.builds(
        lambda half_hours, seconds: first_day + half_hours * HOUR / 2 + seconds * SECOND,
        st.integers(0, 4 * 48 - 1),
        st.sampled_from([0, 0, 1, 29 * 60, 1799]),
    )
    return crowded | st.builds(lambda seconds: first_day + seconds * SECOND, st.integers(0, 4 * 86_400 - 1))


def prices() -> st.SearchStrategy[Decimal]:
    """Return what one record may cost: up to a million, with up to eight decimals."""
    return st.one_of(
        st.just(Decimal(0)),
        st.integers(1, 10**6).map(lambda units: Decimal(units).scaleb(-8)),
        st.integers(0, 10**14 - 1).map(lambda units: Decimal(units).scaleb(-8)),
        st.integers(1, 99_999).map(lambda units: Decimal(units).scaleb(-4)),
    )


DURATIONS = st.none() | st.sampled_from([0, 1, 59, 60, 61, 120]) | st.integers(0, 7200)

# Versions of a record. Until PRICED_BY its price is unknown or the first one, then it may be corrected. A price that is
# taken back after it was corrected is left out: no provider does that, and a store would have to keep every version.
PRICED_BY = FETCHED + 50 * SECOND
FETCHES = st.integers(1, 99).map(lambda seconds: FETCHED + seconds * SECOND)


@st.composite
def leg_families(draw: st.DrawFn, first_day: datetime = FIRST_DAY) -> list[CallLeg]:
    """Draw up to eight legs: some on their own, some below each other, some below one that is never stored."""
    sids = [f"CA{n}" for n in range(draw(st.integers(1, 8)))]
    # A parent may be anywhere in the list, and so may start and arrive after its child.
    order = draw(st.permutations(sids))
    return [
        make_leg(
            sid=sid,
            parent_call_sid=draw(st.none() | st.sampled_from(["CAnever", *order[: order.index(sid)]])),
            direction=draw(st.sampled_from(["inbound", "outbound-api", "outbound-dial"])),
            started_at=draw(moments(first_day)),
            ended_at=None,
            duration=draw(DURATIONS),
            cost=draw(st.none() | prices()),
            price_unit=draw(st.sampled_from(["USD", "USD", "USD", "EUR"])),
            our_number=draw(st.none() | st.sampled_from(NUMBERS)),
        )
        for sid in sids
    ]


@st.composite
def leg_versions(draw: st.DrawFn, legs: list[CallLeg], first_day: datetime = FIRST_DAY) -> CallLeg:
    """Draw a leg as one request saw it: without its price, at another start, or with its number deleted."""
    leg, fetched_at = draw(st.sampled_from(legs)), draw(FETCHES)
    return replace(
        leg,
        status=draw(st.sampled_from(["completed", "in-progress", "busy"])),
        started_at=draw(st.just(leg.started_at) | moments(first_day)),
        duration=draw(DURATIONS),
        cost=draw(_amount(leg.cost, prices(), fetched_at)),
        our_number=draw(st.sampled_from([leg.our_number, leg.our_number, None])),
        fetched_at=fetched_at,
    )


def _amount(first: Any, others: st.SearchStrategy[Any], fetched_at: datetime) -> st.SearchStrategy[Any]:
    if first is None:
        return st.none()
    return others if fetched_at >= PRICED_BY else st.sampled_from([first, None])


PRICES_OF_CONVERSATION = (
    *("cost", "llm_price", "platform_price"),
    *("free_minutes_consumed", "free_llm_dollars_consumed"),
)
CHARGES_OF_CONVERSATION = ("credits", "llm_charge", "call_charge")
CHARGES = st.integers(0, 10**6)

USAGE = st.dictionaries(
    st.sampled_from(["gemini-flash", "gpt-mini"]),
    st.dictionaries(
        st.sampled_from(["input", "output_total"]),
        st.builds(TokenUsage, tokens=st.integers(1, 10**6), price=prices()),
        min_size=1,
    ),
).map(LlmUsage)


@st.composite
def conversation_groups(draw: st.DrawFn, first_day: datetime = FIRST_DAY) -> list[Conversation]:
    """Draw up to six conversations with and without number, agent and price."""
    return [
        make_conversation(
            conversation_id=f"conv_{n}",
            agent_id=draw(st.none() | st.sampled_from(AGENTS)),
            agent_number=draw(st.none() | st.sampled_from(NUMBERS)),
            started_at=draw(moments(first_day)),
            **{name: draw(st.none() | prices()) for name in PRICES_OF_CONVERSATION},
            **{name: draw(st.none() | CHARGES) for name in CHARGES_OF_CONVERSATION},
        )
        for n in range(draw(st.integers(1, 6)))
    ]


@st.composite
def conversation_versions(
    draw: st.DrawFn, conversations: list[Conversation], first_day: datetime = FIRST_DAY
) -> Conversation:
    """Draw a conversation as one request saw it."""
    talk, fetched_at = draw(st.sampled_from(conversations)), draw(FETCHES)
    return replace(
        talk,
        status=draw(st.sampled_from(["done", "in-progress", "failed"])),
        started_at=draw(st.just(talk.started_at) | moments(first_day)),
        duration=draw(st.integers(0, 7200)),
        agent_number=draw(st.sampled_from([talk.agent_number, talk.agent_number, None])),
        **{name: draw(_amount(getattr(talk, name), prices(), fetched_at)) for name in PRICES_OF_CONVERSATION},
        **{name: draw(_amount(getattr(talk, name), CHARGES, fetched_at)) for name in CHARGES_OF_CONVERSATION},
        dev_discount=draw(st.booleans()),
        llm_usage=draw(USAGE),
        fetched_at=fetched_at,
    )


@st.composite
def phone_periods(draw: st.DrawFn, first_day: datetime = FIRST_DAY) -> Phone:
    """Draw a number that one of the first three workspaces owns, always or for some of the four days."""
    start, end = sorted(draw(st.lists(moments(first_day), min_size=2, max_size=2, unique=True)))
    return make_phone(
        phone_number=draw(st.sampled_from(NUMBERS)),
        workspace_id=draw(st.integers(1, len(WORKSPACES))),
        valid_from=draw(st.sampled_from([None, start])),
        valid_until=draw(st.sampled_from([None, end])),
    )


def agents() -> st.SearchStrategy[Agent]:
    return st.builds(Agent, agent_id=st.sampled_from(AGENTS), workspace_id=st.integers(1, len(WORKSPACES)))


def registry_changes(store: Store) -> st.SearchStrategy[RegistryChange]:
    """Return changes of what is registered now; some of them are refused."""
    period = st.lists(moments(), min_size=2, max_size=2, unique=True).map(sorted)
    dates = period.flatmap(
        lambda at: st.fixed_dictionaries(
            {"valid_from": st.sampled_from([None, at[0]]), "valid_until": st.sampled_from([None, at[1]])}
        )
    )
    names, numbers, agent_ids = (st.sampled_from(kind) for kind in ([*WORKSPACES, "Dora"], NUMBERS, AGENTS))
    ids = st.sampled_from([workspace.id for workspace in store.workspaces()])
    # Which id a number will get is nobody's to guess: in Supabase a dry run has used up one, too.
    phone_ids = st.sampled_from([phone.id for phone in store.phones()] or [NOT_AN_ID])
    return st.one_of(
        st.builds(AddWorkspace, name=names),
        st.builds(RenameWorkspace, workspace_id=ids, name=names),
        st.builds(DeleteWorkspace, workspace_id=ids),
        st.builds(lambda at, **whose: RegisterNumber(**whose, **at), dates, workspace=names, phone_number=numbers),
        st.builds(MoveNumber, workspace=names, phone_number=numbers, valid_from=moments()),
        st.builds(lambda at, phone_id: EditNumber(phone_id=phone_id, label=None, **at), dates, phone_ids),
        st.builds(DeleteNumber, phone_id=phone_ids),
        st.builds(RegisterAgent, workspace=names, agent_id=agent_ids),
        st.builds(DeleteAgent, agent_id=agent_ids),
    )


def everything_stored(sql: Sql) -> list[list[tuple[Any, ...]]]:
    """Return all rows of the tables that a change of the registry may touch."""
    return [sql(f"select * from {table} order by 1, 2, 3") for table in TABLES]


def add_workspaces(store: Store) -> list[int]:
    """Register the three clients; their ids are 1, 2 and 3."""
    return [add_workspace(store, name) for name in WORKSPACES]


def stored_hours(sql: Sql, source: Source) -> list[tuple[int, datetime]]:
    """Return workspace and hour of every stored balance."""
    rows = sql(f"select workspace_id, snapshot_date from {source}_snapshots order by 1, 2")
    return [(workspace_id, _moment(hour)) for workspace_id, hour in rows]


def twilio_ledger(store: Store, sql: Sql) -> dict[tuple[int, datetime], TwilioTotals]:
    """Return every stored balance by workspace and hour."""
    hours = stored_hours(sql, "twilio")
    balances = store.twilio_balances([hour + HOUR for _, hour in hours])
    return {(workspace_id, hour): at[workspace_id] for (workspace_id, hour), at in zip(hours, balances, strict=True)}


def elevenlabs_ledger(store: Store, sql: Sql) -> dict[tuple[int, datetime], ElevenLabsTotals]:
    """Return every stored balance by workspace and hour."""
    hours = stored_hours(sql, "elevenlabs")
    balances = store.elevenlabs_balances([hour + HOUR for _, hour in hours])
    return {(workspace_id, hour): at[workspace_id] for (workspace_id, hour), at in zip(hours, balances, strict=True)}


def _moment(value: Any) -> datetime:
    return (value if isinstance(value, datetime) else datetime.fromisoformat(value)).astimezone(UTC)
