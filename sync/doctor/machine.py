"""What the machine is checked for: the files with keys, and the space that the database has to grow."""

import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sync.verify import Finding

TOO_LITTLE, LITTLE = 200_000_000, 1_000_000_000  # bytes


def key_files(files: Iterable[Path]) -> Iterator[Finding]:
    """Find files with keys that every user of the machine may read, or even write."""
    open_to_others = [str(path) for path in files if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH)]
    message = "No other user of this machine can read the files with keys."
    if open_to_others:
        names = " ".join(open_to_others)
        message = f"Other users of this machine can read keys; run `chmod o-rw {names}`."
    yield Finding(check="files with keys", ok=not open_to_others, message=message)


def place(elsewhere: str | None, *, is_chosen: bool) -> Iterator[Finding]:
    """Tell that the ledger of another folder is looked at than that of the program."""
    if elsewhere and not is_chosen:
        yield Finding(check="folder", ok=False, message=elsewhere, is_error=False)


def disk(database: Path, free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free) -> Finding:
    """Compare what is left with what the file would need to be written once more, as a backup beside it."""
    folder = next(each for each in database.absolute().parents if each.is_dir())
    free = free_bytes(folder)
    size = database.stat().st_size if database.is_file() else 0
    left = f"{free / 1e9:,.1f} GB"
    if free >= max(LITTLE, size):
        return Finding(check="disk", ok=True, message=f"The disk of {database} has {left} left.")
    message = f"The disk of {database} has only {left} left; free some space, or set DATABASE_PATH to another disk."
    return Finding(check="disk", ok=False, message=message, is_error=free < TOO_LITTLE)
