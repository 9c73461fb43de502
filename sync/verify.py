"""Checks that a person can run at any time: the document's own, and that every balance equals its records."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sync.models import PROVIDER_NAMES, SOURCES, Source
from sync.store import Store

SHOWN = 3  # examples named in a sentence
COUNTED = 200  # unregistered numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check, in words."""

    check: str
    ok: bool
    message: str
    is_error: bool = True  # False: work to do, with nothing wrong in the data


def verify(store: Store) -> Iterator[Finding]:
    """Yield one finding per check; the first that fails may make the later ones pointless, and they are left out."""
    tables = _tables(store)
    yield tables
    if not tables.ok:
        return
    for source in SOURCES:
        yield _data(store, source)
        yield _duplicates(store, source)
        yield _balances(store, source)
    yield migrations(store)
    yield numbers(store)
    yield _currency(store)


def _tables(store: Store) -> Finding:
    missing = store.missing_tables()
    message = f"Missing: {', '.join(missing)}; run the migrations." if missing else "All tables exist."
    return Finding(check="tables exist", ok=not missing, message=message)


def migrations(store: Store) -> Finding:
    """What is still missing here is harmless: a store that lacks more is not opened."""
    pending = store.pending_migrations()
    message = f"Not run yet: {', '.join(pending)} in supabase/migrations." if pending else "All migrations have run."
    return Finding(check="migrations", ok=not pending, message=message, is_error=False)


def _data(store: Store, source: Source) -> Finding:
    name, count = PROVIDER_NAMES[source], store.count_rows()
    records, snapshots = (
        (count["calls"], count["twilio_snapshots"])
        if source == "twilio"
        else (count["elevenlabs_conversations"], count["elevenlabs_snapshots"])
    )
    if snapshots:
        message = f"{name}: {records:,} records, {snapshots:,} hourly balances."
    else:
        message = f"{name}: no data; run `python -m sync {source}`."
    return Finding(check=f"{source} data present", ok=bool(snapshots), message=message)


def _duplicates(store: Store, source: Source) -> Finding:
    twice = store.duplicate_snapshots(source)
    message = f"{PROVIDER_NAMES[source]}: no hour has two balances of one workspace."
    if twice:
        message = f"{PROVIDER_NAMES[source]}: {len(twice)} balances exist twice: {_examples(twice)}."
    return Finding(check=f"{source} without duplicates", ok=not twice, message=message)


def _balances(store: Store, source: Source) -> Finding:
    wrong = store.wrong_snapshots(source)
    message = f"{PROVIDER_NAMES[source]}: every balance equals the sum of its records."
    if wrong:
        message = (
            f"{PROVIDER_NAMES[source]}: {len(wrong):,} balances are not the sum of their records, "
            f"from {_examples(wrong)}."
        )
    return Finding(check=f"{source} balances", ok=not wrong, message=message)


def numbers(store: Store) -> Finding:
    """Usage of unregistered numbers is kept under Unassigned, so this is work to do and not an error in the data."""
    unregistered = store.unregistered_numbers(limit=COUNTED)
    if not unregistered:
        return Finding(check="numbers registered", ok=True, message="Every number with calls is registered.")
    numbers = ", ".join(f"…{number.phone_number[-4:]} ({number.records:,})" for number in unregistered[:SHOWN])
    count = f"{COUNTED} or more" if len(unregistered) == COUNTED else len(unregistered)
    message = (
        f"{count} numbers with usage belong to no workspace and count as Unassigned: {numbers}; "
        "register them with `python -m sync phones import`."
    )
    return Finding(check="numbers registered", ok=False, message=message, is_error=False)


def _currency(store: Store) -> Finding:
    legs, unit = store.foreign_currency_legs(), store.price_unit()
    message = f"All Twilio prices are in {unit}." if unit else "No Twilio price is known yet."
    if legs:
        message = f"{legs} legs are priced in another currency than {unit}; they are not in any total."
    return Finding(check="one currency", ok=not legs, message=message)


def _examples(hours: list[tuple[int, datetime]]) -> str:
    shown = "; ".join(f"workspace {workspace} at {hour:%Y-%m-%d %H:%M} UTC" for workspace, hour in hours[:SHOWN])
    return shown + (" …" if len(hours) > SHOWN else "")
