"""Changes of the registry on both stores: what each does, what is refused, and that a dry run tells it exactly."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

from sync.models import (
    SOURCES,
    UNASSIGNED,
    Agent,
    ElevenLabsTotals,
    TwilioTotals,
    UnregisteredAgent,
    UnregisteredNumber,
)
from sync.registry import (
    AddWorkspace,
    DeleteAgent,
    DeleteNumber,
    DeleteWorkspace,
    EditNumber,
    Effect,
    MoveNumber,
    Outcome,
    RegisterAgent,
    RegisterNumber,
    RegistryChange,
    RenameWorkspace,
)
from sync.sqlite_store import SqliteStore
from sync.sqlite_store.registry import UNREGISTERED_AGENTS, UNREGISTERED_NUMBERS
from sync.store import Store
from sync.supabase_store import SupabaseStore
from tests.cutting_proxy import CuttingProxy
from tests.local_supabase import LocalSupabase
from tests.records import (
    CALLER,
    DAY,
    HOUR,
    OTHER_AGENT,
    OTHER_NUMBER,
    OUR_AGENT,
    OUR_NUMBER,
    TEN,
    THIRD_NUMBER,
    Sql,
    everything_stored,
    make_conversation,
    make_leg,
)


def change(store: Store, *changes: RegistryChange) -> Outcome:
    """Carry changes out that nothing speaks against, and check that every balance is right afterwards."""
    outcome = change_in_part(store, *changes)
    assert set(outcome.refusals) == {None}
    return outcome


def change_in_part(store: Store, *changes: RegistryChange) -> Outcome:
    """Carry out what is not refused, and check every balance, and that nothing was lost in all."""
    before = grand_totals(store)
    outcome = store.change_registry(changes)
    assert grand_totals(store) == before
    assert [store.wrong_snapshots(source) for source in SOURCES] == [[], []]
    return outcome


def refusal(store: Store, refused: RegistryChange) -> str:
    """Return why a change is refused."""
    [sentence] = change_in_part(store, refused).refusals
    assert sentence is not None
    return sentence


def grand_totals(store: Store) -> tuple[TwilioTotals, ElevenLabsTotals]:
    [twilio], [elevenlabs] = store.twilio_balances([None]), store.elevenlabs_balances([None])
    return sum(twilio.values(), TwilioTotals()), sum(elevenlabs.values(), ElevenLabsTotals())


def id_of(store: Store, name: str) -> int:
    return {workspace.name: workspace.id for workspace in store.workspaces()}[name]


def names(store: Store) -> list[str]:
    return [workspace.name for workspace in store.workspaces()]


def legs_by_name(store: Store) -> dict[str, int]:
    named = {workspace.id: workspace.name for workspace in store.workspaces()}
    [balances] = store.twilio_balances([None])
    return {named[key]: totals.total_legs for key, totals in balances.items() if totals.total_legs}


def conversations_by_name(store: Store) -> dict[str, int]:
    named = {workspace.id: workspace.name for workspace in store.workspaces()}
    [balances] = store.elevenlabs_balances([None])
    return {named[key]: totals.total_conversations for key, totals in balances.items() if totals.total_conversations}


def periods(store: Store) -> list[tuple[str, datetime | None, datetime | None]]:
    """Return whose OUR_NUMBER is from when until when."""
    named = {workspace.id: workspace.name for workspace in store.workspaces()}
    return [
        (named[phone.workspace_id], phone.valid_from, phone.valid_until)
        for phone in store.phones()
        if phone.phone_number == OUR_NUMBER
    ]


def only_phone_id(store: Store) -> int:
    [phone] = store.phones()
    return phone.id


def save_four_hours_of_calls(store: Store) -> None:
    """Save a call at ten, eleven, twelve and one, with a transfer of the last that carries the caller's number."""
    store.save_calls(
        [
            *(make_leg(sid=f"CA{hour}", started_at=TEN + hour * HOUR, cost=Decimal(1)) for hour in range(4)),
            make_leg(
                sid="CAchild", parent_call_sid="CA3", our_number=CALLER, started_at=TEN + 3 * HOUR, cost=Decimal(5)
            ),
        ]
    )


# Workspaces


def test_a_workspace_is_added_under_its_trimmed_name(store: Store) -> None:
    outcome = change(store, AddWorkspace(name="  Café \t Olé\n"))

    assert names(store) == ["Café Olé", "Unassigned"]
    assert outcome.effects == []


NAMES_THAT_ARE_REFUSED = [
    ("", "no name"),
    (" \t ", "no name"),
    ("A" * 201, "longer than 200 characters"),
    ("Ac\x00me", "cannot be shown"),
    ("Café", "choose another name"),
    ("CAFÉ", "choose another name"),
    (" cafe\N{COMBINING ACUTE ACCENT} ", "choose another name"),
    ("unassigned", "choose another name"),
]


@pytest.mark.parametrize(("name", "reason"), NAMES_THAT_ARE_REFUSED)
def test_names_that_are_empty_too_long_or_look_like_another_are_refused(store: Store, name: str, reason: str) -> None:
    change(store, AddWorkspace(name="Café"), AddWorkspace(name="Borealis"))

    assert reason in refusal(store, AddWorkspace(name=name))
    assert reason in refusal(store, RenameWorkspace(workspace_id=id_of(store, "Borealis"), name=name))
    assert names(store) == ["Borealis", "Café", "Unassigned"]


def test_a_name_of_200_characters_is_a_name(store: Store) -> None:
    change(store, AddWorkspace(name="é" * 200))

    assert names(store) == ["é" * 200, "Unassigned"]


def test_a_workspace_keeps_its_usage_under_a_new_name(store: Store) -> None:
    change(store, RegisterNumber(workspace="acme", phone_number=OUR_NUMBER))
    store.save_calls([make_leg()])

    outcome = change(store, RenameWorkspace(workspace_id=id_of(store, "acme"), name="Acme"))

    assert (legs_by_name(store), outcome.effects) == ({"Acme": 1}, [])


def test_what_a_deleted_workspace_used_becomes_unassigned_and_its_balances_disappear(store: Store, sql: Sql) -> None:
    change(
        store,
        RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, valid_from=TEN),
        RegisterAgent(workspace="Acme", agent_id=OUR_AGENT),
        RegisterNumber(workspace="Borealis", phone_number=OTHER_NUMBER),
    )
    save_four_hours_of_calls(store)
    store.save_conversations([make_conversation(agent_number=None), make_conversation(conversation_id="conv_2")])
    store.save_calls([make_leg(sid="CAother", our_number=OTHER_NUMBER)])
    acme = id_of(store, "Acme")

    outcome = change(store, DeleteWorkspace(workspace_id=acme))

    assert (names(store), store.agents()) == (["Borealis", "Unassigned"], [])
    assert [phone.phone_number for phone in store.phones()] == [OTHER_NUMBER]
    assert legs_by_name(store) == {"Borealis": 1, "Unassigned": 5}
    assert conversations_by_name(store) == {"Unassigned": 2}
    for table in ("twilio_snapshots", "elevenlabs_snapshots"):
        assert sql(f"select count(*) from {table} where workspace_id = {acme}") == [(0,)]
    assert [(effect.workspace, effect.twilio.total_legs) for effect in outcome.effects] == [
        ("Acme", -5),
        ("Unassigned", 5),
    ]


def test_what_a_deleted_workspace_used_goes_where_it_is_registered_otherwise(store: Store) -> None:
    change(
        store,
        RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER),
        RegisterAgent(workspace="Borealis", agent_id=OUR_AGENT),
        RegisterNumber(workspace="Cumulus", phone_number=OTHER_NUMBER),
    )
    store.save_conversations([make_conversation()])
    store.save_calls([make_leg(), make_leg(sid="CA2", parent_call_sid="CA1", our_number=OTHER_NUMBER)])

    change(store, DeleteWorkspace(workspace_id=id_of(store, "Acme")))

    assert conversations_by_name(store) == {"Borealis": 1}
    assert legs_by_name(store) == {"Unassigned": 1, "Cumulus": 1}


def test_unassigned_is_neither_renamed_nor_deleted_nor_given_anything(store: Store) -> None:
    store.save_calls([make_leg()])
    refused = [
        RenameWorkspace(workspace_id=UNASSIGNED, name="Nobody"),
        DeleteWorkspace(workspace_id=UNASSIGNED),
        RegisterNumber(workspace="Unassigned", phone_number=OUR_NUMBER),
        MoveNumber(workspace="UNASSIGNED", phone_number=OUR_NUMBER, valid_from=TEN),
        RegisterAgent(workspace="Unassigned", agent_id=OUR_AGENT),
    ]

    sentences = [refusal(store, each) for each in refused]

    assert sentences[:2] == ["Unassigned can be neither renamed nor deleted; register its numbers instead."] * 2
    assert all(sentence.startswith("Unassigned owns nothing") for sentence in sentences[2:])
    assert (names(store), store.phones(), store.agents()) == (["Unassigned"], [], [])


def test_a_new_workspace_never_gets_the_id_of_a_deleted_one(store: Store) -> None:
    change(store, AddWorkspace(name="Acme"))
    gone = id_of(store, "Acme")

    change(store, DeleteWorkspace(workspace_id=gone), AddWorkspace(name="Borealis"))

    assert id_of(store, "Borealis") > gone


def test_a_workspace_that_is_deleted_and_added_again_has_nothing(store: Store) -> None:
    change(store, RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER))
    store.save_calls([make_leg()])

    change(store, DeleteWorkspace(workspace_id=id_of(store, "Acme")), AddWorkspace(name="Acme"))

    assert legs_by_name(store) == {"Unassigned": 1}


# Numbers and agents


def test_a_number_is_registered_for_a_new_workspace_and_takes_its_stored_usage_along(store: Store) -> None:
    save_four_hours_of_calls(store)
    store.save_conversations([make_conversation(started_at=TEN + HOUR)])

    outcome = change(
        store,
        RegisterNumber(
            workspace=" Acme ",
            phone_number=" +34 910 000 001 ",
            label=" Sales ",
            valid_from=TEN + HOUR,
            valid_until=TEN + DAY,
        ),
    )

    assert periods(store) == [("Acme", TEN + HOUR, TEN + DAY)]
    assert [phone.label for phone in store.phones()] == ["Sales"]
    assert legs_by_name(store) == {"Unassigned": 1, "Acme": 4}
    moved = TwilioTotals(
        total_calls=3, total_legs=4, total_cost=Decimal(8), total_duration=3 * 61, billed_minutes=4 * 2
    )
    talk = store.elevenlabs_balances([None])[0][id_of(store, "Acme")]
    assert outcome.effects == [
        Effect(workspace="Acme", twilio=moved, elevenlabs=talk),
        Effect(workspace="Unassigned", twilio=TwilioTotals() - moved, elevenlabs=ElevenLabsTotals() - talk),
    ]


def test_a_workspace_is_found_by_its_name_in_small_and_capital_letters(store: Store) -> None:
    change(store, AddWorkspace(name="École"))

    change(
        store,
        RegisterNumber(workspace="éCOLE", phone_number=OUR_NUMBER),
        RegisterAgent(workspace="école", agent_id=OUR_AGENT),
    )

    assert names(store) == ["École", "Unassigned"]


def test_a_number_that_was_written_by_hand_takes_its_stored_usage_along_when_it_is_registered(
    store: Store, sql: Sql
) -> None:
    store.save_calls([make_leg()])
    store.save_conversations([make_conversation()])
    change(store, AddWorkspace(name="Acme"))
    acme = id_of(store, "Acme")
    sql(f"insert into workspace_phones (workspace_id, phone_number) values ({acme}, '{OUR_NUMBER}') returning id")

    change(store, RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER))

    assert [snapshot.workspace_id for snapshot in store.twilio_snapshots()] == [acme]
    assert [snapshot.workspace_id for snapshot in store.elevenlabs_snapshots()] == [acme]


def test_registering_the_same_period_again_corrects_its_label_and_its_end(store: Store) -> None:
    save_four_hours_of_calls(store)
    registered = RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, valid_from=TEN, valid_until=TEN + HOUR)
    change(store, registered)
    phone_id = only_phone_id(store)

    change(store, replace(registered, label="Sales", valid_until=TEN + 2 * HOUR))

    assert (only_phone_id(store), periods(store)) == (phone_id, [("Acme", TEN, TEN + 2 * HOUR)])
    assert [phone.label for phone in store.phones()] == ["Sales"]
    assert legs_by_name(store) == {"Acme": 2, "Unassigned": 3}


def test_a_moved_number_leaves_its_past_with_the_old_owner_and_its_end_with_the_new_one(store: Store) -> None:
    save_four_hours_of_calls(store)
    change(
        store,
        RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, label="Line", valid_until=TEN + 3 * HOUR),
        MoveNumber(workspace="Borealis", phone_number=OUR_NUMBER, valid_from=TEN + HOUR),
    )

    assert periods(store) == [("Acme", None, TEN + HOUR), ("Borealis", TEN + HOUR, TEN + 3 * HOUR)]
    assert [phone.label for phone in store.phones()] == ["Line", "Line"]
    assert legs_by_name(store) == {"Acme": 1, "Borealis": 2, "Unassigned": 2}


def test_a_number_that_moves_at_the_moment_it_was_given_leaves_nothing_behind(store: Store) -> None:
    save_four_hours_of_calls(store)
    change(
        store,
        RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, valid_from=TEN + HOUR),
        MoveNumber(workspace="Borealis", phone_number=OUR_NUMBER, valid_from=TEN + HOUR),
    )

    assert periods(store) == [("Borealis", TEN + HOUR, None)]
    assert legs_by_name(store) == {"Unassigned": 1, "Borealis": 4}


def test_a_number_of_nobody_is_moved_until_its_next_period_begins(store: Store) -> None:
    save_four_hours_of_calls(store)
    change(
        store,
        RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, valid_from=TEN + 2 * HOUR),
        MoveNumber(workspace="Borealis", phone_number=OUR_NUMBER, valid_from=TEN + HOUR),
        MoveNumber(workspace="Cumulus", phone_number=OTHER_NUMBER, valid_from=TEN),
    )

    assert periods(store) == [("Borealis", TEN + HOUR, TEN + 2 * HOUR), ("Acme", TEN + 2 * HOUR, None)]
    assert legs_by_name(store) == {"Unassigned": 1, "Borealis": 1, "Acme": 3}


def test_a_number_keeps_its_whole_history_of_owners(store: Store) -> None:
    save_four_hours_of_calls(store)

    change(store, RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER))
    for hour, name in ((1, "Borealis"), (2, "Cumulus"), (3, "Acme")):
        change(store, MoveNumber(workspace=name, phone_number=OUR_NUMBER, valid_from=TEN + hour * HOUR))

    assert periods(store) == [
        ("Acme", None, TEN + HOUR),
        ("Borealis", TEN + HOUR, TEN + 2 * HOUR),
        ("Cumulus", TEN + 2 * HOUR, TEN + 3 * HOUR),
        ("Acme", TEN + 3 * HOUR, None),
    ]
    assert legs_by_name(store) == {"Acme": 3, "Borealis": 1, "Cumulus": 1}


@pytest.mark.parametrize("valid_from", [TEN, TEN + HOUR])
def test_a_number_does_not_move_to_its_owner(store: Store, valid_from: datetime) -> None:
    change(store, RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, valid_from=TEN))

    sentence = refusal(store, MoveNumber(workspace="acme", phone_number=OUR_NUMBER, valid_from=valid_from))

    assert sentence == "The number …0001 belongs to that workspace already at that time; choose another date."
    assert periods(store) == [("Acme", TEN, None)]


def test_releasing_a_number_leaves_what_comes_after_unassigned(store: Store) -> None:
    save_four_hours_of_calls(store)
    change(store, RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, label="Line"))

    change(
        store,
        EditNumber(phone_id=only_phone_id(store), label="Old line", valid_from=None, valid_until=TEN + 2 * HOUR),
    )

    assert periods(store) == [("Acme", None, TEN + 2 * HOUR)]
    assert [phone.label for phone in store.phones()] == ["Old line"]
    assert legs_by_name(store) == {"Acme": 2, "Unassigned": 3}


@pytest.mark.parametrize(("start", "end", "legs"), [(0, 1, 1), (2, 3, 1), (1, 4, 4), (0, 4, 5), (3, 5, 2)])
def test_the_dates_of_a_period_may_be_moved_anywhere(store: Store, start: int, end: int, legs: int) -> None:
    save_four_hours_of_calls(store)
    change(
        store,
        RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, valid_from=TEN + HOUR, valid_until=TEN + 2 * HOUR),
    )

    dates = {"valid_from": TEN + start * HOUR, "valid_until": TEN + end * HOUR}
    change(store, EditNumber(phone_id=only_phone_id(store), label=None, **dates))

    assert legs_by_name(store).get("Acme") == legs


def test_a_deleted_period_is_as_if_it_had_never_been(store: Store) -> None:
    save_four_hours_of_calls(store)
    change(store, RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER))

    change(store, DeleteNumber(phone_id=only_phone_id(store)))

    assert (store.phones(), legs_by_name(store)) == ([], {"Unassigned": 5})


def test_an_agent_is_registered_moved_and_forgotten_with_its_conversations(store: Store) -> None:
    store.save_conversations(
        [make_conversation(agent_number=None), make_conversation(conversation_id="conv_2", agent_id=OTHER_AGENT)]
    )

    change(store, RegisterAgent(workspace="Acme", agent_id=f" {OUR_AGENT} ", label="Widget"))
    assert conversations_by_name(store) == {"Acme": 1, "Unassigned": 1}
    change(store, RegisterAgent(workspace="Borealis", agent_id=OUR_AGENT))
    assert conversations_by_name(store) == {"Borealis": 1, "Unassigned": 1}
    assert store.agents() == [Agent(agent_id=OUR_AGENT, workspace_id=id_of(store, "Borealis"))]
    change(store, DeleteAgent(agent_id=OUR_AGENT))
    assert (conversations_by_name(store), store.agents()) == ({"Unassigned": 2}, [])


REFUSED = [
    (
        RegisterNumber(workspace="New", phone_number=OUR_NUMBER),
        "The number …0001 belongs to another workspace, or has another period, in that time; end that first.",
    ),
    (
        RegisterNumber(workspace="New", phone_number=THIRD_NUMBER, valid_from=TEN, valid_until=TEN),
        "The number …0003 cannot be registered: it would end before it begins; correct a date.",
    ),
    (
        RegisterNumber(workspace="New", phone_number="910 000 003"),
        "The number …0003 is not in international form, such as +34911234567; correct it.",
    ),
    (
        RegisterNumber(workspace="New", phone_number=""),
        "There is no phone number; give it in international form, such as +34911234567.",
    ),
    (RegisterNumber(workspace="", phone_number=THIRD_NUMBER), "The workspace has no name; give it one."),
    (
        RegisterNumber(workspace="New", phone_number=THIRD_NUMBER, label="A" * 201),
        "The label is longer than 200 characters; shorten it.",
    ),
    (
        MoveNumber(workspace="Acme", phone_number=OUR_NUMBER, valid_from=TEN),
        "The number …0001 belongs to that workspace already at that time; choose another date.",
    ),
    (RenameWorkspace(workspace_id=99, name="New"), "There is no such workspace any more; load the page again."),
    (DeleteWorkspace(workspace_id=99), "There is no such workspace any more; load the page again."),
    (DeleteNumber(phone_id=99), "There is no such period of a number any more; load the page again."),
    (
        EditNumber(phone_id=99, label=None, valid_from=None, valid_until=None),
        "There is no such period of a number any more; load the page again.",
    ),
    (DeleteAgent(agent_id=OTHER_AGENT), "There is no such agent any more; load the page again."),
    (RegisterAgent(workspace="New", agent_id=" "), "The agent has no id; copy it from ElevenLabs."),
]


@pytest.mark.parametrize(("refused", "sentence"), REFUSED)
def test_a_refused_change_leaves_a_sentence_and_no_trace_and_the_others_in_place(
    store: Store, refused: RegistryChange, sentence: str
) -> None:
    change(store, RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER))
    save_four_hours_of_calls(store)

    outcome = change_in_part(
        store,
        AddWorkspace(name="Borealis"),
        refused,
        MoveNumber(workspace="Borealis", phone_number=OUR_NUMBER, valid_from=TEN + HOUR),
    )

    assert outcome.refusals == [None, sentence, None]
    assert names(store) == ["Acme", "Borealis", "Unassigned"]
    assert legs_by_name(store) == {"Acme": 1, "Borealis": 4}


def test_a_correction_that_would_overlap_the_next_period_is_refused(store: Store) -> None:
    change(
        store,
        RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, valid_until=TEN),
        RegisterNumber(workspace="Borealis", phone_number=OUR_NUMBER, valid_from=TEN),
    )
    first, _ = store.phones()
    before = periods(store)

    edited = EditNumber(phone_id=first.id, label=None, valid_from=None, valid_until=TEN + HOUR)
    again = RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, valid_until=None)

    assert refusal(store, edited).endswith("in that time; end that first.")
    assert refusal(store, again).endswith("in that time; end that first.")
    assert periods(store) == before


def test_an_empty_list_changes_nothing(store: Store) -> None:
    assert store.change_registry([]) == Outcome(refusals=[], effects=[])


def test_changes_see_what_those_before_them_did(store: Store) -> None:
    outcome = change_in_part(
        store,
        AddWorkspace(name="Acme"),
        AddWorkspace(name="ACME"),
        RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER),
        RegisterNumber(workspace="Borealis", phone_number=OUR_NUMBER),
        MoveNumber(workspace="Borealis", phone_number=OUR_NUMBER, valid_from=TEN),
    )

    assert [bool(sentence) for sentence in outcome.refusals] == [False, True, False, True, False]
    assert periods(store) == [("Acme", None, TEN), ("Borealis", TEN, None)]


# Trying


def test_a_dry_run_changes_nothing_and_tells_exactly_what_the_changes_then_do(store: Store, sql: Sql) -> None:
    change(
        store,
        RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER),
        RegisterNumber(workspace="Borealis", phone_number=OTHER_NUMBER, valid_until=TEN + HOUR),
        RegisterAgent(workspace="Acme", agent_id=OUR_AGENT),
    )
    save_four_hours_of_calls(store)
    store.save_calls([make_leg(sid="CAother", our_number=OTHER_NUMBER, cost=None)])
    store.save_conversations(
        [make_conversation(), make_conversation(conversation_id="conv_2", agent_number=None, started_at=TEN + DAY)]
    )
    [ours] = [phone for phone in store.phones() if phone.phone_number == OTHER_NUMBER]
    changes: list[RegistryChange] = [
        MoveNumber(workspace="Cumulus", phone_number=OUR_NUMBER, valid_from=TEN + 2 * HOUR),
        RenameWorkspace(workspace_id=id_of(store, "Borealis"), name="Boreal"),
        RegisterNumber(workspace="Acme", phone_number=OTHER_NUMBER),
        DeleteNumber(phone_id=ours.id),
        DeleteWorkspace(workspace_id=id_of(store, "Acme")),
        RegisterAgent(workspace="Boreal", agent_id=OUR_AGENT),
        DeleteAgent(agent_id=OTHER_AGENT),
    ]
    before = everything_stored(sql)

    told = store.change_registry(changes, dry_run=True)
    untouched = everything_stored(sql)
    done = change_in_part(store, *changes)

    assert untouched == before
    assert told == done
    assert [effect.workspace for effect in told.effects] == ["Acme", "Boreal", "Cumulus", "Unassigned"]
    assert [bool(sentence) for sentence in told.refusals] == [False, False, True, False, False, False, True]
    assert everything_stored(sql) != before


def test_records_that_wait_for_their_balances_are_no_effect_of_a_change(store: Store) -> None:
    store.save_calls([make_leg(), make_leg(sid="CA2", our_number=OTHER_NUMBER)], refresh=False)

    outcome = store.change_registry([RegisterNumber(workspace="Acme", phone_number=OTHER_NUMBER)])

    assert [(effect.workspace, effect.twilio.total_legs) for effect in outcome.effects] == [
        ("Acme", 1),
        ("Unassigned", -1),
    ]


def test_calls_go_with_their_records_as_if_they_were_added_up_again(store: Store, sql: Sql) -> None:
    change(store, RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER))
    save_four_hours_of_calls(store)
    store.save_conversations(
        [
            make_conversation(call_sid="CA0"),
            make_conversation(conversation_id="conv_2", call_sid="CA3", agent_number=OTHER_NUMBER),
            make_conversation(conversation_id="conv_3", call_sid=None, agent_number=None),
            make_conversation(conversation_id="conv_4", call_sid="CA1", agent_number=OTHER_NUMBER),
        ]
    )

    change(
        store,
        MoveNumber(workspace="Borealis", phone_number=OUR_NUMBER, valid_from=TEN + HOUR),
        RegisterNumber(workspace="Borealis", phone_number=OTHER_NUMBER, valid_from=TEN + HOUR),
        RegisterAgent(workspace="Cumulus", agent_id=OUR_AGENT),
    )

    owners = "select call_id, workspace_id, conversation_workspace_id, is_shared from call_costs"
    moved = sql(f"{owners} order by call_id")
    store.save_calls([make_leg(sid="CAnew", our_number=None)])
    store.save_conversations([make_conversation(conversation_id="conv_new", call_sid=None)])
    sql("insert into stale_calls select sid from calls union all select conversation_id from elevenlabs_conversations")
    store.save_calls([make_leg(sid="CAnewer", our_number=None)])
    again = sql(f"{owners} where call_id not like '%new%' order by call_id")
    assert moved == again
    assert sql("select count(*) from stale_calls") == [(0,)]
    assert len({row[1] for row in moved}) == 3


# What nobody has registered


def test_unregistered_numbers_are_told_with_their_usage_and_costs_the_last_used_first(store: Store) -> None:
    change(store, RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER))
    store.save_calls(
        [
            make_leg(),
            make_leg(sid="CA2", our_number=OTHER_NUMBER, cost=Decimal("0.25"), started_at=TEN + HOUR),
            make_leg(sid="CA3", our_number=CALLER, parent_call_sid="CA2", cost=Decimal(1), started_at=TEN + 2 * HOUR),
            make_leg(sid="CA4", our_number=OTHER_NUMBER, cost=Decimal(9), price_unit="EUR"),
            make_leg(sid="CA5", our_number=THIRD_NUMBER, cost=None),
            make_leg(sid="CA6", our_number=None),
        ]
    )
    store.save_conversations(
        [
            make_conversation(agent_number=THIRD_NUMBER, started_at=TEN + DAY),
            make_conversation(conversation_id="conv_2", agent_number=THIRD_NUMBER, cost=None),
            make_conversation(conversation_id="conv_3", agent_number=None),
        ]
    )

    listed = store.unregistered_numbers()

    assert listed == [
        UnregisteredNumber(
            phone_number=THIRD_NUMBER,
            calls=1,
            conversations=2,
            twilio_cost=None,
            elevenlabs_cost=Decimal("0.10420315"),
            unpriced=2,
            first_seen=TEN,
            last_seen=TEN + DAY,
        ),
        UnregisteredNumber(
            phone_number=OTHER_NUMBER,
            calls=2,
            conversations=0,
            twilio_cost=Decimal("1.25"),
            elevenlabs_cost=None,
            unpriced=1,
            first_seen=TEN,
            last_seen=TEN + 2 * HOUR,
        ),
    ]
    assert [number.records for number in listed] == [3, 2]
    assert store.unregistered_numbers(limit=1) == listed[:1]


def test_unregistered_agents_are_told_with_their_last_name_the_last_used_first(store: Store) -> None:
    change(store, RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER))
    store.save_conversations(
        [
            make_conversation(),
            make_conversation(
                conversation_id="conv_2", agent_number=None, agent_name="New name", started_at=TEN + HOUR
            ),
            make_conversation(conversation_id="conv_3", agent_number=OTHER_NUMBER, cost=None),
            make_conversation(
                conversation_id="conv_4", agent_id=OTHER_AGENT, agent_number=None, agent_name=None, cost=None
            ),
            make_conversation(conversation_id="conv_5", agent_id=None, agent_number=None),
        ]
    )

    listed = store.unregistered_agents()

    assert listed == [
        UnregisteredAgent(
            agent_id=OUR_AGENT,
            agent_name="New name",
            conversations=2,
            cost=Decimal("0.10420315"),
            unpriced=1,
            last_seen=TEN + HOUR,
        ),
        UnregisteredAgent(agent_id=OTHER_AGENT, agent_name=None, conversations=1, cost=None, unpriced=1, last_seen=TEN),
    ]
    assert store.unregistered_agents(limit=1) == listed[:1]
    assert (
        change(store, RegisterAgent(workspace="Borealis", agent_id=OUR_AGENT)).effects[0].elevenlabs.total_conversations
        == 2
    )


@pytest.mark.parametrize("query", [UNREGISTERED_NUMBERS, UNREGISTERED_AGENTS])
def test_what_is_unassigned_is_found_by_an_index(
    open_sqlite: Callable[[], tuple[SqliteStore, Sql]], query: str
) -> None:
    store, sql = open_sqlite()
    with closing(store):
        plan = [str(row[3]) for row in sql(f"explain query plan {query.replace('?', '200')}")]

    reads = [step for step in plan if "calls" in step or "leg" in step or "elevenlabs_conversations" in step]
    assert reads
    assert [step for step in reads if step.startswith("SCAN")] == []
    assert any("USING INDEX" in step and "(workspace_id=?)" in step for step in reads)


# Supabase


def test_changes_whose_answer_is_lost_are_carried_out_and_told_once(supabase: LocalSupabase) -> None:
    with CuttingProxy(supabase.url) as proxy, closing(SupabaseStore(proxy.url, supabase.secret_key)) as store:
        store.save_calls([make_leg()])
        proxy.drop_next_answer()

        outcome = store.change_registry(
            [RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER), AddWorkspace(name="B")]
        )

        assert proxy.cuts == 1
        assert outcome.refusals == [None, None]
        assert [effect.workspace for effect in outcome.effects] == ["Acme", "Unassigned"]


def test_answers_are_kept_for_a_day(supabase: LocalSupabase) -> None:
    with closing(SupabaseStore(supabase.url, supabase.secret_key)) as store:
        store.change_registry([AddWorkspace(name="Acme")])
        supabase.sql("update ledger_registry_requests set answered_at = now() - interval '25 hours'")
        store.change_registry([AddWorkspace(name="Borealis")])
        store.change_registry([AddWorkspace(name="Cumulus")], dry_run=True)

    assert supabase.sql("select count(*) from ledger_registry_requests") == [(1,)]
