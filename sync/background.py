"""Syncs started by a click: in a thread of their own, so that no page waits and a page change stops nothing."""

import threading
from collections.abc import Mapping

import structlog

from sync.bootstrap import Services
from sync.errors import AlreadyRunningError, VoiceLedgerError
from sync.models import PROVIDER_NAMES, Source
from sync.sentences import describe

log = structlog.get_logger()


class BackgroundSyncs:
    """One thread per source at most. Progress is in the run history, where every session sees it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._threads: dict[Source, threading.Thread] = {}
        self._problems: dict[Source, str] = {}
        self._lock = threading.Lock()

    @property
    def problems(self) -> Mapping[Source, str]:
        """What went wrong in the last sync of a source, also when not even the run could be written down."""
        return dict(self._problems)

    def is_running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads.values())

    def start(self) -> None:
        """Sync every configured source that is not being synced here already. Returns at once."""
        with self._lock:
            for source in self._services.sources():
                running = self._threads.get(source)
                if running and running.is_alive():
                    continue
                # A daemon: the process may end at any moment, since a run that is cut off loses nothing.
                thread = threading.Thread(target=self._sync, args=(source,), name=f"sync-{source}", daemon=True)
                self._threads[source] = thread
                thread.start()

    def _sync(self, source: Source) -> None:
        self._problems.pop(source, None)
        try:
            run = self._services.sync(source)
        except AlreadyRunningError as exc:
            log.info(f"{PROVIDER_NAMES[source]}: {exc}")
        except VoiceLedgerError as exc:
            self._problems[source] = str(exc)
            log.error(f"{PROVIDER_NAMES[source]}: {exc}")  # noqa: TRY400  the sentence says it all
        except Exception:  # the edge of a thread: nobody above could catch it
            self._problems[source] = "An error in the program; see the log."
            log.exception(f"{PROVIDER_NAMES[source]}: an error in the program")
        else:
            log.info(describe(run))
