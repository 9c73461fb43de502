"""`python -m sync backup` and `restore` as people and cron use them: exit codes, one sentence, nothing half done."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sync.cli import app
from sync.sqlite_store import SqliteStore
from tests.local_supabase import LocalSupabase
from tests.registering import add_workspace
from tests.test_cli import Commands
from tests.test_copying import CALLS, CONVERSATIONS, balances, fill

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path, NOBODY)


@pytest.fixture
def ledger(commands: Commands) -> Iterator[SqliteStore]:
    """Give the commands' own store, filled."""
    with closing(SqliteStore(commands.database)) as store:
        store.claim_for("real")
        fill(store)
        yield store


def test_a_backup_is_written_and_restored_into_a_new_file(commands: Commands, ledger: SqliteStore) -> None:
    backed_up = commands.run("backup", "one.db")
    restored = commands.run("restore", "one.db", DATABASE_PATH="restored.db")

    assert (backed_up.code, restored.code) == (0, 0)
    assert backed_up.sentence().startswith(
        f"Backed up {CALLS} call legs and {CONVERSATIONS} conversations into one.db ("
    )
    assert restored.sentence().startswith(f"Restored {CALLS} call legs and {CONVERSATIONS} conversations in ")
    assert restored.sentence().endswith("; all balances equal those of the backup.")
    with closing(SqliteStore(commands.folder / "restored.db")) as store:
        assert balances(store) == balances(ledger)


def test_a_backup_moves_from_one_store_to_the_other(
    commands: Commands, ledger: SqliteStore, supabase: LocalSupabase
) -> None:
    project = {"SUPABASE_URL": supabase.url, "SUPABASE_KEY": supabase.secret_key}

    said = [
        commands.run("backup", "one.db"),
        commands.run("restore", "one.db", **project),
        commands.run("backup", "two.db", **project),
        commands.run("restore", "two.db", DATABASE_PATH="back.db"),
        commands.run("verify", DATABASE_PATH="back.db"),
    ]

    assert [each.code for each in said] == [0, 0, 0, 0, 0]
    with closing(SqliteStore(commands.folder / "back.db")) as store:
        assert balances(store) == balances(ledger)
        assert store.runs() == ledger.runs()


def test_a_file_that_exists_is_kept_unless_it_is_forced(commands: Commands, ledger: SqliteStore) -> None:
    (commands.folder / "one.db").write_text("precious")

    refused = commands.run("backup", "one.db")
    kept = (commands.folder / "one.db").read_text()
    forced = commands.run("backup", "one.db", "--force")

    assert (refused.code, kept, forced.code) == (1, "precious", 0)
    assert refused.sentence() == "Error: one.db exists already; name a new file, or replace it with --force."


def test_the_database_itself_is_no_place_for_a_backup(commands: Commands, ledger: SqliteStore) -> None:
    said = commands.run("backup", "ledger.db", "--force")

    assert said.code == 1
    assert said.sentence() == "Error: ledger.db is the database itself; name another file for the backup."
    assert len(ledger.calls_after(None, 100)) == CALLS


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "Error: There is no file one.db; name the backup to restore."),
        (b"a letter", "Error: one.db is no backup of Voice Ledger, or is damaged; name another file."),
    ],
)
def test_what_cannot_be_restored_is_one_sentence(commands: Commands, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (commands.folder / "one.db").write_bytes(content)

    said = commands.run("restore", "one.db")

    assert (said.code, said.sentence()) == (1, sentence)


def test_a_store_with_other_data_is_not_restored_over(commands: Commands, ledger: SqliteStore) -> None:
    commands.run("backup", "one.db")
    add_workspace(ledger, "Cumulus")

    said = commands.run("restore", "one.db")

    assert said.code == 1
    assert said.sentence().startswith("Error: The store holds data that is not in the backup (25 call legs, ")
    assert "Cumulus" in [workspace.name for workspace in ledger.workspaces()]


def test_a_real_backup_is_not_restored_into_the_demo(commands: Commands, ledger: SqliteStore) -> None:
    commands.run("backup", "one.db")
    for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "ELEVENLABS_API_KEY"):
        del commands.variables[name]

    said = commands.run("restore", "one.db", DATABASE_PATH="demo.db")

    assert said.code == 1
    assert said.sentence() == (
        "Error: The backup one.db holds real data, which never mixes with demo data; set the providers' keys first."
    )


def test_nothing_but_the_backup_is_left_in_the_folder(commands: Commands, ledger: SqliteStore) -> None:
    folder = commands.folder / "backups"
    folder.mkdir()

    commands.run("backup", "backups/one.db")
    commands.run("restore", "backups/one.db", DATABASE_PATH="restored.db")

    assert os.listdir(folder) == ["one.db"]


@pytest.mark.parametrize("command", ["backup", "restore", "copy"])
def test_every_command_explains_itself(command: str) -> None:
    said = CliRunner().invoke(app, [command, "--help"], prog_name="python -m sync")

    assert said.exit_code == 0
    assert f"Usage: python -m sync {command}" in said.output
