"""The invariants of balances ("What is in the store" in docs/architecture.md), against a plain count by hand.

The records are generated. The count by hand (`Books`) follows "Running balances instead of hourly sums" and "The newer
version of a record wins" in docs/decisions.md: it keeps every version it was given, and adds up with loops.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync.errors import RegistryError
from sync.models import (
    SOURCES,
    UNASSIGNED,
    Agent,
    AnyTotals,
    CallLeg,
    Conversation,
    ElevenLabsTotals,
    LlmUsage,
    Phone,
    TokenUsage,
    TwilioTotals,
)
from sync.store import Store
from tests.records import (
    CHARGES_OF_CONVERSATION,
    DAY,
    FETCHED,
    FIRST_DAY,
    HOUR,
    PRICES_OF_CONVERSATION,
    TEN,
    Sql,
    add_workspaces,
    agents,
    conversation_groups,
    conversation_versions,
    elevenlabs_ledger,
    everything_stored,
    leg_families,
    leg_versions,
    make_conversation,
    make_leg,
    make_phone,
    moments,
    phone_periods,
    prices,
    registry_changes,
    stored_hours,
    twilio_ledger,
)
from tests.registering import register, register_agent

OpenStore = Callable[[], tuple[Store, Sql]]
Step = list[CallLeg] | list[Conversation] | Phone | Agent
Ledger = dict[tuple[int, datetime], AnyTotals]


@dataclass
class Books:
    """What was told so far, and what it adds up to."""

    legs: list[CallLeg] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    phones: list[Phone] = field(default_factory=list)
    agents: dict[str, int] = field(default_factory=dict)
    currency: str | None = None

    def tell(self, store: Store, step: Step, *, refresh: bool = True) -> None:
        """Tell the store and the books one thing; a number that is taken is refused by both."""
        match step:
            case Phone() if self._is_taken(step):
                with pytest.raises(RegistryError):
                    register(store, step)
            case Phone():
                register(store, step)
                self.phones = [phone for phone in self.phones if not _same_period(phone, step)] + [step]
            case Agent():
                register_agent(store, step)
                self.agents[step.agent_id] = step.workspace_id
            case [CallLeg(), *_]:
                store.save_calls(step, refresh=refresh)
                self.legs += step
                self.currency = self.currency or next((leg.price_unit for leg in step if leg.cost), None)
            case [Conversation(), *_]:
                store.save_conversations(step, refresh=refresh)
                self.conversations += step

    def _is_taken(self, new: Phone) -> bool:
        others = (p for p in self.phones if p.phone_number == new.phone_number and not _same_period(p, new))
        return any(_start(new) < _end(other) and _start(other) < _end(new) for other in others)

    def newest_legs(self) -> dict[str, CallLeg]:
        newest: dict[str, CallLeg] = {}
        for leg in sorted(self.legs, key=lambda leg: leg.fetched_at):
            newest[leg.sid] = _keeping(newest.get(leg.sid), leg, ("cost", "our_number"))
        return newest

    def newest_conversations(self) -> dict[str, Conversation]:
        newest: dict[str, Conversation] = {}
        lasting = ("agent_number", *PRICES_OF_CONVERSATION, *CHARGES_OF_CONVERSATION)
        for talk in sorted(self.conversations, key=lambda talk: talk.fetched_at):
            newest[talk.conversation_id] = _keeping(newest.get(talk.conversation_id), talk, lasting)
        return newest

    def owner_of_number(self, number: str | None, at: datetime) -> int | None:
        for phone in self.phones:
            if phone.phone_number == number and _start(phone) <= at < _end(phone):
                return phone.workspace_id
        return None

    def owner_of_leg(self, leg: CallLeg, legs: dict[str, CallLeg]) -> int:
        line = [leg]
        while (parent := legs.get(line[0].parent_call_sid or "")) is not None:
            line.insert(0, parent)
        for ancestor in line:
            if owner := self.owner_of_number(ancestor.our_number, ancestor.started_at):
                return owner
        return UNASSIGNED

    def owner_of_conversation(self, talk: Conversation) -> int:
        owner = self.owner_of_number(talk.agent_number, talk.started_at)
        return owner if owner is not None else self.agents.get(talk.agent_id or "", UNASSIGNED)

    def booked_legs(self) -> set[tuple[int, CallLeg]]:
        legs = self.newest_legs()
        return {(self.owner_of_leg(leg, legs), leg) for leg in legs.values()}

    def twilio_totals(self, legs: Iterable[CallLeg]) -> TwilioTotals:
        calls = legs_count = duration = minutes = unpriced = 0
        cost = Decimal(0)
        for leg in legs:
            legs_count += 1
            is_foreign = bool(leg.cost) and leg.price_unit != self.currency
            if leg.parent_call_sid is None:
                calls += 1
                duration += leg.duration or 0
            minutes += -(-(leg.duration or 0) // 60)
            if leg.cost is None or is_foreign:
                unpriced += 1
            else:
                cost += leg.cost
        return TwilioTotals(
            total_calls=calls,
            total_legs=legs_count,
            total_cost=cost,
            total_duration=duration,
            billed_minutes=minutes,
            unpriced_calls=unpriced,
        )

    def twilio_ledger(self) -> Ledger[TwilioTotals]:
        booked = self.booked_legs()
        return {
            (owner, _hour(leg)): self.twilio_totals(
                other for owned_by, other in booked if owned_by == owner and other.started_at < _hour(leg) + HOUR
            )
            for owner, leg in booked
        }

    def elevenlabs_ledger(self) -> Ledger[ElevenLabsTotals]:
        booked = [(self.owner_of_conversation(talk), talk) for talk in self.newest_conversations().values()]
        return {
            (owner, _hour(talk)): _elevenlabs_totals(
                [other for owned_by, other in booked if owned_by == owner and other.started_at < _hour(talk) + HOUR]
            )
            for owner, talk in booked
        }


def _elevenlabs_totals(talks: list[Conversation]) -> ElevenLabsTotals:
    usage: dict[str, dict[str, TokenUsage]] = {}
    for talk in talks:
        for model, categories in talk.llm_usage.items():
            for name, used in categories.items():
                before = usage.setdefault(model, {}).get(name, TokenUsage(tokens=0, price=Decimal(0)))
                usage[model][name] = TokenUsage(tokens=before.tokens + used.tokens, price=before.price + used.price)
    return ElevenLabsTotals(
        total_conversations=len(talks),
        total_cost=sum((talk.cost for talk in talks if talk.cost), Decimal(0)),
        total_duration=sum(talk.duration for talk in talks),
        total_credits=sum(talk.credits or 0 for talk in talks),
        llm_price=sum((talk.llm_price for talk in talks if talk.llm_price), Decimal(0)),
        llm_charge=sum(talk.llm_charge or 0 for talk in talks),
        platform_price=sum((talk.platform_price for talk in talks if talk.platform_price), Decimal(0)),
        call_charge=sum(talk.call_charge or 0 for talk in talks),
        free_minutes_consumed=sum((talk.free_minutes_consumed or Decimal(0) for talk in talks), Decimal(0)),
        free_llm_dollars_consumed=sum((talk.free_llm_dollars_consumed or Decimal(0) for talk in talks), Decimal(0)),
        dev_discount=sum(1 for talk in talks if talk.dev_discount),
        unpriced_conversations=sum(1 for talk in talks if talk.cost is None),
        llm_usage=LlmUsage(usage),
    )


def _keeping(older: Any, newer: Any, names: Iterable[str]) -> Any:
    """Return the newer version, with what only the older one knows."""
    known = {name: getattr(older, name) for name in names if older and getattr(newer, name) is None}
    return replace(newer, **known)


def _same_period(one: Phone, other: Phone) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in ("phone_number", "workspace_id", "valid_from"))


def _start(phone: Phone) -> datetime:
    return phone.valid_from or datetime.min.replace(tzinfo=UTC)


def _end(phone: Phone) -> datetime:
    return phone.valid_until or datetime.max.replace(tzinfo=UTC)


def _hour(record: CallLeg | Conversation) -> datetime:
    return record.started_at.replace(minute=0, second=0, microsecond=0)


def batches(versions: list[Any]) -> st.SearchStrategy[list[Any]]:
    """Return batches of these versions: older after newer ones, and the same twice."""
    return st.lists(st.sampled_from(versions), min_size=1, max_size=10)


def one_answer_per_request(leg: CallLeg) -> tuple[str, datetime]:
    return leg.sid, leg.fetched_at


@st.composite
def call_versions(draw: st.DrawFn, first_day: datetime = FIRST_DAY) -> list[CallLeg]:
    """Draw what a provider may answer about some legs over time."""
    legs = draw(leg_families(first_day))
    later = st.lists(leg_versions(legs, first_day), max_size=12, unique_by=one_answer_per_request)
    return legs + draw(later)


@st.composite
def call_histories(draw: st.DrawFn) -> list[Step]:
    """Draw batches of calls between numbers that are registered, moved and ended."""
    versions = draw(call_versions())
    return draw(st.lists(batches(versions) | phone_periods(), min_size=1, max_size=9))


@st.composite
def conversation_histories(draw: st.DrawFn) -> list[Step]:
    """Draw batches of conversations between numbers and agents that are registered and moved."""
    talks = draw(conversation_groups())
    later = st.lists(
        conversation_versions(talks), max_size=8, unique_by=lambda talk: (talk.conversation_id, talk.fetched_at)
    )
    return draw(st.lists(batches(talks + draw(later)) | phone_periods() | agents(), min_size=1, max_size=9))


A_NEW_GRANDCHILD_OF_A_LEG_THAT_LOSES_ITS_OWNER: list[Step] = [
    make_phone(valid_until=TEN),
    [make_leg(sid="CA0", started_at=TEN - HOUR), make_leg(sid="CA1", parent_call_sid="CA0", our_number=None)],
    [make_leg(sid="CA0", fetched_at=FETCHED + HOUR), make_leg(sid="CA2", parent_call_sid="CA1", our_number=None)],
]
A_FREE_LEG_IN_ANOTHER_CURRENCY: list[Step] = [
    [make_leg(sid="CA0", cost=Decimal(0), price_unit="EUR", started_at=TEN - HOUR)],
    [make_leg(sid="CA1", cost=Decimal(1), price_unit="USD")],
]


@given(call_histories())
@example(A_NEW_GRANDCHILD_OF_A_LEG_THAT_LOSES_ITS_OWNER)
@example(A_FREE_LEG_IN_ANOTHER_CURRENCY)
def test_every_twilio_balance_is_the_sum_of_the_newest_records_whatever_came_before(
    open_store: OpenStore, history: list[Step]
) -> None:
    store, sql = open_store()
    add_workspaces(store)
    books = Books()

    for step in history:
        books.tell(store, step)

        assert twilio_ledger(store, sql) == books.twilio_ledger()
        assert store.wrong_snapshots("twilio") == []
    store.close()


@given(conversation_histories())
def test_every_elevenlabs_balance_is_the_sum_of_the_newest_records_whatever_came_before(
    open_store: OpenStore, history: list[Step]
) -> None:
    store, sql = open_store()
    add_workspaces(store)
    books = Books()

    for step in history:
        books.tell(store, step)

        assert elevenlabs_ledger(store, sql) == books.elevenlabs_ledger()
        assert store.wrong_snapshots("elevenlabs") == []
    store.close()


@given(st.data())
def test_every_balance_follows_whatever_the_registry_goes_through_and_a_dry_run_tells_it(
    open_store: OpenStore, data: st.DataObject
) -> None:
    store, sql = open_store()
    add_workspaces(store)
    books = Books()
    records = batches(data.draw(call_versions())) | batches(data.draw(conversation_groups()))

    for _ in range(data.draw(st.integers(1, 4))):
        books.tell(store, data.draw(records))
        changes = data.draw(st.lists(registry_changes(store), min_size=1, max_size=3))
        before = everything_stored(sql)

        told = store.change_registry(changes, dry_run=True)

        assert everything_stored(sql) == before
        assert store.change_registry(changes) == told
        books.phones = store.phones()
        books.agents = {agent.agent_id: agent.workspace_id for agent in store.agents()}
        assert twilio_ledger(store, sql) == books.twilio_ledger()
        assert elevenlabs_ledger(store, sql) == books.elevenlabs_ledger()
        assert sum((effect.twilio for effect in told.effects), TwilioTotals()) == TwilioTotals()
        assert [store.wrong_snapshots(source) for source in SOURCES] == [[], []]
    store.close()


WAYS = st.lists(st.sampled_from(["save", "save and wait", "save and wait", "refresh"]), min_size=9)


@given(call_histories(), WAYS)
def test_twilio_balances_that_wait_stay_as_they_were_and_are_right_after_the_next_refresh(
    open_store: OpenStore, history: list[Step], ways: list[str]
) -> None:
    store, sql = open_store()
    add_workspaces(store)
    books = Books()
    ledger: Ledger[TwilioTotals] = {}

    for step, way in zip(history, ways, strict=False):
        books.tell(store, step, refresh=way == "save")
        if way == "refresh":
            store.refresh_balances("twilio")
        waiting = store.workspaces_to_refresh("twilio")
        assert waiting == 0 or not (way == "refresh" or (isinstance(step, list) and way == "save"))
        if waiting == 0:  # registering a number may take along what waits
            ledger = books.twilio_ledger()
        assert twilio_ledger(store, sql) == ledger
        assert store.wrong_snapshots("twilio") == []
    store.refresh_balances("twilio")

    assert twilio_ledger(store, sql) == books.twilio_ledger()
    assert (store.wrong_snapshots("twilio"), store.workspaces_to_refresh("twilio")) == ([], 0)
    store.close()


@given(
    conversation_histories(),
    WAYS,
)
def test_elevenlabs_balances_that_wait_stay_as_they_were_and_are_right_after_the_next_refresh(
    open_store: OpenStore, history: list[Step], ways: list[str]
) -> None:
    store, sql = open_store()
    add_workspaces(store)
    books = Books()
    ledger: Ledger[ElevenLabsTotals] = {}

    for step, way in zip(history, ways, strict=False):
        books.tell(store, step, refresh=way == "save")
        if way == "refresh":
            store.refresh_balances("elevenlabs")
        waiting = store.workspaces_to_refresh("elevenlabs")
        assert waiting == 0 or not (way == "refresh" or (isinstance(step, list) and way == "save"))
        if waiting == 0:  # registering a number may take along what waits
            ledger = books.elevenlabs_ledger()
        assert elevenlabs_ledger(store, sql) == ledger
        assert store.wrong_snapshots("elevenlabs") == []
    store.refresh_balances("elevenlabs")

    assert elevenlabs_ledger(store, sql) == books.elevenlabs_ledger()
    assert (store.wrong_snapshots("elevenlabs"), store.workspaces_to_refresh("elevenlabs")) == ([], 0)
    store.close()


@given(call_versions(), st.lists(phone_periods(), max_size=3), st.data())
def test_the_same_calls_in_another_order_and_again_give_the_same_balances(
    open_store: OpenStore, versions: list[CallLeg], phones: list[Phone], data: st.DataObject
) -> None:
    (store, sql), (other_store, other_sql) = open_store(), open_store()
    # Order decides two things only: whose number it is, and which currency is the account's.
    first: list[Step] = [*phones, [make_leg(sid="CAdollar")]]
    again = data.draw(st.permutations(versions + versions[:3]))

    for each, batch_size, legs in ((store, 5, versions), (other_store, 3, again)):
        add_workspaces(each)
        books = Books()
        for step in [*first, *_cut(legs, batch_size)]:
            books.tell(each, step)

    assert twilio_ledger(store, sql) == twilio_ledger(other_store, other_sql)
    store.close()
    other_store.close()


@given(call_versions(), st.lists(phone_periods(), max_size=4), st.data())
def test_a_change_leaves_balances_before_its_hour_and_of_other_workspaces_untouched(
    open_store: OpenStore, versions: list[CallLeg], phones: list[Phone], data: st.DataObject
) -> None:
    store, sql = open_store()
    add_workspaces(store)
    books = Books()
    for step in [versions, *phones]:
        books.tell(store, step)
    change = data.draw(st.lists(_news_of(books), min_size=1, max_size=2) | phone_periods(), label="change")
    rows_before, booked_before = _rows(sql), books.booked_legs()

    books.tell(store, change)

    moved = booked_before ^ books.booked_legs()
    first_change = {owner: min(_hour(leg) for whose, leg in moved if whose == owner) for owner, _ in moved}
    settled = {
        (owner, hour): row
        for (owner, hour), row in rows_before.items()
        if owner not in first_change or hour < first_change[owner]
    }
    assert settled.items() <= _rows(sql).items()
    assert twilio_ledger(store, sql) == books.twilio_ledger()
    store.close()


def _news_of(books: Books) -> st.SearchStrategy[CallLeg]:
    """Return versions of the known legs that are newer than all before."""
    known = list(books.newest_legs().values())
    return leg_versions(known).map(lambda leg: replace(leg, fetched_at=leg.fetched_at + HOUR))


def _cut(legs: list[CallLeg], size: int) -> list[list[CallLeg]]:
    return [legs[start : start + size] for start in range(0, len(legs), size)]


def test_a_late_price_changes_only_the_balances_from_its_hour_on(store: Store, sql: Sql) -> None:
    store.save_calls([make_leg(sid=f"CA{n}", started_at=TEN + n * HOUR, cost=Decimal(1)) for n in (0, 1, 3)])
    late = make_leg(sid="CA2", started_at=TEN + HOUR, cost=None)
    store.save_calls([late])
    before = _rows(sql)

    store.save_calls([replace(late, cost=Decimal("0.25"), fetched_at=FETCHED + HOUR)])

    costs = [balance.total_cost for balance in twilio_ledger(store, sql).values()]
    assert costs == [Decimal(1), Decimal("2.25"), Decimal("3.25")]
    assert [hour for (_, hour), row in _rows(sql).items() if row != before[_, hour]] == [TEN + HOUR, TEN + 3 * HOUR]


def _rows(sql: Sql) -> dict[tuple[int, datetime], tuple[Any, ...]]:
    """Return the stored rows as they are, with id and time of creation."""
    rows = sql("select * from twilio_snapshots order by workspace_id, snapshot_date")
    return dict(zip(stored_hours(sql, "twilio"), rows, strict=True))


ZONES_AND_DAYS = [
    ("UTC", date(2026, 10, 23)),
    ("Europe/Madrid", date(2026, 3, 27)),
    ("Europe/Madrid", date(2026, 10, 23)),
    ("America/New_York", date(2026, 3, 6)),
    ("America/New_York", date(2026, 10, 30)),
    ("Asia/Kolkata", date(2026, 10, 23)),
]


@pytest.mark.parametrize(("zone", "first_day"), ZONES_AND_DAYS)
@settings(max_examples=25)  # for each zone
@given(data=st.data())
def test_days_sum_to_their_range_and_hold_their_own_calls_in_every_time_zone(
    open_store: OpenStore, zone: str, first_day: date, data: st.DataObject
) -> None:
    store, _ = open_store()
    start = datetime(first_day.year, first_day.month, first_day.day, tzinfo=UTC)
    versions = data.draw(call_versions(start))
    books = Books()
    for step in [make_leg(sid="CAdollar", started_at=start - 5 * DAY)], versions:
        books.tell(store, step)
    midnights = [
        datetime.combine(first_day + timedelta(days=n), datetime.min.time(), ZoneInfo(zone)) for n in range(-1, 6)
    ]

    totals = [_sum_up(balance) for balance in store.twilio_balances(midnights)]

    days = [closing - opening for opening, closing in pairwise(totals)]
    by_hand = [
        books.twilio_totals(leg for leg in books.newest_legs().values() if begin <= leg.started_at < end)
        for begin, end in pairwise(midnights)
    ]
    assert days == by_hand
    assert sum(days[1:], days[0]) == totals[-1] - totals[0]
    store.close()


@given(call_histories(), st.lists(moments(), min_size=1, max_size=5))
def test_workspaces_and_unassigned_sum_to_the_total_at_every_second(
    open_store: OpenStore, history: list[Step], at: list[datetime]
) -> None:
    store, _ = open_store()
    add_workspaces(store)
    books = Books()
    for step in history:
        books.tell(store, step)

    totals = [_sum_up(balance) for balance in store.twilio_balances([*at, None])]

    legs = books.newest_legs().values()
    assert totals == [
        *(books.twilio_totals(leg for leg in legs if leg.started_at < moment) for moment in at),
        books.twilio_totals(legs),
    ]
    store.close()


@given(conversation_histories(), st.lists(moments(), min_size=1, max_size=5))
def test_conversations_of_workspaces_and_unassigned_sum_to_the_total_at_every_second(
    open_store: OpenStore, history: list[Step], at: list[datetime]
) -> None:
    store, _ = open_store()
    add_workspaces(store)
    books = Books()
    for step in history:
        books.tell(store, step)

    totals = [sum(balance.values(), ElevenLabsTotals()) for balance in store.elevenlabs_balances([*at, None])]

    talks = books.newest_conversations().values()
    assert totals == [
        *(_elevenlabs_totals([talk for talk in talks if talk.started_at < moment]) for moment in at),
        _elevenlabs_totals(list(talks)),
    ]
    store.close()


def _sum_up(balance: dict[int, TwilioTotals]) -> TwilioTotals:
    return sum(balance.values(), TwilioTotals())


@given(st.lists(prices(), min_size=1, max_size=44))
def test_prices_below_a_million_add_up_to_forty_four_million_without_rounding(
    open_store: OpenStore, costs: list[Decimal]
) -> None:
    store, sql = open_store()
    legs = [make_leg(sid=f"CA{n}", started_at=TEN + n * HOUR, cost=cost) for n, cost in enumerate(costs)]

    store.save_calls(legs)

    sums = [sum(costs[: n + 1], Decimal(0)) for n in range(len(costs))]
    assert [balance.total_cost for balance in twilio_ledger(store, sql).values()] == sums
    store.close()


@given(st.integers(0, 44 * 10**14) | st.integers(34 * 10**14, 44 * 10**14), st.integers(1, 10**8))
@example(3498808789891323, 1)  # as a double times 1e8 it is half a unit too large
def test_a_balance_of_up_to_forty_four_million_goes_on_exactly(
    open_store: OpenStore, opening_units: int, added_units: int
) -> None:
    store, _ = open_store()
    opening, added = Decimal(opening_units).scaleb(-8), Decimal(added_units).scaleb(-8)
    parts = [*(opening // 44 for _ in range(44)), opening - opening // 44 * 44]
    store.save_calls([make_leg(sid=f"CA{n}", cost=part) for n, part in enumerate(parts)])

    store.save_calls([make_leg(sid="CAlater", started_at=TEN + HOUR, cost=added)])

    assert [snapshot.totals.total_cost for snapshot in store.twilio_snapshots()] == [opening + added]
    assert store.wrong_snapshots("twilio") == []
    store.close()


@given(prices())
def test_every_price_of_a_conversation_comes_back_as_it_was(open_store: OpenStore, price: Decimal) -> None:
    store, _ = open_store()
    usage = LlmUsage({"gpt-mini": {"input": TokenUsage(tokens=1, price=price)}})
    talk = make_conversation(**dict.fromkeys(PRICES_OF_CONVERSATION, price), llm_usage=usage)

    store.save_conversations([talk])

    [totals] = [snapshot.totals for snapshot in store.elevenlabs_snapshots()]
    assert [getattr(totals, name) for name in PRICES_OF_TOTALS] == [price] * len(PRICES_OF_TOTALS)
    assert totals.llm_usage == usage
    assert isinstance(totals.llm_usage["gpt-mini"]["input"].price, Decimal)
    store.close()


PRICES_OF_TOTALS = ("total_cost", *PRICES_OF_CONVERSATION[1:])
