"""Few pages at the same time: the others wait, though not for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard import turns

PATIENCE = 10.0  # seconds


def test_a_page_waits_until_one_of_the_few_before_it_is_ready() -> None:
    here, may_leave = threading.Semaphore(0), threading.Event()
    present: list[int] = []

    def draw(number: int) -> None:
        with turns.one_of_few():
            present.append(number)
            here.release()
            may_leave.wait(PATIENCE)

    with ThreadPoolExecutor(turns.PAGES_AT_ONCE + 1) as sessions:
        drawn = [sessions.submit(draw, number) for number in range(turns.PAGES_AT_ONCE + 1)]
        for _ in range(turns.PAGES_AT_ONCE):
            assert here.acquire(timeout=PATIENCE)
        before = len(present)
        is_there_a_place = here.acquire(timeout=0.2)
        may_leave.set()
        for each in drawn:
            each.result(PATIENCE)

    assert (before, is_there_a_place, len(present)) == (turns.PAGES_AT_ONCE, False, turns.PAGES_AT_ONCE + 1)


def test_pages_that_wait_for_somebody_else_do_not_keep_the_next_one_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONGEST_WAIT", 0.01)
    is_drawn = False

    with turns.one_of_few(), turns.one_of_few(), turns.one_of_few(), turns.one_of_few():
        is_drawn = True

    assert is_drawn
    with turns.one_of_few(), turns.one_of_few(), turns.one_of_few():
        assert not turns._places.acquire(blocking=False), "every place was given back once"


def test_a_page_that_fails_gives_its_place_back() -> None:
    for _ in range(turns.PAGES_AT_ONCE + 1):
        with pytest.raises(ValueError, match="a page"), turns.one_of_few():
            raise ValueError("a page")

    assert turns._places.acquire(blocking=False)
    turns._places.release()


def test_pages_that_nobody_asked_for_are_drawn_anew_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(turns.time, "monotonic", lambda: now)
    monkeypatch.setattr(turns, "_next_redraw", 0.0)

    at_once = [turns.may_redraw() for _ in range(3)]
    now += turns.BETWEEN_REDRAWS
    later = [turns.may_redraw() for _ in range(3)]

    assert at_once == later == [True, False, False]
