"""The page Settings: what is not registered, every change, CSV, providers that fail, a store that does."""

import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import streamlit as st
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from dashboard import callers, data, formats
from dashboard.formats import UNKNOWN
from dashboard.registry import dates, names
from demo import credentials
from demo.fleet import Fleet
from demo.server import create_app, running
from sync.bootstrap import shared
from sync.models import UNASSIGNED, Phone
from sync.registry import AddWorkspace, RegisterAgent, RegisterNumber
from sync.settings import Settings
from sync.sqlite_store import SqliteStore
from sync.store import Store
from tests.local_supabase import LocalSupabase
from tests.records import (
    DAY,
    HOUR,
    OTHER_AGENT,
    OTHER_NUMBER,
    OUR_NUMBER,
    TEN,
    THIRD_NUMBER,
    make_conversation,
    make_leg,
)
from tests.scripted_server import Answer, ScriptedServer

ROOT = Path(__file__).parent.parent
CREDENTIALS = {
    "TWILIO_ACCOUNT_SID": credentials.ACCOUNT_SID,
    "TWILIO_AUTH_TOKEN": credentials.AUTH_TOKEN,
    "ELEVENLABS_API_KEY": credentials.ELEVENLABS_API_KEY,
}
SECRETS = {"CRON_SECRET": "a-secret-of-the-tests", **CREDENTIALS}
OPTIONAL = ("SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL", "TIMEZONE", "DISABLE_ELEVENLABS_HOURLY_SYNC", "DEMO_PORT")

MASKED = {OUR_NUMBER: "+34 … 0001", OTHER_NUMBER: "+34 … 0002", THIRD_NUMBER: "+1 … 0003"}
TEN_O_CLOCK_BEFORE = TEN - DAY
BOTH_STORES = pytest.mark.parametrize("settings", ["sqlite", "supabase"], indirect=True)

HEADER = "workspace,phone_number,label,valid_from,valid_until"


def forget_services() -> None:
    shared.cache_clear()
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.MonkeyPatch]:
    """Give the environment of an installation with both providers, to change before the store is opened."""
    monkeypatch.chdir(tmp_path)  # away from a developer's .env
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # AppTest leaves the page there
    for name in (*OPTIONAL, "TWILIO_API_KEY", "TWILIO_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**SECRETS, "DATABASE_PATH": "ledger.db"}.items():
        monkeypatch.setenv(name, value)
    if getattr(request, "param", "sqlite") == "supabase":
        project: LocalSupabase = request.getfixturevalue("supabase")
        monkeypatch.setenv("SUPABASE_URL", project.url)
        monkeypatch.setenv("SUPABASE_KEY", project.secret_key)
    forget_services()
    yield monkeypatch
    if shared.cache_info().currsize:
        shared().close()
    forget_services()


@pytest.fixture(autouse=True)
def selectbox_takes_new_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let AppTest send what is typed into a selectbox; it knows those that are listed only."""

    def state(self: Selectbox[str]) -> WidgetState:
        value = self.value
        chosen = None if value is None else self.format_func(value)
        return WidgetState(id=self.id, string_value=chosen)

    monkeypatch.setattr(Selectbox, "_widget_state", property(state))


@pytest.fixture
def ledger(settings: pytest.MonkeyPatch) -> Store:
    """Give the empty store that the page reads."""
    return shared().store


@pytest.fixture
def filled(ledger: Store) -> Store:
    """Give a store where Acme owns one of three numbers that were used, and none of the agents."""
    ledger.change_registry([RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, label="Reception")])
    ledger.save_calls(
        [
            make_leg(sid="CAours", started_at=TEN),
            make_leg(sid="CA1", our_number=OTHER_NUMBER, started_at=TEN_O_CLOCK_BEFORE, cost=Decimal("1.25")),
            make_leg(sid="CA2", our_number=OTHER_NUMBER, started_at=TEN, cost=Decimal("2.50")),
            make_leg(sid="CA3", our_number=THIRD_NUMBER, started_at=TEN - HOUR, cost=None, price_unit=None),
        ]
    )
    ledger.save_conversations(
        [
            make_conversation(conversation_id="conv_2", agent_number=OTHER_NUMBER, call_sid="CA2", started_at=TEN),
            make_conversation(
                conversation_id="conv_widget",
                agent_id=OTHER_AGENT,
                agent_name="Support",
                agent_number=None,
                call_sid=None,
            ),
        ]
    )
    return ledger


def open_page(**query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "dashboard" / "main.py"), default_timeout=30)
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page(str(ROOT / "pages" / "settings.py"))
    app.run()
    app.switch_page(str(ROOT / "pages" / "settings.py")).run()
    assert not app.exception
    return app


def words_of(app: AppTest) -> str:
    kinds = (app.caption, app.info, app.warning, app.error, app.success, app.markdown)
    return "\n".join(element.value.replace("\\", "") for kind in kinds for element in kind)


def errors_of(app: AppTest) -> list[str]:
    return [error.value.replace("\\", "") for error in app.main.error]


def widget(app: AppTest, kind: str, place: str, label: str):  # type: ignore[no-untyped-def]  # any of many widgets
    """Return the widget at a place of the page, which begins its key."""
    found = [each for each in getattr(app, kind) if each.label == label and (each.key or "").startswith(place)]
    assert len(found) == 1, f"{len(found)} of {label}"
    return found[0]


def press(app: AppTest, label: str, place: str = "") -> AppTest:
    found = [each for each in app.main.button if each.label == label and place in (each.key or "")]
    assert len(found) == 1, f"{len(found)} buttons {label}"
    found[0].click().run()
    assert not app.exception
    return app


def press_submit(app: AppTest, label: str, place: str) -> AppTest:
    """Press the button of a form, which is known by the place in its form's key."""
    found = [each for each in app.main.button if each.label == label and place in each.proto.form_id]
    assert len(found) == 1, f"{len(found)} buttons {label}"
    found[0].click().run()
    assert not app.exception
    return app


def table(app: AppTest, column: str, number: int = 0) -> list[object]:
    """Return a column of the first table (or another one) that has it."""
    return list([frame.value for frame in app.dataframe if column in frame.value][number][column])


def effects_of(app: AppTest) -> dict[str, dict[str, str]]:
    """Return by workspace what a preview says."""
    frame = app.table[0].value.map(lambda cell: cell.replace("\\", ""))
    return {str(name): dict(row) for name, row in frame.to_dict("index").items()}


def phone_of(store: Store, number: str) -> Phone:
    [phone] = [phone for phone in store.phones() if phone.phone_number == number]
    return phone


def workspace_id(store: Store, name: str) -> int:
    return next(workspace.id for workspace in store.workspaces() if workspace.name == name)


def cost_of(store: Store, name: str) -> Decimal:
    owner = workspace_id(store, name)
    twilio, elevenlabs = store.twilio_balances([None])[0], store.elevenlabs_balances([None])[0]
    return (twilio[owner].total_cost if owner in twilio else Decimal(0)) + (
        elevenlabs[owner].total_cost if owner in elevenlabs else Decimal(0)
    )


def choose_unregistered(app: AppTest, *numbers: str, workspace: str = "Acme", start: str = "") -> AppTest:
    widget(app, "multiselect", "unregistered numbers", "Numbers to assign").set_value(list(numbers))
    widget(app, "selectbox", "unregistered numbers", "Workspace").set_value(workspace)
    if start:
        next(control for control in app.button_group if control.label == "Theirs from").set_value(start)
    return app.run()


# What is there


def test_before_anything_is_registered_the_page_says_what_to_do(ledger: Store) -> None:
    app = open_page()

    assert "No workspace yet" in words_of(app)
    assert "after the first sync, what has no owner is listed here" in words_of(app)
    assert widget(app, "text_input", "add workspace", "New workspace").value == ""


def test_numbers_without_an_owner_come_first_the_last_used_at_the_top(filled: Store) -> None:
    app = open_page()

    shown = app.dataframe[0].value
    assert list(shown["Number"]) == [MASKED[OTHER_NUMBER], MASKED[THIRD_NUMBER]]
    assert list(shown["Calls"]) == [2, 1]
    assert list(shown["Conversations"]) == [1, 0]
    assert shown["Twilio cost"][0] == pytest.approx(3.75)
    assert list(shown["Twilio cost"].isna()) == [False, True]  # not known yet, which is not nothing
    assert list(shown["Unpriced"]) == [0, 1]
    assert [str(day)[:10] for day in shown["First used"]] == ["2026-10-23", "2026-10-24"]
    assert [str(day)[:10] for day in shown["Last used"]] == ["2026-10-24", "2026-10-24"]


def test_numbers_are_masked_until_the_reader_asks_for_them(filled: Store) -> None:
    app = open_page()
    assert OTHER_NUMBER not in "".join(str(frame.value.to_dict()) for frame in app.dataframe)
    choose_unregistered(app, OTHER_NUMBER)

    app.toggle(key=callers.FULL).set_value(True).run()

    assert table(app, "Number") == [OTHER_NUMBER, THIRD_NUMBER]
    assert widget(app, "multiselect", "unregistered numbers", "Numbers to assign").value == [OTHER_NUMBER]


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+34911234567", "+34 … 4567"),
        ("+12125550105", "+1 … 0105"),
        ("+380441234567", "+380 … 4567"),
        ("+3491", "+3491"),  # too short to be one
        ("sip:desk@example.com", "sip:desk@example.com"),
    ],
)
def test_a_masked_number_keeps_its_country_and_its_last_digits(number: str, masked: str) -> None:
    assert formats.masked_number(number) == masked


def test_two_numbers_that_end_alike_are_never_called_the_same() -> None:
    called = names.of_numbers(["+34911110001", "+34922220001", "+34933330002"])

    assert list(called.values()).count("+34 … 0002") == 1
    assert len(set(called.values())) == 3


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_days_are_those_of_the_chosen_time_zone(filled: Store, zone: str) -> None:
    app = open_page(zone=zone)
    assert f"Dates are days in {zone}" in words_of(app)

    choose_unregistered(app, OTHER_NUMBER)
    press(app, "Preview", "unregistered numbers")
    press(app, "Assign 1 number to Acme")

    first_day = dates.day_of(TEN_O_CLOCK_BEFORE, Settings(timezone=zone).zone)
    valid_from = phone_of(filled, OTHER_NUMBER).valid_from
    assert valid_from is not None
    assert valid_from <= TEN_O_CLOCK_BEFORE
    assert valid_from.astimezone(Settings(timezone=zone).zone).isoformat()[:16] == f"{first_day}T00:00"


# Assigning


@BOTH_STORES
def test_what_an_assignment_gives_to_a_workspace_unassigned_loses(filled: Store) -> None:
    before = cost_of(filled, "Acme"), cost_of(filled, "Unassigned")
    app = choose_unregistered(open_page(), OTHER_NUMBER)

    press(app, "Preview", "unregistered numbers")
    promised = effects_of(app)
    assert (cost_of(filled, "Acme"), cost_of(filled, "Unassigned")) == before  # nothing happened yet
    press(app, "Assign 1 number to Acme")

    gained = cost_of(filled, "Acme") - before[0]
    assert gained == before[1] - cost_of(filled, "Unassigned") == Decimal("3.85420315")
    assert promised == {
        "Acme": {
            "Calls": "1 → 3",
            "Legs": "1 → 3",
            "Twilio cost": "$0.01 → $3.76",
            "Conversations": "0 → 1",
            "ElevenLabs cost": "$0.00 → $0.10",
        },
        "Unassigned": {
            "Calls": "3 → 1",
            "Legs": "3 → 1",
            "Twilio cost": f"$3.75 → {UNKNOWN}",
            "Conversations": "2 → 1",
            "ElevenLabs cost": "$0.21 → $0.10",
        },
    }
    assert "1 number assigned to Acme." in words_of(app)
    assert table(app, "Number") == [MASKED[THIRD_NUMBER]]
    assert phone_of(filled, OTHER_NUMBER).valid_from == TEN_O_CLOCK_BEFORE.replace(hour=0)


def test_a_number_may_be_theirs_for_ever(filled: Store) -> None:
    app = choose_unregistered(open_page(), OTHER_NUMBER, start="Always")

    press(app, "Preview", "unregistered numbers")
    press(app, "Assign 1 number to Acme")

    assert phone_of(filled, OTHER_NUMBER).valid_from is None


def test_what_a_number_did_before_the_date_stays_unassigned(filled: Store) -> None:
    app = choose_unregistered(open_page(), OTHER_NUMBER, start="A date")
    widget(app, "date_input", "unregistered numbers", "Date").set_value(TEN.date()).run()

    press(app, "Preview", "unregistered numbers")
    press(app, "Assign 1 number to Acme")

    assert filled.twilio_balances([None])[0][UNASSIGNED].total_cost == Decimal("1.25")


def test_a_gap_between_two_owners_is_filled_and_no_more(filled: Store) -> None:
    released, taken = TEN_O_CLOCK_BEFORE - HOUR, TEN - HOUR  # not at midnight: another program may have registered them
    filled.change_registry(
        [
            RegisterNumber(workspace="Borealis", phone_number=OTHER_NUMBER, valid_until=released),
            RegisterNumber(workspace="Cumulus", phone_number=OTHER_NUMBER, valid_from=taken),
        ]
    )
    app = choose_unregistered(open_page(), OTHER_NUMBER)
    assert "Theirs: +34 … 0002 from 23 Oct 2026 09:00 until 24 Oct 2026 09:00" in words_of(app)

    press(app, "Preview", "unregistered numbers")
    press(app, "Assign 1 number to Acme")

    assert (released, taken) in [(phone.valid_from, phone.valid_until) for phone in filled.phones()]
    assert filled.twilio_balances([None])[0][workspace_id(filled, "Acme")].total_cost == Decimal("1.2585")


def test_several_numbers_go_to_a_workspace_whose_name_is_typed(filled: Store) -> None:
    app = choose_unregistered(open_page(), OTHER_NUMBER, THIRD_NUMBER, workspace="Borealis = $1 *bold*")

    press(app, "Preview", "unregistered numbers")
    assert "1 leg among them without a price" in words_of(app)
    press(app, "Assign 2 numbers to new workspace Borealis = \\$1 \\*bold\\*")

    owner = workspace_id(filled, "Borealis = $1 *bold*")
    assert {phone.phone_number for phone in filled.phones() if phone.workspace_id == owner} == {
        OTHER_NUMBER,
        THIRD_NUMBER,
    }


def test_a_preview_goes_when_something_else_is_asked_for(filled: Store) -> None:
    app = choose_unregistered(open_page(), OTHER_NUMBER)
    press(app, "Preview", "unregistered numbers")

    choose_unregistered(app, THIRD_NUMBER)

    assert not app.table[:-1]
    assert "Assign" not in str([button.label for button in app.main.button])


def test_the_same_click_in_two_browsers_assigns_once(filled: Store) -> None:
    mine, theirs = (choose_unregistered(open_page(), OTHER_NUMBER) for _ in range(2))
    for app in (mine, theirs):
        press(app, "Preview", "unregistered numbers")

    press(mine, "Assign 1 number to Acme")
    press(theirs, "Assign 1 number to Acme")

    assert len([phone for phone in filled.phones() if phone.phone_number == OTHER_NUMBER]) == 1
    assert table(theirs.run(), "Number") == [MASKED[THIRD_NUMBER]]


def test_a_change_makes_every_page_read_anew(filled: Store) -> None:
    before = data.version()
    app = choose_unregistered(open_page(), OTHER_NUMBER)

    press(app, "Preview", "unregistered numbers")
    assert data.version() == before
    press(app, "Assign 1 number to Acme")

    assert data.version() != before


@BOTH_STORES
def test_an_agent_without_an_owner_is_assigned_with_its_conversations(filled: Store) -> None:
    app = open_page()
    agents = widget(app, "multiselect", "unregistered agents", "Agents to assign")
    agents.set_value([OTHER_AGENT])
    widget(app, "selectbox", "unregistered agents", "Workspace").set_value("Acme").run()

    press(app, "Preview", "unregistered agents")
    assert effects_of(app)["Acme"]["Conversations"] == "0 → 1"
    press(app, "Assign 1 agent to Acme")

    [agent] = filled.agents()
    assert (agent.agent_id, agent.label) == (OTHER_AGENT, "Support")
    assert filled.elevenlabs_balances([None])[0][agent.workspace_id].total_conversations == 1


# Workspaces


def add_workspace(app: AppTest, name: str) -> AppTest:
    widget(app, "text_input", "add workspace", "New workspace").set_value(name)
    return press_submit(app, "Add workspace", "add workspace")


def test_a_workspace_is_added_and_the_form_is_empty_again(ledger: Store) -> None:
    app = add_workspace(open_page(), "Acme")

    assert "Acme added." in words_of(app)
    assert "No workspace yet" not in words_of(app)
    assert table(app, "Workspace") == ["Acme"]
    assert widget(app, "text_input", "add workspace", "New workspace").value == ""


@pytest.mark.parametrize(
    ("name", "problem"), [("acme", "There is a workspace of that name already"), (" ", "The workspace has no name")]
)
def test_a_name_that_cannot_be_is_refused_and_stays_in_the_form(filled: Store, name: str, problem: str) -> None:
    app = add_workspace(open_page(), name)

    assert problem in errors_of(app)[0]
    assert widget(app, "text_input", "add workspace", "New workspace").value == name


def choose(app: AppTest, place: str, label: str, value: object, action: str = "") -> AppTest:
    widget(app, "selectbox", place, label).set_value(value).run()
    if action:
        [control] = [each for each in app.button_group if (each.key or "").startswith(f"{place} action")]
        control.set_value(action).run()
    return app


def test_a_workspace_gets_another_name(filled: Store) -> None:
    app = choose(open_page(), "change workspace", "Change a workspace", workspace_id(filled, "Acme"))
    widget(app, "text_input", "change workspace", "New name").set_value("Acme & Sons")

    press_submit(app, "Rename", "change workspace")

    assert "Acme is now called Acme & Sons." in words_of(app)
    assert [workspace.name for workspace in filled.workspaces()] == ["Acme & Sons", "Unassigned"]


def test_another_name_that_is_taken_is_refused_and_stays_in_the_form(filled: Store) -> None:
    filled.change_registry([AddWorkspace(name="Borealis")])
    app = choose(open_page(), "change workspace", "Change a workspace", workspace_id(filled, "Acme"))
    widget(app, "text_input", "change workspace", "New name").set_value("Borealis")

    press_submit(app, "Rename", "change workspace")

    assert "There is a workspace of that name already" in errors_of(app)[0]
    assert widget(app, "text_input", "change workspace", "New name").value == "Borealis"


@BOTH_STORES
def test_deleting_a_workspace_says_what_is_lost_and_waits_for_its_name(filled: Store) -> None:
    filled.change_registry([RegisterAgent(workspace="Acme", agent_id=OTHER_AGENT, label="Support")])
    app = choose(open_page(), "change workspace", "Change a workspace", workspace_id(filled, "Acme"), "Delete")
    assert f"1 number ({MASKED[OUR_NUMBER]}) and 1 agent (Support)" in words_of(app)

    press(app, "Preview what becomes Unassigned")
    assert effects_of(app)["Acme"]["Calls"] == "1 → 0"
    [delete] = [button for button in app.main.button if button.label == "Delete Acme"]
    assert delete.disabled
    widget(app, "text_input", "change workspace", "Type Acme to confirm").set_value("Acme").run()
    press(app, "Delete Acme")

    assert [workspace.id for workspace in filled.workspaces()] == [UNASSIGNED]
    assert filled.twilio_balances([None])[0][UNASSIGNED].total_calls == 4
    assert "Acme deleted." in words_of(app)


# Numbers


def register_number(app: AppTest, number: str, workspace: str = "Acme", label: str = "") -> AppTest:
    widget(app, "text_input", "register number", "Number").set_value(number)
    widget(app, "selectbox", "register number", "Workspace").set_value(workspace)
    widget(app, "text_input", "register number", "Label").set_value(label)
    return press_submit(app, "Preview", "register number")


def test_a_number_is_registered_with_its_dates(filled: Store) -> None:
    app = open_page()
    widget(app, "date_input", "register number", "From").set_value(TEN.date())
    widget(app, "date_input", "register number", "Until").set_value((TEN + 2 * DAY).date())

    register_number(app, f"{OTHER_NUMBER[:3]} {OTHER_NUMBER[3:]}", label="Sales")
    press(app, "Register for Acme")

    phone = phone_of(filled, OTHER_NUMBER)
    assert (phone.label, phone.valid_from, phone.valid_until) == (
        "Sales",
        TEN.replace(hour=0),
        (TEN + 2 * DAY).replace(hour=0),
    )
    assert "Sales" in table(app, "Label")


@pytest.mark.parametrize(
    ("number", "workspace", "problem"),
    [
        ("12345", "Acme", "not in international form"),
        (OUR_NUMBER, "Borealis", "belongs to another workspace"),
        (OTHER_NUMBER, "", "The workspace has no name"),
    ],
)
def test_a_number_that_cannot_be_registered_is_refused_and_stays_in_the_form(
    filled: Store, number: str, workspace: str, problem: str
) -> None:
    app = register_number(open_page(), number, workspace)

    assert problem in errors_of(app)[0]
    assert OUR_NUMBER not in errors_of(app)[0]
    assert widget(app, "text_input", "register number", "Number").value == number
    assert len(filled.phones()) == 1


def test_another_label_leaves_dates_that_are_no_midnight_as_they_are(ledger: Store) -> None:
    start = datetime(2026, 3, 1, 13, 30, tzinfo=UTC)
    ledger.change_registry([RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, valid_from=start)])
    app = open_page(zone="Asia/Tokyo")
    assert table(app, "From") == ["1 Mar 2026 22:30"]
    choose(app, "change number", "Change a number", phone_of(ledger, OUR_NUMBER).id)
    widget(app, "text_input", "change number", "Label").set_value("Desk")

    press_submit(app, "Preview", "change number edit")
    press(app, "Save")

    phone = phone_of(ledger, OUR_NUMBER)
    assert (phone.label, phone.valid_from, phone.valid_until) == ("Desk", start, None)


def test_dates_that_end_before_they_begin_are_refused_and_stay(filled: Store) -> None:
    app = choose(open_page(), "change number", "Change a number", phone_of(filled, OUR_NUMBER).id)
    widget(app, "date_input", "change number", "From").set_value(TEN.date())
    widget(app, "date_input", "change number", "Until").set_value((TEN - DAY).date())

    press_submit(app, "Preview", "change number edit")

    assert "it would end before it begins" in errors_of(app)[0]
    assert widget(app, "date_input", "change number", "From").value == TEN.date()


@BOTH_STORES
def test_a_number_that_moves_leaves_its_past_with_the_old_workspace(filled: Store) -> None:
    filled.save_calls([make_leg(sid="CAlater", started_at=TEN + 3 * DAY, cost=Decimal(5))])
    app = choose(open_page(), "change number", "Change a number", phone_of(filled, OUR_NUMBER).id, "Move")
    widget(app, "selectbox", "change number", "Workspace").set_value("Borealis")
    widget(app, "date_input", "change number", "From").set_value((TEN + DAY).date())

    press_submit(app, "Preview", "change number move")
    press(app, "Move to new workspace Borealis")

    assert (cost_of(filled, "Acme"), cost_of(filled, "Borealis")) == (Decimal("0.0085"), Decimal(5))
    assert "Number moved to Borealis." in words_of(app)


def test_a_number_is_released_from_a_date_on(filled: Store) -> None:
    app = choose(open_page(), "change number", "Change a number", phone_of(filled, OUR_NUMBER).id, "Release")
    widget(app, "date_input", "change number", "Until").set_value(TEN.date())

    press_submit(app, "Preview", "change number release")
    press(app, "Release", "go")

    assert phone_of(filled, OUR_NUMBER).valid_until == TEN.replace(hour=0)
    assert cost_of(filled, "Acme") == 0


def test_a_deleted_number_was_never_theirs(filled: Store) -> None:
    app = choose(open_page(), "change number", "Change a number", phone_of(filled, OUR_NUMBER).id, "Delete")
    assert "become Unassigned" in words_of(app)

    press(app, "Preview", "change number")
    press(app, "Delete", "go")

    assert filled.phones() == []
    assert MASKED[OUR_NUMBER] in table(app, "Number")


# Agents


def test_an_agent_is_registered_moved_and_removed(filled: Store) -> None:
    app = open_page()
    widget(app, "text_input", "register agent", "Agent id").set_value(OTHER_AGENT)
    widget(app, "selectbox", "register agent", "Workspace").set_value("Acme")
    press_submit(app, "Preview", "register agent")
    press(app, "Register for Acme")
    assert filled.agents()[0].workspace_id == workspace_id(filled, "Acme")

    choose(app, "change agent", "Change an agent", OTHER_AGENT)
    widget(app, "selectbox", "change agent", "Workspace").set_value("Borealis")
    press_submit(app, "Preview", "change agent form")
    assert effects_of(app)["Borealis"]["Conversations"] == "0 → 1"
    press(app, "Save for new workspace Borealis")
    assert filled.agents()[0].workspace_id == workspace_id(filled, "Borealis")

    choose(app, "change agent", "Change an agent", OTHER_AGENT, "Remove")
    press(app, "Preview", "change agent")
    press(app, "Remove", "go")
    assert filled.agents() == []


# CSV


def upload(app: AppTest, *lines: str, header: str = HEADER) -> AppTest:
    content = "\n".join([header, *lines]).encode()
    app.file_uploader[0].set_value(("numbers.csv", content, "text/csv")).run()
    assert not app.exception
    return app


@BOTH_STORES
def test_a_file_tells_the_fate_of_each_row_before_anything_changes(filled: Store) -> None:
    app = upload(
        open_page(),
        f"Borealis,{OTHER_NUMBER},Sales,,",
        f"Acme,{OUR_NUMBER},Front desk,,",
        f"Cumulus,{OUR_NUMBER},,,",
        "Cumulus,12,,,",
    )

    assert table(app, "Line") == [4, 5, 2, 3]  # refused ones first
    assert table(app, "Result") == ["Refused", "Refused", "Registered", "Corrected"]
    assert "belongs to another workspace" in str(table(app, "Why")[0])
    assert "international form" in str(table(app, "Why")[1])
    assert "Line 4: The number" in words_of(app)
    assert effects_of(app)["Borealis"]["Calls"] == "0 → 2"
    assert len(filled.phones()) == 1

    press(app, "Import 2 rows")

    assert {phone.label for phone in filled.phones()} == {"Sales", "Front desk"}
    assert "Imported. 4 rows: 1 registered, 1 corrected, 2 refused." in words_of(app)
    assert cost_of(filled, "Borealis") == Decimal("3.85420315")


def test_a_file_that_is_none_gives_a_sentence(filled: Store) -> None:
    app = upload(open_page(), "a,b", header="name,number")

    assert "numbers.csv has no column workspace" in errors_of(app)[0]


def test_an_export_can_be_imported_again_and_changes_nothing(filled: Store) -> None:
    header, *lines = data.phones_exporter()().splitlines()

    app = upload(open_page(), *lines)

    assert table(app, "Result") == ["Unchanged"]
    assert header == HEADER
    assert [button.disabled for button in app.main.button if button.label == "Import 0 rows"] == [True]


# Providers


def test_numbers_and_agents_that_providers_list_fill_in_the_forms(settings: pytest.MonkeyPatch) -> None:
    with running(create_app(Fleet(opened_at=datetime.now(UTC), days=1, scale=0.1))) as address:
        settings.setenv("TWILIO_BASE_URL", address)
        settings.setenv("ELEVENLABS_BASE_URL", address)
        app = press(open_page(), "Look up numbers and agents at the providers")

    assert "Found 16 numbers and" in words_of(app)
    offered = widget(app, "selectbox", "register number", "Listed by a provider, without an owner")
    offered.set_value("+12125550101").run()
    assert widget(app, "text_input", "register number", "Number").value == "+12125550101"
    assert widget(app, "text_input", "register number", "Label").value == "Brightwater main"
    agents = widget(app, "selectbox", "register agent", "Listed by ElevenLabs, without an owner")
    agents.set_value(next(agent.agent_id for agent in data.listed_agents())).run()
    assert widget(app, "text_input", "register agent", "Agent id").value.startswith("agent_")


def test_a_provider_that_fails_is_told_in_a_sentence_and_the_rest_works(
    settings: pytest.MonkeyPatch, filled: Store
) -> None:
    shared().close()
    forget_services()
    with ScriptedServer() as server:
        settings.setenv("TWILIO_BASE_URL", server.url)
        settings.setenv("ELEVENLABS_BASE_URL", server.url)
        account = f"/2010-04-01/Accounts/{credentials.ACCOUNT_SID}"
        server.on(f"{account}/IncomingPhoneNumbers.json", Answer(status=403, body={"code": 20403}))
        server.on("/v1/convai/phone-numbers", Answer(body=[{"phone_number": THIRD_NUMBER, "label": "Hotline"}]))
        server.on("/v1/convai/agents", Answer(status=401, body={}))
        app = press(open_page(), "Look up numbers and agents at the providers")

    warnings = [warning.value.replace("\\", "") for warning in app.main.warning]
    assert "The Twilio key may not read phone numbers (403): allow it Phone Numbers, read." in warnings[0]
    assert "ElevenLabs could not be asked" in warnings[1]
    offered = widget(app, "selectbox", "register number", "Listed by a provider, without an owner")
    assert offered.options == [f"{MASKED[THIRD_NUMBER]} Hotline"]


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (Answer(body={"accounts": [{"sid": "AC2", "auth_token": "token-7c21"}, {"sid": "AC3"}]}, delay=1), 2),
        (Answer(body={"accounts": []}), None),
        (Answer(status=401, body={"code": 20003}), None),
    ],
)
def test_subaccounts_are_asked_for_beside_the_page_and_told_when_there_are_any(
    settings: pytest.MonkeyPatch, answer: Answer, count: int | None
) -> None:
    with ScriptedServer() as server:
        settings.setenv("TWILIO_BASE_URL", server.url)
        server.on("/2010-04-01/Accounts.json", answer)
        app = open_page()
        waiting = [warning.value for warning in app.main.warning]
        data.subaccounts().exception(timeout=20)
        app.run()
        app.run()

    assert waiting == [] or answer.delay == 0, "the page does not wait for Twilio"
    told = [warning.value for warning in app.main.warning if "subaccount" in warning.value]
    assert len(told) == (1 if count else 0)
    assert all(f"has {count} subaccounts" in each and "token-7c21" not in each for each in told)
    assert [request.path for request in server.requests] == ["/2010-04-01/Accounts.json"], "once for all sessions"


def test_lists_are_kept_for_some_minutes_and_failures_are_not(settings: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server:
        settings.setenv("TWILIO_BASE_URL", server.url)
        settings.setenv("ELEVENLABS_BASE_URL", server.url)
        server.on("/v1/convai/phone-numbers", Answer(body=[]))
        server.on("/v1/convai/agents", Answer(body={"agents": [], "has_more": False}))
        app = press(open_page(), "Look up numbers and agents at the providers")

        press(app, "Look up numbers and agents at the providers")

    asked = Counter(request.path.rsplit("/", 1)[1] for request in server.requests)
    assert asked == {"phone-numbers": 1, "agents": 1, "IncomingPhoneNumbers.json": 2, "Accounts.json": 1}


def test_nothing_but_the_number_of_accounts_is_asked_of_a_provider_before_the_click(
    settings: pytest.MonkeyPatch,
) -> None:
    with ScriptedServer() as server:
        settings.setenv("TWILIO_BASE_URL", server.url)
        settings.setenv("ELEVENLABS_BASE_URL", server.url)

        open_page()
        data.subaccounts().exception(timeout=20)

        assert {request.path for request in server.requests} == {"/2010-04-01/Accounts.json"}


# A store that fails


def test_a_locked_store_is_told_beside_the_form_which_keeps_what_was_typed(
    settings: pytest.MonkeyPatch, ledger: Store
) -> None:
    shared().close()
    forget_services()
    settings.setitem(SqliteStore.__init__.__kwdefaults__, "lock_timeout", 0.1)  # a test does not wait half a minute
    app = open_page()
    with closing(sqlite3.connect("ledger.db")) as other:
        other.execute("begin immediate")
        add_workspace(app, "Acme")

    assert "ledger.db is locked by another program" in errors_of(app)[0]
    assert widget(app, "text_input", "add workspace", "New workspace").value == "Acme"

    press_submit(app, "Add workspace", "add workspace")
    assert "Acme added." in words_of(app)


def test_a_broken_table_gives_a_sentence(filled: Store) -> None:
    with closing(sqlite3.connect("ledger.db")) as db, db:
        db.execute("drop table workspace_agents")

    app = open_page()

    assert any("no such table: workspace_agents" in error for error in errors_of(app))


# Configuration


def test_settings_are_told_without_their_values(settings: pytest.MonkeyPatch) -> None:
    settings.delenv("CRON_SECRET")
    settings.setenv("TIMEZONE", "Asia/Tokyo")

    app = open_page()

    shown = app.table[-1].value
    states = {
        setting.split("`")[1]: state.split()[-1]
        for setting, state in zip(shown["Setting"], shown["State"], strict=True)
    }
    assert states["TWILIO_AUTH_TOKEN"] == states["TIMEZONE"] == states["DATABASE_PATH"] == "Set"
    assert states["TWILIO_BASE_URL"] == states["SUPABASE_URL"] == "Default"
    assert states["CRON_SECRET"] == "Missing"
    assert states["TWILIO_API_KEY"] == "needed"  # the token does
    page = words_of(app) + str(shown.to_dict())
    assert not any(value in page for value in SECRETS.values())


def test_a_day_is_one_of_the_zone_and_keeps_the_moment_that_was_stored() -> None:
    zone = Settings(timezone="Europe/Madrid").zone
    stored = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

    assert dates.moment_of(stored.astimezone(zone).date(), zone, stored) == stored
    assert dates.moment_of((stored + DAY).date(), zone, stored) == datetime(2026, 10, 25, 23, tzinfo=UTC)
    assert dates.moment_of(None, zone, stored) is None
    assert dates.words(stored, zone, if_none="") == "25 Oct 2026 02:30"
    assert dates.words(stored - timedelta(hours=2, minutes=30), zone, if_none="") == "25 Oct 2026"
