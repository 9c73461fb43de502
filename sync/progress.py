"""Progress of a run on a terminal: a bar that moves where one can, and nothing where nobody looks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sync.models import PROVIDER_NAMES, SOURCES, Source, SyncRun
from sync.sentences import pace


@contextmanager
def shown_progress(console: Console, name: str) -> Iterator[Callable[[SyncRun], None]]:
    """Give a function that shows how far a run is. On a pipe or in a log file the bar stays away."""
    with _bars(console) as progress:
        task = progress.add_task(name, total=None, note="")
        yield lambda run: progress.update(task, completed=run.done, total=run.total, note=pace(run))


@contextmanager
def shown_copying(console: Console) -> Iterator[Callable[[Source, int, int], None]]:
    """Give a function that shows how far a copy is: source, records done, records in all."""
    with _bars(console) as progress:
        tasks = {source: progress.add_task(PROVIDER_NAMES[source], total=None, note="") for source in SOURCES}
        yield lambda source, done, total: progress.update(tasks[source], completed=done, total=total)


def _bars(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
