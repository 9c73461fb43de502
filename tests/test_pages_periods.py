"""Periods and buckets: whole local days, on days with 23 and 25 hours too, and what they are called."""

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from dashboard import charts
from dashboard.buckets import Progress, cut, whole
from dashboard.periods import PRESETS, Period, before, midnight
from tests.records import DAY, HOUR

MADRID, SANTIAGO, KATHMANDU = map(ZoneInfo, ("Europe/Madrid", "America/Santiago", "Asia/Kathmandu"))
TODAY = date(2026, 3, 15)


@pytest.mark.parametrize(
    ("preset", "first", "last"),
    [
        ("Today", TODAY, TODAY),
        ("Yesterday", date(2026, 3, 14), date(2026, 3, 14)),
        ("7 days", date(2026, 3, 9), TODAY),
        ("30 days", date(2026, 2, 14), TODAY),
        ("Month to date", date(2026, 3, 1), TODAY),
        ("Last month", date(2026, 2, 1), date(2026, 2, 28)),
    ],
)
def test_a_preset_is_whole_days(preset: str, first: date, last: date) -> None:
    assert PRESETS[preset](TODAY) == (first, last)


def test_a_period_runs_from_local_midnight_to_local_midnight() -> None:
    period = Period(first=date(2026, 10, 25), last=date(2026, 10, 25), zone=MADRID)

    assert period.since == datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert period.until == datetime(2026, 10, 25, 23, tzinfo=UTC)


def test_a_day_whose_midnight_does_not_exist_begins_when_the_clock_goes_on() -> None:
    assert midnight(date(2026, 9, 6), SANTIAGO) == datetime(2026, 9, 6, 4, tzinfo=UTC)


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 7, 1), 24)])
def test_a_day_has_as_many_hours_as_its_clock_shows(day: date, hours: int) -> None:
    buckets = cut(day, day, MADRID)

    assert len(list(buckets)) == hours
    assert len(set(buckets.names())) == hours
    assert all(end - start == HOUR for start, end in pairwise(buckets.edges))


@pytest.mark.parametrize("zone", [MADRID, SANTIAGO, KATHMANDU])
@pytest.mark.parametrize(
    ("days", "step"), [(1, "hour"), (2, "hour"), (3, "day"), (93, "day"), (94, "week"), (800, "month")]
)
def test_buckets_cover_the_period_without_a_gap(zone: ZoneInfo, days: int, step: str) -> None:
    last = date(2026, 11, 22)
    period = Period(first=last - (days - 1) * DAY, last=last, zone=zone)

    buckets = cut(last - (days - 1) * DAY, last, zone)

    assert buckets.step == step
    assert (buckets.edges[0], buckets.edges[-1]) == (period.since, period.until)
    assert all(start < end for start, end in pairwise(buckets.edges))
    assert len(set(buckets.names())) == len(buckets.ticks()) == len(buckets.edges) - 1


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    weeks = [start for start, _ in cut(date(2026, 1, 1), date(2026, 6, 30), MADRID)]
    months = [start for start, _ in cut(date(2023, 5, 17), date(2026, 6, 30), MADRID)]

    assert {start.weekday() for start in weeks[1:]} == {0}
    assert {start.day for start in months[1:]} == {1}


def test_the_bucket_that_the_data_ends_in_is_in_progress() -> None:
    buckets = cut(TODAY, TODAY, ZoneInfo("UTC"))

    progress = buckets.progress(datetime(2026, 3, 15, 1, 30, tzinfo=UTC))

    assert progress[:3] == [Progress.DONE, Progress.IN_PROGRESS, Progress.UNREACHED]


def test_what_no_source_was_asked_for_is_unreached_and_what_one_was_is_not() -> None:
    buckets = cut(TODAY, TODAY, ZoneInfo("UTC"))
    start = buckets.edges[0]
    one = [(start - DAY, start + 2 * HOUR)]
    other = [(start - DAY, start + HOUR), (start + 3 * HOUR, start + 4 * HOUR)]

    of_one, of_both = (buckets.progress(None, sources)[:4] for sources in ([one], [one, other]))

    assert of_one == [Progress.UNREACHED, Progress.UNREACHED, Progress.DONE, Progress.DONE]
    assert of_both == [Progress.UNREACHED, Progress.DONE, Progress.DONE, Progress.DONE]


def test_only_bars_that_are_drawn_are_hatched_so_that_the_legend_is_not() -> None:
    buckets = cut(TODAY, TODAY, ZoneInfo("UTC"))
    through = buckets.edges[3] - HOUR / 2
    progress = buckets.progress(through, [[(buckets.edges[0], buckets.edges[1])]])

    bars, *_ = charts.figure(charts.count_bars("Calls", "red", [0, 5, 2, *[0] * 21]), "", buckets, progress).data

    assert list(bars.y[:4]) == [None, 5, 2, None]
    assert list(bars.marker.pattern.shape[:4]) == ["", "", charts.HATCHED, ""]


def test_a_small_line_ends_with_the_last_complete_bucket() -> None:
    progress = [Progress.DONE, Progress.DONE, Progress.IN_PROGRESS, Progress.UNREACHED]

    assert whole([5, 6, 1, 0], progress) == [5, 6]


def test_a_small_line_of_a_day_that_has_just_begun_shows_what_there_is() -> None:
    progress = [Progress.DONE, Progress.IN_PROGRESS, Progress.UNREACHED]

    assert whole([5, 1, 0], progress) == [5, 1]


@pytest.mark.parametrize(
    ("first", "last", "dates"),
    [
        (date(2026, 10, 24), date(2026, 11, 22), "24 Oct \N{EN DASH} 22 Nov 2026"),
        (date(2025, 12, 30), date(2026, 1, 2), "30 Dec 2025 \N{EN DASH} 2 Jan 2026"),
        (TODAY, TODAY, "15 Mar 2026"),
        (None, None, "All time"),
    ],
)
def test_a_period_is_told_by_its_dates(first: date | None, last: date | None, dates: str) -> None:
    assert Period(first=first, last=last, zone=MADRID).dates == dates


def period_of(preset: str, today: date, zone: ZoneInfo = MADRID) -> Period:
    first, last = PRESETS[preset](today)
    return Period(first=first, last=last, zone=zone)


@pytest.mark.parametrize(
    ("preset", "dates"),
    [
        ("Today", "14 Mar 2026 until 13:30"),
        ("Yesterday", "13 Mar 2026"),
        ("7 days", "2 Mar \N{EN DASH} 8 Mar 2026 until 13:30"),
        ("Month to date", "1 Feb \N{EN DASH} 15 Feb 2026 until 13:30"),
        ("Last month", "1 Jan \N{EN DASH} 31 Jan 2026"),
    ],
)
def test_a_period_is_compared_with_the_same_part_of_the_one_before(preset: str, dates: str) -> None:
    through = datetime(2026, 3, 15, 12, 30, tzinfo=UTC)

    compared = before(period_of(preset, TODAY), preset, through)

    assert compared
    assert compared.dates == dates


def test_a_longer_month_is_compared_with_all_of_a_shorter_one() -> None:
    compared = before(
        period_of("Month to date", date(2026, 3, 31)), "Month to date", datetime(2026, 3, 31, 9, tzinfo=UTC)
    )

    assert compared
    assert (compared.first, compared.last, compared.stops_at) == (date(2026, 2, 1), date(2026, 2, 28), None)


def test_the_same_part_is_by_the_clock_also_when_it_changed_in_between() -> None:
    through = datetime(2026, 3, 29, 8, tzinfo=UTC)  # ten o'clock in Madrid, two hours after midnight is three

    compared = before(period_of("Today", date(2026, 3, 29)), "Today", through)

    assert compared
    assert compared.until == datetime(2026, 3, 28, 9, tzinfo=UTC)


def test_late_data_shortens_the_comparison_and_none_at_all_leaves_nothing_to_compare() -> None:
    week = period_of("7 days", TODAY)

    late = before(week, "7 days", datetime(2026, 3, 11, 11, tzinfo=UTC))

    assert late
    assert late.dates == "2 Mar \N{EN DASH} 4 Mar 2026 until 12:00"
    assert before(week, "7 days", datetime(2026, 3, 1, tzinfo=UTC)) is None
    assert before(Period(first=None, last=None, zone=MADRID), "All", datetime(2026, 3, 11, tzinfo=UTC)) is None
