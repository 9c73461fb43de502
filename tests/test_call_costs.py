"""What a call cost in all: families of legs with their conversations, on both stores, for random records too."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import usage
from sync.call_costs import CallCost, CallFilter, CallSummary, Match, SortKey, without_models
from sync.models import (
    UNASSIGNED,
    UNBILLED_CALL_STATUSES,
    Agent,
    CallLeg,
    Conversation,
    ElevenLabsTotals,
    Phone,
    TwilioTotals,
)
from sync.store import Store
from sync.usage import total_of
from tests.conftest import OpenStore
from tests.records import (
    FETCHED,
    HOUR,
    OTHER_AGENT,
    OTHER_NUMBER,
    OUR_NUMBER,
    SECOND,
    TEN,
    add_workspaces,
    agents,
    conversation_groups,
    leg_families,
    leg_versions,
    make_conversation,
    make_leg,
    make_phone,
    moments,
    phone_periods,
)
from tests.registering import add_workspace, register, register_agent

LATER = FETCHED + 60 * SECOND
EVERYTHING = CallFilter()


def calls_in(
    store: Store, wanted: CallFilter = EVERYTHING, key: SortKey = SortKey.START, *, descending: bool = False
) -> list[CallCost]:
    return store.call_costs(wanted, key, descending=descending, limit=100)


def ids_in(store: Store, wanted: CallFilter = EVERYTHING) -> list[str]:
    return [call.call_id for call in calls_in(store, wanted)]


def only_call(store: Store) -> CallCost:
    [call] = calls_in(store)
    return call


def lone_conversation(**changes: object) -> Conversation:
    """Return a conversation of a widget, which has neither numbers nor a leg."""
    plain = {"conversation_id": "conv_widget", "call_sid": None, "channel": "widget"}
    return make_conversation(**{**plain, "agent_number": None, "external_number": None, "direction": None, **changes})


# What a call is


def test_a_call_is_its_legs_and_its_conversation_joined_by_call_sid(store: Store) -> None:
    store.save_calls(
        [
            make_leg(cost=Decimal("0.0085"), duration=100),
            make_leg(sid="CA2", parent_call_sid="CA1", cost=Decimal("0.014"), duration=30),
        ]
    )
    store.save_conversations([make_conversation(cost=Decimal("0.10"), duration=90)])

    call = only_call(store)

    assert (call.call_id, call.match, call.legs, call.conversations) == ("CA1", Match.MATCHED, 2, 1)
    assert (call.twilio_cost, call.elevenlabs_cost) == (Decimal("0.0225"), Decimal("0.10"))
    assert call.total_cost == Decimal("0.1225")
    assert (call.duration, call.conversation_seconds, call.gap) == (100, 90, 10)


def test_a_conversation_belongs_to_the_call_of_whichever_leg_it_names(store: Store) -> None:
    store.save_calls([make_leg(), make_leg(sid="CA2", parent_call_sid="CA1")])
    store.save_conversations([make_conversation(call_sid="CA2")])

    assert (only_call(store).call_id, only_call(store).match) == ("CA1", Match.MATCHED)


@pytest.mark.parametrize("order", [1, -1])
def test_a_call_finds_together_in_whatever_order_its_records_arrive(store: Store, order: int) -> None:
    saves: list[Callable[[], None]] = [
        lambda: store.save_calls([make_leg()]),
        lambda: store.save_calls([make_leg(sid="CA2", parent_call_sid="CA1")]),
        lambda: store.save_calls([make_leg(sid="CA3", parent_call_sid="CA2")]),
        lambda: store.save_conversations([make_conversation(call_sid="CA3")]),
    ]

    for save in saves[::order]:
        save()

    call = only_call(store)
    assert (call.call_id, call.legs, call.conversations) == ("CA1", 3, 1)


def test_several_conversations_of_a_call_are_added_up(store: Store) -> None:
    store.save_calls([make_leg(duration=300)])
    store.save_conversations(
        [
            make_conversation(duration=90, cost=Decimal("0.10")),
            make_conversation(conversation_id="conv_2", duration=60, cost=Decimal("0.05")),
        ]
    )

    call = only_call(store)
    assert (call.conversations, call.elevenlabs_cost, call.gap) == (2, Decimal("0.15"), 150)


@pytest.mark.parametrize("status", UNBILLED_CALL_STATUSES)
def test_a_call_that_nobody_answered_lacks_no_conversation(store: Store, status: str) -> None:
    store.save_calls([make_leg(status=status, duration=0, cost=Decimal(0)), make_leg(sid="CA2")])

    assert store.call_summary(EVERYTHING).calls == {Match.UNANSWERED: 1, Match.CALL_ONLY: 1}
    assert store.call_summary(EVERYTHING).match_rate == 0


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"channel": "twilio"}, Match.CONVERSATION_ONLY),
        ({"channel": "twilio", "call_sid": None}, Match.CONVERSATION_ONLY),
        ({"channel": None}, Match.CONVERSATION_ONLY),
        ({"channel": "unknown", "call_sid": None}, Match.CONVERSATION_ONLY),  # has a number of ours
        ({"channel": "unknown", "call_sid": None, "agent_number": None}, Match.NO_PHONE),
        ({"channel": "widget", "call_sid": None, "agent_number": None}, Match.NO_PHONE),
        ({"channel": "whatsapp", "call_sid": None}, Match.NO_PHONE),
        ({"channel": "sip_trunk", "call_sid": "sip-77"}, Match.NO_PHONE),  # another carrier's
    ],
)
def test_a_conversation_without_a_leg_lacks_it_only_if_it_came_over_twilio(
    store: Store, changes: dict[str, str | None], match: Match
) -> None:
    store.save_conversations([make_conversation(**changes)])

    assert only_call(store).match is match


def test_the_match_rate_leaves_out_what_never_has_a_counterpart(store: Store) -> None:
    store.save_calls([make_leg(), make_leg(sid="CA2"), make_leg(sid="CA3", status="busy", cost=Decimal(0))])
    store.save_conversations(
        [make_conversation(), make_conversation(conversation_id="conv_2", call_sid="CAgone"), lone_conversation()]
    )

    assert store.call_summary(EVERYTHING).match_rate == Decimal(1) / 3


def test_there_is_no_match_rate_of_nothing(store: Store) -> None:
    assert store.call_summary(EVERYTHING) == CallSummary()
    assert store.call_summary(EVERYTHING).match_rate is None


# What is not known


@pytest.mark.parametrize(
    ("leg", "talk"), [({"cost": None, "price_unit": None}, {}), ({}, {"cost": None}), ({"price_unit": "EUR"}, {})]
)
def test_a_call_with_an_unknown_part_has_no_sum(
    store: Store, leg: dict[str, str | None], talk: dict[str, str | None]
) -> None:
    store.save_calls([make_leg(), make_leg(**{"sid": "CA2", "parent_call_sid": "CA1"} | leg)])
    store.save_conversations([make_conversation(**talk)])

    call = only_call(store)

    assert call.total_cost is None
    assert (call.twilio_cost is None) == bool(leg)
    assert (call.elevenlabs_cost is None) == bool(talk)


def test_amounts_of_an_account_in_another_currency_are_never_added_to_dollars(store: Store) -> None:
    store.save_calls([make_leg(price_unit="EUR", cost=Decimal("0.02"))])
    store.save_conversations([make_conversation(cost=Decimal("0.10"))])

    call = only_call(store)

    assert (call.twilio_cost, call.price_unit, call.elevenlabs_cost) == (Decimal("0.02"), "EUR", Decimal("0.10"))
    assert call.total_cost is None
    assert call.has_foreign_currency


def test_a_conversation_whose_leg_is_missing_has_no_sum_and_a_widget_has(store: Store) -> None:
    store.save_conversations([make_conversation(), lone_conversation()])

    assert {call.call_id: call.total_cost is None for call in calls_in(store)} == {"conv_1": True, "conv_widget": False}


def test_voice_and_llm_are_known_only_where_each_conversation_has_them(store: Store) -> None:
    store.save_calls([make_leg()])
    store.save_conversations(
        [make_conversation(), make_conversation(conversation_id="conv_2", llm_price=None, platform_price=None)]
    )

    call = only_call(store)
    assert (call.platform_price, call.llm_price) == (None, None)
    assert call.elevenlabs_cost == Decimal("0.2084063")


# Change


def test_a_late_price_a_moved_start_and_a_new_owner_reach_the_call(store: Store) -> None:
    store.save_calls([make_leg(cost=None, price_unit=None)])
    acme = add_workspace(store, "Acme")

    store.save_calls([make_leg(cost=Decimal("0.02"), started_at=TEN + HOUR, fetched_at=LATER)])
    register(store, make_phone(phone_number=OUR_NUMBER, workspace_id=acme))

    call = only_call(store)
    assert (call.total_cost, call.started_at, call.workspace_id) == (Decimal("0.02"), TEN + HOUR, acme)


def test_a_conversation_that_names_another_leg_leaves_its_first_call(store: Store) -> None:
    store.save_calls([make_leg(), make_leg(sid="CA2")])
    store.save_conversations([make_conversation()])

    store.save_conversations([make_conversation(call_sid="CA2", fetched_at=LATER)])

    assert {call.call_id: call.match for call in calls_in(store)} == {"CA1": Match.CALL_ONLY, "CA2": Match.MATCHED}


# Filters, sorting, paging


@pytest.fixture
def varied(store: Store) -> Store:
    """Give four calls: matched and dear, unpriced, outbound and busy; and a widget's conversation."""
    store.save_calls(
        [
            make_leg(sid="CA1", cost=Decimal("0.30"), duration=100),
            make_leg(sid="CA2", started_at=TEN + HOUR, cost=None, price_unit=None, duration=None, status="in-progress"),
            make_leg(
                sid="CA3",
                started_at=TEN + 2 * HOUR,
                direction="outbound-api",
                from_number=OTHER_NUMBER,
                to_number="+34600001234",
                our_number=OTHER_NUMBER,
                cost=Decimal("0.05"),
                duration=200,
            ),
            make_leg(sid="CA4", started_at=TEN + 3 * HOUR, status="busy", cost=Decimal(0), duration=0),
        ]
    )
    store.save_conversations([make_conversation(), lone_conversation(started_at=TEN + 4 * HOUR, agent_id=OTHER_AGENT)])
    return store


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (CallFilter(since=TEN + HOUR, until=TEN + 3 * HOUR), ["CA2", "CA3"]),
        (CallFilter(match=Match.MATCHED), ["CA1"]),
        (CallFilter(match=Match.NO_PHONE), ["conv_widget"]),
        (CallFilter(direction="outbound"), ["CA3"]),
        (CallFilter(direction="inbound"), ["CA1", "CA2", "CA4"]),
        (CallFilter(status="busy"), ["CA4"]),
        (CallFilter(search="CA3"), ["CA3"]),
        (CallFilter(search=" conv_1 "), ["CA1"]),
        (CallFilter(search="+34 600 00 12 34"), ["CA3"]),
        (CallFilter(search="1234"), ["CA3"]),
        (CallFilter(search=OTHER_NUMBER), ["CA3"]),
        (CallFilter(search="0009", match=Match.UNANSWERED), ["CA4"]),
        (CallFilter(search="34600"), []),  # first digits are no last digits
        (CallFilter(search="'; drop table calls; --"), []),
        (CallFilter(search="%"), []),
        (CallFilter(search="CA1", since=TEN + HOUR), []),
    ],
)
def test_filters_select_calls(varied: Store, wanted: CallFilter, ids: list[str]) -> None:
    assert ids_in(varied, wanted) == ids
    assert varied.call_summary(wanted).count == len(ids)


OLD_ID, TRUNK_ID = "JRNGXs63KMVMAqNLaIGy", "SCL_kDpBzkcEKwzn"


@pytest.mark.parametrize(
    ("searched", "found"),
    [
        (OLD_ID, OLD_ID),
        (f"  {OLD_ID}\n", OLD_ID),
        ("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
        (TRUNK_ID, "conv_trunk"),
        ("CA77", "conv_of_lost_leg"),  # the leg of a conversation, which is not stored itself
        ("CA8", "CA1"),  # a child
        ("CA1", "CA1"),
        ("conv_1", "CA1"),
        (OLD_ID.lower(), None),
        (OLD_ID[:-1], None),
        ("CA9", None),
        ("conv_9", None),
        ("nonsense", None),
        ("JRNGXs63%", None),
        ("J_NGXs63KMVMAqNLaIGy", None),
    ],
)
def test_any_id_that_is_stored_is_found_and_no_other(store: Store, searched: str, found: str | None) -> None:
    store.save_calls([make_leg(), make_leg(sid="CA8", parent_call_sid="CA1")])
    store.save_conversations(
        [
            make_conversation(),
            lone_conversation(conversation_id=OLD_ID),
            lone_conversation(conversation_id="0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
            make_conversation(conversation_id="conv_trunk", call_sid=TRUNK_ID, channel="sip_trunking"),
            make_conversation(conversation_id="conv_of_lost_leg", call_sid="CA77"),
        ]
    )
    wanted = CallFilter(search=searched)

    assert ids_in(store, wanted) == ([found] if found else [])
    assert store.call_summary(wanted).count == (1 if found else 0)
    detail = store.call(searched.strip())
    assert (detail.call.call_id if detail else None) == found


@pytest.mark.parametrize(
    ("key", "ascending", "descending"),
    [
        (SortKey.START, "CA1 CA2 CA3 CA4 conv_widget", "conv_widget CA4 CA3 CA2 CA1"),
        (SortKey.COST, "CA4 CA3 conv_widget CA1 CA2", "CA1 conv_widget CA3 CA4 CA2"),
        (SortKey.DURATION, "CA4 conv_widget CA1 CA3 CA2", "CA3 CA1 conv_widget CA4 CA2"),
        (SortKey.GAP, "CA1 CA2 CA3 CA4 conv_widget", "CA1 conv_widget CA4 CA3 CA2"),
    ],
)
def test_what_is_not_known_comes_last_in_both_directions(
    varied: Store, key: SortKey, ascending: str, descending: str
) -> None:
    assert [call.call_id for call in calls_in(varied, key=key)] == ascending.split()
    assert [call.call_id for call in calls_in(varied, key=key, descending=True)] == descending.split()


@pytest.mark.parametrize("key", SortKey)
def test_pages_show_every_call_once(varied: Store, key: SortKey) -> None:
    pages = [varied.call_costs(EVERYTHING, key, descending=True, limit=2, offset=offset) for offset in range(0, 6, 2)]

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [call for page in pages for call in page] == calls_in(varied, key=key, descending=True)


@pytest.mark.parametrize("record_id", ["CA1", "CA2", "conv_1"])
def test_every_record_of_a_call_leads_to_it_with_all_its_records(store: Store, record_id: str) -> None:
    legs = [make_leg(), make_leg(sid="CA2", parent_call_sid="CA1", started_at=TEN + HOUR)]
    talk = make_conversation()
    store.save_calls(legs)
    store.save_conversations([talk])

    detail = store.call(record_id)

    assert detail
    assert (detail.call, detail.legs, detail.conversations) == (only_call(store), legs, [talk])


def test_an_unknown_id_leads_to_no_call(store: Store) -> None:
    assert store.call("CA1") is None


# Workspaces and balances


@pytest.fixture
def shared_call(store: Store) -> tuple[Store, int, int]:
    """Give a call of Acme whose conversation belongs to Borealis, since it names the number of Borealis."""
    acme, borealis = add_workspace(store, "Acme"), add_workspace(store, "Borealis")
    register(store, make_phone(workspace_id=acme))
    register(store, make_phone(phone_number=OTHER_NUMBER, workspace_id=borealis))
    store.save_calls([make_leg(cost=Decimal("0.02"))])
    store.save_conversations([make_conversation(agent_number=OTHER_NUMBER, cost=Decimal("0.10"))])
    return store, acme, borealis


def test_a_call_of_two_workspaces_is_listed_in_both(shared_call: tuple[Store, int, int]) -> None:
    store, acme, borealis = shared_call

    listed = {owner: ids_in(store, CallFilter(workspaces=frozenset({owner}))) for owner in (acme, borealis, UNASSIGNED)}

    assert listed == {acme: ["CA1"], borealis: ["CA1"], UNASSIGNED: []}
    assert (only_call(store).workspace_id, only_call(store).conversation_workspace_id) == (acme, borealis)


def test_a_call_that_others_share_is_left_out_where_only_exclusive_ones_are_asked_for(
    shared_call: tuple[Store, int, int],
) -> None:
    store, acme, borealis = shared_call

    for workspaces, number in [({acme}, 0), ({borealis}, 0), ({acme, borealis}, 1), (set(), 0)]:
        wanted = CallFilter(workspaces=frozenset(workspaces), exclusive=True)
        assert len(ids_in(store, wanted)) == store.call_summary(wanted).count == number


@pytest.mark.parametrize("match", [None, Match.MATCHED])
def test_each_workspace_of_a_shared_call_pays_its_own_part(
    shared_call: tuple[Store, int, int], match: Match | None
) -> None:
    store, acme, borealis = shared_call

    of_acme, of_borealis = (
        store.call_summary(CallFilter(workspaces=frozenset({owner}), match=match)) for owner in (acme, borealis)
    )

    assert (of_acme.twilio.total_cost, of_acme.elevenlabs.total_cost) == (Decimal("0.02"), 0)
    assert (of_borealis.twilio.total_cost, of_borealis.elevenlabs.total_cost) == (0, Decimal("0.10"))


def test_a_call_over_midnight_is_listed_on_its_first_day_and_paid_on_both(store: Store) -> None:
    midnight = TEN + 14 * HOUR
    store.save_calls([make_leg(started_at=midnight - SECOND, cost=Decimal("0.02"))])
    store.save_conversations([make_conversation(started_at=midnight, cost=Decimal("0.10"))])
    first, second = CallFilter(until=midnight, match=Match.MATCHED), CallFilter(since=midnight, match=Match.MATCHED)

    assert (ids_in(store, first), ids_in(store, second)) == (["CA1"], [])
    assert store.call_summary(first).twilio.total_cost == Decimal("0.02")
    assert store.call_summary(second).elevenlabs.total_cost == Decimal("0.10")


# Random records


def families_of(legs: Iterable[CallLeg]) -> dict[str, str]:
    """Return the topmost stored leg of each leg."""
    parents = {leg.sid: leg.parent_call_sid for leg in legs}

    def top(sid: str) -> str:
        parent = parents[sid]
        return top(parent) if parent in parents else sid

    return {sid: top(sid) for sid in parents}


def stored(store: Store) -> tuple[list[CallLeg], list[Conversation]]:
    return store.calls_after(None, 1000), store.conversations_after(None, 1000)


@st.composite
def filters(draw: st.DrawFn) -> CallFilter:
    since, until = sorted(draw(st.lists(moments(), min_size=2, max_size=2, unique=True)))
    return CallFilter(
        since=draw(st.sampled_from([None, since])),
        until=draw(st.sampled_from([None, until])),
        workspaces=draw(st.none() | st.frozensets(st.integers(0, 3))),
    )


@st.composite
def random_records(draw: st.DrawFn) -> list[CallLeg | Conversation | Phone | Agent]:
    """Draw families of legs, conversations that name some of them, and owners, in a random order with corrections."""
    legs = draw(leg_families())
    sids = st.none() | st.sampled_from([*(leg.sid for leg in legs), "CAnever"])
    talks = [replace(talk, call_sid=draw(sids)) for talk in draw(conversation_groups())]
    later = [
        replace(talk, call_sid=draw(sids), started_at=draw(moments()), fetched_at=LATER)
        for talk in draw(st.lists(st.sampled_from(talks), max_size=2))
    ]
    versions = draw(st.lists(leg_versions(legs), max_size=3))
    owners = draw(st.lists(phone_periods() | agents(), max_size=3, unique_by=repr))
    return draw(st.permutations([*legs, *talks, *later, *versions, *owners]))


def save_all(store: Store, records: Iterable[CallLeg | Conversation | Phone | Agent]) -> None:
    taken = set()
    for record in records:
        if isinstance(record, CallLeg):
            store.save_calls([record])
        elif isinstance(record, Conversation):
            store.save_conversations([record])
        elif isinstance(record, Agent):
            register_agent(store, record)
        elif record.phone_number not in taken:  # periods of one number may not overlap
            taken.add(record.phone_number)
            register(store, record)


@given(records=random_records(), wanted=filters())
def test_calls_agree_with_their_records_and_sums_with_the_balances(
    open_store: OpenStore, records: list[CallLeg | Conversation | Phone | Agent], wanted: CallFilter
) -> None:
    store, _ = open_store()
    add_workspaces(store)
    save_all(store, records)
    legs, talks = stored(store)
    calls = {call.call_id: call for call in calls_in(store)}

    expect_families(calls, legs, talks)
    expect_sums_of_balances(store, wanted)
    store.close()


def expect_families(calls: dict[str, CallCost], legs: list[CallLeg], talks: list[Conversation]) -> None:
    tops = families_of(legs)
    legs_of, talks_of = defaultdict(list), defaultdict(list)
    for leg in legs:
        legs_of[tops[leg.sid]].append(leg)
    for talk in talks:
        talks_of[tops.get(talk.call_sid or "", talk.conversation_id)].append(talk)
    assert calls.keys() == legs_of.keys() | talks_of.keys()
    for call_id, call in calls.items():
        of_legs, of_talks = legs_of[call_id], talks_of[call_id]
        assert (call.legs, call.conversations) == (len(of_legs), len(of_talks))
        if call.elevenlabs_cost is not None:
            assert call.elevenlabs_cost == sum(talk.cost for talk in of_talks if talk.cost is not None)
        if call.twilio_cost is not None:
            assert call.twilio_cost == sum(leg.cost for leg in of_legs if leg.cost is not None)
        assert (call.elevenlabs_cost is None) == (not of_talks or any(talk.cost is None for talk in of_talks))
        if call.total_cost is not None:
            assert call.total_cost == (call.twilio_cost or 0) + (call.elevenlabs_cost or 0)


def expect_sums_of_balances(store: Store, wanted: CallFilter) -> None:
    summary = store.call_summary(wanted)
    listed = Counter(call.match for call in calls_in(store, wanted))
    twilio = usage.twilio_usage(store, wanted.since, wanted.until)
    elevenlabs = usage.elevenlabs_usage(store, wanted.since, wanted.until)

    assert summary.calls == listed
    assert summary.twilio == total_of(_owned(twilio, wanted), TwilioTotals())
    assert summary.elevenlabs == without_models(total_of(_owned(elevenlabs, wanted), ElevenLabsTotals()))
    by_match = [store.call_summary(replace(wanted, match=match)) for match in Match]
    assert total_of((part.twilio for part in by_match), TwilioTotals()) == summary.twilio
    assert total_of((part.elevenlabs for part in by_match), ElevenLabsTotals()) == summary.elevenlabs


def _owned(by_workspace: dict[int, object], wanted: CallFilter) -> list[object]:
    return [totals for owner, totals in by_workspace.items() if wanted.workspaces is None or owner in wanted.workspaces]
