"""Usage read from statements equals closing less opening balances, in both stores, for generated records."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sync.models import (
    UNASSIGNED,
    AnyTotals,
    CallLeg,
    Conversation,
    Cost,
    ElevenLabsTotals,
    LlmUsage,
    Phone,
    TokenUsage,
    TwilioTotals,
)
from sync.store import Store
from sync.usage import by_workspace, costs_over_time, elevenlabs_usage, over_time, total_of, twilio_usage
from tests.records import (
    DAY,
    HOUR,
    OTHER_NUMBER,
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


@st.composite
def cut_periods(draw: st.DrawFn) -> tuple[Period, list[datetime]]:
    """Draw a period that may be open on either side, and edges at any second."""
    since, until = sorted([draw(moments()), draw(moments())])
    edges = sorted(draw(st.lists(moments(), max_size=5, unique=True)))
    return (draw(st.sampled_from([since, None])), draw(st.sampled_from([until, None]))), edges


def chosen_workspaces() -> st.SearchStrategy[Chosen]:
    return st.none() | st.frozensets(st.integers(0, 4), max_size=3)


def filled(open_store: OpenStore, phones: list[Phone]) -> Store:
    store, _ = open_store()
    add_workspaces(store)
    for phone in {phone.phone_number: phone for phone in phones}.values():  # periods of one number may not overlap
        register(store, phone)
    return store


def of_chosen(usage: dict[int, AnyTotals], chosen: Chosen) -> dict[int, AnyTotals]:
    return {key: totals for key, totals in usage.items() if chosen is None or key in chosen}


def without_models(totals: ElevenLabsTotals) -> ElevenLabsTotals:
    return replace(totals, llm_usage=LlmUsage())


@given(st.lists(phone_periods(), max_size=3), leg_families(), cut_periods(), chosen_workspaces())
def test_a_statement_of_calls_says_what_the_balances_say_at_every_second(
    open_store: OpenStore,
    phones: list[Phone],
    legs: list[CallLeg],
    cut: tuple[Period, list[datetime]],
    chosen: Chosen,
) -> None:
    store, (period, edges) = filled(open_store, phones), cut
    store.save_calls(legs)

    statement = store.twilio_statement(*period, edges, chosen)

    assert by_workspace(statement, TwilioTotals()) == of_chosen(twilio_usage(store, *period), chosen)
    stretches = [of_chosen(twilio_usage(store, *stretch), chosen) for stretch in pairwise(edges)]
    assert over_time(statement) == [total_of(used.values(), TwilioTotals()) for used in stretches]
    for workspace_id in range(5):
        used = [stretch.get(workspace_id, TwilioTotals()) for stretch in stretches]
        costs = [(totals.total_cost, totals.unpriced_calls) for totals in used]
        read = costs_over_time(statement, workspace_id)
        assert [(cost.amount, cost.unpriced) for cost in read] == costs
    store.close()


@given(st.lists(phone_periods(), max_size=3), conversation_groups(), cut_periods(), chosen_workspaces())
def test_a_statement_of_conversations_says_what_the_balances_say_at_every_second(
    open_store: OpenStore,
    phones: list[Phone],
    talks: list[Conversation],
    cut: tuple[Period, list[datetime]],
    chosen: Chosen,
) -> None:
    store, (period, edges) = filled(open_store, phones), cut
    store.save_conversations(talks)

    statement = store.elevenlabs_statement(*period, edges, chosen)

    expected = of_chosen(elevenlabs_usage(store, *period), chosen)
    assert by_workspace(statement, ElevenLabsTotals()) == {key: without_models(used) for key, used in expected.items()}
    stretches = [of_chosen(elevenlabs_usage(store, *stretch), chosen) for stretch in pairwise(edges)]
    assert over_time(statement) == [without_models(total_of(s.values(), ElevenLabsTotals())) for s in stretches]
    for workspace_id in range(5):
        used = [stretch.get(workspace_id, ElevenLabsTotals()) for stretch in stretches]
        costs = [(totals.total_cost, totals.unpriced_conversations) for totals in used]
        read = costs_over_time(statement, workspace_id)
        assert [(cost.amount, cost.unpriced) for cost in read] == costs
    assert store.llm_usage(*period, chosen) == total_of(expected.values(), ElevenLabsTotals()).llm_usage
    store.close()


def test_a_statement_of_an_empty_store_has_nothing_at_every_edge(store: Store) -> None:
    edges = [TEN, TEN + HOUR, TEN + 2 * HOUR]

    twilio = store.twilio_statement(TEN, None, edges, None)
    elevenlabs = store.elevenlabs_statement(None, TEN, edges, None)

    assert (twilio.opening, twilio.closing, twilio.costs) == ({}, {}, {})
    assert over_time(twilio) == [TwilioTotals()] * 2
    assert over_time(elevenlabs) == [ElevenLabsTotals()] * 2
    assert costs_over_time(twilio, UNASSIGNED) == [Cost()] * 2
    assert store.llm_usage(None, None, None) == LlmUsage()


def test_a_statement_may_have_no_edges(store: Store) -> None:
    store.save_calls([make_leg()])

    statement = store.twilio_statement(None, None, [], None)

    assert statement.closing[UNASSIGNED].total_legs == 1
    assert (over_time(statement), costs_over_time(statement, UNASSIGNED)) == ([], [])


def test_nothing_is_read_of_workspaces_that_are_not_chosen(store: Store) -> None:
    acme = add_workspace(store, "Acme")
    register(store, make_phone(workspace_id=acme))
    store.save_calls([make_leg(), make_leg(sid="CA2", our_number=OTHER_NUMBER)])
    store.save_conversations([make_conversation(), make_conversation(conversation_id="c2", agent_number=None)])
    edges = [TEN, TEN + 30 * SECOND, TEN + HOUR]

    twilio = store.twilio_statement(TEN - DAY, None, edges, {acme})
    elevenlabs = store.elevenlabs_statement(TEN - DAY, None, edges, {acme})

    assert set(twilio.closing) == set(twilio.costs) == set(elevenlabs.closing) == set(elevenlabs.costs) == {acme}
    assert [totals.total_legs for totals in twilio.sums] == [0, 1, 1]
    assert [totals.total_conversations for totals in elevenlabs.sums] == [0, 1, 1]
    assert store.llm_usage(None, None, {acme})["gemini-flash"]["input"].tokens == 1200
    assert store.twilio_statement(None, None, edges, set()).sums == [TwilioTotals()] * 3
    assert store.llm_usage(None, None, set()) == LlmUsage()


def test_sums_of_many_workspaces_are_exact_beyond_what_one_balance_holds(store: Store) -> None:
    workspaces = [add_workspace(store, f"Client {number}") for number in range(4)]
    million = Decimal("999999.99999999")
    for workspace_id in workspaces:
        number = f"+3491000000{workspace_id}"
        register(store, make_phone(phone_number=number, workspace_id=workspace_id))
        legs = [make_leg(sid=f"CA{workspace_id}-{n}", our_number=number, cost=million) for n in range(44)]
        store.save_calls(legs)

    statement = store.twilio_statement(TEN, TEN + HOUR, [TEN, TEN + HOUR], None)
    [kind] = store.calls_by_kind(TEN, TEN + HOUR, None)

    assert [totals.total_cost for totals in over_time(statement)] == [4 * 44 * million]
    assert kind.totals.total_cost == 4 * 44 * million


def test_token_usage_that_did_not_move_in_the_period_is_left_out(store: Store) -> None:
    usage = {name: LlmUsage({name: {"input": TokenUsage(tokens=7, price=Decimal("0.00000001"))}}) for name in "ab"}
    store.save_conversations([make_conversation(llm_usage=usage["a"], started_at=TEN - DAY)])
    store.save_conversations([make_conversation(conversation_id="c2", llm_usage=usage["b"])])

    assert store.llm_usage(TEN, TEN + HOUR, None) == usage["b"]
    assert store.llm_usage(None, TEN, None) == usage["a"]
    assert store.llm_usage(TEN - HOUR, TEN, None) == LlmUsage()
