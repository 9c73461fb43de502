"""Checks one after the other: one that fails is a finding, and the next one is made all the same."""

from collections.abc import Callable, Iterable, Iterator

from sync.errors import VoiceLedgerError
from sync.verify import Finding


def attempt(check: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds, and what keeps it from finding more; its sentences never hold a value."""
    try:
        yield from look()
    except VoiceLedgerError as exc:
        yield Finding(check=check, ok=False, message=str(exc))
    except Exception as exc:  # noqa: BLE001  the checks go on whatever one of them met
        message = f"The check of {check} met an error in the program ({type(exc).__name__}); report it."
        yield Finding(check=check, ok=False, message=message)
