"""The standalone scheduler: Twilio at minute 0 and ElevenLabs at minute 5 of each hour, in UTC."""

import threading
from datetime import timedelta

import schedule

from sync.bootstrap import Services
from sync.models import Source, SyncRun
from sync.run_log import tell_end, tell_problem, tell_progress, tell_start

MINUTES: dict[Source, str] = {"twilio": ":00", "elevenlabs": ":05"}

PROGRESS_EVERY = timedelta(seconds=3)


def run_forever(services: Services, should_stop: threading.Event) -> None:
    """Sync at once what is due, then every hour, until `should_stop` is set. A failing run never ends it."""
    scheduler = timetable(services, should_stop)
    for source in services.sources():  # catch up: the time since the last run may be days
        if not should_stop.is_set():
            run_once(services, source, should_stop)
    while not should_stop.is_set():
        scheduler.run_pending()
        should_stop.wait(min(scheduler.idle_seconds or 1, 1))


def timetable(services: Services, should_stop: threading.Event) -> schedule.Scheduler:
    """Return when each source is due: at its minute of each hour in UTC, whatever the zone of this machine."""
    scheduler = schedule.Scheduler()
    for source in services.sources():
        scheduler.every().hour.at(MINUTES[source], "UTC").do(run_once, services, source, should_stop)
    return scheduler


def run_once(services: Services, source: Source, should_stop: threading.Event) -> None:
    """Sync one source and write one line about it, whatever happens."""
    tell_start(source)
    progress = ProgressLines(services)
    try:
        run = services.sync(source, should_stop, progress)
    except Exception as exc:  # noqa: BLE001  the scheduler's guard: the next hour must come whatever this one met
        tell_problem(source, exc, progress.last, aftermath="; the next run goes on")
    else:
        tell_end(run)


class ProgressLines:
    """Writes how far a long run is, every few seconds; a short one leaves only its last line."""

    def __init__(self, services: Services) -> None:
        self.last: SyncRun | None = None
        self._clock = services.clock
        self._told_at = services.clock()

    def __call__(self, run: SyncRun) -> None:
        self.last = run
        if self._clock() - self._told_at >= PROGRESS_EVERY:
            self._told_at = self._clock()
            tell_progress(run)
