"""Breakdowns of a period add up to what the balances say of it, for generated records, in both stores."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.models import (
    UNASSIGNED,
    AgentGroup,
    AnyTotals,
    CallGroup,
    CallLeg,
    Conversation,
    ElevenLabsTotals,
    LlmUsage,
    Phone,
    TwilioTotals,
)
from sync.store import Store
from sync.usage import elevenlabs_usage, twilio_usage
from tests.records import (
    HOUR,
    OTHER_AGENT,
    OTHER_NUMBER,
    OUR_AGENT,
    SECOND,
    TEN,
    Sql,
    add_workspaces,
    conversation_groups,
    leg_families,
    make_conversation,
    make_leg,
    make_phone,
    moments,
    phone_periods,
)
from tests.registering import add_workspace, register

OpenStore = Callable[[], tuple[Store, Sql]]
Period = tuple[datetime | None, datetime | None]
Chosen = frozenset[int] | None

QUARTER_HOUR = timedelta(minutes=15)
EVER: Period = (None, None)


@pytest.fixture
def acme(store: Store) -> int:
    return add_workspace(store, "Acme")


@st.composite
def periods(draw: st.DrawFn) -> Period:
    """Draw a period that begins and ends at any second, or is open on either side."""
    since, until = sorted([draw(moments()), draw(moments())])
    return draw(st.sampled_from([since, None])), draw(st.sampled_from([until, None]))


def chosen_workspaces() -> st.SearchStrategy[Chosen]:
    return st.none() | st.frozensets(st.integers(0, 4), max_size=3)


def filled(open_store: OpenStore, phones: Iterable[Phone]) -> Store:
    """Open a store with three clients and the first period of each number: periods of one may not overlap."""
    store, _ = open_store()
    add_workspaces(store)
    for phone in {phone.phone_number: phone for phone in phones}.values():
        register(store, phone)
    return store


def of_chosen(usage: dict[int, AnyTotals], chosen: Chosen, nothing: AnyTotals) -> AnyTotals:
    total = nothing
    for workspace_id, totals in usage.items():
        if chosen is None or workspace_id in chosen:
            total = total + totals
    return total


@given(st.lists(phone_periods(), max_size=3), leg_families(), periods(), chosen_workspaces())
def test_calls_of_any_period_by_kind_and_by_quarter_hour_add_up_to_the_balances(
    open_store: OpenStore, phones: list[Phone], legs: list[CallLeg], period: Period, chosen: Chosen
) -> None:
    store = filled(open_store, phones)
    store.save_calls([make_leg(sid="CAdollar", started_at=TEN - 9 * 24 * HOUR), *legs])

    by_kind = store.calls_by_kind(*period, chosen)
    by_quarter_hour = store.calls_by_quarter_hour(*period, chosen)

    expected = of_chosen(twilio_usage(store, *period), chosen, TwilioTotals())
    assert sum((group.totals for group in by_kind), TwilioTotals()) == expected
    assert sum(calls for _, calls in by_quarter_hour) == expected.total_calls
    assert all(calls for _, calls in by_quarter_hour)
    store.close()


@given(st.lists(phone_periods(), max_size=3), conversation_groups(), periods(), chosen_workspaces())
def test_conversations_of_any_period_by_agent_add_up_to_the_balances_of_their_workspaces(
    open_store: OpenStore, phones: list[Phone], talks: list[Conversation], period: Period, chosen: Chosen
) -> None:
    store = filled(open_store, phones)
    store.save_conversations(talks)

    groups = store.conversations_by_agent(*period, chosen)

    added: dict[int, ElevenLabsTotals] = {}
    for group in groups:
        added[group.workspace_id] = added.get(group.workspace_id, ElevenLabsTotals()) + group.totals
    assert added == {
        workspace_id: replace(totals, llm_usage=LlmUsage())
        for workspace_id, totals in elevenlabs_usage(store, *period).items()
        if totals.total_conversations and (chosen is None or workspace_id in chosen)
    }
    store.close()


def test_calls_are_told_apart_by_direction_and_status(store: Store) -> None:
    store.save_calls(
        [
            make_leg(sid="CA1", cost=Decimal("0.0085"), duration=61),
            make_leg(sid="CA2", parent_call_sid="CA1", direction="outbound-dial", cost=Decimal("0.014"), duration=59),
            make_leg(sid="CA3", status="busy", cost=None, duration=0),
            make_leg(sid="CA4", cost=Decimal("0.0085"), duration=0),
        ]
    )

    assert store.calls_by_kind(*EVER, None) == [
        CallGroup(
            direction="inbound",
            status="busy",
            totals=TwilioTotals(total_calls=1, total_legs=1, unpriced_calls=1),
        ),
        CallGroup(
            direction="inbound",
            status="completed",
            totals=TwilioTotals(
                total_calls=2, total_legs=2, total_cost=Decimal("0.017"), total_duration=61, billed_minutes=2
            ),
        ),
        CallGroup(
            direction="outbound-dial",
            status="completed",
            totals=TwilioTotals(total_legs=1, total_cost=Decimal("0.014"), billed_minutes=1),
        ),
    ]


def test_a_price_in_another_currency_is_not_added_to_any_kind(store: Store) -> None:
    store.save_calls([make_leg(), make_leg(sid="CA2", cost=Decimal(7), price_unit="EUR")])

    [group] = store.calls_by_kind(*EVER, None)

    assert (group.totals.total_cost, group.totals.unpriced_calls) == (Decimal("0.0085"), 1)


def test_a_quarter_hour_holds_what_started_from_its_first_second_to_its_last(store: Store) -> None:
    half_past_nine = TEN - HOUR / 2
    for number, at in enumerate([half_past_nine, TEN - SECOND, TEN, TEN + QUARTER_HOUR - SECOND, TEN + HOUR]):
        store.save_calls([make_leg(sid=f"CA{number}", started_at=at)])

    store.save_calls([make_leg(sid="CAforwarded", parent_call_sid="CA2", started_at=TEN + SECOND)])  # not a call

    assert store.calls_by_quarter_hour(*EVER, None) == [
        (half_past_nine, 1),
        (TEN - QUARTER_HOUR, 1),
        (TEN, 2),
        (TEN + HOUR, 1),
    ]


def test_a_breakdown_begins_with_its_first_second_and_ends_before_its_last(store: Store) -> None:
    for number in range(4):
        store.save_calls([make_leg(sid=f"CA{number}", started_at=TEN + number * SECOND)])
        store.save_conversations([make_conversation(conversation_id=f"c{number}", started_at=TEN + number * SECOND)])

    [kind] = store.calls_by_kind(TEN + SECOND, TEN + 3 * SECOND, None)
    [(_, calls)] = store.calls_by_quarter_hour(TEN + SECOND, TEN + 3 * SECOND, None)
    [agent] = store.conversations_by_agent(TEN + SECOND, TEN + 3 * SECOND, None)

    assert (kind.totals.total_legs, calls, agent.totals.total_conversations) == (2, 2, 2)


def test_only_the_chosen_workspaces_are_broken_down_and_none_when_none_is_chosen(store: Store, acme: int) -> None:
    register(store, make_phone(workspace_id=acme))
    store.save_calls([make_leg(), make_leg(sid="CA2", our_number=OTHER_NUMBER, direction="outbound-api")])
    store.save_conversations([make_conversation(), make_conversation(conversation_id="c2", agent_number=None)])

    assert [group.direction for group in store.calls_by_kind(*EVER, {acme})] == ["inbound"]
    assert [calls for _, calls in store.calls_by_quarter_hour(*EVER, {acme, UNASSIGNED})] == [2]
    assert [group.workspace_id for group in store.conversations_by_agent(*EVER, {UNASSIGNED})] == [UNASSIGNED]
    assert store.calls_by_kind(*EVER, set()) == []
    assert store.conversations_by_agent(*EVER, set()) == []


def test_an_agent_has_the_latest_name_that_was_seen_in_its_workspace(store: Store, acme: int) -> None:
    register(store, make_phone(workspace_id=acme))
    for number, name in enumerate(["Sales", "Sales Madrid", None]):
        store.save_conversations(
            [make_conversation(conversation_id=f"c{number}", agent_name=name, started_at=TEN + number * HOUR)]
        )
    store.save_conversations(
        [
            make_conversation(conversation_id="c4", agent_name="Old", agent_number=None),
            make_conversation(conversation_id="c5", agent_id=OTHER_AGENT, agent_name=None),
            make_conversation(conversation_id="c6", agent_id=None, agent_name=None),
        ]
    )

    groups = store.conversations_by_agent(*EVER, None)

    assert [_told(group) for group in groups] == [
        (UNASSIGNED, OUR_AGENT, "Old", 1),
        (acme, None, None, 1),
        (acme, OUR_AGENT, "Sales Madrid", 3),
        (acme, OTHER_AGENT, None, 1),
    ]


def _told(group: AgentGroup) -> tuple[int, str | None, str | None, int]:
    return group.workspace_id, group.agent_id, group.agent_name, group.totals.total_conversations


def test_nothing_is_broken_down_where_nothing_happened(store: Store) -> None:
    assert store.calls_by_kind(*EVER, None) == []
    assert store.calls_by_quarter_hour(*EVER, None) == []
    assert store.conversations_by_agent(*EVER, None) == []
