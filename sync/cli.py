"""`python -m sync`: sync now, schedule, verify, import. Exit code 0 only when all that was asked for succeeded."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import structlog
import typer
from rich.console import Console
from rich.markup import escape

from sync import answers, logs, scheduler, settings
from sync.bootstrap import Services, build, open_store
from sync.copying import copy_store
from sync.errors import VoiceLedgerError
from sync.models import PROVIDER_NAMES, RunState, Source
from sync.phones import import_phones
from sync.progress import shown_copying, shown_progress
from sync.sentences import describe
from sync.verify import Finding
from sync.verify import verify as run_checks

app = typer.Typer(
    help="Voice Ledger: copy Twilio calls and ElevenLabs conversations, and keep balances per client and hour.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
phones = typer.Typer(help="Register phone numbers.", no_args_is_help=True)
app.add_typer(phones, name="phones")

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for machines.")]

SUCCESSES = (RunState.OK, RunState.SKIPPED)

log = structlog.get_logger()

out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)


class StoreName(StrEnum):
    """The stores that data can be copied between."""

    sqlite = "sqlite"
    supabase = "supabase"


@contextmanager
def told_errors() -> Iterator[None]:
    """End a command that met an error which the program foresaw with its sentence and code 1."""
    logs.configure()
    try:
        yield
    except VoiceLedgerError as exc:
        err.print(f"[red]Error:[/] {escape(str(exc))}")
        raise typer.Exit(1) from exc
    except typer.Exit:
        raise
    except Exception as exc:  # the edge of the command line
        log.exception("An error in the program")
        raise typer.Exit(1) from exc


@contextmanager
def services() -> Iterator[Services]:
    """Open everything a command needs, and close it."""
    with told_errors(), closing(build(settings.load())) as opened:
        yield opened


@app.command()
def twilio(as_json: Json = False) -> None:
    """Sync Twilio calls now."""
    _sync(["twilio"], as_json)


@app.command()
def elevenlabs(as_json: Json = False) -> None:
    """Sync ElevenLabs conversations now."""
    _sync(["elevenlabs"], as_json)


@app.command(name="all")
def all_sources(as_json: Json = False) -> None:
    """Sync every configured provider now."""
    _sync(None, as_json)


@app.command(name="scheduler")
def run_scheduler() -> None:
    """Catch up, then sync Twilio at minute 0 and ElevenLabs at minute 5 of each hour (UTC), until SIGTERM."""
    should_stop = scheduler.stop_on_signals()
    with services() as opened:
        scheduler.run_forever(opened, should_stop)


@app.command(hidden=True)
def processes() -> None:
    """Print the names of the Procfile's processes that these settings need."""
    with services() as opened:
        out.print("dashboard scheduler demo" if opened.settings.is_demo else "dashboard scheduler")


@app.command()
def copy(
    origin: Annotated[StoreName, typer.Option("--from", help="The store that is read.")],
    target: Annotated[StoreName, typer.Option("--to", help="The store that is written.")],
) -> None:
    """Move house: copy all data between SQLite and Supabase, and compare all balances at the end. May be repeated."""
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
    out.print(
        f"Copied {counts['calls']:,} calls and {counts['elevenlabs_conversations']:,} conversations; "
        "all balances are equal on both sides."
    )


@app.command()
def verify(as_json: Json = False) -> None:
    """Check tables, duplicates, data, registered numbers, and that every balance equals its records."""
    with services() as opened:
        findings = list(run_checks(opened.store))
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


@phones.command(name="import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV: workspace,phone_number,label,valid_from,valid_until")],
    as_json: Json = False,
) -> None:
    """Register the numbers of a CSV file; rows that cannot be are told, the others are kept."""
    with services() as opened:
        rows = import_phones(opened.store, file)
    refused = [row for row in rows if row.error]
    if as_json:
        print_json({"imported": len(rows) - len(refused), "refused": refused})
    else:
        for row in refused:
            err.print(escape(row.error or ""))
        out.print(f"{len(rows) - len(refused)} of {len(rows)} numbers registered.")
    if refused:
        raise typer.Exit(1)


def _sync(sources: list[Source] | None, as_json: bool) -> None:
    """Sync the sources, or all configured ones, and end with code 1 if one of them did not succeed."""
    should_stop = scheduler.stop_on_signals()
    with services() as opened:
        results = [_sync_one(opened, source, should_stop) for source in sources or opened.sources()]
    if as_json:
        print_json({"results": results})
    else:
        for result in results:
            (out if result["status"] in SUCCESSES else err).print(escape(result["message"]))
    if not all(result["status"] in SUCCESSES for result in results):
        raise typer.Exit(1)


def _sync_one(opened: Services, source: Source, should_stop: Event) -> dict[str, Any]:
    with shown_progress(err, PROVIDER_NAMES[source]) as show:
        try:
            run = opened.sync(source, should_stop, on_progress=show)
        except VoiceLedgerError as exc:
            return {"source": source, "status": "failed", "message": str(exc), "run": None}
    return {"source": source, "status": run.state, "message": describe(run), "run": answers.of_run(run)}


def print_json(value: Any) -> None:
    typer.echo(answers.to_json(value, indent=2))
