"""The local Supabase itself: what `make run-supabase` starts keeps its data, and nothing stays behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from sync.supabase_store import SupabaseStore
from tests.local_supabase.postgres import find_programs
from tests.local_supabase.postgrest import HERE, PROGRAM, installed_program
from tests.local_supabase.processes import CannotStartError
from tests.records import make_leg

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that the user postgres can reach too, with a short path, as Unix sockets need it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        Path(path).chmod(0o711)
        yield Path(path)


@contextmanager
def command(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run the command with its temporary files in `folder`; give its process, and the address and key it prints."""
    words = [sys.executable, "-m", "tests.local_supabase", *arguments]
    with subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url, key = (process.stdout.readline().strip().partition("=")[2] for _ in range(2))
        yield process, url, key
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def still_running(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Wait for the end of processes that are not ours, and return those that go on."""
    deadline = time.monotonic() + 10
    while (alive := [each for each in processes if is_alive(each)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)  # a zombie has ended; only nobody has asked how
    except psutil.NoSuchProcess:
        return False


def test_the_command_keeps_data_and_key_between_starts_if_told_where(folder: Path) -> None:
    with (
        command(folder, "--data", str(folder / "data")) as (first, url, key),
        closing(SupabaseStore(url, key)) as store,
    ):
        store.save_calls([make_leg()])
    with (
        command(folder, "--data", str(folder / "data")) as (second, url, same_key),
        closing(SupabaseStore(url, same_key)) as store,
    ):
        kept = store.count_rows()["calls"]

    assert (kept, same_key) == (1, key)
    assert (first.returncode, second.returncode) == (0, 0)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_runs_on_when_the_command_ends(folder: Path, end: signal.Signals) -> None:
    with command(folder) as (process, _, _):
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(end)
        process.wait(20)

    assert len(children) > 2
    assert still_running(children) == []


def test_a_missing_server_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CannotStartError, match="apt-get install postgresql"):
        find_programs(tmp_path)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Give a folder in which PostgREST is not installed yet."""
    return Path(shutil.copytree(HERE, tmp_path / "package", ignore=shutil.ignore_patterns("node_modules")))


def test_a_changed_postgrest_is_not_started(package: Path) -> None:
    (package / PROGRAM).parent.mkdir(parents=True)
    (package / PROGRAM).write_bytes(installed_program().read_bytes() + b"!")

    with pytest.raises(CannotStartError, match="not the expected PostgREST"):
        installed_program(package)


def test_without_npm_a_missing_postgrest_is_one_sentence(monkeypatch: pytest.MonkeyPatch, package: Path) -> None:
    monkeypatch.setenv("PATH", str(package))

    with pytest.raises(CannotStartError, match="apt-get install npm"):
        installed_program(package)


def test_a_version_with_another_content_is_not_installed(package: Path) -> None:
    lock = package / "package-lock.json"
    lock.write_text(lock.read_text().replace('"sha512-', '"sha512-AAAA'))

    with pytest.raises(CannotStartError, match="npm could not install"):
        installed_program(package)
