"""The command line as people and cron use it: exit codes, JSON, one sentence for what goes wrong, never a traceback."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import simplejson
from typer.testing import CliRunner

from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from demo.faults import Faults
from demo.fleet import Fleet
from demo.server import create_app, running
from sync.cli import BEHIND_PEOPLE, app
from sync.models import RunKind
from sync.phones import ImportedRow, ImportFileError, import_phones, read_file
from sync.sqlite_store import SqliteStore
from tests.records import make_conversation, make_leg
from tests.scripted_server import Answer, ScriptedServer

ROOT = Path(__file__).parent.parent
NOW = datetime.now(UTC).replace(microsecond=0)  # commands read the real clock, the simulated providers stand still
PATIENCE = 20  # seconds
WRONG = "wrong-key-7c21"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return simplejson.loads(self.out, use_decimal=True)

    def sentence(self) -> str:
        """Return the only line that was written."""
        (line,) = (self.out + self.err).splitlines()
        return line


class Commands:
    """Runs `python -m sync` in a folder of its own. No output may hold a traceback or a secret."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.database = folder / "ledger.db"
        self.variables = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DATABASE_PATH": str(self.database),
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_BASE_URL": url,
            "ELEVENLABS_API_KEY": ELEVENLABS_API_KEY,
            "ELEVENLABS_BASE_URL": url,
            "FIRST_SYNC_DAYS": "3",
            "LOG_FORMAT": "text",  # as a person on a terminal sees them
        }

    def start(self, *arguments: str, **changes: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "sync", *arguments],
            cwd=self.folder,
            env=self.variables | changes,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **changes: str) -> Said:
        return ended(self.start(*arguments, **changes))

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as db, db:
            return db.execute(statement).fetchall()

    def runs(self) -> list[tuple[str, str, int]]:
        """Return source, state and saved records of every run so far."""
        if not self.database.exists() or not self.sql("select 1 from sqlite_master where name = 'sync_runs'"):
            return []
        return self.sql("select source, state, saved from sync_runs order by id")


def ended(process: "subprocess.Popen[str]") -> Said:
    try:
        out, err = process.communicate(timeout=2 * PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert "Traceback" not in out + err
    assert AUTH_TOKEN not in out + err
    assert ELEVENLABS_API_KEY not in out + err
    assert WRONG not in out + err
    return Said(process.returncode, out, err)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(create_app(Fleet(opened_at=NOW, days=2, scale=0.5), clock=lambda: NOW)) as url:
        yield url


@pytest.fixture
def commands(tmp_path: Path, url: str) -> Commands:
    return Commands(tmp_path, url)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "ledger.db")) as ledger:
        yield ledger


@pytest.fixture
def broken_provider() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def command_at_a_locked_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator["subprocess.Popen[str]"]:
    """Start, before all other tests of this file, the one command that waits half a minute for its database."""
    commands = Commands(tmp_path_factory.mktemp("locked"), "http://127.0.0.1:9")
    SqliteStore(commands.database).close()
    with closing(sqlite3.connect(commands.database, isolation_level=None)) as other_program:
        other_program.execute("begin immediate")
        with commands.start("verify") as process:
            yield process
            process.kill()


def test_demo_data_does_not_get_into_a_project_elsewhere(tmp_path: Path, url: str) -> None:
    project = {"SUPABASE_URL": "https://ledger.supabase.example", "SUPABASE_KEY": "sb_secret_of_the_tests"}
    nothing = dict.fromkeys(("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "ELEVENLABS_API_KEY"), "")

    said = Commands(tmp_path, url).run("all", **project, **nothing)

    assert said.code == 1
    assert "set the keys of Twilio or ElevenLabs in .env, too" in said.err


def test_all_syncs_both_providers_and_tells_each_run_in_json(commands: Commands) -> None:
    said = commands.run("all", "--json")

    results = said.json()["results"]
    assert said.code == 0
    assert [(result["source"], result["status"]) for result in results] == [("twilio", "ok"), ("elevenlabs", "ok")]
    for result in results:
        run = result["run"]
        (stored,) = commands.sql(f"select saved from sync_runs where id = {run['id']}")
        assert run["saved"] == stored[0] > 0
        assert datetime.fromisoformat(run["window_end"]).utcoffset() == timedelta(0)
        assert "owner" not in run
        assert result["message"].startswith(f"{'Twilio' if result['source'] == 'twilio' else 'ElevenLabs'}: ")


def test_each_provider_can_be_synced_alone_and_says_so_in_a_line(commands: Commands) -> None:
    said = commands.run("elevenlabs")

    assert said.code == 0
    assert said.sentence().startswith("ElevenLabs: ")
    assert " records saved in " in said.sentence()
    assert [run[:2] for run in commands.runs()] == [("elevenlabs", "ok")]


def test_verify_finds_nothing_in_sound_data_and_a_wrong_balance_after_a_change(commands: Commands) -> None:
    with closing(SqliteStore(commands.database)) as store:
        store.save_calls([make_leg()])
        store.save_conversations([make_conversation()])

    sound = commands.run("verify")
    commands.sql("update twilio_snapshots set total_cost = total_cost + 0.00000001")
    wrong = commands.run("verify", "--json")

    findings = {finding["check"]: finding for finding in wrong.json()["findings"]}
    assert sound.code == 0
    assert "✓ Twilio: every balance equals the sum of its records." in sound.out.splitlines()
    assert "! 1 number with usage belongs to no workspace and counts as Unassigned: …0001 (2)" in sound.out
    assert (wrong.code, wrong.json()["ok"]) == (1, False)
    assert findings["twilio balances"]["message"].startswith("Twilio: 1 balance is not the sum of its records")
    assert [name for name, finding in findings.items() if finding["is_error"] and not finding["ok"]] == [
        "twilio balances"
    ]


def test_verify_tells_of_balances_that_wait_and_that_the_next_sync_refreshes_them(commands: Commands) -> None:
    with closing(SqliteStore(commands.database)) as store:
        store.save_calls([make_leg()])
        store.save_conversations([make_conversation()], refresh=False)
        store.save_calls([make_leg(sid="CAnew")], refresh=False)

    said = commands.run("verify")

    assert (
        "! Twilio: the balances of 1 workspace wait to be refreshed, which the next sync does; all others" in said.out
    )


def test_verify_wants_no_data_of_a_provider_that_is_not_configured(commands: Commands) -> None:
    with closing(SqliteStore(commands.database)) as store:
        store.save_calls([make_leg()])
    del commands.variables["ELEVENLABS_API_KEY"]

    said = commands.run("verify")

    assert said.code == 0
    assert "✓ ElevenLabs: not configured, and no data." in said.out.splitlines()


def test_verify_of_an_empty_database_says_what_to_run(commands: Commands) -> None:
    said = commands.run("verify")

    assert said.code == 1
    assert "✗ Twilio: no data; run `python -m sync twilio`." in said.out.splitlines()


def test_without_keys_the_running_demo_is_synced_into_a_file_of_its_own(commands: Commands, url: str) -> None:
    for name in ("DATABASE_PATH", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "ELEVENLABS_API_KEY"):
        del commands.variables[name]

    said = commands.run("twilio", DEMO_PORT=url.rsplit(":", 1)[1])

    with closing(sqlite3.connect(commands.folder / "data" / "demo.db")) as db:
        assert said.code == 0
        assert db.execute("select count(*) from calls").fetchone()[0] > 0
        assert db.execute("select count(*) from workspace_phones").fetchone()[0] > 5


def test_settings_come_from_a_file_in_the_folder(commands: Commands) -> None:
    names = [name for name in commands.variables if name not in ("PATH", "PYTHONPATH")]
    lines = [f"{name}={commands.variables.pop(name)}\n" for name in names]
    (commands.folder / ".env").write_text("".join(lines))

    assert commands.run("twilio").code == 0
    assert commands.database.exists()


def test_demo_and_real_data_never_mix(commands: Commands, url: str) -> None:
    with closing(SqliteStore(commands.database)) as store:
        store.claim_for("real")
    for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "ELEVENLABS_API_KEY"):
        del commands.variables[name]

    said = commands.run("twilio", DEMO_PORT=url.rsplit(":", 1)[1])

    assert said.code == 1
    assert "holds real data, which never mixes with demo data; set DATABASE_PATH to another file." in said.err


def test_a_provider_without_a_key_cannot_be_synced_and_is_left_out_of_all(commands: Commands) -> None:
    del commands.variables["ELEVENLABS_API_KEY"]

    alone, together = commands.run("elevenlabs"), commands.run("all", "--json")

    assert alone.code == 1
    assert "ElevenLabs is not configured; set ELEVENLABS_API_KEY in .env." in alone.sentence()
    assert together.code == 0
    assert [result["source"] for result in together.json()["results"]] == ["twilio"]


def test_the_flag_skips_elevenlabs_which_is_a_success(commands: Commands) -> None:
    said = commands.run("elevenlabs", "--json", DISABLE_ELEVENLABS_HOURLY_SYNC="true")

    (result,) = said.json()["results"]
    assert (said.code, result["status"], result["run"]["saved"]) == (0, "skipped", 0)
    assert "DISABLE_ELEVENLABS_HOURLY_SYNC is set" in result["message"]


def test_one_failing_provider_does_not_keep_the_other_from_its_sync(commands: Commands) -> None:
    said = commands.run("all", "--json", TWILIO_AUTH_TOKEN=WRONG)

    twilio, elevenlabs = said.json()["results"]
    assert said.code == 1
    assert (twilio["status"], twilio["run"]) == ("failed", None)
    assert elevenlabs["status"] == "ok"


@pytest.mark.parametrize(
    ("source", "name", "sentence"),
    [
        ("twilio", "TWILIO_AUTH_TOKEN", "Twilio does not accept the credentials (401): check TWILIO_ACCOUNT_SID"),
        ("elevenlabs", "ELEVENLABS_API_KEY", "ElevenLabs does not accept the key (401): check ELEVENLABS_API_KEY"),
    ],
)
def test_a_wrong_key_says_which_setting_to_check(commands: Commands, source: str, name: str, sentence: str) -> None:
    said = commands.run(source, **{name: WRONG})

    assert said.code == 1
    assert sentence in said.sentence()
    assert commands.runs() == [(source, "failed", 0)]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(status=503, headers={"Retry-After": "3600"}), "has a problem of its own (HTTP 503)"),
        (Answer(body="<p>Log in", headers={"Content-Type": "text/html"}), "answered with text/html instead of JSON"),
    ],
)
def test_a_provider_that_does_not_work_is_told_in_a_sentence(
    commands: Commands, broken_provider: ScriptedServer, answer: Answer, sentence: str
) -> None:
    broken_provider.on(f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json", answer)

    said = commands.run("twilio", TWILIO_BASE_URL=broken_provider.url)

    assert said.code == 1
    assert sentence in said.sentence()
    assert commands.runs() == [("twilio", "failed", 0)]


def test_who_loses_patience_without_a_network_leaves_nothing_behind_that_blocks_the_next_sync(
    commands: Commands,
) -> None:
    nobody = ScriptedServer()
    process = commands.start("twilio", TWILIO_BASE_URL=nobody.url)
    wait_until(lambda: bool(commands.runs()))

    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    impatient = ended(process)
    said = commands.run("twilio")
    nobody.close()

    assert impatient.code != 0
    assert said.code == 0
    assert [run[:2] for run in commands.runs()] == [("twilio", "interrupted"), ("twilio", "ok")]


def test_a_sync_that_is_going_on_elsewhere_is_told_and_left_alone(commands: Commands) -> None:
    now = datetime.now(UTC)
    with closing(SqliteStore(commands.database)) as store:
        store.begin_run("twilio", RunKind.HOURLY, (now, now), owner="another-machine:1:1", now=now, stale_before=now)

    said = commands.run("twilio")

    assert said.code == 1
    assert "is still running; wait for it to finish." in said.sentence()
    assert commands.runs() == [("twilio", "running", 0)]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"TIMEZONE": "Middle/Earth"}, "Error: TIMEZONE must be a time zone such as Europe/Madrid."),
        ({"DATABASE_PATH": "/dev/null/ledger.db"}, "Error: The "),
    ],
)
def test_settings_that_cannot_be_used_are_one_line(
    commands: Commands, variables: Mapping[str, str], sentence: str
) -> None:
    said = commands.run("verify", **variables)

    assert said.code == 1
    assert said.sentence().startswith(sentence)


def test_a_file_that_is_no_database_is_one_line(commands: Commands) -> None:
    commands.database.write_bytes(b"This is a letter, and rather a long one. " * 200)

    said = commands.run("verify")

    assert said.code == 1
    assert "is not a sound SQLite database; restore a backup, or set DATABASE_PATH to another file." in said.sentence()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["twilio"],
        ["elevenlabs"],
        ["all"],
        ["backfill"],
        ["scheduler"],
        ["verify"],
        ["doctor"],
        ["copy"],
        ["phones"],
        ["phones", "import"],
    ],
)
def test_every_command_explains_itself(arguments: list[str]) -> None:
    said = CliRunner().invoke(app, [*arguments, "--help"], prog_name="python -m sync")

    assert said.exit_code == 0
    assert f"Usage: {' '.join(['python -m sync', *arguments])}" in said.output


@pytest.mark.parametrize("arguments", [["twillio"], ["twilio", "--jason"], ["phones", "import"]])
def test_a_misspelt_command_is_code_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


# phones import

GOOD_CSV = """workspace,phone_number,label,valid_from,valid_until
Acme,+34 910 000 001,Main,,2026-10-31T23:00:00Z
Borealis,+34910000001,Main,2026-11-01T00:00:00+01:00,
Acme,+34910000002
"""


def test_numbers_are_imported_and_may_be_imported_again(commands: Commands) -> None:
    (commands.folder / "numbers.csv").write_text(GOOD_CSV)

    first, again = commands.run("phones", "import", "numbers.csv"), commands.run("phones", "import", "numbers.csv")

    assert (first.code, again.code) == (0, 0)
    assert (first.sentence(), again.sentence()) == ("3 rows: 3 registered.", "3 rows: 3 unchanged.")
    assert commands.sql(
        "select name, phone_number, label, valid_from, valid_until from workspace_phones as phone"
        " join workspaces on workspaces.id = workspace_id order by phone.id"
    ) == [
        ("Acme", "+34910000001", "Main", None, "2026-10-31T23:00:00+00:00"),
        ("Borealis", "+34910000001", "Main", "2026-10-31T23:00:00+00:00", None),
        ("Acme", "+34910000002", None, None, None),
    ]


BAD_ROWS = [
    ("Acme,910 000 003,,,", "The number …0003 is not in international form, such as +34911234567; correct it."),
    ("Acme,+34910000003x,,,", "The number …003x is not in international form, such as +34911234567; correct it."),
    ("Acme,,,,", "There is no phone number; give it in international form, such as +34911234567."),
    (",+34910000003,,,", "The workspace has no name; give it one."),
    ("Acme,+34910000003,,tomorrow,", "valid_from must be a date such as 2026-11-01, or a date and time."),
    ("Acme,+34910000003,,,31/12/2026", "valid_until must be a date such as 2026-11-01, or a date and time."),
    (
        "Acme,+34910000003,,0001-01-01T00:00:00+14:00,",
        "valid_from must be a date such as 2026-11-01, or a date and time.",
    ),
    ("Acme,+34910000003,,2026-11-02,2026-11-01", "The number …0003 cannot be registered: it would end before it"),
    ("Borealis,+34910000001,,,", "The number …0001 belongs to another workspace, or has another period, in that time"),
    (f"{'A' * 201},+34910000003,,,", "The workspace's name is longer than 200 characters; shorten it."),
]


def test_rows_that_cannot_be_imported_are_told_by_their_line_and_the_others_are_kept(commands: Commands) -> None:
    rows = ["Acme,+34910000001,Main,,", *(row for row, _ in BAD_ROWS), "Acme,+34910000002,Second,,"]
    (commands.folder / "numbers.csv").write_text(
        "\n".join(["workspace,phone_number,label,valid_from,valid_until", *rows])
    )

    said = commands.run("phones", "import", "numbers.csv")
    as_json = commands.run("phones", "import", "numbers.csv", "--json")

    told = said.err.splitlines()
    assert (said.code, said.out) == (1, f"{len(rows)} rows: 2 registered, {len(BAD_ROWS)} refused.\n")
    for line, (sentence, (_, problem)) in enumerate(zip(told, BAD_ROWS, strict=True), start=3):
        assert sentence.startswith(f"Line {line}: {problem}")
    assert "+349100000" not in said.err
    assert as_json.code == 1
    assert as_json.json() == {
        "dry_run": False,
        "rows": [
            {"line": 2, "fate": "unchanged", "error": None},
            *({"line": line, "fate": "refused", "error": sentence} for line, sentence in enumerate(told, start=3)),
            {"line": len(rows) + 1, "fate": "unchanged", "error": None},
        ],
        "effects": [],
    }
    assert len(commands.sql("select 1 from workspace_phones")) == 2


def test_a_dry_run_of_an_import_tells_what_it_would_move_and_registers_nothing(
    commands: Commands, ledger: SqliteStore
) -> None:
    ledger.save_calls([make_leg(sid="CA1"), make_leg(sid="CA2", cost=Decimal("0.25"))])
    ledger.save_conversations([make_conversation(cost=None)])
    (commands.folder / "numbers.csv").write_text(GOOD_CSV)

    tried, done = (commands.run("phones", "import", "numbers.csv", *flag) for flag in (["--dry-run"], []))

    effects = [
        "Acme: +2 calls, +0.2585 USD; +1 conversation, +0 USD",
        "Unassigned: -2 calls, -0.2585 USD; -1 conversation, +0 USD",
    ]
    assert tried.out.splitlines() == ["3 rows: 3 registered. Nothing was changed: this was a dry run.", *effects]
    assert done.out.splitlines() == ["3 rows: 3 registered.", *effects]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "has no column workspace and no column phone_number; its first line must be workspace,phone_number,"),
        (b"workspace,label\nAcme,Main\n", "has no column phone_number; its first line must be workspace,phone_number,"),
        (b"workspace|phone_number\nAcme|+34910000001\n", "has no column workspace and no column phone_number"),
        (b"workspace,phone_number\nCaf\xe9,+34910000001\n", "is not a CSV file in UTF-8; save it as such"),
        (b'workspace,phone_number\n"Acme,+34910000001\n', "is not a CSV file in UTF-8; save it as such"),
        (b'workspace,phone_number\n"Ac"me,+34910000001\n', "is not a CSV file in UTF-8; save it as such"),
        (b"\xff\xfew\x00o\x00r\x00k\x00", "is not a CSV file in UTF-8; save it as such"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "numbers.csv").write_bytes(content)

    with pytest.raises(ImportFileError) as caught:
        read_file(tmp_path / "numbers.csv")

    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "reason"), [("nowhere.csv", "No such file"), (".", "Is a directory")])
def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ImportFileError, match=rf"cannot be read \({reason}.*\); check its name\.$"):
        read_file(tmp_path / name)


def test_a_file_that_cannot_be_imported_ends_the_command_with_its_sentence(commands: Commands) -> None:
    (commands.folder / "numbers.csv").write_bytes(b"workspace,phone_number\nCaf\xe9,+34910000001\n")

    said = commands.run("phones", "import", "numbers.csv", "--json")

    assert said.code == 1
    assert said.sentence() == "Error: numbers.csv is not a CSV file in UTF-8; save it as such and try again."


def test_a_file_of_excel_with_its_invisible_mark_is_read(ledger: SqliteStore, tmp_path: Path) -> None:
    header = GOOD_CSV.splitlines()[0]
    (tmp_path / "numbers.csv").write_text(f"{header}\r\nAcme,+34910000001,,,\r\n\r\n", "utf-8-sig")

    (row,) = import_phones(ledger, read_file(tmp_path / "numbers.csv")).rows

    assert row == ImportedRow(line=2, fate="registered")


# Killed in the middle


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@dataclass(frozen=True)
class Sums:
    """What all records of both providers add up to."""

    legs: int
    twilio_cost: Decimal
    conversations: int
    credits: int
    elevenlabs_cost: Decimal


def sums_of_the_server(url: str) -> Sums:
    """Add up the servers' own JSON."""
    calls: list[dict[str, Any]] = []
    talks: list[dict[str, Any]] = []
    headers = {"xi-api-key": ELEVENLABS_API_KEY}
    with httpx.Client(base_url=url, auth=(ACCOUNT_SID, AUTH_TOKEN), headers=headers, trust_env=False) as http:
        uri: str | None = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json?PageSize=1000"
        while uri:
            page = simplejson.loads(http.get(uri).text, use_decimal=True)
            calls, uri = calls + page["calls"], page["next_page_uri"]
        cursor: str | None = ""
        while cursor is not None:
            answer = http.get("/v1/convai/conversations", params={"page_size": 100, "cursor": cursor})
            page = simplejson.loads(answer.text, use_decimal=True)
            talks, cursor = talks + page["conversations"], page["next_cursor"]
    return Sums(
        legs=len(calls),
        twilio_cost=sum((-Decimal(call["price"]) for call in calls if call["price"]), Decimal(0)),
        conversations=len(talks),
        credits=sum(talk["cost"] or 0 for talk in talks),
        elevenlabs_cost=sum((talk["cost_fiat"] or Decimal(0) for talk in talks), Decimal(0)),
    )


def sums_of_the_store(path: Path) -> Sums:
    with closing(SqliteStore(path)) as store:
        twilio, elevenlabs = store.twilio_balances([None])[0].values(), store.elevenlabs_balances([None])[0].values()
    return Sums(
        legs=sum(total.total_legs for total in twilio),
        twilio_cost=sum((total.total_cost for total in twilio), Decimal(0)),
        conversations=sum(total.total_conversations for total in elevenlabs),
        credits=sum(total.total_credits for total in elevenlabs),
        elevenlabs_cost=sum((total.total_cost for total in elevenlabs), Decimal(0)),
    )


@pytest.mark.parametrize("killed_in", ["twilio", "elevenlabs"])
def test_a_process_that_is_killed_loses_nothing_and_leaves_no_lock(tmp_path: Path, killed_in: str) -> None:
    faults = Faults(latency=0.2 if killed_in == "twilio" else 0.03)
    with running(create_app(Fleet(opened_at=NOW, days=2, scale=3), faults=faults, clock=lambda: NOW)) as url:
        commands = Commands(tmp_path, url)
        process = commands.start("all")
        wait_until(lambda: any(source == killed_in and saved for source, _, saved in commands.runs()))
        process.kill()
        process.communicate()
        killed = commands.runs()[-1]
        faults.latency = 0.0

        said, verified = commands.run("all"), commands.run("verify")

        assert (process.returncode, killed[:2]) == (-signal.SIGKILL, (killed_in, "running"))
        assert said.code == 0
        assert verified.code == 0, verified.out
        assert {state for _, state, _ in commands.runs()} == {"ok", "interrupted"}
        assert sums_of_the_store(commands.database) == sums_of_the_server(url)


def test_a_locked_database_is_told_after_half_a_minute(command_at_a_locked_database: "subprocess.Popen[str]") -> None:
    said = ended(command_at_a_locked_database)

    assert said.code == 1
    assert "is locked by another program; close that program, the next run goes on." in said.sentence()


# The historical sync


def test_a_backfill_fetches_the_days_it_is_told_and_says_so_in_json(commands: Commands) -> None:
    since, until = NOW.date() - timedelta(days=1), NOW.date()

    said = commands.run("backfill", "elevenlabs", "--since", f"{since}", "--until", f"{until}", "--json")

    run = said.json()["run"]
    outside = f"select count(*) from elevenlabs_conversations where started_at < '{since}' or started_at >= '{until}'"
    assert said.code == 0
    assert (run["kind"], run["state"], run["source"]) == ("backfill", "ok", "elevenlabs")
    assert (run["window_start"][:10], run["window_end"][:10]) == (f"{since}", f"{until}")
    assert run["saved"] == commands.sql("select count(*) from elevenlabs_conversations")[0][0] > 0
    assert commands.sql(outside) == [(0,)]


def test_a_backfill_without_an_end_reaches_until_now_and_is_told_in_a_line(commands: Commands) -> None:
    said = commands.run("backfill", "twilio", "--since", f"{NOW.date() - timedelta(days=2)}", "--max-concurrency", "2")

    assert said.code == 0
    assert said.sentence().startswith("Twilio: ")
    assert [run[:2] for run in commands.runs()] == [("twilio", "ok")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["backfill"],
        ["backfill", "elevenlabs"],
        ["backfill", "elevenlab", "--since", "2026-01-01"],
        ["backfill", "elevenlabs", "--since", "yesterday"],
        ["backfill", "elevenlabs", "--since", "2026-02-30"],
        ["backfill", "elevenlabs", "--since", "2026-02-01", "--until", "2026-02-01"],
        ["backfill", "elevenlabs", "--since", "2999-01-01"],
        ["backfill", "elevenlabs", "--since", "2026-01-01", "--max-concurrency", "0"],
        ["backfill", "elevenlabs", "--since", "2026-01-01", "--max-concurrency", "1000"],
    ],
)
def test_a_backfill_that_cannot_be_meant_is_code_2_and_starts_nothing(commands: Commands, arguments: list[str]) -> None:
    said = commands.run(*arguments)

    assert said.code == 2
    assert commands.runs() == []


def test_a_backfill_that_is_interrupted_says_what_becomes_of_it_and_goes_on(tmp_path: Path) -> None:
    faults = Faults(latency=0.1)
    with running(create_app(Fleet(opened_at=NOW, days=5, scale=3), faults=faults, clock=lambda: NOW)) as url:
        commands = Commands(tmp_path, url)
        arguments = ("backfill", "elevenlabs", "--since", f"{NOW.date() - timedelta(days=6)}")
        process = commands.start(*arguments, "--max-concurrency", "4")
        wait_until(lambda: any(saved for _, _, saved in commands.runs()))
        priority = psutil.Process(process.pid).nice()
        process.send_signal(signal.SIGINT)
        stopped = ended(process)
        faults.latency = 0.0

        said = commands.run(*arguments, "--json")

        assert priority == min(psutil.Process().nice() + BEHIND_PEOPLE, 19)
        assert stopped.code == 1
        assert "The run was stopped; what it had saved is kept, the next run goes on." in stopped.err
        assert said.code == 0
        assert [state for _, state, _ in commands.runs()] == ["interrupted", "ok"]
        total = commands.sql("select count(*) from elevenlabs_conversations")[0][0]
        going_on = "select count(*) from elevenlabs_conversations where status not in ('done', 'failed')"
        fetched_again = sum(saved for _, _, saved in commands.runs()) - total
        assert 0 <= fetched_again <= commands.sql(going_on)[0][0]
        assert sums_of_the_store(commands.database).conversations == sums_of_the_server(url).conversations == total


def test_a_backfill_of_a_provider_without_a_key_says_what_to_set(commands: Commands) -> None:
    del commands.variables["ELEVENLABS_API_KEY"]

    said = commands.run("backfill", "elevenlabs", "--since", "2026-01-01")

    assert said.code == 1
    assert "ElevenLabs is not configured; set ELEVENLABS_API_KEY in .env." in said.sentence()
