"""`doctor` as people and monitoring run it: each kind of trouble has its sentence, and none keeps the others untold."""

import email.utils
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo.credentials import ACCOUNT_SID
from demo.fleet import Fleet
from demo.server import create_app, running
from sync.cli_doctor import attempt
from sync.doctor import machine
from sync.models import RunKind, RunState, Source
from sync.settings import load_what_is_sound
from sync.sqlite_store import SqliteStore
from sync.verify import Finding
from tests.local_supabase import LocalSupabase
from tests.records import HOUR, make_conversation, make_leg, make_phone
from tests.registering import add_workspace, register
from tests.scripted_server import Answer, ScriptedServer
from tests.test_cli import WRONG, Commands, Said
from tests.test_settings import Environment, environment  # noqa: F401  a fixture

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)
CALLS = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json"
ACCOUNTS = "/2010-04-01/Accounts.json"
TALKS = "/v1/convai/conversations"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(create_app(Fleet(opened_at=NOW, days=1, scale=0.1))) as url:
        yield url


@pytest.fixture
def commands(tmp_path: Path, url: str) -> Commands:
    return Commands(tmp_path, url)


@pytest.fixture
def ledger(commands: Commands) -> Iterator[SqliteStore]:
    """Give the store of a sound installation: one client's number with usage, and a sync of both a minute ago."""
    with closing(SqliteStore(commands.database)) as store:
        store.claim_for("real")
        register(store, make_phone(workspace_id=add_workspace(store, "Acme")))
        store.save_calls([make_leg()])
        store.save_conversations([make_conversation()])
        for source in ("twilio", "elevenlabs"):
            record(store, source)  # type: ignore[arg-type]  # a literal in a tuple
        yield store


def record(
    store: SqliteStore,
    source: Source,
    state: RunState = RunState.OK,
    message: str | None = None,
    *,
    ago: timedelta = MINUTE,
    length: timedelta = HOUR,
) -> None:
    at = datetime.now(UTC) - ago
    run = store.begin_run(source, RunKind.HOURLY, (at - length, at), owner="", now=at, stale_before=at)
    store.finish_run(run.id, state, message, now=at)


def marks(said: Said) -> set[str]:
    return {line[0] for line in said.out.splitlines()}


def troubles(said: Said, mark: str = "✗") -> list[str]:
    return [line.removeprefix(f"{mark} ") for line in said.out.splitlines() if line.startswith(mark)]


def answering(server: ScriptedServer, *, ahead: timedelta = timedelta()) -> None:
    date = {"Date": email.utils.format_datetime(datetime.now(UTC) + ahead, usegmt=True)}
    server.on(CALLS, Answer(body={"calls": [], "next_page_uri": None}, headers=date))
    server.on(TALKS, Answer(body={"conversations": [], "has_more": False}, headers=date))


@pytest.mark.usefixtures("ledger")
def test_a_sound_installation_has_nothing_to_say(commands: Commands) -> None:
    said = commands.run("doctor")

    assert (said.code, marks(said), said.err) == (0, {"✓"}, "")
    assert "✓ Twilio accepts the key." in said.out.splitlines()
    assert "✓ This machine's clock agrees with that of ElevenLabs." in said.out.splitlines()


@pytest.mark.usefixtures("ledger")
def test_machines_get_the_same_as_json(commands: Commands) -> None:
    sound, wrong = commands.run("doctor", "--json"), commands.run("doctor", "--json", ELEVENLABS_API_KEY=WRONG)

    checks = [finding["check"] for finding in sound.json()["findings"]]
    assert (sound.code, sound.json()["ok"], wrong.code, wrong.json()["ok"]) == (0, True, 1, False)
    assert len(checks) == len(set(checks)) == 18
    assert [each["check"] for each in wrong.json()["findings"] if not each["ok"]] == ["elevenlabs credentials"]


@pytest.mark.usefixtures("ledger")
def test_one_record_and_the_accounts_are_asked_for_and_no_more(commands: Commands) -> None:
    with ScriptedServer() as provider:
        answering(provider)
        commands.run("doctor", TWILIO_BASE_URL=provider.url, ELEVENLABS_BASE_URL=provider.url)

    assert [(request.path, request.query) for request in provider.requests] == [
        (CALLS, "PageSize=1"),
        (ACCOUNTS, "PageSize=1000"),
        (TALKS, "page_size=1"),
    ]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("TWILIO_AUTH_TOKEN", "Twilio does not accept the credentials (401): check TWILIO_ACCOUNT_SID"),
        ("ELEVENLABS_API_KEY", "ElevenLabs does not accept the key (401): check ELEVENLABS_API_KEY"),
    ],
)
def test_a_wrong_key_is_told_and_the_other_checks_go_on(commands: Commands, name: str, sentence: str) -> None:
    said = commands.run("doctor", **{name: WRONG})

    (trouble,) = troubles(said)
    assert said.code == 1
    assert trouble.startswith(sentence)
    assert "✓ Every number with calls is registered." in said.out.splitlines()


@pytest.mark.usefixtures("ledger")
def test_providers_that_are_down_are_told_soon(commands: Commands) -> None:
    nobody = ScriptedServer()
    with ScriptedServer() as ill:
        ill.on(CALLS, Answer(status=503))
        said = commands.run("doctor", TWILIO_BASE_URL=ill.url, ELEVENLABS_BASE_URL=nobody.url)
    nobody.close()

    assert said.code == 1
    assert troubles(said) == [
        "Twilio has a problem of its own (HTTP 503); it is tried again with the next run.",
        "ElevenLabs cannot be reached; check the network and ELEVENLABS_BASE_URL.",
    ]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(("ahead", "words"), [(-7 * MINUTE, "7 minutes ahead of"), (3 * HOUR, "180 minutes behind")])
def test_a_clock_that_is_wrong_is_told(commands: Commands, ahead: timedelta, words: str) -> None:
    with ScriptedServer() as provider:
        answering(provider, ahead=ahead)
        said = commands.run("doctor", TWILIO_BASE_URL=provider.url, ELEVENLABS_BASE_URL=provider.url)

    assert said.code == 0, "data is right all the same"
    assert troubles(said, "!") == [
        f"This machine's clock is {words} that of {name}; set it, for example with `timedatectl set-ntp true`."
        for name in ("Twilio", "ElevenLabs")
    ]


@pytest.mark.usefixtures("ledger")
def test_a_minute_is_no_wrong_clock_and_none_is_no_clock(commands: Commands) -> None:
    with ScriptedServer() as provider:
        answering(provider, ahead=MINUTE)
        said = commands.run("doctor", TWILIO_BASE_URL=provider.url, ELEVENLABS_BASE_URL=provider.url)

    assert (said.code, marks(said)) == (0, {"✓"})


def account(sid: str, status: str = "active") -> dict[str, str]:
    return {"sid": sid, "owner_account_sid": "AC1", "status": status, "auth_token": "token-7c21", "friendly_name": sid}


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("accounts", "sentence"),
    [
        ([], None),
        (
            ["active", "suspended", "closed"],
            "The Twilio account has 2 subaccounts, and the calls made there are not in",
        ),
        (
            ["active"],
            "The Twilio account has 1 subaccount, and the calls made there are not in the ledger, which reads",
        ),
        (["closed"], None),
    ],
)
def test_subaccounts_that_no_sync_sees_are_told(commands: Commands, accounts: list[str], sentence: str | None) -> None:
    with ScriptedServer() as provider:
        answering(provider)
        own = account(commands.variables["TWILIO_ACCOUNT_SID"])
        others = [account(f"AC{n}", status) for n, status in enumerate(accounts, 2)]
        more = "/2010-04-01/Accounts.json?PageSize=1000&Page=1&PageToken=PAAC1"
        provider.on(ACCOUNTS, Answer(body={"accounts": [own], "next_page_uri": more}))
        provider.on(more, Answer(body={"accounts": others, "next_page_uri": None}))
        said = commands.run("doctor", TWILIO_BASE_URL=provider.url, ELEVENLABS_BASE_URL=provider.url)

    assert said.code == 0
    assert [line[: len(sentence or "")] for line in troubles(said, "!")] == ([sentence] if sentence else [])
    assert "token-7c21" not in said.out + said.err


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=401, body={"code": 20003, "message": "Authenticate", "status": 401}),
        Answer(status=403, body={"code": 20003}),
        Answer(status=404, body="<html>"),
        Answer(body={"accounts": [{"auth_token": "token-7c21"}]}),
        Answer(body=[]),
    ],
)
def test_a_key_that_may_not_list_accounts_is_no_trouble(commands: Commands, answer: Answer) -> None:
    with ScriptedServer() as provider:
        answering(provider)
        provider.on(ACCOUNTS, answer)
        said = commands.run("doctor", TWILIO_BASE_URL=provider.url, ELEVENLABS_BASE_URL=provider.url)

    assert (said.code, marks(said)) == (0, {"✓"})
    assert "subaccount" not in said.out


def test_a_provider_without_a_key_is_no_error(commands: Commands, ledger: SqliteStore) -> None:
    del commands.variables["ELEVENLABS_API_KEY"]

    said = commands.run("doctor")

    assert (said.code, troubles(said)) == (0, [])
    assert troubles(said, "!") == ["ElevenLabs is not configured; set ELEVENLABS_API_KEY in .env."]


# Settings


@pytest.mark.usefixtures("ledger")
def test_a_malformed_setting_is_a_finding_and_the_rest_is_looked_at(commands: Commands) -> None:
    said = commands.run("doctor", TIMEZONE="Middle/Earth", ELEVENLABS_BASE_URL="ftp://7c21")

    (trouble,) = troubles(said)
    assert said.code == 1
    assert trouble.startswith(
        "ELEVENLABS_BASE_URL must be a web address such as https://api.example.com; TIMEZONE must"
    )
    assert "7c21" not in said.out
    assert "✓ Twilio accepts the key." in said.out.splitlines()
    assert "ElevenLabs accepts" not in said.out, "nothing is sent to another address than the one that was meant"
    assert "✓ Every number with calls is registered." in said.out.splitlines()


@pytest.mark.usefixtures("ledger")
def test_credentials_that_are_incomplete_are_not_taken_for_the_demo(commands: Commands) -> None:
    del commands.variables["ELEVENLABS_API_KEY"]

    said = commands.run("doctor", TWILIO_AUTH_TOKEN="")

    (trouble,) = troubles(said)
    assert trouble.startswith("TWILIO_ACCOUNT_SID needs TWILIO_AUTH_TOKEN")
    assert "simulated" not in said.out
    assert f"✓ The database {commands.database} can be read and written." in said.out.splitlines()


def test_a_file_that_is_no_text_is_a_finding(commands: Commands) -> None:
    (commands.folder / ".env").write_bytes(b"CRON_SECRET=caf\xe9-7c21\n")

    said = commands.run("doctor")

    assert said.code == 1
    assert troubles(said)[0] == ".env cannot be read; save it as plain text in UTF-8."
    assert len(troubles(said)) == 2, "beside it, that others may read the file"


@pytest.mark.parametrize(
    ("variables", "unsure"),
    [
        ({}, set()),
        ({"FIRST_SYNC_DAYS": "0", "DEMO_PORT": "x", "LOG_FORMAT": "xml"}, set()),
        ({"SUPABASE_URL": "https://x.supabase.co"}, {"supabase"}),
        ({"NEXT_PUBLIC_SUPABASE_URL": "x", "SUPABASE_KEY": "y"}, {"supabase"}),
        ({"TWILIO_ACCOUNT_SID": "x", "TWILIO_AUTH_TOKEN": "y", "SUPABASE_KEY": "y"}, {"twilio", "supabase"}),
    ],
)
def test_what_is_sound_is_kept(environment: Environment, variables: dict[str, str], unsure: set[str]) -> None:  # noqa: F811  the fixture
    if variables:
        environment.refusal(variables, TIMEZONE="Europe/Madrid")
    else:
        environment.load(TIMEZONE="Europe/Madrid")

    sound = load_what_is_sound()

    assert sound.unsure == unsure
    assert bool(sound.problem) == bool(variables)
    assert sound.settings
    assert sound.settings.timezone == "Europe/Madrid"
    assert sound.settings.is_demo == ("twilio" not in unsure)


@pytest.mark.parametrize(("mode", "is_told"), [(0o644, True), (0o640, False), (0o600, False)])
@pytest.mark.usefixtures("ledger")
def test_keys_that_other_users_can_read_are_told(commands: Commands, mode: int, is_told: bool) -> None:
    file = commands.folder / ".env"
    file.write_text("TIMEZONE=UTC\nCRON_SECRET=cron-7c21-of-the-tests\n")
    file.chmod(mode)

    said = commands.run("doctor")

    assert said.code == (1 if is_told else 0)
    sentence = "Other users of this machine can read keys; run `chmod o-rw .env`."
    assert troubles(said) == ([sentence] if is_told else [])


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("home", [False, True])
def test_keys_in_streamlits_secrets_are_looked_at_too(commands: Commands, home: bool) -> None:
    folder = commands.folder / "home" if home else commands.folder
    file = folder / ".streamlit" / "secrets.toml"
    file.parent.mkdir(parents=True)
    file.write_text('CRON_SECRET = "a-secret-of-the-tests"\n')
    file.chmod(0o644)

    said = commands.run("doctor", HOME=str(folder))

    assert said.code == 1
    [trouble] = troubles(said)
    assert "secrets.toml" in trouble
    assert trouble.startswith("Other users of this machine can read keys")


@pytest.mark.usefixtures("ledger")
def test_it_tells_where_each_setting_comes_from(commands: Commands) -> None:
    file = commands.folder / ".streamlit" / "secrets.toml"
    file.parent.mkdir()
    file.write_text('TIMEZONE = "Europe/Madrid"\n')
    (commands.folder / ".env").write_text("TIMEZONE=UTC\nDEMO_PORT=4000\n")

    said = commands.run("doctor")

    sentence = said.out.splitlines()[0]
    assert ".streamlit/secrets.toml (TIMEZONE)" in sentence
    assert ".env (DEMO_PORT)" in sentence
    assert "the environment (TWILIO_ACCOUNT_SID, " in sentence
    assert "Madrid" not in sentence


@pytest.mark.usefixtures("ledger")
def test_the_folder_is_told_where_another_ledger_than_the_programs_counts(commands: Commands) -> None:
    chosen, by_the_folder = commands.run("doctor"), commands.run("doctor", DATABASE_PATH="")

    assert "the command was started there" not in chosen.out + chosen.err
    [trouble] = troubles(by_the_folder, "!")[:1]
    assert trouble.startswith(f"Settings and data of {commands.folder} count, since the command was started there")


@pytest.mark.usefixtures("ledger")
def test_a_file_without_keys_may_be_read(commands: Commands) -> None:
    file = commands.folder / ".env"
    file.write_text("TIMEZONE=UTC\nCRON_SECRET=\nELEVENLABS_API_KEY= # none yet\n")
    file.chmod(0o644)

    assert troubles(commands.run("doctor"), "!") == []


# The store


def test_a_database_that_is_missing_is_told_and_not_made(commands: Commands) -> None:
    said = commands.run("doctor")

    assert said.code == 1
    assert troubles(said) == [
        f"There is no database {commands.database}; run `python -m sync all` to make it, or correct DATABASE_PATH."
    ]
    assert not commands.database.exists()


@pytest.mark.usefixtures("ledger")
def test_a_database_that_is_locked_is_told(commands: Commands) -> None:
    with closing(sqlite3.connect(commands.database, isolation_level=None)) as other_program:
        other_program.execute("begin immediate")
        said = commands.run("doctor")

    assert said.code == 1
    assert troubles(said) == [
        f"The database {commands.database} is locked by another program; close that program, the next run goes on."
    ]


def test_a_database_of_a_newer_program_is_told(commands: Commands, ledger: SqliteStore) -> None:
    commands.sql("pragma user_version = 99")

    (trouble,) = troubles(commands.run("doctor"))

    assert trouble.startswith("The database has schema version 99, newer than this program's")


def test_a_supabase_project_without_migrations_is_told(commands: Commands) -> None:
    with LocalSupabase() as project:
        project.forget_migrations()
        project.reload_schema()
        said = commands.run("doctor", SUPABASE_URL=project.url, SUPABASE_KEY=project.secret_key)
        wrong = commands.run("doctor", SUPABASE_URL=project.url, SUPABASE_KEY=WRONG)

    assert (said.code, wrong.code) == (1, 1)
    assert "apply them in this order" in troubles(said)[0]
    assert troubles(wrong) == [
        "Supabase does not accept SUPABASE_KEY; copy the secret key from the project's API settings."
    ]


@pytest.mark.parametrize(
    ("free", "ok", "is_error"), [(50e6, False, True), (500e6, False, False), (3e9, True, True)], ids=str
)
def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path, free: float, ok: bool, is_error: bool) -> None:
    finding = machine.disk(tmp_path / "not yet" / "ledger.db", lambda folder: int(free))

    assert (finding.ok, finding.is_error) == (ok, is_error)
    assert ok or "free some space, or set DATABASE_PATH to another disk." in finding.message


# What it holds


def test_old_data_is_told_with_what_the_last_sync_said(commands: Commands) -> None:
    with closing(SqliteStore(commands.database)) as store:
        store.claim_for("real")
        record(store, "twilio", ago=5 * HOUR)
        record(store, "twilio", RunState.FAILED, "Twilio is down.", ago=10 * MINUTE)
        record(store, "elevenlabs", ago=100 * MINUTE)

    said = commands.run("doctor")

    old, silent = troubles(said)
    (amber,) = troubles(said, "!")
    assert said.code == 1
    assert old.startswith("Twilio: the data reaches to ")
    assert old.endswith("is 5.0 hours old (the last sync failed: Twilio is down); run `python -m sync twilio`.")
    assert silent == (
        "ElevenLabs: no sync has begun for 100 minutes, so no scheduler seems to run; start `python -m sync scheduler`."
    )
    assert amber.endswith("is 100 minutes old; run `python -m sync elevenlabs`.")


def test_a_store_that_was_never_synced_says_how_to_begin(commands: Commands) -> None:
    SqliteStore(commands.database).close()

    said = commands.run("doctor")

    assert said.code == 1
    assert troubles(said)[:2] == [
        "Twilio: no sync has begun yet, so no scheduler seems to run; start `python -m sync scheduler`.",
        "Twilio: no sync has succeeded yet; run `python -m sync twilio`.",
    ]


def test_data_that_nobody_wants_to_be_synced_is_no_error(commands: Commands, ledger: SqliteStore) -> None:
    commands.sql("update sync_runs set window_end = '2026-01-01T00:00:00+00:00' where source = 'elevenlabs'")

    said = commands.run("doctor", DISABLE_ELEVENLABS_HOURLY_SYNC="true")

    assert said.code == 0
    assert "DISABLE_ELEVENLABS_HOURLY_SYNC is set" in troubles(said, "!")[0]


def test_a_stretch_that_was_never_synced_comes_with_the_command_that_fetches_it(commands: Commands) -> None:
    with closing(SqliteStore(commands.database)) as store:
        for source in ("twilio", "elevenlabs"):
            record(store, source, ago=30 * HOUR)  # type: ignore[arg-type]  # a literal in a tuple
            record(store, source, ago=20 * HOUR)  # type: ignore[arg-type]
            record(store, source, length=19 * HOUR)  # type: ignore[arg-type]

    said = commands.run("doctor")
    gap = next(line for line in troubles(said, "!") if line.startswith("Twilio"))
    repaired = commands.run(*gap.partition("python -m sync ")[2].rstrip("`.").split())

    assert said.code == 0
    assert gap.startswith("Twilio: 2 stretches were never synced, the last from ")
    assert repaired.code == 0
    assert not any(line.startswith("Twilio") for line in troubles(commands.run("doctor"), "!"))


def test_numbers_that_belong_to_nobody_are_told(commands: Commands, ledger: SqliteStore) -> None:
    ledger.save_calls([make_leg(sid="CA7", our_number="+34910000077")])

    said = commands.run("doctor")

    assert said.code == 0
    assert troubles(said, "!")[0].startswith(
        "1 number with usage belongs to no workspace and counts as Unassigned: …0077"
    )


def test_a_check_that_breaks_off_is_a_finding_without_values() -> None:
    def broken() -> Iterator[Finding]:
        yield Finding(check="disk", ok=True, message="So far.")
        raise KeyError("+12025550101")

    first, second = attempt("disk", broken)

    assert first.ok
    assert second.message == "The check of disk met an error in the program (KeyError); report it."


def test_demo_data_is_looked_at_like_any_other(commands: Commands, url: str) -> None:
    for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "ELEVENLABS_API_KEY"):
        del commands.variables[name]
    port = {"DEMO_PORT": url.rsplit(":", 1)[1]}

    synced = commands.run("all", **port)
    said = commands.run("doctor", **port)

    assert (synced.code, said.code, troubles(said)) == (0, 0, [])
    assert "✓ The simulated Twilio of the demo answers." in said.out.splitlines()


@pytest.mark.parametrize("command", ["doctor", "verify"])
def test_a_run_from_a_clock_that_was_ahead_is_an_error_with_what_to_do(
    commands: Commands, ledger: SqliteStore, command: str
) -> None:
    at = datetime.now(UTC) + timedelta(days=1200)
    run = ledger.begin_run("twilio", RunKind.HOURLY, (at, at), owner="", now=at, stale_before=at)
    ledger.finish_run(run.id, RunState.OK, None, now=at)

    said = commands.run(command)

    assert said.code == 1
    [trouble] = [each for each in troubles(said) if "claims" in each]
    assert trouble.startswith(f"Twilio: Run {run.id} claims to have ended at {at:%Y-%m-%d %H:%M} UTC")
    assert trouble.endswith("set the clock of the machine that it ran on, then sync again.")
