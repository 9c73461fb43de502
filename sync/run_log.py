"""What the log says of runs: one sentence each for people, with fields beside it for machines."""

from typing import Any

import structlog

from sync.errors import AlreadyRunningError, StoppedError, VoiceLedgerError
from sync.models import PROVIDER_NAMES, RunState, Source, SyncRun
from sync.sentences import describe, describe_progress

log = structlog.get_logger()


def tell_start(source: Source) -> None:
    log.info(f"{PROVIDER_NAMES[source]}: sync started", source=source)


def tell_progress(run: SyncRun) -> None:
    log.info(describe_progress(run), **_fields(run), done=run.done, total=run.total)


def tell_end(run: SyncRun) -> None:
    log.info(describe(run), **_fields(run))


def tell_problem(source: Source, exc: Exception, run: SyncRun | None, *, aftermath: str = "") -> None:
    """Say why a run did not come to its end. `run` is what was last known of it; None is one that did not begin."""
    name, fields = PROVIDER_NAMES[source], _fields_of_problem(source, exc, run)
    if isinstance(exc, AlreadyRunningError | StoppedError):
        log.info(f"{name}: {exc}", **fields)
    elif isinstance(exc, VoiceLedgerError):
        log.error(f"{name}: {exc}", **fields)  # the sentence says it all; a traceback would bury it
    else:
        log.error(f"{name}: an error in the program{aftermath}", exc_info=exc, **fields)


def _fields(run: SyncRun) -> dict[str, Any]:
    return {
        "source": run.source,
        "run_id": run.id,
        "kind": run.kind.value,
        "state": run.state.value,
        "saved": run.saved,
        "failed": run.failed,
        "refused": run.refused,
        "seconds": round(run.duration.total_seconds(), 3),
    }


def _fields_of_problem(source: Source, exc: Exception, run: SyncRun | None) -> dict[str, Any]:
    if isinstance(exc, AlreadyRunningError):
        return _fields(exc.run) | {"error": type(exc).__name__}
    state = RunState.INTERRUPTED if isinstance(exc, StoppedError) else RunState.FAILED
    known = _fields(run) | {"state": state.value} if run else {"source": source}
    return known | {"error": type(exc).__name__}
