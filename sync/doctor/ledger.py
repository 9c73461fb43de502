"""What the ledger is checked for: how far its data reaches, what no sync has covered, whether something syncs."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sync.freshness import Freshness, freshness
from sync.freshness import gaps as gaps_until_now
from sync.models import PROVIDER_NAMES, Source
from sync.sentences import ENDED, counted
from sync.store import Store
from sync.times import HOUR
from sync.verify import Finding

MINUTE = timedelta(minutes=1)


def missing(database: Path) -> Finding:
    message = f"There is no database {database}; run `python -m sync all` to make it, or correct DATABASE_PATH."
    return Finding(check="store", ok=False, message=message)


def opened(name: str) -> Finding:
    """Whoever opened it has written to it: whose data it holds."""
    return Finding(check="store", ok=True, message=f"{name} can be read and written.")


def schedule(store: Store, source: Source, now: datetime) -> Iterator[Finding]:
    """Tell whether something starts a run every hour, by the history: a process may be on another machine."""
    state = freshness(store, source, now=now)
    name, check = PROVIDER_NAMES[source], f"{source} schedule"
    if state.latest and state.seems_scheduled(now):
        began = f"{state.latest.started_at:%H:%M} UTC"
        yield Finding(check=check, ok=True, message=f"{name}: syncs seem to be scheduled, the last began at {began}.")
        return
    began_ago = now - state.latest.started_at if state.latest else timedelta(0)  # below 0 by a clock that was ahead
    last = f"for {_age(began_ago)}" if began_ago > timedelta(0) else "yet"
    message = f"{name}: no sync has begun {last}, so no scheduler seems to run; start `python -m sync scheduler`."
    yield Finding(check=check, ok=False, message=message)


def data(store: Store, source: Source, now: datetime, *, is_switched_off: bool) -> Iterator[Finding]:
    """Tell how old the data is. What nobody wants to be synced is no error."""
    state = freshness(store, source, now=now)
    if state.warning:
        yield Finding(check=f"{source} clock", ok=False, message=f"{PROVIDER_NAMES[source]}: {state.warning}")
    if state.level == "fresh":
        yield Finding(check=f"{source} data", ok=True, message=f"{_reach(state)}.")
        return
    if is_switched_off:
        cure, is_error = "DISABLE_ELEVENLABS_HOURLY_SYNC is set; remove it to sync it every hour again", False
    else:
        cure, is_error = f"run `python -m sync {source}`", state.level != "amber"
    yield Finding(check=f"{source} data", ok=False, message=f"{_reach(state)}{_why(state)}; {cure}.", is_error=is_error)


def gaps(store: Store, source: Source, now: datetime) -> Iterator[Finding]:
    """Tell what no successful sync has covered; its records may be missing for ever if nobody fetches them."""
    name, found = PROVIDER_NAMES[source], gaps_until_now(store, source, now=now)
    message = f"{name}: no stretch between the first and the last sync is left out."
    if found:
        start, end = found[-1]
        until = (end + 24 * HOUR).date()
        stretches = "1 stretch was" if len(found) == 1 else f"{len(found):,} stretches were"
        message = (
            f"{name}: {stretches} never synced, the last from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC; "
            f"run `python -m sync backfill {source} --since {found[0][0]:%Y-%m-%d} --until {until}`."
        )
    yield Finding(check=f"{source} gaps", ok=not found, message=message, is_error=False)


def _reach(state: Freshness) -> str:
    name = PROVIDER_NAMES[state.source]
    if state.through is None or state.age is None:
        return f"{name}: no sync has succeeded yet"
    return f"{name}: the data reaches to {state.through:%Y-%m-%d %H:%M} UTC and is {_age(state.age)} old"


def _why(state: Freshness) -> str:
    if state.latest is None or not state.latest.is_broken or not state.latest.message:
        return ""
    return f" (the last sync {ENDED[state.latest.state]}: {state.latest.message.rstrip('.')})"


def _age(age: timedelta) -> str:
    return f"{age / HOUR:,.1f} hours" if age >= 2 * HOUR else counted(round(age / MINUTE), "minute")
