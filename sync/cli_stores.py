"""`python -m sync copy | backup | restore`: whole stores, moved and kept."""

import time
from collections.abc import Mapping
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sync import backup as backups
from sync import settings
from sync.bootstrap import configured_kind, new_backup, open_backup, open_store
from sync.cli_console import err, out, told_errors
from sync.copying import copy_store
from sync.progress import shown_copying
from sync.sentences import counted

app = typer.Typer()


class StoreName(StrEnum):
    """The stores that data can be copied between."""

    sqlite = "sqlite"
    supabase = "supabase"


@app.command()
def copy(
    origin: Annotated[StoreName, typer.Option("--from", help="The store that is read.")],
    target: Annotated[StoreName, typer.Option("--to", help="The store that is written.")],
) -> None:
    """Copy everything to the other store, and compare all balances at the end. May be repeated."""
    if origin == target:
        raise typer.BadParameter("--from and --to must differ.")
    with told_errors():
        configured = settings.load()
        with (
            closing(open_store(configured, origin.value)) as read,
            closing(open_store(configured, target.value)) as written,
            shown_copying(err) as show,
        ):
            copy_store(read, written, on_progress=show)
            counts = written.count_rows()
    out.print(f"Copied {_records(counts)}; all balances are equal on both sides.")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, such as backups/2026-11-22.db.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write everything into one SQLite file, from either store, while syncs go on."""
    start = time.monotonic()
    with told_errors():
        configured = settings.load()
        with closing(open_store(configured, configured_kind(configured))) as store, shown_copying(err) as show:
            counts = backups.back_up(
                store,
                file,
                data=configured.data_name,
                new_backup=new_backup,
                replace=force,
                on_progress=show,
            )
        size = file.stat().st_size / 1e6
    took = time.monotonic() - start
    out.print(escape(f"Backed up {_records(counts)} into {file} ({size:,.1f} MB) in {took:.1f} s."))


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="A file that `backup` wrote; it is not changed.")]) -> None:
    """Fill an empty store from a backup, and compare all balances at the end. May be repeated."""
    start = time.monotonic()
    with told_errors():
        configured = settings.load()
        with closing(open_store(configured, configured_kind(configured))) as store, shown_copying(err) as show:
            counts = backups.restore(store, file, data=configured.data_name, open_backup=open_backup, on_progress=show)
    took = time.monotonic() - start
    out.print(f"Restored {_records(counts)} in {took:.1f} s; all balances equal those of the backup.")


def _records(counts: Mapping[str, int]) -> str:
    return f"{counted(counts['calls'], 'call leg')} and {counted(counts['elevenlabs_conversations'], 'conversation')}"
