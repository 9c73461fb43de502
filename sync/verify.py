"""Checks that a person can run at any time: those of docs/migration.md, and that every balance equals its records."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import cast

from sync.errors import StoreError
from sync.freshness import freshness
from sync.models import PROVIDER_NAMES, SOURCES, LegacyRecords, Source
from sync.sentences import counted
from sync.store import Store
from sync.times import utc_now

SHOWN = 3  # examples named in a sentence
COUNTED = 200  # unregistered numbers
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check, in words."""

    check: str
    ok: bool
    message: str
    is_error: bool = True  # False: work to do, with nothing wrong in the data


def verify(
    store: Store, configured: Collection[Source] = SOURCES, *, clock: Callable[[], datetime] = utc_now
) -> Iterator[Finding]:
    """Yield one finding per check; the first that fails may make the later ones pointless, and they are left out.

    Of a source that is not configured there need not be any data.
    """
    tables = _tables(store)
    yield tables
    if not tables.ok:
        return
    checks: list[tuple[str, Callable[[], Finding | Iterator[Finding]]]] = [("schema", partial(schema, store))]
    for source in SOURCES:
        checks += [
            (f"{source} data present", partial(_data, store, source, is_configured=source in configured)),
            (f"{source} without duplicates", partial(_duplicates, store, source)),
            (f"{source} balances", partial(_balances, store, source)),
            (f"{source} clock", partial(_clock, store, source, clock())),
        ]
    checks += [
        ("migrations", partial(migrations, store)),
        ("records of the old system", partial(legacy, store)),
        ("numbers registered", partial(numbers, store)),
        ("one currency", partial(_currency, store)),
    ]
    for check, look in checks:
        try:
            found = look()
            yield from [found] if isinstance(found, Finding) else found
        except StoreError as exc:  # the others may tell why
            yield Finding(check=check, ok=False, message=str(exc))


def _tables(store: Store) -> Finding:
    missing = store.missing_tables()
    if not missing:
        return Finding(check="tables exist", ok=True, message="All tables exist.")
    remedies = " or ".join(dict.fromkeys(damage.remedy for damage in store.damages() if "table" in damage.what))
    return Finding(check="tables exist", ok=False, message=f"Missing: {', '.join(missing)}; {remedies}.")


def schema(store: Store) -> Iterator[Finding]:
    """Yield what somebody has changed in the database itself, each with the statement that mends it."""
    damages = store.damages()
    for damage in damages:
        sentence = f"In the database {damage.what}; {damage.remedy}."
        yield Finding(check="schema", ok=False, message=sentence)
    if not damages:
        message = "Keys, functions and triggers are as this program made them, and nothing opens a table to others."
        yield Finding(check="schema", ok=True, message=message)


def legacy(store: Store) -> Iterator[Finding]:
    """Yield what became of the records of the 12-hour system: they count as soon as they are fetched again."""
    for kind, records in store.legacy_records().items():
        if kind == "number":
            yield _unread_numbers(records)
        else:
            yield _old_records(kind, records)


def _unread_numbers(numbers: LegacyRecords) -> Finding:
    count = counted(numbers.waiting, "number")
    message = "Every number of the 12-hour system is registered."
    if numbers.waiting:
        message = (
            f"{count} of the 12-hour system (table legacy_records) could not be taken over, for want of a country or "
            "of a client; register what is still in use in international form with `python -m sync phones import`."
        )
    return Finding(check="numbers of the old system", ok=not numbers.waiting, message=message, is_error=False)


def _old_records(source: str, records: LegacyRecords) -> Finding:
    name, check = PROVIDER_NAMES[cast(Source, source)], f"{source} records of the old system"
    if records.waiting:
        period = (
            f" --since {records.first:%Y-%m-%d} --until {records.last + DAY:%Y-%m-%d}"
            if records.first and records.last
            else " --since DATE"
        )
        message = (
            f"{name}: {counted(records.waiting, 'record')} of the 12-hour system count in no total until they are "
            f"fetched again; run `python -m sync backfill {source}{period}`."
        )
        return Finding(check=check, ok=False, message=message, is_error=False)
    message = f"{name}: every record of the 12-hour system was fetched again."
    if records.gone:
        message = (
            f"{name}: what the 12-hour system held was fetched again, but for {counted(records.gone, 'record')} that "
            f"{name} no longer lists; the tables legacy_… keep them, and no total contains them."
        )
    return Finding(check=check, ok=True, message=message)


def migrations(store: Store) -> Finding:
    """What is still missing here is harmless: a store that lacks more is not opened."""
    pending = store.pending_migrations()
    message = f"Not run yet: {', '.join(pending)} in supabase/migrations." if pending else "All migrations have run."
    return Finding(check="migrations", ok=not pending, message=message, is_error=False)


def _data(store: Store, source: Source, *, is_configured: bool) -> Finding:
    name, count = PROVIDER_NAMES[source], store.count_rows()
    records, snapshots = (
        (count["calls"], count["twilio_snapshots"])
        if source == "twilio"
        else (count["elevenlabs_conversations"], count["elevenlabs_snapshots"])
    )
    is_lacking = not snapshots and is_configured and store.last_success(source) is None
    if snapshots:
        message = f"{name}: {records:,} records, {snapshots:,} hourly balances."
    elif is_lacking:
        message = f"{name}: no data; run `python -m sync {source}`."
    elif is_configured:
        message = f"{name}: no records; the last sync found none."
    else:
        message = f"{name}: not configured, and no data."
    return Finding(check=f"{source} data present", ok=not is_lacking, message=message)


def _duplicates(store: Store, source: Source) -> Finding:
    twice = store.duplicate_snapshots(source)
    message = f"{PROVIDER_NAMES[source]}: no hour has two balances of one workspace."
    if twice:
        doubles = counted(len(twice), "balance", verb=("exists", "exist"))
        message = f"{PROVIDER_NAMES[source]}: {doubles} twice: {_examples(twice)}."
    return Finding(check=f"{source} without duplicates", ok=not twice, message=message)


def _balances(store: Store, source: Source) -> Finding:
    """Balances that wait, as they do during a historical sync, are no error: each sync refreshes them first."""
    wrong, waiting = store.wrong_snapshots(source), store.workspaces_to_refresh(source)
    message = f"{PROVIDER_NAMES[source]}: every balance equals the sum of its records."
    if waiting:
        message = (
            f"{PROVIDER_NAMES[source]}: the balances of {counted(waiting, 'workspace')} wait to be refreshed, which "
            "the next sync does; all others equal the sum of their records."
        )
    if wrong:
        message = (
            f"{PROVIDER_NAMES[source]}: {counted(len(wrong), 'balance', verb=('is', 'are'))} not the sum of "
            f"{'its' if len(wrong) == 1 else 'their'} records, from {_examples(wrong)}."
        )
    return Finding(check=f"{source} balances", ok=not wrong and not waiting, message=message, is_error=bool(wrong))


def _clock(store: Store, source: Source, now: datetime) -> Iterator[Finding]:
    """Find a run that says the data is current, and ended when nobody can have synced it yet."""
    if warning := freshness(store, source, now=now).warning:
        yield Finding(check=f"{source} clock", ok=False, message=f"{PROVIDER_NAMES[source]}: {warning}")


def numbers(store: Store) -> Finding:
    """Usage of unregistered numbers is kept under Unassigned, so this is work to do and not an error in the data."""
    unregistered = store.unregistered_numbers(limit=COUNTED)
    if not unregistered:
        return Finding(check="numbers registered", ok=True, message="Every number with calls is registered.")
    numbers = ", ".join(f"…{number.phone_number[-4:]} ({number.records:,})" for number in unregistered[:SHOWN])
    is_one = len(unregistered) == 1
    count = f"{COUNTED} or more numbers" if len(unregistered) == COUNTED else counted(len(unregistered), "number")
    message = (
        f"{count} with usage {'belongs' if is_one else 'belong'} to no workspace and "
        f"{'counts' if is_one else 'count'} as Unassigned: {numbers}; "
        f"register {'it' if is_one else 'them'} with `python -m sync phones import`."
    )
    return Finding(check="numbers registered", ok=False, message=message, is_error=False)


def _currency(store: Store) -> Finding:
    legs, unit = store.foreign_currency_legs(), store.price_unit()
    message = f"All Twilio prices are in {unit}." if unit else "No Twilio price is known yet."
    if legs:
        message = f"{counted(legs, 'leg', verb=('is', 'are'))} priced in a currency other than {unit} and in no total."
    return Finding(check="one currency", ok=not legs, message=message)


def _examples(hours: list[tuple[int, datetime]]) -> str:
    shown = "; ".join(f"workspace {workspace} at {hour:%Y-%m-%d %H:%M} UTC" for workspace, hour in hours[:SHOWN])
    return shown + (" …" if len(hours) > SHOWN else "")
