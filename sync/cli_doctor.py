"""`python -m sync doctor`: what is wrong with this installation, and what to do about it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Annotated

import typer

from sync import settings, verify
from sync.bootstrap import SOMEBODY_WAITS, Providers, configured_kind, open_store
from sync.cli_console import show_findings, told_errors
from sync.doctor import ledger, machine, providers
from sync.errors import VoiceLedgerError
from sync.models import SOURCES, Source
from sync.settings import NOT_CONFIGURED, Settings, Sound
from sync.store import Store
from sync.times import utc_now
from sync.verify import Finding

STORE_PATIENCE = timedelta(seconds=5)

app = typer.Typer()


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for machines.")] = False) -> None:
    """Check configuration, keys, clock, store, scheduler, freshness and disk, and say what to do about each problem."""
    with told_errors():
        findings = list(_examine(settings.load_what_is_sound()))
    show_findings(findings, as_json=as_json)


def _examine(sound: Sound) -> Iterator[Finding]:
    message = sound.problem or f"Every setting is well-formed. {settings.told_origins()}"
    yield Finding(check="configuration", ok=sound.problem is None, message=message)
    yield from machine.place(settings.elsewhere(), is_chosen=bool(sound.settings and sound.settings.chooses_its_store))
    yield from attempt("files with keys", lambda: machine.key_files(settings.files_with_keys()))
    if sound.settings is None:
        return
    for source in SOURCES:
        if source not in sound.unsure:
            yield from attempt(f"{source} credentials", partial(_ask, sound.settings, source))
    if "supabase" not in sound.unsure:
        yield from attempt("store", partial(_look_into_store, sound.settings))


def attempt(check: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds, and what keeps it from finding more; its sentences never hold a value."""
    try:
        yield from look()
    except VoiceLedgerError as exc:
        yield Finding(check=check, ok=False, message=str(exc))
    except Exception as exc:  # noqa: BLE001  the checks go on whatever one of them met
        message = f"The check of {check} met an error in the program ({type(exc).__name__}); report it."
        yield Finding(check=check, ok=False, message=message)


def _ask(configured: Settings, source: Source) -> Iterator[Finding]:
    with closing(Providers(configured, clock=utc_now, retries=SOMEBODY_WAITS)) as clients:
        if source in clients.sources():
            yield from providers.look_at(source, clients.server_time, utc_now, is_demo=configured.is_demo)
            if source == "twilio":
                yield from providers.subaccounts(clients.subaccounts())
        else:
            yield providers.not_configured(source, NOT_CONFIGURED[source])


def _look_into_store(configured: Settings) -> Iterator[Finding]:
    kind, name = configured_kind(configured), "The Supabase project"
    if kind == "sqlite":
        database = configured.database_path
        name = f"The database {database}"
        yield from attempt("disk", lambda: [machine.disk(database)])
        if not database.exists():
            yield ledger.missing(database)
            return
    with closing(open_store(configured, kind, patience=STORE_PATIENCE)) as store:
        yield ledger.opened(name)
        yield from _look_into_ledger(store, configured)


def _look_into_ledger(store: Store, configured: Settings) -> Iterator[Finding]:
    now = utc_now()
    yield from attempt("migrations", lambda: [verify.migrations(store)])
    yield from attempt("schema", lambda: verify.schema(store))
    yield from attempt("records of the old system", lambda: verify.legacy(store))
    for source in SOURCES:
        if configured.is_demo or configured.is_configured(source):
            is_off = source == "elevenlabs" and configured.disable_elevenlabs_hourly_sync
            yield from attempt(f"{source} schedule", partial(ledger.schedule, store, source, now))
            yield from attempt(f"{source} data", partial(ledger.data, store, source, now, is_switched_off=is_off))
            yield from attempt(f"{source} gaps", partial(ledger.gaps, store, source, now))
    yield from attempt("numbers registered", lambda: [verify.numbers(store)])
