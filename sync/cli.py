"""`python -m sync`: sync now, schedule, verify, import. Exit code 0 only when all that was asked for succeeded."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import structlog
import typer
from rich.markup import escape

from sync import answers, cli_doctor, cli_stores, launch, scheduler, settings, stopping
from sync.bootstrap import Services, build
from sync.cli_console import complain, err, out, print_json, show_findings, told_errors
from sync.errors import VoiceLedgerError
from sync.limits import MOST
from sync.models import PROVIDER_NAMES, RunState, Source
from sync.phones import Imported, import_phones, read_file
from sync.progress import shown_progress
from sync.sentences import counted, describe, describe_effect
from sync.verify import verify as run_checks

app = typer.Typer(
    help="Voice Ledger: copy Twilio calls and ElevenLabs conversations, and keep balances per client and hour.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
phones = typer.Typer(help="Register phone numbers.", no_args_is_help=True)
app.add_typer(phones, name="phones")
app.add_typer(cli_stores.app)
app.add_typer(cli_doctor.app)

log = structlog.get_logger()

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for machines.")]

DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
SUCCESSES = (RunState.OK, RunState.SKIPPED)
BEHIND_PEOPLE = 10  # of 19 on the scale of nice(1): on a busy machine pages and hourly syncs go first


class SourceName(StrEnum):
    """The providers."""

    twilio = "twilio"
    elevenlabs = "elevenlabs"


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


@app.command()
def backfill(
    source: Annotated[SourceName, typer.Argument(help="Which provider.")],
    since: Annotated[datetime, typer.Option(formats=DATES, help="First day, UTC.")],
    until: Annotated[
        datetime | None, typer.Option(formats=DATES, help="Day after the last one, UTC; else now.")
    ] = None,
    max_concurrency: Annotated[int | None, typer.Option(min=1, max=MOST, help="Most requests at once.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch history, newest first, as fast as the provider allows. Stop it and start it again: it goes on."""
    start, end = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC) if until else None
    should_stop = stopping.stop_on_signals()
    with services() as opened, shown_progress(err, PROVIDER_NAMES[source.value]) as show:
        if start >= (end or opened.clock()):
            raise typer.BadParameter("--since must be before --until, and not in the future.")
        opened.limits[source.value].most = max_concurrency or MOST
        os.nice(BEHIND_PEOPLE)
        run = opened.backfill(source.value, start, end, should_stop, show)
    if as_json:
        print_json({"run": answers.of_run(run)})
    else:
        out.print(escape(describe(run)))


@app.command(name="scheduler")
def run_scheduler() -> None:
    """Catch up, then sync Twilio at minute 0 and ElevenLabs at minute 5 of each hour (UTC), until SIGTERM."""
    should_stop = stopping.stop_on_signals()
    with services() as opened:
        log.info(settings.told_origins())
        scheduler.run_forever(opened, should_stop)


@app.command(hidden=True)
def start(port: Annotated[int, typer.Option(help="Of the dashboard.")] = 3093) -> None:
    """Run dashboard and scheduler, and without keys the simulated providers, until Ctrl-C: `make run`."""
    with services() as opened:
        was_told_to_stop = launch.run(opened, port, out.print)
    if not was_told_to_stop:
        raise typer.Exit(1)


@app.command()
def verify(as_json: Json = False) -> None:
    """Check tables, duplicates, data, registered numbers, and that every balance equals its records."""
    with services() as opened:
        findings = list(run_checks(opened.store, opened.sources()))
    show_findings(findings, as_json=as_json)


@phones.command(name="import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV: workspace,phone_number,label,valid_from,valid_until")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of each row.")] = False,
    as_json: Json = False,
) -> None:
    """Register the numbers of a CSV file; rows that cannot be registered are reported; the others are kept."""
    with services() as opened:
        imported = import_phones(opened.store, read_file(file), dry_run=dry_run)
        currency = opened.store.price_unit()
    refused = [row for row in imported.rows if row.fate == "refused"]
    if as_json:
        print_json({"dry_run": dry_run, "rows": imported.rows, "effects": imported.effects})
    else:
        for row in refused:
            complain(row.error or "")
        out.print(_fates(imported) + (" Nothing was changed: this was a dry run." if dry_run else ""))
        for effect in imported.effects:
            out.print(escape(describe_effect(effect, currency)))
    if refused:
        raise typer.Exit(1)


def _fates(imported: Imported) -> str:
    fates = Counter(row.fate for row in imported.rows)
    counts = ", ".join(f"{count:,} {fate}" for fate, count in fates.items())
    return f"{counted(len(imported.rows), 'row')}: {counts}." if counts else "The file has no rows."


def _sync(sources: list[Source] | None, as_json: bool) -> None:
    """Sync the sources, or all configured ones, and end with code 1 if one of them did not succeed."""
    should_stop = stopping.stop_on_signals()
    with services() as opened:
        wanted = sources or opened.sources()
        results = [_sync_one(opened, source, should_stop) for source in wanted if not should_stop.is_set()]
    if as_json:
        print_json({"results": results})
    else:
        for result in results:
            if result["status"] in SUCCESSES:
                out.print(escape(result["message"]))
            else:
                complain(result["message"])
    if len(results) < len(wanted) or not all(result["status"] in SUCCESSES for result in results):
        raise typer.Exit(1)


def _sync_one(opened: Services, source: Source, should_stop: Event) -> dict[str, Any]:
    with shown_progress(err, PROVIDER_NAMES[source]) as show:
        try:
            run = opened.sync(source, should_stop, on_progress=show)
        except VoiceLedgerError as exc:
            return {"source": source, "status": "failed", "message": str(exc), "run": None}
    return {"source": source, "status": run.state, "message": describe(run), "run": answers.of_run(run)}
