"""The slices that a historical sync walks, newest first, and how far it has got."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sync.models import Window

LENGTH = timedelta(days=7)


def slices(window: Window, walked: Sequence[Window] = ()) -> Iterator[Window]:
    """Cut a window into slices, newest first, and leave out what earlier runs have walked."""
    first, end = window
    while end > first:
        if covering := next((before for before in walked if before[0] < end <= before[1]), None):
            end = covering[0]
            continue
        start = max(first, end - LENGTH, *(before[1] for before in walked if before[1] < end))
        yield start, end
        end = start


class Walk:
    """Knows which slices are saved completely, although their records arrive in any order."""

    def __init__(self, window: Window, walked: Sequence[Window] = ()) -> None:
        self.slices = list(slices(window, walked))
        self.listed = 0  # records; counted by whoever lists, which may be far ahead
        self._first = window[0]
        self._missing: Counter[int] = Counter()
        self._complete_lists = 0
        self._slice_of: dict[str, int] = {}

    @property
    def position(self) -> datetime:
        """Everything from here to the window's end is saved."""
        done = next((n for n in range(self._complete_lists) if self._missing[n]), self._complete_lists)
        return self.slices[done][1] if done < len(self.slices) else self._first

    def take(self, number: int, ids: Sequence[str], *, is_last: bool) -> None:
        """A slice has listed records that are still to be fetched; with `is_last` it has listed all of them."""
        new = set(ids).difference(self._slice_of)  # a list may show a record twice
        self._missing[number] += len(new)
        self._slice_of |= dict.fromkeys(new, number)
        if is_last:
            self._complete_lists = number + 1

    def came(self, record_id: str) -> None:
        """A record was saved, or listed as one that failed."""
        if (number := self._slice_of.pop(record_id, None)) is not None:
            self._missing[number] -= 1
