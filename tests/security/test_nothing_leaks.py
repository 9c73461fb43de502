"""A whole run of the program, faults included, and then a search: no secret in anything that left it, no full number.

The secrets are made up for the run, the numbers are those of the simulated fleet. What the search finds where there
has to be something (at the providers, in the database, behind the switch) shows that it can find.
"""

import json
import re
import sqlite3
from base64 import b64encode
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

import pytest
from playwright.sync_api import Browser

from demo.credentials import ACCOUNT_SID
from demo.fleet import LINES, Fleet
from demo.server import create_app, running
from tests.browser.conftest import DESKTOP, dashboard, environment, free_port
from tests.local_supabase import LocalSupabase
from tests.records import Sql
from tests.security import openid
from tests.security.echoing_providers import EchoingProviders
from tests.security.installation import Installation
from tests.security.witness import Evidence, Witness

CLIENT = "Fernway Outfitters"
PAGES = ("/", "/twilio", "/elevenlabs", "/calls", f"/workspace?workspace={CLIENT}", "/sync", "/settings")
CALLERS_NUMBER = "+12025550177"  # which failing providers name
NUMBER = re.compile(r"\+\d{11,}")
NAMES = ("TWILIO_AUTH_TOKEN", "TWILIO_API_SECRET", "ELEVENLABS_API_KEY", "CRON_SECRET", "SUPABASE_KEY")
ALL_NUMBERS = """
    select from_number, to_number, our_number from calls
    union all select agent_number, external_number, null from elevenlabs_conversations
    union all select phone_number, null, null from workspace_phones
"""
HISTORY = ("sync_runs", "sync_failures")
WITH_NUMBERS = ("received by websocket", "downloads")  # what a reader asked for with the switch
PLANTED = {  # what stands in each place, so that the search is known to read it
    "command line": "records saved in",
    "verification": '"findings"',
    "scheduler's log": "Twilio: sync started",
    "dashboard's log": "Twilio does not accept",
    "answers of the API": CLIENT,
    "page source": "Voice Ledger",
    "received by websocket": CLIENT,
    "sent by websocket": "workspace=Fernway",
    "addresses": "/_stcore/stream",
    "downloads": "total_cost",
    "run history": "Twilio does not accept",
    "browser storage": "_streamlit_user",
}


@dataclass(frozen=True, kw_only=True)
class WholeRun:
    """What left the program before a reader asked for full numbers, and what afterwards."""

    secrets: dict[str, str]
    numbers: list[str]
    echoed: str
    before: Evidence
    afterwards: Evidence


def made_up_secrets() -> dict[str, str]:
    secrets = {name: token_hex(16) for name in (*NAMES, "cookie_secret", "client_secret")}
    return {**secrets, "TWILIO_API_KEY": f"SK{token_hex(16)}"}


def words_of(secrets: dict[str, str]) -> list[str]:
    """Return what must be nowhere: halves of the secrets, since a part is too much, and the logins made of them."""
    halves = [half for secret in secrets.values() for half in (secret[: len(secret) // 2], secret[len(secret) // 2 :])]
    users = (ACCOUNT_SID, "TWILIO_AUTH_TOKEN"), (secrets["TWILIO_API_KEY"], "TWILIO_API_SECRET")
    return [*halves, *(b64encode(f"{user}:{secrets[name]}".encode()).decode() for user, name in users)]


@pytest.fixture(scope="module", params=["sqlite", "supabase"])
def whole_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> WholeRun:
    """Use everything: command line, scheduler, API, and every page, while the providers answer and while they fail."""
    folder, secrets, evidence = tmp_path_factory.mktemp("leaks"), made_up_secrets(), Evidence()
    fleet = Fleet(opened_at=datetime.now(UTC), days=3, scale=0.2)
    providers = EchoingProviders(create_app(fleet), CALLERS_NUMBER)
    with ExitStack() as stack:
        place, sql = store_of(request, folder, secrets)
        url = stack.enter_context(running(providers))  # type: ignore[arg-type]  any ASGI application will do
        variables = {**environment(folder, url), **{name: secrets[name] for name in NAMES if name != "SUPABASE_KEY"}}
        variables |= {"TWILIO_API_KEY": secrets["TWILIO_API_KEY"], **place}
        installation = Installation(folder, secrets, providers, variables, evidence)
        installation.use_command_line()
        installation.fail_on_command_line()
        installation.schedule()
        issuer, port = stack.enter_context(openid.provider(free_port())), free_port()
        logins = {name: secrets[name] for name in ("cookie_secret", "client_secret")}
        file, log = openid.secrets_file(folder, port, issuer, **logins), folder / "dashboard.log"
        with dashboard(variables, f"--secrets.files={file}", port=port, log=log) as address:
            afterwards = read_pages(installation, address, chromium, sql)
        evidence.add("dashboard's log", log.read_bytes())
    for table in HISTORY:
        evidence.add("run history", json.dumps(sql(f"select * from {table}"), default=str))
    numbers = {number for row in sql(ALL_NUMBERS) for number in NUMBER.findall(str(row))}
    return WholeRun(
        secrets=secrets,
        numbers=sorted(number.removeprefix("+") for number in numbers),
        echoed="\n".join(providers.echoed),
        before=evidence,
        afterwards=afterwards,
    )


def store_of(request: pytest.FixtureRequest, folder: Path, secrets: dict[str, str]) -> tuple[dict[str, str], Sql]:
    """Return what leads the program to the store of this run, and a function that runs SQL on it."""
    if request.param == "supabase":
        projects: list[LocalSupabase] = request.getfixturevalue("supabase_projects")
        project = projects[0]
        project.forget_records()
        secrets["SUPABASE_KEY"] = project.secret_key
        return {"SUPABASE_URL": project.url, "SUPABASE_KEY": project.secret_key}, project.sql

    def sql(statement: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(folder / "ledger.db")) as db:
            return db.execute(statement).fetchall()

    return {}, sql


def read_pages(installation: Installation, address: str, chromium: Browser, sql: Sql) -> Evidence:
    """Go through all pages while all is well, while it is not, and with full numbers, which is what is returned."""
    context = chromium.new_context(viewport=DESKTOP)
    reader = Witness(context.new_page(), address, installation.evidence)
    [[call]] = sql("select call_sid from elevenlabs_conversations where call_sid is not null limit 1")
    installation.ask(address)
    reader.sign_in("ana")
    for path in (*PAGES, f"/calls?call={call}"):
        reader.open(path)
    installation.providers.failure = "unauthorized"
    installation.ask(address)
    reader.open(f"/calls?call={call}")
    reader.click("Show transcript", then="The transcript cannot be shown")
    reader.open("/settings")
    reader.click("Look up numbers and agents at the providers", then="Twilio does not accept the credentials")
    reader.open("/sync")
    reader.click("Sync both now", then="ElevenLabs does not accept the key")
    reader.click("Verify now", then="Checked at")
    for path in PAGES:
        reader.open(path)
    installation.providers.failure = None
    reader.evidence = Evidence()
    for path in ("/calls", f"/workspace?workspace={CLIENT}", "/settings"):
        reader.open(path)
        reader.show_full_numbers()
    reader.open("/calls")
    reader.search(f"+{registered_numbers()[0]}")
    context.close()
    return reader.evidence


def registered_numbers() -> list[str]:
    return [line.number.removeprefix("+") for line in LINES if line.label.startswith("Fernway support")]


# What is found, so that it is known that the search finds


def test_the_providers_were_shown_every_key_and_sent_it_back(whole_run: WholeRun) -> None:
    keys = ("TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "TWILIO_API_SECRET", "ELEVENLABS_API_KEY", "SUPABASE_KEY")

    assert [name for name in keys if whole_run.secrets[name] not in whole_run.echoed] == []
    assert CALLERS_NUMBER in whole_run.echoed


def test_every_place_was_searched(whole_run: WholeRun) -> None:
    found = {place: whole_run.before.find(place, [word]) for place, word in PLANTED.items()}

    assert found == {place: [word] for place, word in PLANTED.items()}
    assert {*whole_run.before.seen} - {*PLANTED} == {"console"}


def test_who_asks_for_full_numbers_is_given_them(whole_run: WholeRun) -> None:
    registered = registered_numbers()

    assert {*registered} <= {*whole_run.numbers}
    assert len(whole_run.numbers) > len(LINES)
    for place in WITH_NUMBERS:
        assert {*registered} <= {*whole_run.afterwards.find(place, whole_run.numbers)}


# What is not found


def test_no_part_of_a_secret_leaves_the_program(whole_run: WholeRun) -> None:
    words = words_of(whole_run.secrets)

    assert whole_run.before.places_of(words) == {}
    assert whole_run.afterwards.places_of(words) == {}


def test_no_full_number_leaves_the_program_before_somebody_asks_for_it(whole_run: WholeRun) -> None:
    numbers = [*whole_run.numbers, CALLERS_NUMBER.removeprefix("+")]

    assert whole_run.before.places_of(numbers) == {}


def test_numbers_that_were_asked_for_go_to_their_reader_alone(whole_run: WholeRun) -> None:
    places = {*whole_run.afterwards.places_of(whole_run.numbers)}

    assert "sent by websocket" in places, "one was searched"
    assert places <= {*WITH_NUMBERS, "page source", "sent by websocket"}, "the reader's own, and no address"
