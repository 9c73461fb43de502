"""What every store promises: one test for each rule of the protocol in sync/store.py."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sync.errors import AlreadyRunningError, LostLockError, RegistryError, StoreError
from sync.freshness import freshness
from sync.freshness import gaps as freshness_gaps
from sync.models import (
    SOURCES,
    UNASSIGNED,
    Agent,
    ElevenLabsTotals,
    Failure,
    LlmUsage,
    RunKind,
    RunState,
    RunTotals,
    Source,
    StoredFailure,
    SyncRun,
    TokenUsage,
    TwilioTotals,
)
from sync.store import Store
from tests.records import (
    CALLER,
    DAY,
    FETCHED,
    HOUR,
    OTHER_AGENT,
    OTHER_NUMBER,
    OUR_AGENT,
    OUR_NUMBER,
    SECOND,
    TEN,
    THIRD_NUMBER,
    Sql,
    elevenlabs_ledger,
    make_conversation,
    make_leg,
    make_phone,
    stored_hours,
    twilio_ledger,
)
from tests.registering import add_workspace, register, register_agent

MINUTE = timedelta(minutes=1)
LATER = FETCHED + MINUTE


@pytest.fixture
def acme(store: Store) -> int:
    return add_workspace(store, "Acme")


@pytest.fixture
def borealis(store: Store) -> int:
    return add_workspace(store, "Borealis")


def twilio_totals(store: Store, workspace_id: int = UNASSIGNED) -> TwilioTotals:
    [balances] = store.twilio_balances([None])
    return balances.get(workspace_id, TwilioTotals())


def elevenlabs_totals(store: Store, workspace_id: int = UNASSIGNED) -> ElevenLabsTotals:
    [balances] = store.elevenlabs_balances([None])
    return balances.get(workspace_id, ElevenLabsTotals())


def legs_by_workspace(store: Store) -> dict[int, int]:
    [balances] = store.twilio_balances([None])
    return {workspace_id: totals.total_legs for workspace_id, totals in balances.items() if totals.total_legs}


def conversations_by_workspace(store: Store) -> dict[int, int]:
    [balances] = store.elevenlabs_balances([None])
    return {owner: totals.total_conversations for owner, totals in balances.items() if totals.total_conversations}


# Records


def test_a_leg_is_counted_with_its_cost_its_seconds_and_its_started_minutes(store: Store) -> None:
    store.save_calls([make_leg(duration=61, cost=Decimal("0.0085"))])

    assert twilio_totals(store) == TwilioTotals(
        total_calls=1, total_legs=1, total_cost=Decimal("0.0085"), total_duration=61, billed_minutes=2
    )


@pytest.mark.parametrize(("duration", "minutes"), [(None, 0), (0, 0), (1, 1), (60, 1), (61, 2), (3600, 60)])
def test_each_leg_is_rounded_up_to_a_minute(store: Store, duration: int | None, minutes: int) -> None:
    store.save_calls([make_leg(sid="CA1", duration=duration), make_leg(sid="CA2", duration=duration)])

    assert twilio_totals(store).billed_minutes == 2 * minutes


def test_a_child_leg_is_billed_but_is_no_call_of_its_own(store: Store) -> None:
    store.save_calls([make_leg(cost=Decimal(2)), make_leg(sid="CA2", parent_call_sid="CA1", cost=Decimal(3))])

    assert twilio_totals(store) == TwilioTotals(
        total_calls=1, total_legs=2, total_cost=Decimal(5), total_duration=61, billed_minutes=4
    )


def test_every_conversation_counts_finished_or_not(store: Store) -> None:
    usage = LlmUsage({"gemini-flash": {"input": TokenUsage(tokens=10, price=Decimal("0.5"))}})
    unfinished = dict.fromkeys(("cost", "credits", "llm_price", "llm_charge", "platform_price", "call_charge"))
    store.save_conversations(
        [
            make_conversation(dev_discount=True, llm_usage=usage),
            make_conversation(conversation_id="conv_2", dev_discount=True, llm_usage=usage),
            make_conversation(conversation_id="conv_3", status="in-progress", llm_usage=LlmUsage(), **unfinished),
        ]
    )

    assert elevenlabs_totals(store) == ElevenLabsTotals(
        total_conversations=3,
        total_cost=Decimal("0.20840630"),
        total_duration=270,
        total_credits=1052,
        llm_price=Decimal("0.00083130"),
        llm_charge=346,
        platform_price=Decimal("0.207575"),
        call_charge=706,
        free_minutes_consumed=Decimal("4.5"),
        free_llm_dollars_consumed=Decimal("0.006"),
        dev_discount=2,
        unpriced_conversations=1,
        llm_usage=LlmUsage({"gemini-flash": {"input": TokenUsage(tokens=20, price=Decimal(1))}}),
    )


def test_a_record_is_stored_once_however_often_it_is_saved(store: Store) -> None:
    for _ in range(2):
        store.save_calls([make_leg(), make_leg()])
        store.save_conversations([make_conversation(), make_conversation()])

    rows = store.count_rows()
    assert (rows["calls"], rows["elevenlabs_conversations"]) == (1, 1)
    assert twilio_totals(store).total_legs == elevenlabs_totals(store).total_conversations == 1


def test_an_empty_batch_changes_nothing(store: Store) -> None:
    store.save_calls([])
    store.save_conversations([])

    assert store.twilio_balances([None]) == [{}]
    assert store.elevenlabs_balances([None]) == [{}]


@pytest.mark.parametrize("order", [1, -1])
def test_the_newer_version_of_a_leg_wins_in_whatever_order_they_arrive(store: Store, order: int) -> None:
    older = make_leg(status="in-progress", duration=None, cost=None)
    newer = make_leg(status="completed", duration=90, cost=Decimal("0.02"), fetched_at=LATER)

    for leg in [older, newer][::order]:
        store.save_calls([leg])

    assert twilio_totals(store).total_cost == Decimal("0.02")
    assert twilio_totals(store).total_duration == 90
    assert store.open_ids("twilio", now=LATER + HOUR) == []


@pytest.mark.parametrize("order", [1, -1])
def test_the_newer_version_of_a_conversation_wins_in_whatever_order_they_arrive(store: Store, order: int) -> None:
    older = make_conversation(status="in-progress", duration=1, cost=None, llm_usage=LlmUsage())
    newer = make_conversation(duration=90, cost=Decimal("0.5"), fetched_at=LATER)

    for conversation in [older, newer][::order]:
        store.save_conversations([conversation])

    known = store.known_conversations(["conv_1"])["conv_1"]
    assert (known.status, known.duration, known.fetched_at) == ("done", 90, LATER)
    assert elevenlabs_totals(store).total_cost == Decimal("0.5")
    assert elevenlabs_totals(store).llm_usage == newer.llm_usage


def test_the_newer_version_wins_within_one_batch(store: Store) -> None:
    store.save_calls([make_leg(cost=Decimal(2), fetched_at=LATER), make_leg(cost=Decimal(1))])

    assert twilio_totals(store).total_cost == Decimal(2)


def test_a_known_price_is_not_forgotten_when_a_newer_version_lacks_it(store: Store) -> None:
    store.save_calls([make_leg(cost=Decimal("0.02"))])
    store.save_conversations([make_conversation(cost=Decimal("0.5"), llm_price=Decimal("0.25"), llm_charge=7)])

    store.save_calls([make_leg(cost=None, price_unit=None, fetched_at=LATER)])
    store.save_conversations([make_conversation(cost=None, llm_price=None, llm_charge=None, fetched_at=LATER)])

    assert twilio_totals(store).total_cost == Decimal("0.02")
    totals = elevenlabs_totals(store)
    assert (totals.total_cost, totals.llm_price, totals.llm_charge) == (Decimal("0.5"), Decimal("0.25"), 7)


def test_a_price_that_only_the_older_version_knows_is_taken_when_it_arrives_late(store: Store) -> None:
    store.save_calls([make_leg(cost=None, fetched_at=LATER)])

    store.save_calls([make_leg(cost=Decimal("0.02"))])

    assert twilio_totals(store).total_cost == Decimal("0.02")


def test_a_number_that_the_provider_has_deleted_stays_known_and_owned(store: Store, acme: int) -> None:
    register(store, make_phone(workspace_id=acme))
    store.save_calls([make_leg()])
    store.save_conversations([make_conversation()])

    store.save_calls([make_leg(our_number=None, from_number=None, to_number=None, fetched_at=LATER)])
    store.save_conversations([make_conversation(agent_number=None, external_number=None, fetched_at=LATER)])

    assert legs_by_workspace(store) == {acme: 1}
    assert conversations_by_workspace(store) == {acme: 1}


def test_an_unknown_cost_is_counted_as_unpriced_and_adds_nothing(store: Store) -> None:
    store.save_calls([make_leg(cost=None), make_leg(sid="CA2", cost=Decimal(0))])
    store.save_conversations([make_conversation(cost=None), make_conversation(conversation_id="c", cost=Decimal(0))])

    assert (twilio_totals(store).unpriced_calls, twilio_totals(store).total_cost) == (1, 0)
    assert (elevenlabs_totals(store).unpriced_conversations, elevenlabs_totals(store).total_cost) == (1, 0)


def test_known_conversations_tells_what_is_stored_of_those_asked_for(store: Store) -> None:
    store.save_conversations([make_conversation(), make_conversation(conversation_id="conv_2")])

    known = store.known_conversations(["conv_1", "conv_9"])

    assert list(known) == ["conv_1"]
    assert known["conv_1"].conversation_id == "conv_1"


# Attribution


def test_a_leg_belongs_to_the_owner_of_our_number_in_either_direction(store: Store, acme: int, borealis: int) -> None:
    register(store, make_phone(workspace_id=acme))
    register(store, make_phone(phone_number=OTHER_NUMBER, workspace_id=borealis))

    store.save_calls(
        [
            make_leg(direction="inbound", from_number=OTHER_NUMBER, to_number=OUR_NUMBER, our_number=OUR_NUMBER),
            make_leg(
                sid="CA2",
                direction="outbound-api",
                from_number=OTHER_NUMBER,
                to_number=OUR_NUMBER,
                our_number=OTHER_NUMBER,
            ),
        ]
    )

    assert legs_by_workspace(store) == {acme: 1, borealis: 1}


def test_nothing_is_booked_on_a_client_by_default(store: Store, acme: int) -> None:
    register(store, make_phone(workspace_id=acme, phone_number=OTHER_NUMBER))

    store.save_calls([make_leg(), make_leg(sid="CA2", our_number=None)])
    store.save_conversations([make_conversation(agent_number=None, agent_id=None)])

    assert legs_by_workspace(store) == {UNASSIGNED: 2}
    assert conversations_by_workspace(store) == {UNASSIGNED: 1}


def test_a_child_leg_inherits_its_parents_workspace_over_its_own_number(store: Store, acme: int, borealis: int) -> None:
    register(store, make_phone(workspace_id=acme))
    register(store, make_phone(phone_number=OTHER_NUMBER, workspace_id=borealis))
    parent = make_leg()

    store.save_calls([make_leg(sid="CA2", parent_call_sid="CA1", our_number=OTHER_NUMBER), parent])
    store.save_calls([make_leg(sid="CA3", parent_call_sid="CA2", our_number=None)])

    assert legs_by_workspace(store) == {acme: 3}


def test_a_child_leg_inherits_also_when_its_parent_arrives_later(store: Store, acme: int) -> None:
    register(store, make_phone(workspace_id=acme))
    store.save_calls([make_leg(sid="CA3", parent_call_sid="CA2", our_number=None)])
    store.save_calls([make_leg(sid="CA2", parent_call_sid="CA1", our_number=None)])
    before = legs_by_workspace(store)

    store.save_calls([make_leg(sid="CA1")])

    assert before == {UNASSIGNED: 2}
    assert legs_by_workspace(store) == {acme: 3}


def test_a_child_of_a_parent_that_nobody_owns_goes_by_its_own_number(store: Store, acme: int) -> None:
    register(store, make_phone(workspace_id=acme))

    store.save_calls(
        [
            make_leg(our_number=None, from_number="client:alice"),
            make_leg(sid="CA2", parent_call_sid="CA1"),
            make_leg(sid="CA3", parent_call_sid="CAnever", started_at=TEN + HOUR),
        ]
    )

    assert legs_by_workspace(store) == {UNASSIGNED: 1, acme: 2}


@pytest.mark.parametrize("moved_to", [TEN, TEN + HOUR])
def test_a_new_leg_two_below_one_that_moves_in_the_same_batch_goes_where_that_goes(
    store: Store, acme: int, borealis: int, moved_to: datetime
) -> None:
    register(store, make_phone(workspace_id=acme, valid_until=TEN))
    register(store, make_phone(workspace_id=borealis, valid_from=TEN + HOUR))
    middle = make_leg(sid="CA2", parent_call_sid="CA1", our_number=None)
    store.save_calls([make_leg(started_at=TEN - HOUR), middle])

    lowest = make_leg(sid="CA3", parent_call_sid="CA2", our_number=None)
    store.save_calls([make_leg(started_at=moved_to, fetched_at=LATER), lowest])

    assert legs_by_workspace(store) == {UNASSIGNED if moved_to == TEN else borealis: 3}


def test_legs_that_are_each_others_parents_are_stored_and_unassigned(store: Store) -> None:
    store.save_calls([make_leg(sid="CA1", parent_call_sid="CA2")])

    store.save_calls([make_leg(sid="CA2", parent_call_sid="CA1")])

    assert legs_by_workspace(store) == {UNASSIGNED: 2}


@pytest.mark.parametrize(
    ("started_at", "owner"),
    [(TEN - SECOND, "nobody"), (TEN, "acme"), (TEN + HOUR - SECOND, "acme"), (TEN + HOUR, "nobody")],
)
def test_a_number_is_owned_from_valid_from_inclusive_to_valid_until_exclusive(
    store: Store, acme: int, started_at: datetime, owner: str
) -> None:
    register(store, make_phone(workspace_id=acme, valid_from=TEN, valid_until=TEN + HOUR))

    store.save_calls([make_leg(started_at=started_at)])
    store.save_conversations([make_conversation(started_at=started_at, agent_id=None)])

    expected = {acme if owner == "acme" else UNASSIGNED: 1}
    assert legs_by_workspace(store) == conversations_by_workspace(store) == expected


def test_a_number_that_moves_leaves_its_past_with_the_old_owner(store: Store, acme: int, borealis: int) -> None:
    register(store, make_phone(workspace_id=acme))
    store.save_calls([make_leg(), make_leg(sid="CA2", started_at=TEN + DAY)])
    store.save_conversations([make_conversation(), make_conversation(conversation_id="c", started_at=TEN + DAY)])

    register(store, make_phone(workspace_id=acme, valid_until=TEN + HOUR))
    register(store, make_phone(workspace_id=borealis, valid_from=TEN + HOUR))

    assert legs_by_workspace(store) == conversations_by_workspace(store) == {acme: 1, borealis: 1}
    for source in SOURCES:
        assert store.wrong_snapshots(source) == []


def test_registering_a_number_takes_its_stored_usage_and_its_child_legs_over(store: Store, sql: Sql, acme: int) -> None:
    store.save_calls([make_leg(), make_leg(sid="CA2", parent_call_sid="CA1", our_number=None)])
    store.save_conversations([make_conversation()])

    register(store, make_phone(workspace_id=acme))

    assert legs_by_workspace(store) == {acme: 2}
    assert conversations_by_workspace(store) == {acme: 1}
    assert stored_hours(sql, "twilio") == stored_hours(sql, "elevenlabs") == [(acme, TEN)]


def test_a_conversation_goes_by_its_number_and_by_its_agent_only_without_an_owned_one(
    store: Store, acme: int, borealis: int
) -> None:
    register(store, make_phone(workspace_id=acme))
    register_agent(store, Agent(agent_id=OUR_AGENT, workspace_id=borealis))

    store.save_conversations(
        [
            make_conversation(conversation_id="by number"),
            make_conversation(conversation_id="by agent", agent_number=None),
            make_conversation(conversation_id="number of nobody", agent_number=THIRD_NUMBER),
            make_conversation(conversation_id="agent of nobody", agent_number=None, agent_id=OTHER_AGENT),
        ]
    )

    assert conversations_by_workspace(store) == {acme: 1, borealis: 2, UNASSIGNED: 1}


def test_registering_and_moving_an_agent_takes_its_stored_conversations_along(
    store: Store, acme: int, borealis: int
) -> None:
    store.save_conversations([make_conversation(agent_number=None)])

    register_agent(store, Agent(agent_id=OUR_AGENT, workspace_id=acme))
    first = conversations_by_workspace(store)
    register_agent(store, Agent(agent_id=OUR_AGENT, workspace_id=borealis, label="Widget"))

    assert first == {acme: 1}
    assert conversations_by_workspace(store) == {borealis: 1}
    assert store.agents() == [Agent(agent_id=OUR_AGENT, workspace_id=borealis, label="Widget")]


# Registry


def test_workspaces_are_listed_by_name_and_unassigned_last(store: Store) -> None:
    add_workspace(store, "Zenith")
    add_workspace(store, "Acme")

    assert [workspace.name for workspace in store.workspaces()] == ["Acme", "Zenith", "Unassigned"]
    assert store.workspaces()[-1].id == UNASSIGNED


def test_unassigned_cannot_be_deleted(store: Store, sql: Sql) -> None:
    with pytest.raises(Exception, match="Unassigned is never deleted"):
        sql("delete from workspaces where id = 0")

    assert [workspace.name for workspace in store.workspaces()] == ["Unassigned"]


def test_phones_are_listed_as_they_were_registered(store: Store, acme: int, borealis: int) -> None:
    first = make_phone(workspace_id=acme, label="Sales", valid_from=TEN, valid_until=TEN + DAY)
    second = make_phone(workspace_id=borealis, valid_from=TEN + DAY)
    register(store, second)
    register(store, first)

    assert store.phones() == [first, second]


@pytest.mark.parametrize(
    ("valid_from", "valid_until"),
    [(None, None), (None, TEN + SECOND), (TEN + HOUR - SECOND, None), (TEN + SECOND, TEN + 2 * SECOND)],
)
def test_overlapping_periods_of_one_number_are_refused(
    store: Store, acme: int, borealis: int, valid_from: datetime | None, valid_until: datetime | None
) -> None:
    held = make_phone(workspace_id=acme, valid_from=TEN, valid_until=TEN + HOUR)
    register(store, held)
    store.save_calls([make_leg()])

    with pytest.raises(RegistryError, match="end that first") as refusal:
        register(store, make_phone(workspace_id=borealis, valid_from=valid_from, valid_until=valid_until))

    assert OUR_NUMBER not in str(refusal.value)
    assert store.phones() == [held]
    assert legs_by_workspace(store) == {acme: 1}


def test_periods_of_one_number_may_touch(store: Store, acme: int, borealis: int) -> None:
    register(store, make_phone(workspace_id=acme, valid_from=TEN, valid_until=TEN + HOUR))

    register(store, make_phone(workspace_id=borealis, valid_until=TEN))
    register(store, make_phone(workspace_id=borealis, valid_from=TEN + HOUR))

    assert len(store.phones()) == 3


def test_unregistered_numbers_are_listed_the_last_used_first(store: Store, acme: int) -> None:
    register(store, make_phone(workspace_id=acme))
    store.save_calls(
        [
            make_leg(),
            make_leg(sid="CA2", our_number=OTHER_NUMBER, started_at=TEN + HOUR),
            make_leg(sid="CA3", our_number=THIRD_NUMBER),
            make_leg(sid="CA4", our_number=None, to_number=CALLER),
        ]
    )
    store.save_conversations([make_conversation(agent_number=THIRD_NUMBER, started_at=TEN + DAY)])

    listed = [(used.phone_number, used.records, used.last_seen) for used in store.unregistered_numbers()]

    assert listed == [(THIRD_NUMBER, 2, TEN + DAY), (OTHER_NUMBER, 1, TEN + HOUR)]


# Open records and failures


@pytest.mark.parametrize(
    ("changes", "is_open"),
    [
        ({"status": "completed", "cost": Decimal(1)}, False),
        ({"status": "completed", "cost": Decimal(0)}, False),
        ({"status": "busy", "cost": Decimal(0)}, False),
        ({"status": "completed", "cost": None}, True),
        ({"status": "in-progress", "cost": None}, True),
        ({"status": "in-progress", "cost": Decimal(1)}, True),
        ({"status": "something new", "cost": Decimal(1)}, True),
    ],
)
def test_legs_that_are_not_final_or_not_priced_are_open(
    store: Store, changes: dict[str, object], is_open: bool
) -> None:
    store.save_calls([make_leg(fetched_at=TEN + MINUTE, **changes)])

    assert store.open_ids("twilio", now=TEN + HOUR) == ["CA1"] * is_open


@pytest.mark.parametrize(
    ("changes", "is_open"),
    [
        ({"status": "done", "cost": Decimal(1)}, False),
        ({"status": "failed", "cost": Decimal(0)}, False),
        ({"status": "done", "cost": None}, True),
        ({"status": "processing", "cost": Decimal(1)}, True),
    ],
)
def test_conversations_that_are_not_final_or_not_priced_are_open(
    store: Store, changes: dict[str, object], is_open: bool
) -> None:
    store.save_conversations([make_conversation(fetched_at=TEN + HOUR, **changes)])

    assert store.open_ids("elevenlabs", now=TEN + 2 * HOUR) == ["conv_1"] * is_open


def test_a_conversation_fetched_within_minutes_of_its_end_is_fetched_once_more(store: Store) -> None:
    ended_at = TEN + 90 * SECOND
    store.save_conversations([make_conversation(fetched_at=ended_at + 14 * MINUTE)])
    soon = store.open_ids("elevenlabs", now=TEN + HOUR)

    store.save_conversations([make_conversation(fetched_at=ended_at + 15 * MINUTE)])

    assert soon == ["conv_1"]
    assert store.open_ids("elevenlabs", now=TEN + HOUR) == []


@pytest.mark.parametrize(
    ("age", "since_fetched", "is_due"),
    [
        (HOUR, HOUR, True),
        (HOUR, SECOND, True),
        (HOUR, 0 * SECOND, False),  # this very run has it already
        (2 * DAY, SECOND, True),
        (2 * DAY + SECOND, HOUR, False),
        (3 * DAY, 23 * HOUR, False),
        (3 * DAY, DAY, True),
        (7 * DAY, DAY, True),
        (7 * DAY + SECOND, 2 * DAY, False),
    ],
)
def test_open_records_are_fetched_hourly_for_two_days_then_daily_up_to_seven(
    store: Store, age: timedelta, since_fetched: timedelta, is_due: bool
) -> None:
    now = TEN + 30 * DAY
    store.save_calls([make_leg(cost=None, started_at=now - age, fetched_at=now - since_fetched)])
    store.save_conversations([make_conversation(cost=None, started_at=now - age, fetched_at=now - since_fetched)])

    assert store.open_ids("twilio", now=now) == ["CA1"] * is_due
    assert store.open_ids("elevenlabs", now=now) == ["conv_1"] * is_due


@pytest.mark.parametrize("source", SOURCES)
def test_a_record_that_could_not_be_read_is_open_until_it_is_saved(store: Store, source: Source) -> None:
    record_id = {"twilio": "CA1", "elevenlabs": "conv_1"}[source]
    store.save_failures(source, [Failure(record_id=record_id, error="Unreadable.")], now=TEN)
    listed, due = store.count_rows()["sync_failures"], store.open_ids(source, now=TEN + HOUR)

    store.save_calls([make_leg()])
    store.save_conversations([make_conversation()])

    assert (listed, due) == (1, [record_id])
    assert store.count_rows()["sync_failures"] == 0
    assert store.open_ids(source, now=TEN + HOUR) == []


def test_failures_of_one_source_are_not_tried_at_the_other(store: Store) -> None:
    store.save_failures("twilio", [Failure(record_id="CA1", error="Unreadable.")], now=TEN)

    assert store.open_ids("elevenlabs", now=TEN + HOUR) == []


def test_a_failure_is_listed_once_and_tried_hourly_then_daily_from_the_first_time_on(store: Store) -> None:
    failure = Failure(record_id="CA1", error="Unreadable.")
    for since_first in (timedelta(0), 3 * DAY):
        store.save_failures("twilio", [failure], now=TEN + since_first)

    assert store.count_rows()["sync_failures"] == 1
    assert store.open_ids("twilio", now=TEN + 3 * DAY + HOUR) == []
    assert store.open_ids("twilio", now=TEN + 4 * DAY) == ["CA1"]
    assert store.open_ids("twilio", now=TEN + 7 * DAY + SECOND) == []


def test_a_failure_without_an_id_is_listed_and_cannot_be_tried_again(store: Store) -> None:
    store.save_failures("twilio", [Failure(record_id="", error="It has no sid.")], now=TEN)

    assert store.count_rows()["sync_failures"] == 1
    assert store.open_ids("twilio", now=TEN + HOUR) == []


def test_failures_are_listed_the_last_failed_first_with_how_often_and_since_when(store: Store) -> None:
    for record_id, error, minutes in [("CA1", "First.", 0), ("CA2", "Second.", 1), ("CA1", "Again.", 2)]:
        store.save_failures("twilio", [Failure(record_id=record_id, error=error)], now=TEN + minutes * MINUTE)
    store.save_failures("elevenlabs", [Failure(record_id="conv_1", error="Other.")], now=TEN)

    again, second = store.failures("twilio")

    assert again == StoredFailure(
        source="twilio",
        record_id="CA1",
        error="Again.",
        attempts=2,
        first_failed_at=TEN,
        last_failed_at=TEN + 2 * MINUTE,
    )
    assert (second.record_id, second.attempts) == ("CA2", 1)
    assert [failure.record_id for failure in store.failures("elevenlabs")] == ["conv_1"]
    assert store.failures("twilio", limit=1) == [again]


@pytest.mark.parametrize("refresh", [True, False])
def test_a_record_leaves_the_failures_as_soon_as_it_is_saved(store: Store, refresh: bool) -> None:
    store.save_failures("twilio", [Failure(record_id="CA1", error="Unreadable.")], now=TEN)
    store.save_failures("elevenlabs", [Failure(record_id="conv_1", error="Unreadable.")], now=TEN)

    store.save_calls([make_leg()], refresh=refresh)
    store.save_conversations([make_conversation()], refresh=refresh)

    assert store.failures("twilio") == store.failures("elevenlabs") == []


@pytest.mark.parametrize("source", SOURCES)
def test_a_record_that_is_gone_at_the_provider_is_kept_and_not_fetched_again(store: Store, source: Source) -> None:
    record_id = {"twilio": "CA1", "elevenlabs": "conv_1"}[source]
    store.save_calls([make_leg(cost=None)])
    store.save_conversations([make_conversation(cost=None)])
    store.save_failures(source, [Failure(record_id=record_id, error="Timeout.")], now=FETCHED)

    store.save_failures(source, [Failure(record_id=record_id, error="Not found.", is_gone=True)], now=LATER)

    assert store.open_ids(source, now=LATER + HOUR) == []
    assert store.count_rows()["sync_failures"] == 0
    assert twilio_totals(store).total_legs == elevenlabs_totals(store).total_conversations == 1


def test_a_record_that_is_gone_before_it_was_stored_is_listed_as_a_failure(store: Store) -> None:
    store.save_failures("twilio", [Failure(record_id="CA1", error="Not found.", is_gone=True)], now=TEN)

    assert store.count_rows()["sync_failures"] == 1


def test_a_record_that_comes_back_is_open_again(store: Store) -> None:
    store.save_calls([make_leg(cost=None)])
    store.save_failures("twilio", [Failure(record_id="CA1", error="Not found.", is_gone=True)], now=FETCHED)

    store.save_calls([make_leg(cost=None, fetched_at=LATER)])

    assert store.open_ids("twilio", now=LATER + MINUTE) == ["CA1"]


def test_missing_parents_names_each_parent_once_that_is_neither_stored_nor_failed(store: Store) -> None:
    child = make_leg(sid="CA2", parent_call_sid="CAmissing")
    store.save_calls(
        [
            make_leg(),
            child,
            replace(child, sid="CA3"),
            make_leg(sid="CA4", parent_call_sid="CA1"),
            make_leg(sid="CA5", parent_call_sid="CAbroken"),
            make_leg(sid="CA6", parent_call_sid="CAold", started_at=TEN - SECOND),
        ]
    )
    store.save_failures("twilio", [Failure(record_id="CAbroken", error="Unreadable.")], now=TEN)

    assert store.missing_parents(since=TEN) == ["CAmissing"]


# Balances


def test_a_balance_is_stored_for_exactly_the_hours_with_activity(store: Store, sql: Sql) -> None:
    store.save_calls(
        [
            make_leg(started_at=TEN),
            make_leg(sid="CA2", started_at=TEN + HOUR - SECOND),
            make_leg(sid="CA3", started_at=TEN + 5 * HOUR),
        ]
    )

    assert {hour: totals.total_calls for (_, hour), totals in twilio_ledger(store, sql).items()} == {
        TEN: 2,
        TEN + 5 * HOUR: 3,
    }


@pytest.mark.parametrize("moved_to", [TEN - 2 * HOUR, TEN + 2 * HOUR])
def test_a_record_that_moves_to_another_hour_leaves_the_old_one(store: Store, sql: Sql, moved_to: datetime) -> None:
    store.save_calls([make_leg(), make_leg(sid="CA2", started_at=TEN + 3 * HOUR)])
    store.save_conversations([make_conversation(), make_conversation(conversation_id="c", started_at=TEN + 3 * HOUR)])

    store.save_calls([make_leg(started_at=moved_to, fetched_at=LATER)])
    store.save_conversations([make_conversation(started_at=moved_to, fetched_at=LATER)])

    hours = [(UNASSIGNED, moved_to), (UNASSIGNED, TEN + 3 * HOUR)]
    assert stored_hours(sql, "twilio") == stored_hours(sql, "elevenlabs") == hours
    assert [totals.total_calls for totals in twilio_ledger(store, sql).values()] == [1, 2]
    assert [totals.total_conversations for totals in elevenlabs_ledger(store, sql).values()] == [1, 2]


def test_the_latest_snapshot_of_each_workspace_is_given_by_name_unassigned_last(
    store: Store, acme: int, borealis: int
) -> None:
    add_workspace(store, "Quiet")
    register(store, make_phone(workspace_id=borealis))
    register(store, make_phone(phone_number=OTHER_NUMBER, workspace_id=acme))
    numbers = [OUR_NUMBER, OUR_NUMBER, OTHER_NUMBER, None]
    for n, number in enumerate(numbers):
        at = TEN + n * HOUR
        store.save_calls([make_leg(sid=f"CA{n}", started_at=at, our_number=number)])
        store.save_conversations(
            [make_conversation(conversation_id=f"c{n}", started_at=at, agent_number=number, agent_id=None)]
        )

    expected = [(acme, TEN + 2 * HOUR, 1), (borealis, TEN + HOUR, 2), (UNASSIGNED, TEN + 3 * HOUR, 1)]
    calls, talks = store.twilio_snapshots(), store.elevenlabs_snapshots()
    assert [(s.workspace_id, s.snapshot_date, s.totals.total_calls) for s in calls] == expected
    assert [(s.workspace_id, s.snapshot_date, s.totals.total_conversations) for s in talks] == expected


def test_a_balance_holds_what_started_before_the_moment_at_any_second(store: Store) -> None:
    half_past = TEN + HOUR / 2
    moments = [TEN, half_past, half_past + SECOND, TEN + HOUR, TEN + 100 * DAY, None]
    started = [TEN, half_past - SECOND, half_past, TEN + HOUR - SECOND, TEN + HOUR]
    store.save_calls([make_leg(sid=f"CA{n}", started_at=at) for n, at in enumerate(started)])
    store.save_conversations(
        [make_conversation(conversation_id=f"c{n}", started_at=at) for n, at in enumerate(started)]
    )

    calls, talks = store.twilio_balances(moments), store.elevenlabs_balances(moments)

    assert [at.get(UNASSIGNED, TwilioTotals()).total_calls for at in calls] == [0, 2, 3, 4, 5, 5]
    assert [at.get(UNASSIGNED, ElevenLabsTotals()).total_conversations for at in talks] == [0, 2, 3, 4, 5, 5]


def test_a_moment_may_be_given_in_any_time_zone(store: Store) -> None:
    kolkata = ZoneInfo("Asia/Kolkata")
    midnight = datetime(2026, 10, 25, tzinfo=kolkata)  # half past six in the evening, UTC
    store.save_calls([make_leg(started_at=midnight - SECOND), make_leg(sid="CA2", started_at=midnight)])

    [before] = store.twilio_balances([midnight])

    assert before[UNASSIGNED].total_calls == 1


@pytest.mark.parametrize("source", SOURCES)
def test_the_first_and_the_last_hour_with_activity_are_told_whoever_was_active(
    store: Store, acme: int, source: Source
) -> None:
    before = store.active_hours(source)
    register(store, make_phone(workspace_id=acme))
    for at, number in [(TEN + 90 * MINUTE, OUR_NUMBER), (TEN - DAY, OTHER_NUMBER), (TEN, OUR_NUMBER)]:
        store.save_calls([make_leg(sid=f"CA{at}", started_at=at, our_number=number)])
        store.save_conversations([make_conversation(conversation_id=f"c{at}", started_at=at, agent_number=number)])

    assert before is None
    assert store.active_hours(source) == (TEN - DAY, TEN + HOUR)
    assert store.active_hours(source, [acme]) == (TEN, TEN + HOUR)
    assert store.active_hours(source, []) is None


def test_the_account_has_the_currency_of_the_first_priced_leg(store: Store) -> None:
    store.save_calls([make_leg(cost=None, price_unit="JPY"), make_leg(sid="CA2", cost=Decimal(0), price_unit="GBP")])
    unpriced = store.price_unit()

    store.save_calls([make_leg(sid="CA3", price_unit="EUR"), make_leg(sid="CA4", price_unit="USD")])

    assert unpriced is None
    assert store.price_unit() == "EUR"


def test_amounts_in_another_currency_are_never_added_but_counted_as_unpriced(store: Store) -> None:
    store.save_calls(
        [
            make_leg(cost=Decimal(1)),
            make_leg(sid="CA2", cost=Decimal(100), price_unit="JPY"),
            make_leg(sid="CA3", cost=Decimal(0), price_unit="JPY"),
            make_leg(sid="CA4", cost=None, price_unit="JPY"),
        ]
    )

    totals = twilio_totals(store)
    assert (totals.total_legs, totals.total_cost, totals.unpriced_calls) == (4, Decimal(1), 2)
    assert store.foreign_currency_legs() == 1


def test_fixing_the_currency_leaves_free_legs_in_another_one_as_they_were(store: Store) -> None:
    store.save_calls([make_leg(cost=Decimal(0), price_unit="JPY")])

    store.save_calls([make_leg(sid="CA2", started_at=TEN + HOUR, cost=Decimal(1), price_unit="USD")])

    assert twilio_totals(store).unpriced_calls == 0
    assert store.wrong_snapshots("twilio") == []


def test_totals_out_of_range_are_refused_with_nothing_half_written(store: Store, sql: Sql) -> None:
    store.save_calls([make_leg(cost=Decimal(44_000_000))])
    store.save_conversations([make_conversation(cost=Decimal(44_000_000))])
    rows, balances = store.count_rows(), twilio_ledger(store, sql) | elevenlabs_ledger(store, sql)

    with pytest.raises(StoreError):
        store.save_calls([make_leg(sid="CA2", cost=Decimal(1)), make_leg(sid="CA3", cost=Decimal(9_999_999_999))])
    with pytest.raises(StoreError):
        store.save_conversations([make_conversation(conversation_id="conv_2", cost=Decimal(9_999_999_999))])

    assert store.count_rows() == rows
    assert twilio_ledger(store, sql) | elevenlabs_ledger(store, sql) == balances
    assert store.wrong_snapshots("twilio") == store.wrong_snapshots("elevenlabs") == []


# Balances that wait


def test_records_saved_without_refresh_are_stored_while_balances_stay_as_they_were(store: Store, sql: Sql) -> None:
    store.save_calls([make_leg(sid="CA1")])
    store.save_conversations([make_conversation(conversation_id="conv_1")])

    store.save_calls([make_leg(sid="CA2", started_at=TEN - DAY)], refresh=False)
    store.save_conversations([make_conversation(conversation_id="conv_2", started_at=TEN - DAY)], refresh=False)

    rows = store.count_rows()
    assert (rows["calls"], rows["elevenlabs_conversations"]) == (2, 2)
    assert (twilio_totals(store).total_legs, elevenlabs_totals(store).total_conversations) == (1, 1)
    assert stored_hours(sql, "twilio") == stored_hours(sql, "elevenlabs") == [(UNASSIGNED, TEN)]
    assert [store.workspaces_to_refresh(source) for source in SOURCES] == [1, 1]
    assert store.wrong_snapshots("twilio") == store.wrong_snapshots("elevenlabs") == [], "they wait, they are not wrong"


def test_a_refresh_brings_the_waiting_balances_of_one_source_up_to_date(store: Store, acme: int) -> None:
    register(store, make_phone(workspace_id=acme))
    store.save_calls([make_leg(sid="CA1"), make_leg(sid="CA2", our_number=OTHER_NUMBER)], refresh=False)
    store.save_conversations([make_conversation()], refresh=False)
    waiting = store.workspaces_to_refresh("twilio")

    store.refresh_balances("twilio")

    assert waiting >= 2
    assert legs_by_workspace(store) == {acme: 1, UNASSIGNED: 1}
    assert conversations_by_workspace(store) == {}
    assert [store.workspaces_to_refresh(source) > 0 for source in SOURCES] == [False, True]
    store.refresh_balances("twilio")
    assert legs_by_workspace(store) == {acme: 1, UNASSIGNED: 1}


def test_balances_may_be_refreshed_one_workspace_at_a_time(store: Store, acme: int) -> None:
    register(store, make_phone(workspace_id=acme))
    store.refresh_balances("twilio")
    store.save_calls([make_leg(sid="CA1"), make_leg(sid="CA2", our_number=OTHER_NUMBER)], refresh=False)

    waiting = [store.workspaces_to_refresh("twilio")]
    while store.refresh_next("twilio"):
        waiting.append(store.workspaces_to_refresh("twilio"))

    assert waiting == [2, 1, 0]
    assert legs_by_workspace(store) == {acme: 1, UNASSIGNED: 1}


@pytest.mark.parametrize("source", SOURCES)
def test_of_history_that_comes_newest_first_the_workspace_that_waits_longest_is_refreshed_first(
    store: Store, acme: int, borealis: int, source: Source
) -> None:
    """Else one that gets stale again and again would keep the others waiting."""
    register(store, make_phone(workspace_id=acme))
    register(store, make_phone(phone_number=OTHER_NUMBER, workspace_id=borealis))
    for number, moment in ((OTHER_NUMBER, TEN + HOUR), (OUR_NUMBER, TEN)):
        talk = make_conversation(conversation_id=f"conv_{number}", agent_number=number, started_at=moment)
        store.save_calls([make_leg(sid=f"CA{number}", our_number=number, started_at=moment)], refresh=False)
        store.save_conversations([talk], refresh=False)

    store.refresh_next(source)

    assert (legs_by_workspace if source == "twilio" else conversations_by_workspace)(store) == {borealis: 1}


def test_the_next_ordinary_save_of_the_source_takes_waiting_balances_along(store: Store) -> None:
    store.save_calls([make_leg(sid="CA1", started_at=TEN - DAY)], refresh=False)
    store.save_conversations([make_conversation(started_at=TEN - DAY)], refresh=False)

    store.save_calls([make_leg(sid="CA2")])

    assert twilio_totals(store).total_legs == 2
    assert elevenlabs_totals(store).total_conversations == 0
    assert [store.workspaces_to_refresh(source) for source in SOURCES] == [0, 1]


def test_older_records_move_all_later_balances_by_what_they_add(store: Store, sql: Sql) -> None:
    usage = LlmUsage({"gemini-flash": {"input": TokenUsage(tokens=3, price=Decimal("0.00000001"))}})
    hours = [TEN, TEN + HOUR, TEN + DAY]
    store.save_calls([make_leg(sid=f"CA{n}", started_at=at, cost=Decimal("0.1")) for n, at in enumerate(hours)])
    talks = [
        make_conversation(conversation_id=f"conv_{n}", started_at=at, llm_usage=usage) for n, at in enumerate(hours)
    ]
    store.save_conversations(talks)

    older = TEN - 30 * DAY
    store.save_calls([make_leg(sid="CAold", started_at=older, cost=Decimal("0.00000003"))], refresh=False)
    store.save_conversations([replace(talks[0], conversation_id="conv_old", started_at=older)], refresh=False)
    for source in SOURCES:
        store.refresh_balances(source)

    costs = [totals.total_cost for _, totals in sorted(twilio_ledger(store, sql).items())]
    tokens = [totals.llm_usage["gemini-flash"]["input"] for _, totals in sorted(elevenlabs_ledger(store, sql).items())]
    assert costs == [Decimal("0.00000003") + n * Decimal("0.1") for n in range(4)]
    assert tokens == [TokenUsage(tokens=3 * n, price=n * Decimal("0.00000001")) for n in range(1, 5)]
    assert store.wrong_snapshots("twilio") == store.wrong_snapshots("elevenlabs") == []


# Runs

WINDOW = (TEN - HOUR, TEN)
OTHER_PROCESS = "other host:2"


def begin(store: Store, source: Source = "twilio", now: datetime = TEN, kind: RunKind = RunKind.HOURLY) -> SyncRun:
    return store.begin_run(source, kind, (now - HOUR, now), owner="this host:1", now=now, stale_before=now - MINUTE)


def test_a_run_begins_open_with_its_window_and_owner(store: Store) -> None:
    run = begin(store)

    assert (run.source, run.kind, run.state, run.owner) == ("twilio", "hourly", RunState.RUNNING, "this host:1")
    assert (run.window_start, run.window_end, run.started_at, run.heartbeat_at) == (*WINDOW, TEN, TEN)
    assert (run.done, run.total, run.saved, run.failed, run.message, run.finished_at) == (0, None, 0, 0, None, None)
    assert store.run(run.id) == run


def test_a_run_that_does_not_exist_is_none(store: Store) -> None:
    assert store.run(99) is None


def test_a_second_run_of_a_source_is_refused_and_told_about_the_first(store: Store) -> None:
    first = begin(store)

    with pytest.raises(AlreadyRunningError) as refusal:
        begin(store, now=TEN + MINUTE, kind=RunKind.SWEEP)

    assert refusal.value.run == first
    assert store.runs() == [first]


def test_runs_of_different_sources_do_not_wait_for_each_other(store: Store) -> None:
    begin(store, "twilio")

    begin(store, "elevenlabs")

    assert [run.source for run in store.runs()] == ["elevenlabs", "twilio"]


@pytest.mark.parametrize("kind", [RunKind.HOURLY, RunKind.SWEEP])
def test_a_backfill_and_the_hourly_run_of_a_source_do_not_lock_each_other_out(store: Store, kind: RunKind) -> None:
    backfill = begin(store, kind=RunKind.BACKFILL)

    hourly = begin(store, now=TEN + SECOND, kind=kind)
    with pytest.raises(AlreadyRunningError) as refusal:
        begin(store, now=TEN + MINUTE, kind=RunKind.BACKFILL)

    assert refusal.value.run == backfill
    assert store.runs() == [hourly, backfill]


def test_a_dead_backfill_is_taken_over_by_a_backfill_only(store: Store) -> None:
    dead = begin(store, kind=RunKind.BACKFILL)

    begin(store, now=TEN + HOUR)
    after_hourly = store.run(dead.id)
    begin(store, now=TEN + HOUR, kind=RunKind.BACKFILL)
    after_backfill = store.run(dead.id)

    assert after_hourly is not None
    assert after_backfill is not None
    assert (after_hourly.state, after_backfill.state) == (RunState.RUNNING, RunState.INTERRUPTED)


def test_a_source_is_free_again_after_its_run_has_finished(store: Store) -> None:
    store.finish_run(begin(store).id, RunState.FAILED, "Twilio is down.", now=TEN)

    assert begin(store).state == RunState.RUNNING


def test_a_run_without_a_sign_of_life_is_interrupted_and_taken_over(store: Store) -> None:
    dead = begin(store)

    successor = begin(store, now=TEN + MINUTE + SECOND)

    interrupted = store.run(dead.id)
    assert interrupted is not None
    assert (interrupted.state, interrupted.finished_at) == (RunState.INTERRUPTED, TEN + MINUTE + SECOND)
    assert interrupted.message
    assert successor.state == RunState.RUNNING


def test_a_heartbeat_keeps_a_run_from_being_taken_over(store: Store) -> None:
    run = begin(store)
    store.save_progress(run, now=TEN + HOUR)

    with pytest.raises(AlreadyRunningError):
        begin(store, now=TEN + HOUR + MINUTE)


def test_progress_is_written_down(store: Store) -> None:
    counts = {"done": 5, "total": 9, "saved": 4, "failed": 1, "refused": 3, "in_flight": 8}
    run = replace(begin(store), **counts, position=TEN - HOUR / 2)

    store.save_progress(run, now=TEN + MINUTE)

    assert store.run(run.id) == replace(run, heartbeat_at=TEN + MINUTE)


def test_a_run_that_was_taken_over_learns_it_at_its_next_progress(store: Store) -> None:
    dead = begin(store)
    begin(store, now=TEN + HOUR)

    with pytest.raises(LostLockError):
        store.save_progress(replace(dead, done=7), now=TEN + HOUR)

    stored = store.run(dead.id)
    assert stored is not None
    assert (stored.done, stored.state) == (0, RunState.INTERRUPTED)


def test_finishing_a_run_is_final(store: Store) -> None:
    run = begin(store)
    store.finish_run(run.id, RunState.OK, None, now=TEN + MINUTE)

    store.finish_run(run.id, RunState.FAILED, "Too late.", now=TEN + HOUR)

    assert store.run(run.id) == replace(run, state=RunState.OK, finished_at=TEN + MINUTE)
    with pytest.raises(LostLockError):
        store.save_progress(run, now=TEN + HOUR)


def test_the_last_success_is_the_latest_run_that_went_well_of_a_source_and_kind(store: Store) -> None:
    ahead, sweep, last, _failed, _other = [
        begin_and_finish(store, source, kind, state, now)
        for source, kind, state, now in [
            ("twilio", RunKind.HOURLY, RunState.OK, TEN + 9 * HOUR),  # the clock was wrong once
            ("twilio", RunKind.SWEEP, RunState.OK, TEN + HOUR),
            ("twilio", RunKind.HOURLY, RunState.OK, TEN + 2 * HOUR),
            ("twilio", RunKind.HOURLY, RunState.FAILED, TEN + 3 * HOUR),
            ("elevenlabs", RunKind.HOURLY, RunState.OK, TEN + 4 * HOUR),
        ]
    ]

    assert store.last_success("twilio") == store.last_success("twilio", RunKind.HOURLY) == last != ahead
    assert store.last_success("twilio", RunKind.SWEEP) == sweep
    assert store.last_success("elevenlabs", RunKind.SWEEP) is None


def test_a_backfill_is_no_success_that_the_next_window_starts_from(store: Store) -> None:
    begin_and_finish(store, "twilio", RunKind.BACKFILL, RunState.OK, TEN)

    backfill = store.last_success("twilio", RunKind.BACKFILL)

    assert store.last_success("twilio") is None
    assert backfill is not None
    assert backfill.kind is RunKind.BACKFILL


def test_how_far_a_backfill_is_and_how_long_it_will_take_is_told_by_the_run(store: Store) -> None:
    run = store.begin_run(
        "elevenlabs", RunKind.BACKFILL, (TEN - 4 * DAY, TEN), owner="this host:1", now=TEN, stale_before=TEN
    )
    store.save_progress(replace(run, done=120, total=300, position=TEN - DAY), now=TEN + MINUTE)

    underway = store.run(run.id)
    store.finish_run(run.id, RunState.OK, None, now=TEN + 2 * MINUTE)
    over = store.run(run.id)

    assert (run.share_walked, run.records_per_second, run.seconds_left) == (0, None, None)
    assert underway is not None
    assert (underway.share_walked, underway.records_per_second, underway.seconds_left) == (0.25, 2, 90)
    assert over is not None
    assert (over.records_per_second, over.seconds_left) == (1, None)
    assert begin(store).share_walked is None, "only a backfill walks"


def begin_and_finish(store: Store, source: Source, kind: RunKind, state: RunState, now: datetime) -> SyncRun | None:
    run = begin(store, source, now, kind)
    store.finish_run(run.id, state, None, now=now)
    return store.run(run.id)


def run_over(store: Store, window: tuple[datetime, datetime], **changes: Any) -> SyncRun:
    """Record a run of Twilio over a window; it went well unless `state` says otherwise."""
    plain = {"kind": RunKind.HOURLY, "state": RunState.OK, "ended": window[1]} | changes
    run = store.begin_run("twilio", plain["kind"], window, owner="test", now=window[1], stale_before=TEN)
    if plain["state"] is not RunState.RUNNING:
        store.finish_run(run.id, plain["state"], None, now=plain["ended"])
    return store.run(run.id) or run


def test_notable_runs_tell_how_current_the_data_is_and_when_it_last_changed(store: Store) -> None:
    at = TEN + 30 * DAY
    backfill = run_over(store, (TEN, at), kind=RunKind.BACKFILL, state=RunState.RUNNING)
    for hour in range(3):
        run_over(store, (at, at + hour * HOUR))
    success = run_over(store, (at, at + 3 * HOUR))
    failures = [run_over(store, (at, at + (4 + n) * HOUR), state=RunState.FAILED) for n in range(2)]

    assert store.notable_runs() == [failures[-1], success, backfill]

    store.finish_run(backfill.id, RunState.OK, None, now=at + 6 * HOUR)

    assert store.notable_runs() == [failures[-1], success, store.run(backfill.id)]
    assert freshness(store, "twilio", now=at + 6 * HOUR).through == at + 3 * HOUR


def test_a_run_from_a_clock_that_was_ahead_makes_no_data_current(store: Store) -> None:
    now = TEN + 9 * HOUR
    honest = run_over(store, (TEN, TEN + HOUR))
    run_over(store, (TEN, TEN + 2 * HOUR), state=RunState.FAILED)
    ahead = [run_over(store, (TEN, now + n * DAY)) for n in (1, 2, 1200)]

    state = freshness(store, "twilio", now=now)

    assert (state.success, state.through, state.age) == (honest, TEN + HOUR, 8 * HOUR)
    assert (state.level, state.ahead) == ("red", ahead[-1])
    assert state.warning is not None
    assert state.warning.startswith(f"Run {ahead[-1].id} claims to have ended at ")
    assert not state.seems_scheduled(now)


def test_where_nothing_but_such_a_run_succeeded_the_data_is_out_of_date_and_of_no_known_age(store: Store) -> None:
    run_over(store, (TEN, TEN + 1200 * DAY))

    state = freshness(store, "twilio", now=TEN)

    assert (state.level, state.through, state.age) == ("red", None, None)


def test_the_next_sync_by_a_right_clock_is_what_counts_again(store: Store) -> None:
    run_over(store, (TEN, TEN + 1200 * DAY))
    run_over(store, (TEN, TEN + HOUR))

    state = freshness(store, "twilio", now=TEN + HOUR)

    assert (state.level, state.age, state.warning) == ("fresh", timedelta(0), None)


@pytest.mark.parametrize("seconds", [1, 59])
def test_clocks_of_two_machines_may_differ_by_seconds(store: Store, seconds: int) -> None:
    run_over(store, (TEN, TEN + HOUR))

    state = freshness(store, "twilio", now=TEN + HOUR - timedelta(seconds=seconds))

    assert (state.level, state.age, state.ahead) == ("fresh", timedelta(0), None)


def test_no_gap_reaches_into_times_that_are_yet_to_come(store: Store) -> None:
    run_over(store, (TEN, TEN + HOUR))
    run_over(store, (TEN + 1200 * DAY, TEN + 1201 * DAY))

    assert freshness_gaps(store, "twilio", now=TEN + 5 * HOUR) == [(TEN + HOUR, TEN + 5 * HOUR)]
    assert freshness_gaps(store, "twilio", now=TEN + HOUR) == []


def test_notable_runs_of_one_source_do_not_hide_those_of_the_other(store: Store) -> None:
    twilio = run_over(store, (TEN, TEN + HOUR))
    elevenlabs = [
        store.record_skipped("elevenlabs", (TEN, TEN + HOUR), "Switched off.", now=TEN + n * HOUR) for n in range(30)
    ]

    assert store.notable_runs() == [elevenlabs[-1], twilio]


def test_what_no_successful_window_covers_is_a_gap(store: Store) -> None:
    run_over(store, (TEN, TEN + HOUR))
    run_over(store, (TEN + 3 * HOUR, TEN + 4 * HOUR))
    run_over(store, (TEN + 4 * HOUR, TEN + 5 * HOUR), state=RunState.FAILED)
    run_over(store, (TEN + 6 * HOUR, TEN + 7 * HOUR))

    assert store.gaps("twilio", since=TEN - DAY) == [
        (TEN + HOUR, TEN + 3 * HOUR),
        (TEN + 4 * HOUR, TEN + 6 * HOUR),
    ]
    assert store.gaps("elevenlabs", since=TEN - DAY) == []


def test_windows_that_touch_or_overlap_or_hold_each_other_leave_no_gap(store: Store) -> None:
    run_over(store, (TEN, TEN + 8 * HOUR))
    run_over(store, (TEN + HOUR, TEN + 2 * HOUR))
    run_over(store, (TEN + 8 * HOUR, TEN + 9 * HOUR))
    run_over(store, (TEN + 8 * HOUR + 45 * MINUTE, TEN + 10 * HOUR))

    assert store.gaps("twilio", since=TEN) == []


def test_a_backfill_fills_the_gap_that_it_covers(store: Store) -> None:
    run_over(store, (TEN, TEN + HOUR))
    run_over(store, (TEN + 5 * HOUR, TEN + 6 * HOUR))

    run_over(store, (TEN + HOUR, TEN + 3 * HOUR), kind=RunKind.BACKFILL)

    assert store.gaps("twilio", since=TEN) == [(TEN + 3 * HOUR, TEN + 5 * HOUR)]


def test_gaps_before_a_moment_are_left_out_and_the_one_it_lies_in_is_cut(store: Store) -> None:
    for start in (TEN, TEN + 2 * HOUR, TEN + 6 * HOUR):
        run_over(store, (start, start + HOUR))

    assert store.gaps("twilio", since=TEN + 4 * HOUR) == [(TEN + 4 * HOUR, TEN + 6 * HOUR)]
    assert store.gaps("twilio", since=TEN + 6 * HOUR) == []
    assert store.gaps("twilio", since=TEN + 30 * DAY) == []


def test_totals_of_runs_add_up_the_whole_history_by_source_kind_and_state(store: Store) -> None:
    for hour, counts in enumerate([{"saved": 4, "refused": 2}, {"saved": 3, "failed": 1, "refused": 5}]):
        run = begin(store, now=TEN + hour * HOUR)
        store.save_progress(replace(run, **counts, in_flight=9), now=TEN + hour * HOUR)
        store.finish_run(run.id, RunState.OK, None, now=TEN + hour * HOUR + 1.5 * SECOND)
    store.finish_run(begin(store, now=TEN + DAY).id, RunState.FAILED, "No.", now=TEN + DAY + SECOND)
    store.record_skipped("elevenlabs", WINDOW, "The flag is set.", now=TEN)

    totals = store.run_totals(alive_since=TEN)

    nothing = {"runs": 1, "seconds": 0.0, "saved": 0, "failed": 0, "refused": 0, "alive": 0, "in_flight": 0}
    skipped = nothing | {"source": "elevenlabs", "kind": RunKind.HOURLY, "state": RunState.SKIPPED}
    failed = nothing | {"source": "twilio", "kind": RunKind.HOURLY, "state": RunState.FAILED, "seconds": 1.0}
    good = {"runs": 2, "seconds": 3.0, "saved": 7, "failed": 1, "refused": 7, "state": RunState.OK}
    assert totals == [RunTotals(**skipped), RunTotals(**failed), RunTotals(**failed | good)]


def test_only_runs_that_show_a_sign_of_life_have_requests_under_way(store: Store) -> None:
    alive, silent = begin(store, now=TEN), begin(store, "elevenlabs", now=TEN)
    store.save_progress(replace(alive, saved=1, in_flight=6), now=TEN + HOUR)
    store.save_progress(replace(silent, saved=2, in_flight=7), now=TEN + HOUR - SECOND)

    first, second = store.run_totals(alive_since=TEN + HOUR)

    assert (first.source, first.state, first.runs, first.saved) == ("elevenlabs", RunState.RUNNING, 1, 2)
    assert (first.alive, first.in_flight, first.seconds) == (0, 0, 0.0)
    assert (second.source, second.alive, second.in_flight, second.seconds) == ("twilio", 1, 6, 0.0)


def test_a_clock_that_was_set_back_takes_nothing_off_the_time_that_runs_took(store: Store) -> None:
    store.finish_run(begin(store, now=TEN).id, RunState.OK, None, now=TEN + 2 * SECOND)
    store.finish_run(begin(store, now=TEN + HOUR).id, RunState.OK, None, now=TEN)

    (totals,) = store.run_totals(alive_since=TEN)

    assert (totals.runs, totals.seconds) == (2, 2.0)


def test_failures_that_wait_are_counted_by_source(store: Store) -> None:
    assert store.run_totals(alive_since=TEN) == []
    assert store.waiting_failures() == {}

    store.save_failures("twilio", [Failure(record_id=f"CA{n}", error="No answer.") for n in range(150)], now=TEN)

    assert store.waiting_failures() == {"twilio": 150}


def test_runs_of_one_kind_can_be_listed(store: Store) -> None:
    backfill = begin_and_finish(store, "twilio", RunKind.BACKFILL, RunState.OK, TEN)
    hourly = begin_and_finish(store, "twilio", RunKind.HOURLY, RunState.OK, TEN + HOUR)
    other = begin_and_finish(store, "elevenlabs", RunKind.BACKFILL, RunState.OK, TEN + HOUR)

    assert store.runs("twilio", kind=RunKind.BACKFILL) == [backfill]
    assert store.runs(kind=RunKind.BACKFILL) == [other, backfill]
    assert store.runs("twilio", kind=RunKind.HOURLY) == [hourly]
    assert store.runs("twilio", kind=RunKind.SWEEP) == []
    assert store.runs(kind=RunKind.BACKFILL, limit=1) == [other]


def test_a_skipped_run_is_on_record_and_is_no_success_and_no_lock(store: Store) -> None:
    run = store.record_skipped("elevenlabs", WINDOW, "Switched off.", now=TEN)

    assert (run.state, run.message, run.finished_at) == (RunState.SKIPPED, "Switched off.", TEN)
    assert store.runs("elevenlabs") == [run]
    assert store.last_success("elevenlabs") is None
    assert begin(store, "elevenlabs").state == RunState.RUNNING


def test_a_run_that_is_going_on_does_not_keep_a_skipped_one_from_the_record(store: Store) -> None:
    going_on = begin(store, "elevenlabs")

    skipped = store.record_skipped("elevenlabs", WINDOW, "Switched off.", now=TEN)

    assert store.runs() == [skipped, going_on]


def test_runs_are_listed_newest_first_of_one_source_or_of_all(store: Store) -> None:
    sources: list[Source] = ["twilio", "elevenlabs", "twilio"]
    runs = [store.record_skipped(source, WINDOW, "No.", now=TEN + n * HOUR) for n, source in enumerate(sources)]

    assert store.runs() == runs[::-1]
    assert store.runs("twilio") == [runs[2], runs[0]]
    assert store.runs(limit=1) == [runs[2]]


# Checks, and whose data it is


def test_a_new_store_has_all_tables_and_only_the_workspace_unassigned(store: Store) -> None:
    rows = store.count_rows()

    assert store.missing_tables() == []
    assert (store.damages(), store.legacy_records()) == ([], {})
    assert {table: count for table, count in rows.items() if count} == {"workspaces": 1}


def test_a_store_of_demo_data_never_takes_real_data(store: Store) -> None:
    store.claim_for("demo")
    store.claim_for("demo")

    with pytest.raises(StoreError, match="demo data"):
        store.claim_for("real")

    store.claim_for("demo")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        ("update {table} set total_cost = total_cost + 0.00000001 where workspace_id = 1", [(1, TEN + HOUR)]),
        ("update {table} set total_duration = 0 where workspace_id = 0", [(0, TEN)]),
        ("delete from {table} where workspace_id = 1", [(1, TEN + HOUR)]),
        ("delete from {table}", [(0, TEN), (1, TEN + HOUR)]),
        (
            "insert into {table} (workspace_id, snapshot_date) values (1, '2026-10-24T09:00:00+00:00')",
            [(1, TEN - HOUR)],
        ),
    ],
)
def test_balances_that_were_tampered_with_are_found(
    store: Store, sql: Sql, acme: int, source: Source, damage: str, wrong: list[tuple[int, datetime]]
) -> None:
    register(store, make_phone(workspace_id=acme, valid_from=TEN + HOUR))
    for at in (TEN, TEN + HOUR):
        store.save_calls([make_leg(sid=f"CA{at}", started_at=at)])
        store.save_conversations([make_conversation(conversation_id=f"conv_{at}", started_at=at)])
    before = store.wrong_snapshots(source)

    sql(damage.format(table=f"{source}_snapshots"))

    assert before == []
    assert store.wrong_snapshots(source) == wrong
    assert store.wrong_snapshots("elevenlabs" if source == "twilio" else "twilio") == []


def test_token_usage_that_was_tampered_with_is_found(store: Store, sql: Sql) -> None:
    store.save_conversations([make_conversation()])

    sql("update elevenlabs_snapshots set llm_usage = '{}'")

    assert store.wrong_snapshots("elevenlabs") == [(UNASSIGNED, TEN)]


@pytest.mark.parametrize("source", SOURCES)
def test_no_balance_is_ever_stored_twice(store: Store, source: Source) -> None:
    for n in range(3):
        store.save_calls([make_leg(sid=f"CA{n}")])
        store.save_conversations([make_conversation(conversation_id=f"conv_{n}")])

    assert store.duplicate_snapshots(source) == []


def test_a_damaged_balance_is_mended_by_the_next_change_of_its_hour(store: Store, sql: Sql) -> None:
    store.save_calls([make_leg(), make_leg(sid="CA2", started_at=TEN + HOUR)])
    sql("update twilio_snapshots set total_calls = 77")

    store.save_calls([make_leg(sid="CA3", started_at=TEN - HOUR), make_leg(sid="CA4", started_at=TEN + HOUR)])

    assert store.wrong_snapshots("twilio") == []
