"""What all runs add up to, for whoever watches the program from outside."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sync.models import RunKind, RunState, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """The runs of one source, kind and state together. `seconds` is how long those took that have ended."""

    source: Source
    kind: RunKind
    state: RunState
    runs: int
    seconds: float
    saved: int
    failed: int
    refused: int  # requests, because there were too many (429)
    alive: int  # runs that go on, and have shown a sign of life
    in_flight: int  # requests of these, at the last sign


class Watching(Protocol):
    """Cheap enough to be asked for every few seconds."""

    def run_totals(self, *, alive_since: datetime) -> list[RunTotals]:
        """Return what all runs add up to; a run is alive if its heartbeat is not before `alive_since`."""

    def waiting_failures(self) -> Mapping[Source, int]:
        """Return how many records could not be fetched or read so far; a source without any is left out."""
