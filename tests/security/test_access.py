"""What each role gets from the pages and from the one door to the store: on both stores, each in the same process."""

import ast
import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import data
from dashboard.access import NotAllowedError, NotSignedInError
from dashboard.periods import Period
from sync.call_costs import CallFilter, SortKey
from sync.errors import VoiceLedgerError
from sync.models import Agent, RunState
from sync.store import Store
from tests.opened_pages import ROOT, metrics_of, record_run, words_of
from tests.records import DAY, OTHER_AGENT, OTHER_NUMBER, OUR_AGENT, OUR_NUMBER, make_conversation, make_leg, make_phone
from tests.registering import add_workspace, register, register_agent

ADMIN, ANALYST, CLIENT = "ana@agency.example", "carla@agency.example", "boss@acme.example"
SECRETS = {
    "auth": {
        "redirect_uri": "http://localhost:3093/oauth2callback",
        "cookie_secret": "0123456789abcdef" * 2,
        "client_id": "ledger",
        "client_secret": "of the client",
        "server_metadata_url": "http://localhost:1/.well-known/openid-configuration",
    },
    "access": {
        "admins": [ADMIN],
        "analysts": ["@agency.example"],
        "clients": {CLIENT: ["Acme"], "ghost@acme.example": ["Gone"], "greedy@acme.example": ["Unassigned", "Acme"]},
    },
}
PAGES = ("workspaces", "twilio", "elevenlabs", "calls", "workspace")
EVERYTHING = Period(first=None, last=None, zone=ZoneInfo("UTC"))
OTHERS = ("Borealis", "agent_support", "Borealis agent", OTHER_NUMBER, "+12120000003", "Unassigned")
SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
def shared(ledger: Store) -> Store:
    """Give a store with a call of Acme, one of Borealis, one of nobody, and one that Acme and Borealis share."""
    start = datetime.now(UTC).replace(microsecond=0) - 2 * DAY
    acme, borealis = add_workspace(ledger, "Acme"), add_workspace(ledger, "Borealis")
    register(ledger, make_phone(phone_number=OUR_NUMBER, workspace_id=acme))
    register(ledger, make_phone(phone_number=OTHER_NUMBER, workspace_id=borealis))
    register_agent(ledger, Agent(agent_id=OUR_AGENT, workspace_id=acme))
    register_agent(ledger, Agent(agent_id=OTHER_AGENT, workspace_id=borealis))
    ledger.save_calls(
        [
            make_leg(sid="CAours", started_at=start, cost=Decimal("0.11")),
            make_leg(sid="CAtheirs", started_at=start - DAY, our_number=OTHER_NUMBER, to_number=OTHER_NUMBER),
            make_leg(sid="CAnobodys", started_at=start + DAY, our_number="+12120000003", to_number="+12120000003"),
            make_leg(sid="CAshared", started_at=start, cost=Decimal("0.22")),
        ]
    )
    theirs = {"agent_id": OTHER_AGENT, "agent_number": OTHER_NUMBER, "agent_name": "Borealis agent"}
    ledger.save_conversations(
        [
            make_conversation(conversation_id="conv_ours", call_sid="CAours", started_at=start, cost=Decimal("0.33")),
            make_conversation(conversation_id="conv_theirs", call_sid="CAtheirs", started_at=start - DAY, **theirs),
            make_conversation(conversation_id="conv_shared", call_sid="CAshared", started_at=start, **theirs),
        ]
    )
    record_run(ledger, "twilio", RunState.OK)
    record_run(ledger, "elevenlabs", RunState.FAILED, "ElevenLabs does not answer about agent_support.")
    return ledger


def claims(email: str | None, **more: object) -> dict[str, Any]:
    if email is None:
        return {"is_logged_in": False}
    return {"is_logged_in": True, "email": email, "email_verified": True, "iss": "https://accounts.example.com"} | more


def opened_by(user: dict[str, Any], page: str = "workspaces", **query: str) -> AppTest:
    """Open a page as somebody with this identity does."""
    app = AppTest.from_file(str(ROOT / "dashboard" / "main.py"), default_timeout=30)
    app.user, app.secrets = user, SECRETS
    app.session_state["full numbers"] = True  # the switch, which a client may use as well
    app.run()
    if page != "workspaces":
        for name, value in query.items():
            app.query_params[name] = value
        app.switch_page(str(ROOT / "pages" / f"{page}.py")).run()
    return app


def sent_to(app: AppTest) -> str:
    """Return all that is sent to the browser, tables and charts included, as one text."""
    # AppTest has no public way to all elements; each has the message that the browser would get.
    blocks = [*app._tree.children.values()]
    sent = []
    while blocks:
        block = blocks.pop()
        blocks += getattr(block, "children", {}).values()
        if proto := getattr(block, "proto", None):
            sent.append(proto.SerializeToString().decode("latin-1"))
    return "\n".join(sent)


def asked_by(email: str | None, read: Callable[[], Any], **more: object) -> Any:
    """Return what a function of the pages gives to somebody, or raise what it refuses them with."""

    def script(read):  # type: ignore[no-untyped-def]  # it runs from a file of its own, without the imports above
        import streamlit as st

        from sync.errors import VoiceLedgerError

        try:
            st.session_state["answer"] = read()
        except VoiceLedgerError as exc:
            st.session_state["answer"] = exc

    app = AppTest.from_function(script, args=(read,), default_timeout=30)
    app.user, app.secrets = claims(email, **more), SECRETS
    app.run()
    assert not app.exception
    answer = app.session_state["answer"]
    if isinstance(answer, VoiceLedgerError):
        raise answer
    return answer


# Who comes in


@SQLITE
def test_nobody_who_has_not_signed_in_gets_more_than_a_button(shared: Store) -> None:
    app = opened_by(claims(None))

    assert [button.label for button in app.button] == ["Sign in"]
    assert not [*app.metric, *app.dataframe, *app.sidebar.button, *app.get("plotly_chart")]
    assert not [word for word in ("Acme", *OTHERS) if word in sent_to(app)]


@SQLITE
@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        (claims("stranger@evil.example"), "stranger@evil.example has no access to this dashboard"),
        (claims(ADMIN, email_verified=False), f"{ADMIN} is not verified"),
        (claims(ADMIN, email_verified="false"), f"{ADMIN} is not verified"),
        (claims(ADMIN, email_verified=None), f"{ADMIN} is not verified"),
        (claims(ADMIN, email_verified=None, iss="https://login.microsoftonline.com.evil.example"), "is not verified"),
        (claims(""), "Your login has no e-mail address"),
    ],
)
def test_somebody_without_a_role_reads_one_sentence_and_may_leave(
    shared: Store, user: dict[str, Any], sentence: str
) -> None:
    app = opened_by(user)

    [told] = app.text
    assert sentence in told.value
    assert [button.label for button in app.button] == ["Log out"]
    assert not [word for word in ("Acme", *OTHERS) if word in sent_to(app)]


@SQLITE
@pytest.mark.parametrize(
    "user",
    [
        claims(ADMIN, email_verified="true"),
        claims(ADMIN, email_verified=None, iss="https://login.microsoftonline.com/0-1-2/v2.0"),
    ],
)
def test_providers_that_say_otherwise_that_an_address_is_verified_are_understood(
    shared: Store, user: dict[str, Any]
) -> None:
    assert metrics_of(opened_by(user))["Calls"] == "4"


@SQLITE
def test_a_session_that_only_claims_an_address_is_not_signed_in(shared: Store) -> None:
    app = opened_by({"email": ADMIN, "email_verified": True})

    assert [button.label for button in app.button] == ["Sign in"]


@SQLITE
def test_logging_out_shows_the_way_in_again(shared: Store) -> None:
    app = opened_by(claims(ADMIN))

    app.button(key="log out").click().run()

    assert [button.label for button in app.button] == ["Sign in"]


@SQLITE
def test_without_a_login_everybody_is_admin(shared: Store) -> None:
    app = AppTest.from_file(str(ROOT / "dashboard" / "main.py"), default_timeout=30).run()

    assert {"Sync now"} <= {button.label for button in app.sidebar.button}
    assert "Log out" not in {button.label for button in app.sidebar.button}
    assert metrics_of(app)["Calls"] == "4"


# What a client sees


@pytest.mark.parametrize("page", PAGES)
def test_a_client_after_an_admin_in_the_same_process_is_sent_nothing_of_others(shared: Store, page: str) -> None:
    everything = sent_to(opened_by(claims(ADMIN), page, workspace="Acme", period="All"))
    app = opened_by(claims(CLIENT), page, workspace="Acme", period="All")

    assert not app.exception
    assert [word for word in ("Acme", "Borealis") if word in everything] == ["Acme", "Borealis"]
    assert "Acme" in sent_to(app)
    assert [word for word in OTHERS if word in sent_to(app)] == []


def test_an_admin_after_a_client_in_the_same_process_misses_nothing(shared: Store) -> None:
    of_client = metrics_of(opened_by(claims(CLIENT)))
    of_admin = metrics_of(opened_by(claims(ADMIN)))

    assert (of_client["Calls"], of_client["Conversations"]) == ("2", "1")
    assert (of_admin["Calls"], of_admin["Conversations"]) == ("4", "3")


@pytest.mark.parametrize("page", PAGES)
def test_a_client_whose_workspace_is_gone_sees_nothing(shared: Store, page: str) -> None:
    app = opened_by(claims("ghost@acme.example"), page, workspace="Acme")

    assert not app.exception
    assert [word for word in (OUR_NUMBER, *OTHERS) if word in sent_to(app)] == []
    assert not app.metric


@SQLITE
def test_unassigned_cannot_be_given_to_a_client(shared: Store) -> None:
    seen = asked_by("greedy@acme.example", lambda: [workspace.name for workspace in data.workspaces()])

    assert seen == ["Acme"]


@SQLITE
def test_another_workspace_by_its_name_does_not_exist_for_a_client(shared: Store) -> None:
    app = opened_by(claims(CLIENT), "workspace", workspace="Borealis")

    assert "There is no workspace Borealis" in words_of(app)
    assert not app.metric


@pytest.mark.parametrize("record", ["CAtheirs", "CAnobodys", "CAshared", "conv_theirs", "conv_shared", "CAunknown"])
def test_the_link_to_a_call_of_others_leads_a_client_to_no_call(shared: Store, record: str) -> None:
    app = opened_by(claims(CLIENT), "calls", call=record)

    assert "There is no stored call leg or conversation with this id." in words_of(app)
    assert not [*app.metric, *app.dataframe]
    with pytest.raises(NotAllowedError, match="There is no such conversation"):
        asked_by(CLIENT, lambda: data.transcript(record))


def test_the_link_to_its_own_call_leads_a_client_there(shared: Store) -> None:
    app = opened_by(claims(CLIENT), "calls", call="conv_ours")

    assert metrics_of(app)["Total cost"] == "$0.4400"
    assert [word for word in OTHERS if word in sent_to(app)] == []


@pytest.mark.parametrize("search", ["", OTHER_NUMBER, "CAtheirs", "conv_shared", "%"])
def test_no_search_finds_a_client_calls_of_others(shared: Store, search: str) -> None:
    wanted = CallFilter(search=search)

    listed = asked_by(CLIENT, lambda: data.call_costs(wanted, SortKey.START, descending=True, limit=9, offset=0))
    read = asked_by(CLIENT, lambda: data.call_reader(wanted, SortKey.START, descending=True))

    assert {call.call_id for call in listed} == ({"CAours"} if not search else set())
    assert read(9, 0) == listed, "a download is made later, outside of the session"
    assert asked_by(CLIENT, lambda: data.call_summary(wanted)).count == len(listed)


def test_what_was_chosen_beyond_its_workspaces_is_left_out(shared: Store) -> None:
    ids = {workspace.name: workspace.id for workspace in shared.workspaces()}
    chosen = frozenset(ids.values())

    for choice, calls in [(None, 2), (chosen, 2), (frozenset({ids["Borealis"]}), 0), (frozenset[int](), 0)]:
        usage = asked_by(CLIENT, lambda choice=choice: data.twilio(EVERYTHING, None, choice))
        assert (usage.total.total_calls, set(usage.by_workspace) <= {ids["Acme"]}) == (calls, True)


def test_a_client_is_told_when_its_own_workspaces_were_active(shared: Store) -> None:
    of_client, of_admin = (asked_by(who, lambda: data.last_active_hour("twilio")) for who in (CLIENT, ADMIN))

    assert of_admin - of_client == DAY


@SQLITE
def test_a_client_is_told_how_current_the_data_is_and_nothing_of_runs(shared: Store) -> None:
    status = asked_by(CLIENT, data.sync_status)

    assert [state.source for state in status.freshness] == ["twilio", "elevenlabs"]
    assert [state.latest for state in status.freshness] == [None, None]
    assert (status.running, status.problems, status.is_busy) == ([], {}, False)


# What each function of the one door gives

FOR_ADMINS: dict[str, Callable[[], Any]] = {
    "start_syncs": lambda: data.start_syncs("twilio"),
    "start_backfill": lambda: data.start_backfill("twilio", datetime.now(UTC) - DAY, None),
    "stop_backfill": lambda: data.stop_backfill(1),
    "change_registry": lambda: data.change_registry([]),
    "import_phones": lambda: data.import_phones([]),
    "phones_exporter": lambda: data.phones_exporter(),
    "listed_numbers": lambda: data.listed_numbers("twilio"),
    "listed_agents": lambda: data.listed_agents(),
    "subaccounts": lambda: data.subaccounts(),
}
FOR_THE_AGENCY: dict[str, Callable[[], Any]] = {
    "runs": lambda: data.runs(limit=5),
    "run": lambda: data.run(1),
    "failures": lambda: data.failures("twilio"),
    "gaps": lambda: data.gaps("twilio"),
    "verify": lambda: data.verify(),
    "unregistered_numbers": lambda: data.unregistered_numbers(),
    "unregistered_agents": lambda: data.unregistered_agents(),
}
WITHIN_THE_SCOPE: dict[str, Callable[[], Any]] = {
    "workspaces": lambda: data.workspaces(),
    "phones": lambda: data.phones(),
    "agents": lambda: data.agents(),
    "totals_by_workspace": lambda: data.totals_by_workspace(),
    "twilio": lambda: data.twilio(EVERYTHING).by_workspace,
    "elevenlabs": lambda: data.elevenlabs(EVERYTHING).by_workspace,
    "llm_usage": lambda: data.llm_usage(EVERYTHING),
    "calls_by_kind": lambda: data.calls_by_kind(EVERYTHING),
    "calls_by_quarter_hour": lambda: data.calls_by_quarter_hour(EVERYTHING),
    "conversations_by_agent": lambda: data.conversations_by_agent(EVERYTHING),
    "call_summary": lambda: data.call_summary(CallFilter()),
    "call_costs": lambda: data.call_costs(CallFilter(), SortKey.START, descending=True, limit=9, offset=0),
    "first_active_hour": lambda: data.first_active_hour("twilio"),
    "last_active_hour": lambda: data.last_active_hour("twilio"),
    "buckets": lambda: data.buckets(EVERYTHING),
    "call": lambda: data.call("CAtheirs"),
}
TESTED_ABOVE = {"call_reader", "calls_asked_for", "transcript", "sync_status", "freshness_by_source"}
THE_SAME_FOR_ALL = {"services", "now", "version", "data_through", "synced_since", "unsynced", "progress", "currency"}


def test_of_each_function_it_is_decided_who_gets_what() -> None:
    functions = {
        name for name, each in inspect.getmembers(data, inspect.isfunction) if each.__module__ == data.__name__
    }
    public = {name for name in functions if not name.startswith("_")}

    assert public == {*FOR_ADMINS, *FOR_THE_AGENCY, *WITHIN_THE_SCOPE, *TESTED_ABOVE, *THE_SAME_FOR_ALL}


@SQLITE
@pytest.mark.parametrize("name", FOR_ADMINS)
@pytest.mark.parametrize("email", [ANALYST, CLIENT])
def test_only_administrators_change_anything_or_start_a_sync(shared: Store, name: str, email: str) -> None:
    with pytest.raises(NotAllowedError, match="Only an administrator"):
        asked_by(email, FOR_ADMINS[name])

    assert len(shared.runs()) == 2


@SQLITE
@pytest.mark.parametrize("name", FOR_THE_AGENCY)
def test_what_is_about_all_workspaces_is_for_the_agency(shared: Store, name: str) -> None:
    asked_by(ANALYST, FOR_THE_AGENCY[name])

    with pytest.raises(NotAllowedError, match="This page is about all workspaces"):
        asked_by(CLIENT, FOR_THE_AGENCY[name])


@pytest.mark.parametrize("name", WITHIN_THE_SCOPE)
def test_a_client_gets_less_than_the_agency_which_gets_all(shared: Store, name: str) -> None:
    of_admin, of_analyst, of_client = (asked_by(who, WITHIN_THE_SCOPE[name]) for who in (ADMIN, ANALYST, CLIENT))

    assert of_admin == of_analyst != of_client
    assert not [word for word in ("Borealis", OTHER_NUMBER, OTHER_AGENT) if word in repr(of_client)]


@SQLITE
@pytest.mark.parametrize("name", [*FOR_ADMINS, *FOR_THE_AGENCY, *WITHIN_THE_SCOPE])
def test_nobody_who_is_not_signed_in_gets_anything(shared: Store, name: str) -> None:
    with pytest.raises(NotSignedInError):
        asked_by(None, {**FOR_ADMINS, **FOR_THE_AGENCY, **WITHIN_THE_SCOPE}[name])


def test_there_is_no_other_door_and_no_other_cache() -> None:
    """A cache elsewhere would not know for whom it keeps."""
    around = [
        f"{path.name}:{node.lineno} {node.attr}"
        for folder in ("dashboard", "pages")
        for path in (ROOT / folder).rglob("*.py")
        if path != Path(data.__file__)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in {"store", "cache_data", "cache_resource", "transcript", "sync", "backfill"}
        and ast.unparse(node.value) not in {"data"}
    ]

    assert around == []


# Pages that are not for everybody


@SQLITE
def test_an_analyst_reads_the_sync_page_without_its_buttons(shared: Store) -> None:
    of_admin, of_analyst = (
        {button.label for button in opened_by(claims(who), "sync").button} for who in (ADMIN, ANALYST)
    )

    assert {"Sync both now", "Try ElevenLabs again", "Sync now", "Start historical sync"} <= of_admin
    assert of_admin - of_analyst >= {"Sync both now", "Try ElevenLabs again", "Sync now", "Start historical sync"}
    assert "Verify now" in of_analyst
