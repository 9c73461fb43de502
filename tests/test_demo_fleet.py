"""The made-up agency: the same at every time and place, of the promised size, with everything real traffic has."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from demo.agents import AGENTS
from demo.fleet import LINES, MOVED_NUMBER, TUTORING, Fleet
from demo.legs import Leg
from demo.registry import WORKSPACES, agents, phones
from demo.timeline import Timeline

NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
PRINT_LEGS = """
from datetime import datetime, UTC
from demo.fleet import Fleet
from demo.timeline import Timeline
timeline = Timeline(Fleet(opened_at=datetime(2026, 11, 18, 16, 20, tzinfo=UTC), days=1))
for leg in timeline.legs((0, ""), (2**40 // 500, ""), newest_first=False):
    print(leg)
"""


@pytest.fixture(scope="module")
def quarter() -> Timeline:
    return Timeline(Fleet(opened_at=NOW))


@pytest.fixture(scope="module")
def legs(quarter: Timeline) -> list[Leg]:
    return list(begun(quarter, NOW))


def begun(timeline: Timeline, now: datetime) -> Iterator[Leg]:
    return timeline.legs((0, ""), (int(now.timestamp()) + 1, ""), newest_first=False)


def test_two_fleets_with_one_seed_are_the_same_and_with_another_are_not() -> None:
    here, there, elsewhere = (Timeline(Fleet(opened_at=NOW, days=1, seed=seed)) for seed in (7, 7, 8))

    assert list(begun(here, NOW)) == list(begun(there, NOW))
    assert list(begun(here, NOW)) != list(begun(elsewhere, NOW))


def test_another_process_makes_the_same_records() -> None:
    program = PRINT_LEGS.replace("2**40 // 500", str(SECONDS))

    runs = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }

    assert len(runs) == 1


def test_a_fleet_opened_later_keeps_every_record_that_is_still_in_its_history() -> None:
    later = NOW + timedelta(days=2, hours=5)
    first = {leg.sid: leg for leg in begun(Timeline(Fleet(opened_at=NOW, days=4)), NOW)}
    second = {leg.sid: leg for leg in begun(Timeline(Fleet(opened_at=later, days=4)), later)}

    shared = first.keys() & second.keys()

    midnight = datetime(2026, 11, 16, 1, tzinfo=UTC).timestamp()
    assert {sid for sid, leg in first.items() if leg.created >= midnight} <= shared
    assert all(first[sid] == second[sid] for sid in shared)
    assert len(second) > len(shared)


def test_the_order_in_which_hours_are_asked_for_does_not_matter() -> None:
    forwards, backwards = (Timeline(Fleet(opened_at=NOW, days=2)) for _ in range(2))
    span = (0, ""), (SECONDS, "")

    ascending = list(forwards.legs(*span, newest_first=False))

    assert list(backwards.legs(*span, newest_first=True)) == ascending[::-1]


def test_ninety_days_hold_the_promised_number_of_records(quarter: Timeline, legs: list[Leg]) -> None:
    conversations = list(quarter.conversations((0, ""), (SECONDS, ""), newest_first=True))
    calls = [leg for leg in legs if leg.parent_sid is None]

    assert 13_500 < len(calls) < 17_000
    assert 9_000 < len(conversations) < 10_800
    assert 100 < sum(talk.is_old for talk in conversations) / len(conversations) * 10_000 < 200


def test_scale_multiplies_how_much_happens() -> None:
    once, four_times = (len(list(begun(Timeline(Fleet(opened_at=NOW, days=7, scale=s)), NOW))) for s in (1, 4))

    assert 3.5 < four_times / once < 4.5


def test_every_kind_of_call_occurs(legs: list[Leg]) -> None:
    outcomes = Counter(leg.course.outcome for leg in legs)
    parties = {leg.caller.split(":")[0] if ":" in leg.caller else leg.caller for leg in legs}
    unpriced = [leg for leg in legs if leg.course.outcome == "completed" and leg.price is None]

    assert outcomes.keys() == {"completed", "no-answer", "busy", "failed", "canceled"}
    trunk = {"trunking-originating", "trunking-terminating"}
    assert {leg.direction for leg in legs} == {"inbound", "outbound-api", "outbound-dial", *trunk}
    assert 0.001 < sum(leg.direction in trunk for leg in legs) / len(legs) < 0.03
    assert {"client", "sip", "sips", "whatsapp", "+266696687", "ANONYMOUS"} <= parties
    assert any((leg.duration_at(SECONDS) or 0) > 3600 for leg in legs)
    assert 0.001 < len(unpriced) / len(legs) < 0.006
    assert all(leg.called.startswith("client:") and leg.parent_sid for leg in unpriced)


def test_some_calls_wait_ring_and_talk_over_a_full_hour(legs: list[Leg]) -> None:
    moved = [leg for leg in legs if leg.course.answered and leg.course.answered // 3600 != leg.created // 3600]
    queued = [leg for leg in legs if leg.course.dialled > leg.created]

    assert moved
    assert queued


def test_a_child_lies_within_its_parent(legs: list[Leg]) -> None:
    by_sid = {leg.sid: leg for leg in legs}
    children = [leg for leg in legs if leg.parent_sid]

    for child in children:
        parent = by_sid[child.parent_sid or ""]
        assert parent.direction == "inbound"
        assert parent.created < child.created < child.course.ended <= parent.course.ended
    assert len(children) > 2000


def test_all_numbers_are_fictional(legs: list[Leg]) -> None:
    numbers = {
        party for leg in legs for party in (leg.caller, leg.called) if len(party) in (12, 13) and party[0] == "+"
    }

    for number in numbers - {"+86282452253"}:
        assert (number[5:10] == "55501" and number[1] == "1") or number.startswith("+442079460")


def test_the_youngest_client_began_three_weeks_ago(legs: list[Leg]) -> None:
    number = TUTORING.lines[0].number

    first = min(leg.created for leg in legs if number in (leg.caller, leg.called))

    assert NOW - timedelta(days=22) < datetime.fromtimestamp(first, UTC) < NOW - timedelta(days=17)


def test_clients_differ_in_when_they_are_called(legs: list[Leg]) -> None:
    by_number: dict[str, list[datetime]] = {line.number: [] for line in LINES}
    for leg in legs:
        if leg.direction == "inbound":
            by_number[leg.line_number or ""].append(datetime.fromtimestamp(leg.created, UTC))

    def share(number: str, hours: range) -> float:
        return sum(moment.hour in hours for moment in by_number[number]) / len(by_number[number])

    assert not [moment for moment in by_number["+442079460002"] if moment.weekday() >= 5], "law firms rest at weekends"
    assert share("+442079460001", range(16, 21)) > 0.5, "restaurants are called in the evening"
    assert share("+13125550103", range(6, 12)) > 0.08, "pipes burst at night"


def test_two_numbers_and_one_agent_are_not_registered() -> None:
    registered = {phone.phone_number for phone in phones(NOW)}

    assert len({line.number for line in LINES} - registered) == 2
    assert len({agent.agent_id for agent in AGENTS} - {agent.agent_id for agent in agents()}) == 1
    assert {phone.workspace for phone in phones(NOW)} == set(WORKSPACES)
    assert {agent.workspace for agent in agents()} == set(WORKSPACES)


def test_one_number_moved_to_another_client_thirty_days_ago() -> None:
    before, after = (phone for phone in phones(NOW) if phone.phone_number == MOVED_NUMBER)

    assert before.workspace != after.workspace
    assert before.valid_until == after.valid_from == datetime(2026, 10, 19, tzinfo=UTC)
    assert before.valid_from is after.valid_until is None
    assert all(p.valid_from is None for p in phones(NOW) if p.phone_number != MOVED_NUMBER)
