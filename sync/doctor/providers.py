"""What each provider is asked for: one record, which shows whether it accepts the key, and what time it is."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from sync.models import PROVIDER_NAMES, Source
from sync.sentences import counted, subaccounts_left_out
from sync.verify import Finding

TOLERATED = timedelta(minutes=2)


def look_at(
    source: Source,
    server_time: Callable[[Source], datetime | None],
    clock: Callable[[], datetime],
    *,
    is_demo: bool,
) -> Iterator[Finding]:
    """Ask once, and compare the clocks. Raises ProviderError, whose sentence says what to do."""
    name = PROVIDER_NAMES[source]
    moment = server_time(source)
    accepted = f"The simulated {name} of the demo answers." if is_demo else f"{name} accepts the key."
    yield Finding(check=f"{source} credentials", ok=True, message=accepted)
    if moment:
        yield _clock(source, clock() - moment)


def subaccounts(count: int | None) -> Iterator[Finding]:
    """Tell of accounts whose calls no sync sees; nothing if they cannot be listed."""
    if count is None:
        return
    message = subaccounts_left_out(count) if count else "The Twilio account has no subaccounts."
    yield Finding(check="twilio subaccounts", ok=not count, message=message, is_error=False)


def not_configured(source: Source, sentence: str) -> Finding:
    return Finding(check=f"{source} credentials", ok=False, message=sentence, is_error=False)


def _clock(source: Source, ahead: timedelta) -> Finding:
    """Providers tell whole seconds, and an answer takes a while: nobody is right to the second."""
    name = PROVIDER_NAMES[source]
    if abs(ahead) <= TOLERATED:
        return Finding(check=f"clock by {source}", ok=True, message=f"This machine's clock agrees with that of {name}.")
    minutes = counted(round(abs(ahead).total_seconds() / 60), "minute")
    where = "ahead of" if ahead > timedelta(0) else "behind"
    message = (
        f"This machine's clock is {minutes} {where} that of {name}; "
        "set it, for example with `timedatectl set-ntp true`."
    )
    return Finding(check=f"clock by {source}", ok=False, message=message, is_error=False)
