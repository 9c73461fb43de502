"""The slices of a period and how far a walk over them is, for every period, whatever was walked before."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sync.models import Window
from sync.slices import LENGTH, Walk, slices

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
MOMENTS = st.integers(0, 60 * 24).map(lambda hours: START + hours * HOUR)
WINDOWS = st.tuples(MOMENTS, MOMENTS).map(sorted).map(tuple)


def hours_of(windows: list[Window]) -> list[datetime]:
    """Return every hour that the windows hold, as often as they hold it. All of them begin and end at a full one."""
    return [start + number * HOUR for start, end in windows for number in range(int((end - start) / HOUR))]


@given(WINDOWS, st.lists(WINDOWS, max_size=6))
def test_slices_cover_once_what_was_not_walked_yet_and_nothing_else(window: Window, walked: list[Window]) -> None:
    cut = list(slices(window, walked))

    assert sorted(hours_of(cut)) == sorted(set(hours_of([window])) - set(hours_of(walked)))


@given(WINDOWS, st.lists(WINDOWS, max_size=6))
def test_slices_come_newest_first_none_empty_and_none_too_long(window: Window, walked: list[Window]) -> None:
    cut = list(slices(window, walked))

    assert all(later[0] >= earlier[1] for later, earlier in pairwise(cut))
    assert all(timedelta(0) < end - start <= LENGTH for start, end in cut)


def test_a_period_without_gaps_is_cut_into_weeks_from_its_end() -> None:
    end = START + 17 * 24 * HOUR

    assert list(slices((START, end))) == [
        (end - LENGTH, end),
        (end - 2 * LENGTH, end - LENGTH),
        (START, end - 2 * LENGTH),
    ]


@given(WINDOWS.filter(lambda window: window[0] < window[1]), st.lists(WINDOWS, max_size=3), st.data())
def test_everything_from_the_position_on_has_come_whatever_came_first(
    window: Window, walked: list[Window], data: st.DataObject
) -> None:
    walk = Walk(window, walked)
    sizes = data.draw(st.lists(st.integers(0, 4), min_size=len(walk.slices), max_size=len(walk.slices)))
    records = [[f"{number}-{each}" for each in range(size)] for number, size in enumerate(sizes)]
    # Lists come in order, and the records of a slice in any order after their list.
    pending: list[str] = []
    missing = {name for names in records for name in names}
    listed = 0
    before = window[1]

    while listed < len(records) or pending:
        if listed < len(records) and (not pending or data.draw(st.booleans())):
            half = len(records[listed]) // 2
            walk.take(listed, records[listed][:half], is_last=False)
            walk.take(listed, records[listed][half:], is_last=True)
            pending += records[listed]
            listed += 1
        else:
            name = pending.pop(data.draw(st.integers(0, len(pending) - 1)))
            walk.came(name)
            missing.discard(name)

        unfinished = [n for n in range(len(records)) if n >= listed or missing.intersection(records[n])]
        expected = walk.slices[unfinished[0]][1] if unfinished else window[0]
        assert walk.position == expected
        assert walk.position <= before
        before = walk.position

    assert walk.position == window[0]


def test_a_list_that_has_not_ended_holds_the_position() -> None:
    walk = Walk((START, START + 2 * LENGTH))

    walk.take(0, ["a"], is_last=False)
    walk.came("a")

    assert walk.position == START + 2 * LENGTH


def test_a_record_that_comes_twice_or_was_never_listed_moves_nothing() -> None:
    walk = Walk((START, START + 2 * LENGTH))
    walk.take(0, ["a", "b"], is_last=True)

    for name in ("a", "a", "unknown", ""):
        walk.came(name)

    assert walk.position == START + 2 * LENGTH


def test_a_record_that_is_listed_in_two_slices_holds_neither_for_ever() -> None:
    walk = Walk((START, START + 2 * LENGTH))
    walk.take(0, ["a"], is_last=True)
    walk.take(1, ["a"], is_last=True)

    walk.came("a")
    walk.came("a")

    assert walk.position == START


def test_a_window_that_was_walked_whole_has_no_slices_and_is_done() -> None:
    walk = Walk((START, START + LENGTH), [(START - LENGTH, START + 2 * LENGTH)])

    assert (walk.slices, walk.position) == ([], START)
