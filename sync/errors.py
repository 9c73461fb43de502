"""What can go wrong, as one tree: every message says in one sentence what happened and what to do."""

from datetime import timedelta

from sync.models import PROVIDER_NAMES, SyncRun

STOPPED = "The run was stopped; what it had saved is kept, the next run goes on."


class VoiceLedgerError(Exception):
    """Base of every error that this program raises on purpose."""


class ConfigurationError(VoiceLedgerError):
    """A setting is missing or malformed; nothing was started."""


class NotConfiguredError(VoiceLedgerError):
    """A provider without credentials was asked for data."""


class ProviderError(VoiceLedgerError):
    """A provider did not give what was asked for. `left` records were not asked for any more because of it."""

    left = 0


class WrongCredentialsError(ProviderError):
    """The provider does not accept the key."""


class MissingPermissionError(ProviderError):
    """The key is accepted but may not read this."""


class RejectedRequestError(ProviderError):
    """The provider refuses the request as it is (4xx)."""


class UnexpectedAnswerError(ProviderError):
    """The answer is not JSON, or not of the documented shape."""


class RecordNotFoundError(ProviderError):
    """The provider has no such record, or has it no longer."""


class MalformedRecordError(ProviderError):
    """One record cannot be read; the others around it can."""


class NotYetError(ProviderError):
    """The provider has announced a record that has not begun; it is no failure, and comes when it has."""


class NoConnectionError(ProviderError):
    """There is no way to the provider before somebody changes something: a certificate, a proxy's login."""


class TransientError(ProviderError):
    """The same request may succeed later. `retry_after` is what the provider asked for, if it did."""

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimitedError(TransientError):
    """Too many requests at once or per minute (429)."""


class ProviderDownError(TransientError):
    """The provider answers 5xx, or not at all."""


class StoreError(VoiceLedgerError):
    """The store cannot be read or written; what it held before is unchanged."""


class AlreadyRunningError(VoiceLedgerError):
    """A run of the same source is going on; it is `run`."""

    def __init__(self, run: SyncRun) -> None:
        super().__init__(
            f"A {'historical sync' if run.kind == 'backfill' else 'sync'} of {PROVIDER_NAMES[run.source]} that began "
            f"at {run.started_at:%H:%M:%S} UTC is still running; wait for it to finish."
        )
        self.run = run


class LostLockError(VoiceLedgerError):
    """Another process took the run over because this one showed no sign of life."""

    def __init__(self, run: SyncRun) -> None:
        super().__init__(f"Run {run.id} was taken over because it had shown no sign of life; what it saved is kept.")


class StoppedError(VoiceLedgerError):
    """The run was asked to stop; what it had saved is kept."""

    def __init__(self, message: str = STOPPED) -> None:
        super().__init__(message)


class RegistryError(VoiceLedgerError):
    """A workspace, number or agent cannot be registered as asked."""
