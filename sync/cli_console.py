"""Where commands write to, and how they end when something goes wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import typer
from rich.console import Console
from rich.markup import escape

from sync import logs, settings
from sync.errors import VoiceLedgerError

log = structlog.get_logger()

out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)


@contextmanager
def told_errors() -> Iterator[None]:
    """End a command that met an error which the program foresaw with its sentence and code 1."""
    logs.configure(settings.log_format())
    try:
        yield
    except VoiceLedgerError as exc:
        complain(str(exc), mark="[red]Error:[/] ")
        raise typer.Exit(1) from exc
    except (typer.Exit, typer.BadParameter):
        raise
    except Exception as exc:  # the edge of the command line
        log.exception("An error in the program")
        raise typer.Exit(1) from exc


def complain(sentence: str, *, mark: str = "") -> None:
    """Write to stderr what went wrong: a line for people, or a line of the log where that is for machines."""
    if logs.writes_json(settings.log_format()):
        log.error(sentence)
    else:
        err.print(mark + escape(sentence))
