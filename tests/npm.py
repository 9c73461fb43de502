"""Packages of npm that tests need: pinned by a lock file beside them, installed on first use."""

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CannotInstallError(RuntimeError):
    """A package is missing and cannot be installed; the message says what to do."""


def installed(folder: Path, path: str) -> Path:
    """Return a file below `folder`, after installing what its lock file names if the file is missing."""
    file = folder / path
    with _one_process_at_a_time(folder):
        if not file.exists():
            _install(folder, file)
    return file


@contextmanager
def _one_process_at_a_time(folder: Path) -> Iterator[None]:
    with (folder / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed
        yield


def _install(folder: Path, file: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise CannotInstallError(f"{file.name} is installed with npm, which is not here: sudo apt-get install npm.")
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True
    )
    if done.returncode or not file.exists():
        said = done.stderr.strip().splitlines()
        raise CannotInstallError(f"npm could not install {file.name}: {said[-1] if said else 'it gave no reason'}")
