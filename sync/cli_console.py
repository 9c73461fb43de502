"""Where commands write to, and how they end when something goes wrong."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
import typer
from rich.console import Console
from rich.markup import escape

from sync import answers, logs, settings
from sync.errors import VoiceLedgerError
from sync.verify import Finding

INTERRUPTED = 130  # as shells say it of a program that Ctrl-C ended

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
    except KeyboardInterrupt as exc:  # SIGTERM as well
        complain("Stopped; the same command may be given again.")
        raise typer.Exit(INTERRUPTED) from exc
    except Exception as exc:  # the edge of the command line
        log.exception("An error in the program")
        raise typer.Exit(1) from exc


def complain(sentence: str, *, mark: str = "") -> None:
    """Write to stderr what went wrong: a line for people, or a line of the log where that is for machines."""
    if logs.writes_json(settings.log_format()):
        log.error(sentence)
    else:
        err.print(mark + escape(sentence))


def print_json(value: Any) -> None:
    typer.echo(answers.to_json(value, indent=2))


def show_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Tell what checks found, and end with code 1 if something is wrong."""
    is_sound = all(finding.ok or not finding.is_error for finding in findings)
    if as_json:
        print_json({"ok": is_sound, "findings": findings})
    else:
        for finding in findings:
            out.print(f"{_mark(finding)} {escape(finding.message)}")
    if not is_sound:
        raise typer.Exit(1)


def _mark(finding: Finding) -> str:
    if finding.ok:
        return "[green]✓[/]"
    return "[red]✗[/]" if finding.is_error else "[yellow]![/]"
