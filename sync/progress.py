"""Progress of a run on a terminal: a bar that moves where one can, and nothing where nobody looks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sync.models import PROVIDER_NAMES, SOURCES, Source, SyncRun
from sync.sentences import pace


@contextmanager
def shown_progress(console: Console, name: str) -> Iterator[Callable[[SyncRun], None]]:
    """Give a function that shows how far a run is. On a pipe or in a log file the bar stays away."""
    with _bars(console) as progress:
        task = progress.add_task(name, total=None, counted="", note="")

        def show(run: SyncRun) -> None:
            done, total = _way(run)
            counted = _counted(run.done, run.total)
            progress.update(task, completed=done, total=total, counted=counted, note=pace(run))

        yield show


@contextmanager
def shown_copying(console: Console) -> Iterator[Callable[[Source, int, int], None]]:
    """Give a function that shows how far a copy is: source, records done, records in all."""
    with _bars(console) as progress:
        tasks = {
            source: progress.add_task(PROVIDER_NAMES[source], total=None, counted="", note="") for source in SOURCES
        }
        yield lambda source, done, total: progress.update(
            tasks[source], completed=done, total=total, counted=_counted(done, total)
        )


def _way(run: SyncRun) -> tuple[float, float | None]:
    """Return how much is done of how much; a walk whose records nobody counted is measured by its period."""
    if run.total is None and run.share_walked is not None:
        return run.share_walked, 1.0
    return run.done, run.total


def _counted(done: int, total: int | None) -> str:
    return f"{done:,} of {total:,}" if total is not None else f"{done:,}"


def _bars(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("[green]{task.fields[counted]}"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
