"""Where commands write to, and how they end when something goes wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import typer
from rich.console import Console
from rich.markup import escape

from sync import logs
from sync.errors import VoiceLedgerError

log = structlog.get_logger()

out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)


@contextmanager
def told_errors() -> Iterator[None]:
    """End a command that met an error which the program foresaw with its sentence and code 1."""
    logs.configure()
    try:
        yield
    except VoiceLedgerError as exc:
        err.print(f"[red]Error:[/] {escape(str(exc))}")
        raise typer.Exit(1) from exc
    except (typer.Exit, typer.BadParameter):
        raise
    except Exception as exc:  # the edge of the command line
        log.exception("An error in the program")
        raise typer.Exit(1) from exc
