"""Twilio's call list on the wire: what is asked, how every field is read, and what is refused."""

from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from sync.errors import (
    MalformedRecordError,
    MissingPermissionError,
    ProviderDownError,
    RecordNotFoundError,
    RejectedRequestError,
    UnexpectedAnswerError,
    WrongCredentialsError,
)
from sync.http import RetryPolicy
from sync.models import CallLeg, Failure, ListedNumber
from sync.twilio import TwilioClient, parse_leg
from tests.openapi_shapes import assert_matches
from tests.scripted_server import Answer, ScriptedServer

NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
SINCE = datetime(2026, 11, 18, 15, 5, 30, tzinfo=UTC)
ACCOUNT, API_KEY = "AC" + "1" * 32, "SK" + "2" * 32
TOKEN = "token-7c21"
PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Calls"
LIST = f"{PATH}.json"
NEXT = f"{LIST}?StartTime%3E=2026-11-18T15%3A05%3A30Z&PageSize=1000&Page=1&PageToken=PACA0001"
CALLER, OURS = "+34600000009", "+34910000001"
QUICK = RetryPolicy(
    budget=timedelta(seconds=0.1), first_pause=timedelta(milliseconds=5), longest_pause=timedelta(milliseconds=10)
)
GARBAGE: list[tuple[str, object]] = [
    ("duration", "a while"),
    ("duration", "-1"),
    ("duration", {"seconds": 5}),
    ("price", "n/a"),
    ("price", "NaN"),
    ("price", "-1e400"),
    ("price", "-0,0085"),
    ("status", None),
    ("status", ["completed"]),
    ("start_time", "yesterday"),
    ("start_time", "2026-11-18T15:30:00Z"),
    ("start_time", "Wed, 18 Nov 99999999999 15:30:00 +0000"),
    ("start_time", "Fri, 31 Dec 9999 23:59:59 -1200"),
    ("end_time", "Wed, 18 Nov 2026 15:30:00 +9999999999"),
]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def twilio(server: ScriptedServer) -> Iterator[TwilioClient]:
    with TwilioClient(ACCOUNT, (ACCOUNT, TOKEN), base_url=server.url, retries=QUICK, clock=lambda: NOW) as client:
        yield client


def sid_of(number: int) -> str:
    return f"CA{number:032x}"


def call(**changes: Any) -> dict[str, Any]:
    """Return an answered, priced inbound call of 24 seconds at 15:30, as Twilio writes it."""
    sid = changes.get("sid", sid_of(1))
    plain = {
        "sid": sid,
        "account_sid": ACCOUNT,
        "parent_call_sid": None,
        "date_created": "Wed, 18 Nov 2026 15:29:58 +0000",
        "date_updated": "Wed, 18 Nov 2026 15:30:24 +0000",
        "start_time": "Wed, 18 Nov 2026 15:30:00 +0000",
        "end_time": "Wed, 18 Nov 2026 15:30:24 +0000",
        "duration": "24",
        "price": "-0.00850",
        "price_unit": "USD",
        "status": "completed",
        "direction": "inbound",
        "from": CALLER,
        "from_formatted": CALLER,
        "to": OURS,
        "to_formatted": OURS,
        "phone_number_sid": "PN" + "3" * 32,
        "answered_by": None,
        "annotation": None,
        "api_version": "2010-04-01",
        "caller_name": None,
        "forwarded_from": None,
        "group_sid": None,
        "queue_time": "0",
        "trunk_sid": "",
        "uri": f"{PATH}/{sid}.json",
        "subresource_uris": {"recordings": f"{PATH}/{sid}/Recordings.json"},
    }
    return plain | changes


def page(*calls: object, next_page_uri: object = None) -> Answer:
    """Return a page of the list, in the documented envelope."""
    return Answer(
        body={
            "calls": list(calls),
            "page": 0,
            "page_size": 1000,
            "start": 0,
            "end": max(len(calls) - 1, 0),
            "uri": LIST,
            "first_page_uri": LIST,
            "next_page_uri": next_page_uri,
            "previous_page_uri": None,
        }
    )


def leg_of(**changes: Any) -> CallLeg:
    return parse_leg(call(**changes), fetched_at=NOW)


def sids(entries: Iterator[CallLeg | Failure]) -> list[str]:
    return [entry.sid if isinstance(entry, CallLeg) else entry.record_id for entry in entries]


def test_the_answers_of_these_tests_have_the_documented_shape() -> None:
    variants = [
        call(),
        call(status="queued", start_time=None, end_time=None, duration=None, price=None),
        call(status="busy", duration="0", price=None),
        call(parent_call_sid=sid_of(9), direction="outbound-dial", to="sip:desk@example.com"),
    ]
    listed = page(*variants, next_page_uri=NEXT).body

    assert_matches("twilio", "/2010-04-01/Accounts/{AccountSid}/Calls.json", listed)
    for variant in variants:
        assert_matches("twilio", "/2010-04-01/Accounts/{AccountSid}/Calls/{Sid}.json", variant)


def test_the_list_is_asked_from_a_full_utc_moment_on_and_without_an_end(
    server: ScriptedServer, twilio: TwilioClient
) -> None:
    server.on(LIST, page())

    legs = list(twilio.calls_since(SINCE.astimezone(timezone(timedelta(hours=5, minutes=30)))))

    assert legs == []
    assert [(request.path, request.query) for request in server.requests] == [
        (LIST, "StartTime%3E=2026-11-18T15%3A05%3A30Z&PageSize=1000")
    ]


@pytest.mark.parametrize("login", [(ACCOUNT, TOKEN), (API_KEY, "secret-7c21")])
def test_every_request_logs_in_and_keeps_the_account_in_the_path(
    server: ScriptedServer, login: tuple[str, str]
) -> None:
    server.on(LIST, page(call(), next_page_uri=NEXT))
    server.on(NEXT, page(call(sid=sid_of(2))))

    with TwilioClient(ACCOUNT, login, base_url=server.url, retries=QUICK) as client:
        list(client.calls_since(SINCE))

    sent = [b64decode(request.headers["authorization"].removeprefix("Basic ")) for request in server.requests]
    assert sent == [":".join(login).encode()] * 2
    assert {request.path for request in server.requests} == {LIST}


def test_the_next_page_is_asked_exactly_as_twilio_names_it(server: ScriptedServer, twilio: TwilioClient) -> None:
    second = f"{LIST}?To=%2B34910000001&StartTime%3E=2026-11-18&PageSize=1000&Page=1&PageToken=PACA0001"
    third = f"{LIST}?PageSize=1000&Page=2&PageToken=PACA0002&x=%2F%20"
    server.on(LIST, page(call(sid="CA1"), next_page_uri=second))
    server.on(second, page(call(sid="CA2"), call(sid="CA3"), next_page_uri=third))
    server.on(third, page(call(sid="CA4")))

    found = sids(twilio.calls_since(SINCE))

    assert found == ["CA1", "CA2", "CA3", "CA4"]
    assert [f"{request.path}?{request.query}" for request in server.requests[1:]] == [second, third]


@pytest.mark.parametrize("end", [None, ""])
def test_the_list_ends_where_twilio_names_no_next_page(
    server: ScriptedServer, twilio: TwilioClient, end: str | None
) -> None:
    server.on(LIST, page(call(), next_page_uri=end))

    assert sids(twilio.calls_since(SINCE)) == [sid_of(1)]


@pytest.mark.parametrize("uri", [7, 0, True, False, ["/Calls.json"], [], {"is": "/Calls.json"}, {}])
def test_a_next_page_that_is_no_text_keeps_what_came_and_is_an_error(
    server: ScriptedServer, twilio: TwilioClient, uri: object
) -> None:
    server.on(LIST, page(call(), next_page_uri=uri))
    legs = twilio.calls_since(SINCE)

    assert sids(iter([next(legs)])) == [sid_of(1)]
    with pytest.raises(UnexpectedAnswerError, match="its list goes on, but not where; what came is kept"):
        next(legs)
    assert len(server.requests) == 1


@pytest.mark.parametrize("uri", ["https://evil.example/Calls.json", "//evil.example/Calls.json", "Calls.json?Page=1"])
def test_a_next_page_elsewhere_is_not_asked(server: ScriptedServer, twilio: TwilioClient, uri: object) -> None:
    server.on(LIST, page(call(), next_page_uri=uri))

    legs = twilio.calls_since(SINCE)

    assert sids(iter([next(legs)])) == [sid_of(1)], "what came is kept"
    with pytest.raises(UnexpectedAnswerError, match="leads to another server; the key was not sent there"):
        next(legs)
    assert len(server.requests) == 1


def test_a_next_page_that_is_no_address_is_refused_like_any_other_nonsense(
    server: ScriptedServer, twilio: TwilioClient
) -> None:
    server.on(LIST, page(call(), next_page_uri="/2010-04-01/\x00"))

    with pytest.raises(UnexpectedAnswerError, match="names a page that is no address"):
        list(twilio.calls_since(SINCE))


def test_a_page_that_leads_to_itself_ends_the_list_with_an_error(server: ScriptedServer, twilio: TwilioClient) -> None:
    server.on(LIST, page(call(), next_page_uri=NEXT))
    server.on(NEXT, page(call(sid="CA2"), next_page_uri=NEXT))
    found = []

    with pytest.raises(UnexpectedAnswerError, match="the same page of calls twice"):
        found.extend(twilio.calls_since(SINCE))

    assert sids(iter(found)) == [sid_of(1), "CA2"], "what came before is kept"
    assert len(server.requests) <= 3


def test_a_first_page_that_comes_again_ends_the_list_with_an_error(
    server: ScriptedServer, twilio: TwilioClient
) -> None:
    server.on(LIST, page(call(), next_page_uri=NEXT))

    with pytest.raises(UnexpectedAnswerError, match="the same page of calls twice"):
        list(twilio.calls_since(SINCE))

    assert len(server.requests) == 2


def test_empty_pages_in_a_circle_end_with_an_error(server: ScriptedServer, twilio: TwilioClient) -> None:
    other = f"{LIST}?Page=2&PageToken=PACA0002"
    server.on(LIST, page(next_page_uri=NEXT))
    server.on(NEXT, page(next_page_uri=other))
    server.on(other, page(next_page_uri=NEXT))

    with pytest.raises(UnexpectedAnswerError, match="the same page of calls twice"):
        list(twilio.calls_since(SINCE))

    assert len(server.requests) <= 5


@pytest.mark.parametrize("body", [[], {}, {"calls": None}, {"calls": {}}, "calls", None, {"code": 20001}])
def test_an_answer_without_a_list_of_calls_says_which_setting_to_check(
    server: ScriptedServer, twilio: TwilioClient, body: object
) -> None:
    server.on(LIST, Answer(body="null" if body is None else body if not isinstance(body, str) else f'"{body}"'))

    with pytest.raises(UnexpectedAnswerError, match="has no list of calls; check that TWILIO_BASE_URL is its API"):
        list(twilio.calls_since(SINCE))


def test_a_server_that_cuts_by_day_sends_more_than_is_given_on(server: ScriptedServer, twilio: TwilioClient) -> None:
    server.on(
        LIST,
        page(
            call(sid="CA-late"),
            call(sid="CA-morning", start_time="Wed, 18 Nov 2026 08:00:00 +0000"),
            call(sid="CA-one-second-early", start_time="Wed, 18 Nov 2026 15:05:29 +0000"),
            call(sid="CA-at-the-moment", start_time="Wed, 18 Nov 2026 15:05:30 +0000"),
            call(sid="CA-same-in-another-zone", start_time="Wed, 18 Nov 2026 16:35:30 +0130"),
        ),
    )

    assert sids(twilio.calls_since(SINCE)) == ["CA-late", "CA-at-the-moment", "CA-same-in-another-zone"]


def test_calls_that_have_not_ended_are_asked_by_status_and_without_a_time(
    server: ScriptedServer, twilio: TwilioClient
) -> None:
    for status in ("queued", "ringing", "in-progress"):
        server.on(f"{LIST}?Status={status}&PageSize=1000", page(call(sid=f"CA-{status}", status=status)))

    found = sids(twilio.unfinished_calls())

    assert found == ["CA-queued", "CA-ringing", "CA-in-progress"]
    assert not any("StartTime" in request.query for request in server.requests)


def test_a_record_knows_when_its_request_was_sent(server: ScriptedServer) -> None:
    server.on(LIST, page(call(), next_page_uri=NEXT))
    server.on(NEXT, page(call(sid="CA2")))
    moments = iter(NOW + timedelta(seconds=n) for n in range(9))

    with TwilioClient(ACCOUNT, (ACCOUNT, TOKEN), base_url=server.url, clock=lambda: next(moments)) as client:
        legs = [leg for leg in client.calls_since(SINCE) if isinstance(leg, CallLeg)]

    assert [leg.fetched_at for leg in legs] == [NOW, NOW + timedelta(seconds=1)]


def test_a_call_is_read_with_every_field() -> None:
    leg = leg_of()

    assert leg == CallLeg(
        sid=sid_of(1),
        parent_call_sid=None,
        status="completed",
        direction="inbound",
        started_at=datetime(2026, 11, 18, 15, 30, tzinfo=UTC),
        ended_at=datetime(2026, 11, 18, 15, 30, 24, tzinfo=UTC),
        duration=24,
        cost=Decimal("0.0085"),
        price_unit="USD",
        from_number=CALLER,
        to_number=OURS,
        our_number=OURS,
        fetched_at=NOW,
    )


@pytest.mark.parametrize(
    ("date", "hour"), [("Wed, 18 Nov 2026 15:30:00 +0000", 15), ("18 Nov 2026 17:30:00 +0100", 16)]
)
def test_dates_are_read_as_utc(date: str, hour: int) -> None:
    started_at = leg_of(start_time=date).started_at

    assert started_at == datetime(2026, 11, 18, hour, 30, tzinfo=UTC)
    assert started_at.tzinfo is UTC


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_call_that_is_not_dialled_yet_counts_from_its_creation(nothing: str | None) -> None:
    leg = leg_of(status="queued", start_time=nothing, end_time=nothing, duration=nothing, price=nothing)

    assert leg.started_at == datetime(2026, 11, 18, 15, 29, 58, tzinfo=UTC)
    assert (leg.ended_at, leg.duration, leg.cost) == (None, None, None)


@pytest.mark.parametrize(
    "name",
    sorted(set(call()) - {"sid", "status", "start_time", "date_created"}),
)
@pytest.mark.parametrize("nothing", ["null", "missing", "empty"])
def test_a_call_can_be_read_without_any_one_of_its_other_fields(name: str, nothing: str) -> None:
    raw = call()
    if nothing == "missing":
        del raw[name]
    else:
        raw[name] = None if nothing == "null" else ""

    leg = parse_leg(raw, fetched_at=NOW)

    assert (leg.sid, leg.status) == (sid_of(1), "completed")


def test_unknown_fields_are_ignored() -> None:
    assert leg_of(stir_verstat="TN-Validation-Passed-A", brand_new={"x": [1]}) == leg_of()


def test_numbers_may_come_as_numbers() -> None:
    leg = leg_of(duration=24, price=Decimal("-0.38930"))

    assert (leg.duration, leg.cost) == (24, Decimal("0.3893"))


@pytest.mark.parametrize(
    ("status", "price", "cost"),
    [
        ("completed", "-0.00850", "0.0085"),
        ("completed", "-0.38930", "0.3893"),
        ("completed", "-0.00041565", "0.00041565"),
        ("completed", "-12", "12"),
        ("completed", "0.00000", "0"),
        ("completed", "-0.00000", "0"),
        ("failed", "0.00000", "0"),
        ("busy", None, "0"),
        ("no-answer", None, "0"),
        ("canceled", None, "0"),
        ("failed", None, "0"),
        ("busy", "", "0"),
        ("no-answer", "-0.01", "0.01"),
    ],
)
def test_a_price_is_positive_and_exact_and_who_was_not_reached_costs_nothing(
    status: str, price: str | None, cost: str
) -> None:
    leg = leg_of(status=status, price=price)

    assert leg.cost == Decimal(cost)
    assert not leg.cost.is_signed()


@pytest.mark.parametrize("status", ["completed", "in-progress", "queued", "ringing", "brand-new"])
@pytest.mark.parametrize("price", [None, ""])
def test_a_price_that_is_not_there_yet_is_unknown_and_never_nothing(status: str, price: str | None) -> None:
    assert leg_of(status=status, price=price).cost is None


@pytest.mark.parametrize(("duration", "seconds"), [("0", 0), (None, None), ("", None), ("3601", 3601)])
def test_a_duration_is_in_seconds_or_unknown(duration: str | None, seconds: int | None) -> None:
    assert leg_of(status="no-answer", duration=duration).duration == seconds


@pytest.mark.parametrize(("unit", "expected"), [("USD", "USD"), ("usd", "USD"), (None, None), ("", None)])
def test_a_currency_is_in_capitals_or_unknown(unit: str | None, expected: str | None) -> None:
    assert leg_of(price_unit=unit).price_unit == expected


@pytest.mark.parametrize(
    ("direction", "ours"),
    [
        ("inbound", "to"),
        ("outbound-api", "from"),
        ("outbound-dial", "from"),
        ("trunking-originating", "to"),
        ("trunking-terminating", "from"),
        ("sideways", None),
        (None, None),
    ],
)
def test_our_number_is_the_side_that_the_direction_names(direction: str | None, ours: str | None) -> None:
    sides = {"from": "+34910000001", "to": "+34910000002"}

    leg = leg_of(direction=direction, **sides)

    assert leg.our_number == (sides[ours] if ours else None)


@pytest.mark.parametrize(
    "party",
    [
        *("+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"),  # withheld callers
        *("ANONYMOUS", "anonymous", "Restricted", "BLOCKED", "UNKNOWN", "UNAVAILABLE"),
        *("sip:+34910000001@example.com", "client:alice", "sim:DE123", "app:AP123", "AP" + "0" * 32),
        *("12345", "34910000001", "+0910000001", "+34", None, ""),
    ],
)
def test_who_is_no_number_never_becomes_ours(party: str | None) -> None:
    incoming, outgoing = leg_of(direction="inbound", to=party), leg_of(direction="outbound-dial", **{"from": party})

    assert incoming.our_number is None
    assert outgoing.our_number is None
    assert incoming.to_number == (party or None), "what Twilio said is kept"


TRUNK_FORMS = [
    *("sip:+34910000001@public-vip.ie1.twilio.com", "sip:34910000001@203.0.113.9:5060;transport=tls"),
    *("sips:+34910000001@pbx.example.com;region=us1", '"Front desk" <sip:+34910000001@pbx.example.com>'),
    *("tel:+34910000001", "34910000001", "0034910000001", "+34 910 00 00 01"),
]


@pytest.mark.parametrize("party", TRUNK_FORMS)
def test_our_number_on_a_trunk_is_read_in_every_form_whatever_the_other_side_is(party: str) -> None:
    for other in ("+34910000002", "sip:+34910000002@carrier.example.com", "anonymous", None):
        incoming = leg_of(direction="trunking-originating", to=party, **{"from": other})
        outgoing = leg_of(direction="trunking-terminating", to=other, **{"from": party})

        assert (incoming.our_number, outgoing.our_number) == ("+34910000001", "+34910000001")
        assert (incoming.to_number, outgoing.from_number) == ("+34910000001", "+34910000001")
        caller = "+34910000002" if other and other != "anonymous" else other
        assert (incoming.from_number, outgoing.to_number) == (caller, caller), "who is no number is kept as it came"


@pytest.mark.parametrize("direction", ["inbound", "outbound-api", "outbound-dial"])
@pytest.mark.parametrize("party", [form for form in TRUNK_FORMS if not form.startswith(("tel:", "+"))])
def test_such_an_address_is_nobodys_on_any_other_leg(direction: str, party: str) -> None:
    assert leg_of(direction=direction, to=party, **{"from": party}).our_number is None


@pytest.mark.parametrize(
    ("direction", "side"), [("inbound", "to"), ("outbound-api", "from"), ("outbound-dial", "from")]
)
def test_a_whatsapp_call_belongs_to_the_number_in_its_address(direction: str, side: str) -> None:
    leg = leg_of(direction=direction, **{"to": CALLER, "from": CALLER} | {side: "whatsapp:+34910000001"})

    assert leg.our_number == "+34910000001"


@pytest.mark.parametrize("status", ["queued", "initiated", "ringing"])
def test_a_call_that_waits_for_its_turn_without_a_date_is_left_out_without_a_failure(
    server: ScriptedServer, twilio: TwilioClient, status: str
) -> None:
    waiting = call(sid="CA1", status=status, start_time=None, date_created=None, duration=None, price=None)
    server.on(LIST, page(waiting, call(sid="CA2")))
    server.on(LIST.replace("Calls.json", "Calls/CA1.json"), Answer(body=waiting))

    assert sids(twilio.calls_since(SINCE)) == ["CA2"]
    assert list(twilio.calls(["CA1"])) == []


def test_an_answer_about_another_call_is_a_failure_of_the_one_asked_for(
    server: ScriptedServer, twilio: TwilioClient
) -> None:
    server.on(LIST.replace("Calls.json", "Calls/CA1.json"), Answer(body=call(sid="CA2")))

    (failure,) = twilio.calls(["CA1"])

    assert isinstance(failure, Failure)
    assert (failure.record_id, failure.is_gone) == ("CA1", False)
    assert failure.error == "Twilio answered with another call than the one that was asked for."


@pytest.mark.parametrize(
    ("date", "why"),
    [
        ("Fri, 31 Dec 9999 23:59:59 +0000", "its start, 9999-12-31, lies in the future"),
        ("Sat, 21 Nov 2026 17:00:00 +0000", "its start, 2026-11-21, lies in the future"),
        ("Thu, 01 Jan 1970 00:00:00 +0000", "its start, 1970-01-01, is too long ago"),
        ("Mon, 01 Jan 0001 00:00:00 +0000", "its start, 2001-01-01, is too long ago"),  # so mail programs read it
    ],
)
def test_a_call_of_another_age_is_a_failure_and_not_passed_over(
    server: ScriptedServer, twilio: TwilioClient, date: str, why: str
) -> None:
    server.on(LIST, page(call(sid="CA1", start_time=date), call(sid="CA2")))

    bad, good = twilio.calls_since(SINCE)

    assert isinstance(good, CallLeg)
    assert isinstance(bad, Failure)
    assert (bad.record_id, bad.error) == ("CA1", f"Twilio sent a call that cannot be read: {why}.")


@pytest.mark.parametrize(
    ("value", "record_id"),
    [("CA\ud83d", ""), ("CA\x001", ""), ("CA\n1", ""), ("C" * 10**6, ""), (5, ""), ({"a": 1}, "")],
)
@pytest.mark.parametrize("name", ["sid", "parent_call_sid"])
def test_an_id_that_no_store_could_keep_is_a_failure_and_the_others_are_read(
    server: ScriptedServer, twilio: TwilioClient, name: str, value: object, record_id: str
) -> None:
    server.on(LIST, page(call(sid="CA1"), call(**{"sid": "CA2"} | {name: value}), call(sid="CA3")))

    first, bad, last = twilio.calls_since(SINCE)

    assert isinstance(first, CallLeg)
    assert isinstance(last, CallLeg)
    assert isinstance(bad, Failure)
    assert bad.record_id == (record_id if name == "sid" else "CA2")


@pytest.mark.parametrize("status", ["initiated", "COMPLETED", "brand-new"])
def test_an_unknown_status_or_direction_is_kept_as_it_is(status: str) -> None:
    leg = leg_of(status=status, direction="diagonal", price=None)

    assert (leg.status, leg.direction, leg.cost) == (status, "diagonal", None)


def test_a_leg_knows_its_parent_unless_that_is_itself() -> None:
    child, odd = leg_of(parent_call_sid=sid_of(9)), leg_of(parent_call_sid=sid_of(1))

    assert child.parent_call_sid == sid_of(9)
    assert odd.parent_call_sid is None


@pytest.mark.parametrize(("name", "value"), GARBAGE)
def test_a_call_that_cannot_be_read_is_told_with_its_sid_and_the_others_are_kept(
    server: ScriptedServer, twilio: TwilioClient, name: str, value: object
) -> None:
    server.on(LIST, page(call(sid="CA1"), call(sid="CA2", **{name: value}), call(sid="CA3")))

    first, bad, last = twilio.calls_since(SINCE)

    assert isinstance(first, CallLeg)
    assert isinstance(last, CallLeg)
    assert isinstance(bad, Failure)
    assert bad.record_id == "CA2"
    assert bad.error.startswith(f"Twilio sent a call that cannot be read: {name}")
    assert str(value) not in bad.error
    assert not bad.is_gone


@pytest.mark.parametrize(
    ("raw", "record_id"),
    [
        (call(start_time=None, date_created=None), sid_of(1)),
        (call(sid=None), ""),
        (call(sid=""), ""),
        ({}, ""),
        (None, ""),
        ("CA1", ""),
        ([], ""),
    ],
)
def test_what_is_hardly_a_call_is_told_too(
    server: ScriptedServer, twilio: TwilioClient, raw: object, record_id: str
) -> None:
    server.on(LIST, page(raw, call(sid="CA3")))

    bad, good = twilio.calls_since(SINCE)

    assert isinstance(good, CallLeg)
    assert isinstance(bad, Failure)
    assert bad.record_id == record_id


@pytest.mark.parametrize("name", ["from", "duration", "price", "start_time", "end_time"])
def test_what_is_wrong_with_a_call_is_told_without_the_value(name: str) -> None:
    with pytest.raises(MalformedRecordError) as caught:
        parse_leg(call(**{name: [CALLER]}), fetched_at=NOW)

    assert CALLER not in str(caught.value)


def test_single_calls_are_asked_by_sid_several_at_once(server: ScriptedServer, twilio: TwilioClient) -> None:
    wanted = [sid_of(n) for n in range(6)]
    for sid in wanted:
        server.on(f"{PATH}/{sid}.json", Answer(body=call(sid=sid), delay=0.02))

    found = sids(twilio.calls(wanted))

    assert sorted(found) == wanted
    assert server.most_at_once > 1


def test_an_example_in_a_sentence_is_written_as_twilio_writes_it(server: ScriptedServer, twilio: TwilioClient) -> None:
    server.on(LIST, Answer(body={"calls": [call(start_time="yesterday")], "next_page_uri": None}))

    [bad] = twilio.calls_since(SINCE)

    assert isinstance(bad, Failure)
    assert bad.error.endswith("start_time: must be a date such as Wed, 10 Jun 2026 10:41:03 +0000.")


def test_a_call_that_is_gone_or_cannot_be_read_does_not_stop_the_others(
    server: ScriptedServer, twilio: TwilioClient
) -> None:
    gone = {"code": 20404, "message": "The requested resource was not found", "status": 404}
    server.on(f"{PATH}/CA1.json", Answer(body=call(sid="CA1")))
    server.on(f"{PATH}/CA2.json", Answer(status=404, body=gone))
    server.on(f"{PATH}/CA3.json", Answer(body=call(sid="CA3", duration="a while")))
    server.on(f"{PATH}/CA4.json", Answer(body=call(sid="CA4")))

    entries = list(twilio.calls(["CA1", "CA2", "CA3", "CA4"]))

    assert {entry.sid for entry in entries if isinstance(entry, CallLeg)} == {"CA1", "CA4"}
    assert {(entry.record_id, entry.is_gone) for entry in entries if isinstance(entry, Failure)} == {
        ("CA2", True),
        ("CA3", False),
    }


def test_a_sid_cannot_lead_out_of_its_folder(server: ScriptedServer, twilio: TwilioClient) -> None:
    with pytest.raises(RejectedRequestError):
        twilio.call("../Keys?x=1#y")

    assert server.requests[0].path == f"{PATH}/..%2FKeys%3Fx%3D1%23y.json"
    assert server.requests[0].query == ""


def test_a_failure_of_the_whole_provider_is_no_failure_of_one_call(
    server: ScriptedServer, twilio: TwilioClient
) -> None:
    server.on(f"{PATH}/CA1.json", Answer(status=503))

    with pytest.raises(ProviderDownError):
        list(twilio.calls(["CA1"]))


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (
            401,
            WrongCredentialsError,
            "Twilio does not accept the credentials (401): check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, "
            "or that the API key may read calls, and that the account is not suspended.",
        ),
        (403, MissingPermissionError, "The Twilio key may not read calls (403): allow it Voice, read."),
        (
            404,
            RecordNotFoundError,
            "Twilio does not know this record (404): it was deleted, or TWILIO_ACCOUNT_SID is another account.",
        ),
    ],
)
def test_a_refusal_says_what_to_check_and_is_not_tried_again(
    server: ScriptedServer, twilio: TwilioClient, status: int, kind: type[Exception], sentence: str
) -> None:
    body = {"code": 20003, "message": f"Authenticate {TOKEN}", "more_info": "https://www.twilio.com", "status": status}
    server.on(LIST, Answer(status=status, body=body))

    with pytest.raises(kind) as caught:
        list(twilio.calls_since(SINCE))

    assert str(caught.value) == sentence
    assert len(server.requests) == 1


NUMBERS = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json"
MORE_NUMBERS = f"{NUMBERS}?PageSize=1000&Page=1&PageToken=PNPN0001"


def test_the_account_s_numbers_are_read_from_every_page(server: ScriptedServer, twilio: TwilioClient) -> None:
    first = [{"sid": "PN1", "phone_number": OURS, "friendly_name": "Main"}]
    second = [{"sid": "PN2", "phone_number": CALLER, "friendly_name": ""}]
    server.on(NUMBERS, Answer(body={"incoming_phone_numbers": first, "next_page_uri": MORE_NUMBERS}))
    server.on(MORE_NUMBERS, Answer(body={"incoming_phone_numbers": second, "next_page_uri": None}))

    found = twilio.phone_numbers()

    assert found == [ListedNumber(phone_number=OURS, label="Main"), ListedNumber(phone_number=CALLER)]


@pytest.mark.parametrize("body", [{"calls": []}, {"incoming_phone_numbers": [{"sid": "PN1"}]}, {}, 7])
def test_numbers_that_cannot_be_read_are_an_error(server: ScriptedServer, twilio: TwilioClient, body: object) -> None:
    server.on(NUMBERS, Answer(body=body))

    with pytest.raises(UnexpectedAnswerError, match="Twilio"):
        twilio.phone_numbers()


def test_a_key_that_may_not_read_numbers_is_told_apart_from_one_that_may_not_read_calls(
    server: ScriptedServer, twilio: TwilioClient
) -> None:
    server.on(NUMBERS, Answer(status=403, body={"code": 20403, "message": "Forbidden", "status": 403}))

    with pytest.raises(MissingPermissionError, match=r"may not read phone numbers \(403\): allow it Phone Numbers"):
        twilio.phone_numbers()
