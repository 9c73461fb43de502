"""The simulated Twilio answers like the real one: shapes, pages, filters, refusals, a call's life."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from demo.credentials import ACCOUNT_SID, AUTH_TOKEN
from demo.fleet import LINES, Fleet
from demo.legs import Leg
from demo.server import create_app, running
from demo.timeline import Timeline
from tests.openapi_shapes import assert_matches

NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
FLEET = Fleet(opened_at=NOW, days=4)
ACCOUNT = f"/2010-04-01/Accounts/{ACCOUNT_SID}"
CALLS, NUMBERS = f"{ACCOUNT}/Calls.json", f"{ACCOUNT}/IncomingPhoneNumbers.json"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def set(self, unix_seconds: int) -> None:
        self.now = datetime.fromtimestamp(unix_seconds, UTC)


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def server(clock: Clock) -> Iterator[httpx.Client]:
    with (
        running(create_app(FLEET, clock=clock)) as url,
        httpx.Client(base_url=url, auth=(ACCOUNT_SID, AUTH_TOKEN), trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def twilio(server: httpx.Client, clock: Clock) -> httpx.Client:
    clock.now = NOW
    return server


def pages(client: httpx.Client, path: str = CALLS, **query: Any) -> list[dict[str, Any]]:
    found = [client.get(path, params=query).json()]
    while found[-1]["next_page_uri"]:
        found.append(client.get(found[-1]["next_page_uri"]).json())
    return found


def calls(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    return [call for page in pages(client, PageSize=1000, **query) for call in page["calls"]]


def leg_that(holds: Callable[[Leg], bool]) -> Leg:
    seconds = int(NOW.timestamp())
    return next(leg for leg in Timeline(FLEET).legs((0, ""), (seconds, ""), newest_first=False) if holds(leg))


def fetch(client: httpx.Client, leg: Leg) -> dict[str, Any]:
    call: dict[str, Any] = client.get(f"{ACCOUNT}/Calls/{leg.sid}.json").raise_for_status().json()
    return call


def test_every_answer_has_the_documented_shape(twilio: httpx.Client) -> None:
    page = twilio.get(CALLS, params={"PageSize": 100}).json()
    call = twilio.get(page["calls"][0]["uri"]).json()
    numbers = twilio.get(NUMBERS).json()

    assert_matches("twilio", "/2010-04-01/Accounts/{AccountSid}/Calls.json", page)
    assert_matches("twilio", "/2010-04-01/Accounts/{AccountSid}/Calls/{Sid}.json", call)
    assert_matches("twilio", "/2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers.json", numbers)
    assert call == page["calls"][0]


def test_every_value_of_a_call_is_a_string_or_null(twilio: httpx.Client) -> None:
    for call in calls(twilio):
        values = [value for name, value in call.items() if name != "subresource_uris"]
        assert all(value is None or isinstance(value, str) for value in values)


@pytest.mark.parametrize("size", [7, 50, 1000])
def test_paging_yields_every_call_exactly_once_created_last_first(twilio: httpx.Client, size: int) -> None:
    found = [call for page in pages(twilio, PageSize=size) for call in page["calls"]]

    created = [parsedate_to_datetime(call["date_created"]) for call in found if call["date_created"]]
    assert created == sorted(created, reverse=True)
    assert len({call["sid"] for call in found}) == len(found) == len(calls(twilio))
    assert min(created) < NOW - timedelta(days=3)


def test_a_page_leads_back_to_the_one_before(twilio: httpx.Client) -> None:
    first, second = pages(twilio, PageSize=20)[:2]

    back = twilio.get(second["previous_page_uri"]).json()

    assert back["calls"] == first["calls"]
    assert first["previous_page_uri"] is None


def test_paging_links_are_root_relative_and_carry_every_filter(twilio: httpx.Client) -> None:
    number = LINES[0].number

    page = twilio.get(CALLS, params={"To": number, "StartTime>": "2026-11-15T00:00:00Z", "PageSize": 3}).json()

    link = page["next_page_uri"]
    assert link.startswith(f"{CALLS}?To=%2B{number[1:]}&StartTime%3E=2026-11-15T00%3A00%3A00Z&PageSize=3&Page=1")
    assert link.endswith(f"PageToken=PA{page['calls'][-1]['sid']}")
    assert {call["to"] for call in twilio.get(link).json()["calls"]} == {number}


def test_calls_that_arrive_meanwhile_do_not_shift_later_pages(twilio: httpx.Client, clock: Clock) -> None:
    expected = pages(twilio, PageSize=40)[1]
    first = twilio.get(CALLS, params={"PageSize": 40}).json()

    clock.now = NOW + timedelta(hours=2)
    second = twilio.get(first["next_page_uri"]).json()

    assert [call["sid"] for call in second["calls"]] == [call["sid"] for call in expected["calls"]]


def test_the_default_page_holds_fifty_and_an_empty_one_ends_at_zero(twilio: httpx.Client) -> None:
    full = twilio.get(CALLS).json()
    empty = twilio.get(CALLS, params={"To": "+15005550006"}).json()

    assert (len(full["calls"]), full["start"], full["end"], full["page_size"]) == (50, 0, 49, 50)
    assert (empty["calls"], empty["start"], empty["end"], empty["next_page_uri"]) == ([], 0, 0, None)


def test_start_time_filters_are_exact_to_the_second(twilio: httpx.Client) -> None:
    since, until = NOW - timedelta(hours=30, minutes=7), NOW - timedelta(hours=3, minutes=1)
    every = [parsedate_to_datetime(call["start_time"]) for call in calls(twilio) if call["start_time"]]

    found = calls(twilio, **{"StartTime>": since.isoformat(), "StartTime<": f"{until:%Y-%m-%dT%H:%M:%SZ}"})

    assert len(found) == sum(since <= start < until for start in every) > 100


def test_start_time_accepts_a_day_and_includes_its_midnight(twilio: httpx.Client) -> None:
    first = min(
        (call for call in calls(twilio) if call["start_time"]), key=lambda c: parsedate_to_datetime(c["start_time"])
    )
    day = parsedate_to_datetime(first["start_time"]).date()

    on_or_after = calls(twilio, **{"StartTime>": day.isoformat()})
    before = calls(twilio, **{"StartTime<": day.isoformat()})
    that_day = calls(twilio, StartTime=day.isoformat())

    assert len(on_or_after) == len(calls(twilio))
    assert before == []
    assert {parsedate_to_datetime(call["start_time"]).date() for call in that_day} == {day}


def test_status_parent_and_parties_filter(twilio: httpx.Client) -> None:
    child = next(call for call in calls(twilio) if call["parent_call_sid"])

    busy = calls(twilio, Status="busy")
    children = calls(twilio, ParentCallSid=child["parent_call_sid"])
    from_caller = calls(twilio, From=child["from"])

    assert {call["status"] for call in busy} == {"busy"}
    assert children == [child]
    assert child in from_caller


def test_unknown_parameters_are_ignored(twilio: httpx.Client) -> None:
    assert len(calls(twilio, StartTimeAfter="2026-11-18")) == len(calls(twilio))


def test_a_plus_sign_that_is_not_encoded_finds_nothing(twilio: httpx.Client) -> None:
    assert twilio.get(f"{CALLS}?To={LINES[0].number}").json()["calls"] == []


@pytest.mark.parametrize("auth", [None, (ACCOUNT_SID, "wrong"), ("AC0", AUTH_TOKEN)])
def test_wrong_credentials_are_refused(twilio: httpx.Client, auth: tuple[str, str] | None) -> None:
    with httpx.Client(base_url=twilio.base_url, auth=auth, trust_env=False) as stranger:
        answer = stranger.get(CALLS)

    assert answer.status_code == 401
    assert answer.json() == {
        "code": 20003,
        "message": "Authenticate",
        "more_info": "https://www.twilio.com/docs/errors/20003",
        "status": 401,
    }


@pytest.mark.parametrize(
    "path",
    [
        f"{ACCOUNT}/Calls/CA{'0' * 32}.json",
        f"{ACCOUNT}/Calls/CA{'f' * 8}{'0' * 24}.json",
        f"{ACCOUNT}/Calls/nonsense.json",
        "/2010-04-01/Accounts/ACffffffffffffffffffffffffffffffff/Calls.json",
        f"{ACCOUNT}/Nothing.json",
    ],
)
def test_what_does_not_exist_is_a_404_with_twilios_code(twilio: httpx.Client, path: str) -> None:
    answer = twilio.get(path)

    assert (answer.status_code, answer.json()["code"]) == (404, 20404)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"PageSize": 0}, 20001),
        ({"PageSize": 1001}, 20001),
        ({"PageSize": "many"}, 20001),
        ({"Page": 1}, 20001),
        ({"PageToken": "nonsense"}, 21481),
        ({"Page": 1, "PageToken": f"PACA{'0' * 32}"}, 21481),
        ({"Status": "initiated"}, 20001),
        ({"StartTime>": ">=2026-11-18"}, 20001),
    ],
)
def test_bad_parameters_are_refused_with_twilios_code(twilio: httpx.Client, query: dict[str, Any], code: int) -> None:
    answer = twilio.get(CALLS, params=query)

    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (400, code, 400)


def test_a_queued_call_has_no_start_then_rings_and_moves_its_start_to_the_answer(
    twilio: httpx.Client, clock: Clock
) -> None:
    leg = leg_that(
        lambda leg: bool(leg.course.answered) and leg.course.dialled > leg.created == leg.dated_at(leg.created)
    )
    seen = []

    for moment in (leg.created, leg.course.dialled, leg.course.answered or 0, leg.course.ended):
        clock.set(moment)
        call = fetch(twilio, leg)
        seen.append((call["status"], call["start_time"], call["duration"]))

    statuses, starts, durations = zip(*seen, strict=True)
    assert statuses == ("queued", "ringing", "in-progress", "completed")
    assert starts[0] is None
    assert starts[1] == call["date_created"]
    assert starts[2] == starts[3] != starts[1]
    assert durations[:3] == (None, None, None)
    assert int(durations[3]) == leg.course.ended - (leg.course.answered or 0)


def test_some_queued_calls_have_no_date_before_they_are_dialled(twilio: httpx.Client, clock: Clock) -> None:
    leg = leg_that(lambda leg: leg.dated_at(leg.created) is None)

    clock.set(leg.created)
    queued = fetch(twilio, leg)
    listed = calls(twilio, Status="queued")
    clock.set(leg.course.dialled)
    dialled = fetch(twilio, leg)

    assert_matches("twilio", "/2010-04-01/Accounts/{AccountSid}/Calls/{Sid}.json", queued)
    assert [queued[name] for name in ("date_created", "date_updated", "start_time", "end_time")] == [None] * 4
    assert queued in listed
    assert dialled["start_time"] == dialled["date_created"] is not None


def test_a_trunk_writes_our_number_as_an_address_and_whatsapp_with_its_scheme(twilio: httpx.Client) -> None:
    found = calls(twilio)
    trunk = [call for call in found if call["direction"].startswith("trunking-")]
    whatsapp = [call for call in found if call["to"].startswith("whatsapp:+")]

    assert trunk
    assert whatsapp
    for call in trunk:
        ours = call["to"] if call["direction"] == "trunking-originating" else call["from"]
        assert ours.startswith(("sip:", "sips:"))
        assert call["trunk_sid"].startswith("TK")
        assert_matches("twilio", "/2010-04-01/Accounts/{AccountSid}/Calls/{Sid}.json", call)


def test_a_call_does_not_exist_before_it_is_created(twilio: httpx.Client, clock: Clock) -> None:
    leg = leg_that(lambda leg: leg.direction == "inbound")

    clock.set(leg.created - 1)
    answer = twilio.get(f"{ACCOUNT}/Calls/{leg.sid}.json")

    assert answer.status_code == 404


def test_a_price_arrives_minutes_after_the_end_and_moves_nothing_else(twilio: httpx.Client, clock: Clock) -> None:
    leg = leg_that(lambda leg: bool(leg.price))

    clock.set(leg.priced - 1)
    before = fetch(twilio, leg)
    clock.set(leg.priced)
    after = fetch(twilio, leg)

    assert before["price"] is None
    assert before["price_unit"] == "USD"
    assert float(after["price"]) < 0
    assert before | {"price": after["price"]} == after
    assert timedelta(minutes=2) <= timedelta(seconds=leg.priced - leg.course.ended) <= timedelta(minutes=90)


def test_calls_that_nobody_answered_last_zero_seconds_and_cost_nothing(twilio: httpx.Client) -> None:
    prices = {"busy": None, "no-answer": None, "canceled": None, "failed": "0.00000"}

    found = [call for call in calls(twilio) if call["status"] in prices]

    assert {call["status"] for call in found} == set(prices)
    for call in found:
        assert call["duration"] == "0"
        assert call["price"] == prices[call["status"]]
        assert call["end_time"]


def test_numbers_are_listed_in_pages_and_found_by_number(twilio: httpx.Client) -> None:
    found = [number for page in pages(twilio, NUMBERS, PageSize=5) for number in page["incoming_phone_numbers"]]
    one = twilio.get(NUMBERS, params={"PhoneNumber": LINES[3].number}).json()["incoming_phone_numbers"]

    assert [number["phone_number"] for number in found] == [line.number for line in LINES]
    assert [number["friendly_name"] for number in one] == [LINES[3].label]


def test_the_agency_s_account_is_listed_and_none_below_it(twilio: httpx.Client) -> None:
    page = twilio.get("/2010-04-01/Accounts.json", params={"PageSize": 1000}).json()
    closed = twilio.get("/2010-04-01/Accounts.json", params={"Status": "closed"}).json()

    [account] = page["accounts"]
    assert (account["sid"], account["owner_account_sid"], account["status"]) == (ACCOUNT_SID, ACCOUNT_SID, "active")
    assert account["subresource_uris"]["calls"] == CALLS
    assert (page["next_page_uri"], page["end"]) == (None, 0)
    assert page["uri"] == "/2010-04-01/Accounts.json?PageSize=1000&Page=0"
    assert closed["accounts"] == []
