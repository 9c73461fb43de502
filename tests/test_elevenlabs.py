"""ElevenLabs' conversations on the wire: what is asked, how charges are read, and what is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest

from sync.elevenlabs import ElevenLabsClient
from sync.elevenlabs_wire import parse_conversation
from sync.errors import (
    MalformedRecordError,
    MissingPermissionError,
    ProviderDownError,
    RateLimitedError,
    RecordNotFoundError,
    RejectedRequestError,
    UnexpectedAnswerError,
    WrongCredentialsError,
)
from sync.http import RetryPolicy
from sync.limits import ConcurrencyLimit
from sync.models import Conversation, ConversationSummary, Failure, ListedAgent, ListedNumber, TokenUsage
from tests.openapi_shapes import assert_matches
from tests.scripted_server import Answer, ScriptedServer

NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
SINCE = datetime(2026, 11, 18, 15, 5, 30, tzinfo=UTC)
START = int(SINCE.timestamp())
KEY = "key-7c21"
LIST, AGENTS, NUMBERS = "/v1/convai/conversations", "/v1/convai/agents", "/v1/convai/phone-numbers"
CALLER, OURS = "+34600000009", "+34910000001"
QUICK = RetryPolicy(
    budget=timedelta(seconds=0.1), first_pause=timedelta(milliseconds=5), longest_pause=timedelta(milliseconds=10)
)
TWILIO_CALL = {
    "type": "twilio",
    "direction": "inbound",
    "phone_number_id": "phnum_1",
    "agent_number": OURS,
    "external_number": CALLER,
    "stream_sid": "MZ1",
    "call_sid": "CA1",
}
SIP_CALL = {
    "type": "sip_trunking",
    "direction": "outbound",
    "phone_number_id": "phnum_2",
    "agent_number": OURS,
    "external_number": CALLER,
    "call_sid": "SCL_1",
    "call_id": None,
    "sip_header_dynamic_variables": {},
}
EXOTEL_CALL = TWILIO_CALL | {"type": "exotel"}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def elevenlabs(server: ScriptedServer) -> Iterator[ElevenLabsClient]:
    with ElevenLabsClient(KEY, base_url=server.url, retries=QUICK, clock=lambda: NOW) as client:
        yield client


def listed(**changes: Any) -> dict[str, Any]:
    """Return a list entry of a finished conversation of 53 seconds, as ElevenLabs writes it."""
    plain = {
        "agent_id": "agent_1",
        "agent_name": "Reception",
        "conversation_id": "conv_1",
        "start_time_unix_secs": START,
        "call_duration_secs": 53,
        "message_count": 4,
        "status": "done",
        "call_successful": "success",
        "termination_reason": "",
        "direction": "inbound",
    }
    return plain | changes


def tokens(count: int, price: str) -> dict[str, Any]:
    return {"tokens": count, "price": Decimal(price)}


def charged(**changes: Any) -> dict[str, Any]:
    """Return the charging of the voice conversation of August 2026 in providers/elevenlabs.md."""
    irreversible = {"gpt-4o-mini": {"input": tokens(900, "0.03"), "output_total": tokens(40, "0.004")}}
    initiated = {"gpt-4o-mini": {"input": tokens(1000, "0.030607"), "output_total": tokens(40, "0.004")}}
    plain = {
        "dev_discount": False,
        "is_burst": False,
        "tier": "starter",
        "llm_usage": {
            "irreversible_generation": {"model_usage": irreversible},
            "initiated_generation": {"model_usage": initiated},
        },
        "llm_price": Decimal("0.034607"),
        "llm_charge": 173,
        "call_charge": 353,
        "platform_charge": 353,
        "platform_price": Decimal("0.069596"),
        "free_minutes_consumed": Decimal("0.25"),
        "free_llm_dollars_consumed": Decimal("0.00041565"),
    }
    return plain | changes


def billed(**changes: Any) -> dict[str, Any]:
    plain = {
        "start_time_unix_secs": START,
        "call_duration_secs": 53,
        "cost": 526,
        "cost_fiat": Decimal("0.104203"),
        "charging": charged(),
        "phone_call": TWILIO_CALL,
        "termination_reason": "",
        "conversation_initiation_source": "twilio",
    }
    return plain | changes


def detail(**changes: Any) -> dict[str, Any]:
    """Return a finished conversation of 53 seconds, as ElevenLabs writes it."""
    plain = {
        "agent_id": "agent_1",
        "agent_name": "Reception",
        "conversation_id": "conv_1",
        "status": "done",
        "metadata": billed(),
        "analysis": None,
        "transcript": [],
        "has_audio": True,
        "has_user_audio": True,
        "has_response_audio": True,
        "has_auxiliary_audio": False,
    }
    return plain | changes


def page(*conversations: object, next_cursor: object = None, has_more: bool = False) -> Answer:
    return Answer(body={"conversations": list(conversations), "next_cursor": next_cursor, "has_more": has_more})


def read(**metadata: Any) -> Conversation:
    return parse_conversation(detail(metadata=billed(**metadata)), fetched_at=NOW)


def read_charging(**changes: Any) -> Conversation:
    return read(charging=charged(**changes))


def asked(server: ScriptedServer) -> list[dict[str, str]]:
    return [dict(parse_qsl(request.query, strict_parsing=True)) for request in server.requests]


def ids(entries: Iterator[ConversationSummary | Failure]) -> list[str]:
    return [entry.record_id if isinstance(entry, Failure) else entry.conversation_id for entry in entries]


def refusal(status: int, *, kind: str = "", code: str = "", legacy: str = "") -> Answer:
    words = {"type": kind, "code": code, "status": legacy, "message": f"{KEY} of {CALLER}", "request_id": "r"}
    return Answer(status=status, body={"detail": words})


def test_the_answers_of_these_tests_have_the_documented_shape() -> None:
    details = [
        detail(),
        detail(status="in-progress", metadata=billed(cost=None, cost_fiat=None, charging={}, phone_call=None)),
        detail(metadata=billed(phone_call=SIP_CALL)),
        detail(metadata=billed(phone_call=EXOTEL_CALL)),
    ]

    assert_matches("elevenlabs", LIST, as_floats(page(listed(), listed(status="processing")).body))
    for each in details:
        assert_matches("elevenlabs", f"{LIST}/{{conversation_id}}", as_floats(each))


def as_floats(value: Any) -> Any:
    """Return what a schema validator takes for numbers: it knows no Decimal."""
    if isinstance(value, dict):
        return {name: as_floats(each) for name, each in value.items()}
    if isinstance(value, list):
        return [as_floats(each) for each in value]
    return float(value) if isinstance(value, Decimal) else value


def test_the_list_is_asked_in_unix_seconds_with_the_largest_page_and_the_key(
    server: ScriptedServer, elevenlabs: ElevenLabsClient
) -> None:
    server.on(LIST, page())

    assert list(elevenlabs.summaries_since(SINCE)) == []
    assert asked(server) == [{"call_start_after_unix": str(START - 1), "page_size": "100"}]
    assert server.requests[0].headers["xi-api-key"] == KEY


def test_what_started_before_the_moment_is_not_given_on(server: ScriptedServer, elevenlabs: ElevenLabsClient) -> None:
    early, exact = listed(conversation_id="early", start_time_unix_secs=START - 1), listed(conversation_id="exact")
    server.on(LIST, page(exact, early))

    assert ids(elevenlabs.summaries_since(SINCE)) == ["exact"]


def test_a_cursor_is_sent_on_together_with_the_filters(server: ScriptedServer, elevenlabs: ElevenLabsClient) -> None:
    server.on(
        LIST,
        page(listed(conversation_id="c1"), next_cursor="a+/=b", has_more=True),
        page(listed(conversation_id="c2"), next_cursor="c", has_more=True),
        page(listed(conversation_id="c3")),
    )

    found = ids(elevenlabs.summaries_since(SINCE))

    filters = {"call_start_after_unix": str(START - 1), "page_size": "100"}
    assert found == ["c1", "c2", "c3"]
    assert asked(server) == [filters, filters | {"cursor": "a+/=b"}, filters | {"cursor": "c"}]


@pytest.mark.parametrize(
    "last",
    [
        page(listed(), next_cursor="more", has_more=False),
        page(listed(), next_cursor=None, has_more=False),
        page(listed(), next_cursor=None, has_more=None),
        Answer(body={"conversations": [listed()]}),
    ],
)
def test_the_list_ends_where_no_more_is_promised(
    server: ScriptedServer, elevenlabs: ElevenLabsClient, last: Answer
) -> None:
    server.on(LIST, last)

    assert ids(elevenlabs.summaries_since(SINCE)) == ["conv_1"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("cursor", [None, "", 0, 7, True, ["more"], {"is": "more"}])
def test_more_without_a_cursor_keeps_what_came_and_is_an_error(
    server: ScriptedServer, elevenlabs: ElevenLabsClient, cursor: object
) -> None:
    server.on(LIST, page(listed(), next_cursor=cursor, has_more=True))
    summaries = elevenlabs.summaries_since(SINCE)

    assert ids(iter([next(summaries)])) == ["conv_1"]
    with pytest.raises(UnexpectedAnswerError, match="its list goes on, but not where; what came is kept"):
        next(summaries)
    assert len(server.requests) == 1


def test_a_short_or_empty_page_with_a_cursor_goes_on_also_where_more_is_not_promised(
    server: ScriptedServer, elevenlabs: ElevenLabsClient
) -> None:
    server.on(
        LIST,
        page(listed(), next_cursor="a", has_more=True),
        page(next_cursor="b", has_more=True),
        Answer(body={"conversations": [listed(conversation_id="conv_2")], "next_cursor": "c"}),
        page(listed(conversation_id="conv_3"), next_cursor=None, has_more=False),
    )

    assert ids(elevenlabs.summaries_since(SINCE)) == ["conv_1", "conv_2", "conv_3"]


def test_a_cursor_that_comes_again_ends_the_list_with_an_error(
    server: ScriptedServer, elevenlabs: ElevenLabsClient
) -> None:
    server.on(LIST, page(listed(), next_cursor="again", has_more=True))
    found: list[ConversationSummary | Failure] = []

    with pytest.raises(UnexpectedAnswerError, match="the same page twice"):
        found.extend(elevenlabs.summaries_since(SINCE))

    assert set(ids(iter(found))) == {"conv_1"}
    assert len(server.requests) == 2


@pytest.mark.parametrize("body", ["[]", "{}", '{"conversations": null}', '{"conversations": {}}', "7", "null"])
def test_an_answer_without_the_list_says_which_setting_to_check(
    server: ScriptedServer, elevenlabs: ElevenLabsClient, body: str
) -> None:
    server.on(LIST, Answer(body=body))

    with pytest.raises(UnexpectedAnswerError, match="not the documented list; check that ELEVENLABS_BASE_URL"):
        list(elevenlabs.summaries_since(SINCE))


def test_a_list_entry_is_read() -> None:
    with ScriptedServer() as server, ElevenLabsClient(KEY, base_url=server.url) as client:
        server.on(LIST, page(listed(status="brand-new", call_duration_secs=7, cost=5, cost_fiat=None, extra={})))
        (summary,) = client.summaries_since(SINCE)

    assert summary == ConversationSummary(conversation_id="conv_1", started_at=SINCE, status="brand-new", duration=7)


@pytest.mark.parametrize(
    ("changes", "record_id"),
    [
        ({"start_time_unix_secs": None}, "conv_bad"),
        ({"start_time_unix_secs": "soon"}, "conv_bad"),
        ({"start_time_unix_secs": -1}, "conv_bad"),
        ({"start_time_unix_secs": 10**15}, "conv_bad"),
        ({"call_duration_secs": "a while"}, "conv_bad"),
        ({"status": None}, "conv_bad"),
        ({"conversation_id": None}, ""),
        ({"conversation_id": "x" * 200}, "x" * 200),
    ],
)
def test_a_list_entry_that_cannot_be_read_is_told_and_the_others_are_kept(
    server: ScriptedServer, elevenlabs: ElevenLabsClient, changes: dict[str, Any], record_id: str
) -> None:
    server.on(LIST, page(listed(), listed(**{"conversation_id": "conv_bad"} | changes), listed(conversation_id="c3")))

    first, bad, last = elevenlabs.summaries_since(SINCE)

    assert isinstance(first, ConversationSummary)
    assert isinstance(last, ConversationSummary)
    assert isinstance(bad, Failure)
    assert bad.record_id == record_id
    assert bad.error.startswith("ElevenLabs lists a conversation that cannot be read: ")


@pytest.mark.parametrize("raw", [None, 7, "conv_1", []])
def test_what_is_hardly_a_list_entry_is_told_too(
    server: ScriptedServer, elevenlabs: ElevenLabsClient, raw: object
) -> None:
    server.on(LIST, page(raw, listed()))

    assert ids(elevenlabs.summaries_since(SINCE)) == ["", "conv_1"]


def test_a_conversation_is_read_with_every_field() -> None:
    talk = parse_conversation(detail(), fetched_at=NOW)

    assert talk == Conversation(
        conversation_id="conv_1",
        agent_id="agent_1",
        agent_name="Reception",
        status="done",
        started_at=SINCE,
        duration=53,
        direction="inbound",
        channel="twilio",
        agent_number=OURS,
        external_number=CALLER,
        call_sid="CA1",
        termination_reason=None,
        cost=Decimal("0.104203"),
        credits=526,
        llm_price=Decimal("0.034607"),
        llm_charge=173,
        platform_price=Decimal("0.069596"),
        call_charge=353,
        free_minutes_consumed=Decimal("0.25"),
        free_llm_dollars_consumed=Decimal("0.00041565"),
        dev_discount=False,
        is_burst=False,
        llm_usage=talk.llm_usage,
        fetched_at=NOW,
    )


# The rows of the table "Arithmetic in real payloads" in providers/elevenlabs.md; None is a field that was not there.
REAL_PAYLOADS = [
    pytest.param(133, 567, 385, 182, "0.084895", None, None, None, id="2025-09 creator, text"),
    pytest.param(79, 531, 1, 530, "0.00041565", None, None, None, id="2025-11 creator, twilio"),
    pytest.param(5, 126, 111, 15, "0.0220345", "0.003", "0.0250345", "0.0250345", id="2026-08 pro, text"),
    pytest.param(53, 526, 173, 353, "0.034607", "0.069596", "0.104203", "0.104203", id="2026-08 starter, voice"),
    pytest.param(41, None, 0, 306, "0.0", "0.0552", None, "0.0552", id="2026-09 voice, custom LLM"),
]


@pytest.mark.parametrize(
    ("secs", "credit_total", "llm_charge", "call_charge", "llm_price", "platform_price", "cost_fiat", "cost"),
    REAL_PAYLOADS,
)
@pytest.mark.parametrize("totals", ["as sent", "left out"])
def test_credits_and_dollars_are_the_sums_of_their_parts_in_every_real_payload(
    secs: int,
    credit_total: int | None,
    llm_charge: int,
    call_charge: int,
    llm_price: str,
    platform_price: str | None,
    cost_fiat: str | None,
    cost: str | None,
    totals: str,
) -> None:
    charging = charged(
        llm_charge=llm_charge,
        call_charge=call_charge,
        llm_price=Decimal(llm_price),
        platform_price=Decimal(platform_price) if platform_price else None,
    )
    sent = {"cost": credit_total, "cost_fiat": Decimal(cost_fiat) if cost_fiat else None}

    talk = read(call_duration_secs=secs, charging=charging, **(sent if totals == "as sent" else dict.fromkeys(sent)))

    assert talk.credits == llm_charge + call_charge
    assert talk.cost == (Decimal(cost) if cost else None), "unknown as long as one of the parts is"
    assert (talk.llm_price, talk.duration) == (Decimal(llm_price), secs)


def test_only_initiated_generation_counts_since_the_other_is_a_part_of_it() -> None:
    usage = parse_conversation(detail(), fetched_at=NOW).llm_usage

    assert usage == {
        "gpt-4o-mini": {
            "input": TokenUsage(tokens=1000, price=Decimal("0.030607")),
            "output_total": TokenUsage(tokens=40, price=Decimal("0.004")),
        }
    }


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"irreversible_generation": {"model_usage": {"m": {"input": tokens(5, "0.1")}}}},
        {"initiated_generation": None},
        {"initiated_generation": {}},
        {"initiated_generation": {"model_usage": None}},
        {"initiated_generation": {"model_usage": {"m": None}}},
        {"initiated_generation": {"model_usage": {"m": {"input": None}}}},
        {"initiated_generation": {"model_usage": {"m": {"input": {"tokens": None, "price": None}}}}},
        {"initiated_generation": {"model_usage": {"m": {"input_cache_read": tokens(0, "0.0")}}}},
    ],
)
def test_no_usage_is_no_usage_in_whatever_form_it_comes(usage: object) -> None:
    assert read_charging(llm_usage=usage).llm_usage == {}


def test_unknown_models_and_categories_are_kept() -> None:
    usage = {"initiated_generation": {"model_usage": {"brand-new": {"reasoning": tokens(7, "0.0000001")}}}}

    talk = read_charging(llm_usage=usage)

    assert talk.llm_usage == {"brand-new": {"reasoning": TokenUsage(tokens=7, price=Decimal("0.0000001"))}}


def test_null_stays_unknown_and_never_becomes_nothing() -> None:
    names = ("llm_price", "llm_charge", "call_charge", "platform_price", "free_minutes_consumed")
    names += ("free_llm_dollars_consumed",)

    talk = read(cost=None, cost_fiat=None, charging=charged(**dict.fromkeys(names)))

    assert [getattr(talk, name) for name in (*names, "cost", "credits")] == [None] * 8


@pytest.mark.parametrize(
    ("llm", "other", "total"),
    [("0.5", "0.25", "0.75"), ("0.5", None, None), (None, "0.25", None), ("0", "0", "0")],
)
def test_a_missing_total_is_the_sum_of_two_known_parts(llm: str | None, other: str | None, total: str | None) -> None:
    talk = read(
        cost_fiat=None,
        charging=charged(llm_price=llm and Decimal(llm), platform_price=other and Decimal(other)),
    )

    assert talk.cost == (total and Decimal(total))


def test_credits_are_not_mixed_up_with_dollars() -> None:
    talk = read(cost=526, cost_fiat=None, charging=charged(platform_price=None))

    assert (talk.cost, talk.credits) == (None, 526)


@pytest.mark.parametrize("flag", [True, False])
def test_a_discount_is_a_flag_and_not_an_amount(flag: bool) -> None:
    talk = read_charging(dev_discount=flag, is_burst=flag)

    assert talk.dev_discount is flag
    assert talk.is_burst is flag


@pytest.mark.parametrize("charging", [None, {}, "missing"])
def test_an_old_payload_without_charges_has_credits_and_no_dollars(charging: object) -> None:
    metadata = billed(cost_fiat=None, charging=charging)
    if charging == "missing":
        del metadata["charging"], metadata["cost_fiat"]

    talk = parse_conversation(detail(metadata=metadata), fetched_at=NOW)

    assert (talk.credits, talk.cost, talk.llm_price, talk.dev_discount, talk.llm_usage) == (526, None, None, False, {})


@pytest.mark.parametrize("value", ["526", "526.0"])
def test_credits_are_whole_however_they_are_written(value: str) -> None:
    assert read(cost=Decimal(value)).credits == 526


def test_a_price_keeps_its_digits_from_the_wire_on(server: ScriptedServer, elevenlabs: ElevenLabsClient) -> None:
    server.on(f"{LIST}/conv_1", Answer(body=detail(metadata=billed(cost_fiat=Decimal("0.00041565")))))

    assert str(elevenlabs.conversation("conv_1").cost) == "0.00041565"


@pytest.mark.parametrize(
    ("phone_call", "expected"),
    [
        (TWILIO_CALL, ("inbound", OURS, CALLER, "CA1")),
        (SIP_CALL, ("outbound", OURS, CALLER, "SCL_1")),
        (EXOTEL_CALL, ("inbound", OURS, CALLER, "CA1")),
        (TWILIO_CALL | {"type": "brand-new", "call_sid": None}, ("inbound", OURS, CALLER, None)),
        (TWILIO_CALL | {"agent_number": "sip:us@example.com"}, ("inbound", None, CALLER, "CA1")),
        (None, (None, None, None, None)),
        ({}, (None, None, None, None)),
    ],
)
def test_a_conversation_knows_its_phone_call_if_there_is_one(
    phone_call: object, expected: tuple[str | None, ...]
) -> None:
    talk = read(phone_call=phone_call)

    assert (talk.direction, talk.agent_number, talk.external_number, talk.call_sid) == expected


@pytest.mark.parametrize(
    "number",
    [
        *(OURS[1:], f"00{OURS[1:]}", f"{OURS[1:3]} {OURS[3:6]} {OURS[6:]}", f"+{OURS[1:3]} ({OURS[3:6]}) {OURS[6:]}"),
        *(
            f"sip:{OURS}@sip.example.com:5060",
            f"<sips:{OURS[1:]}@pbx;transport=tls>",
            f"whatsapp:{OURS}",
            f"tel:{OURS}",
        ),
    ],
)
def test_the_number_of_a_sip_trunk_is_read_as_somebody_typed_it(number: str) -> None:
    talk = read(phone_call=SIP_CALL | {"agent_number": number, "external_number": number})

    assert (talk.agent_number, talk.external_number) == (OURS, OURS)


@pytest.mark.parametrize("caller", ["anonymous", "sip:desk@example.com", "+266696687", "12345"])
def test_a_caller_on_a_sip_trunk_who_is_no_number_is_kept_as_it_came(caller: str) -> None:
    assert read(phone_call=SIP_CALL | {"external_number": caller}).external_number == caller


@pytest.mark.parametrize(("number", "expected"), [(OURS[1:], None), (f"whatsapp:{OURS}", OURS), (OURS, OURS)])
def test_a_number_of_twilio_has_its_plus(number: str, expected: str | None) -> None:
    assert read(phone_call=TWILIO_CALL | {"agent_number": number}).agent_number == expected


def test_a_number_of_a_trunk_without_its_country_is_kept_as_it_is() -> None:
    assert read(phone_call=SIP_CALL | {"agent_number": "061 234 56 78"}).agent_number == "0612345678"


@pytest.mark.parametrize("number", [OURS, OURS[1:], f"whatsapp:{OURS}"])
@pytest.mark.parametrize("source", ["twilio_sms", "unknown", None])
def test_a_conversation_by_text_message_has_its_numbers_there(number: str, source: str | None) -> None:
    sms = {"direction": "inbound", "agent_phone_number": number, "sms_user_phone_number": CALLER}

    talk = read(phone_call=None, sms=sms, conversation_initiation_source=source)

    assert (talk.direction, talk.agent_number, talk.external_number) == ("inbound", OURS, CALLER)
    assert (talk.channel, talk.call_sid) == ("twilio_sms", None), "so that nobody waits for its leg"


def test_a_text_message_without_a_number_of_ours_belongs_to_nobody() -> None:
    talk = read(phone_call=None, sms={"direction": "outbound", "sms_user_phone_number": CALLER})

    assert (talk.direction, talk.agent_number, talk.external_number) == ("outbound", None, CALLER)


@pytest.mark.parametrize("detail_of", ["conv_2", "CONV_1"])
def test_an_answer_about_another_conversation_is_a_failure_of_the_one_asked_for(
    server: ScriptedServer, elevenlabs: ElevenLabsClient, detail_of: str
) -> None:
    server.on(f"{LIST}/conv_1", Answer(body=detail(conversation_id=detail_of)))

    (failure,) = elevenlabs.conversations(["conv_1"])

    assert isinstance(failure, Failure)
    assert (failure.record_id, failure.is_gone) == ("conv_1", False)
    assert failure.error == "ElevenLabs answered with another conversation than the one that was asked for."
    with pytest.raises(MalformedRecordError, match="answered with another conversation"):
        elevenlabs.transcript("conv_1")


@pytest.mark.parametrize("seconds", [0, 1, 253_402_300_799, 10**12, int(NOW.timestamp()) + 3 * 86_400])
def test_a_conversation_of_another_age_is_a_failure_and_not_passed_over(
    server: ScriptedServer, elevenlabs: ElevenLabsClient, seconds: int
) -> None:
    server.on(LIST, page(listed(conversation_id="conv_bad", start_time_unix_secs=seconds), listed()))

    bad, good = elevenlabs.summaries_since(SINCE)

    assert isinstance(good, ConversationSummary)
    assert isinstance(bad, Failure)
    assert bad.record_id == "conv_bad"
    assert bad.error.startswith("ElevenLabs lists a conversation that cannot be read: its start, ")
    with pytest.raises(MalformedRecordError, match="cannot be read: its start, "):
        read(start_time_unix_secs=seconds)


def test_seconds_credits_and_tokens_with_a_fraction_are_rounded() -> None:
    usage = {"gpt-4o-mini": {"input": {"tokens": Decimal("10.6"), "price": "0.000000004"}}}

    talk = read(
        start_time_unix_secs=Decimal(f"{START}.25"),
        call_duration_secs=Decimal("75.6"),
        cost=Decimal("0.15"),
        charging=charged(llm_charge="172.7", llm_usage={"initiated_generation": {"model_usage": usage}}),
    )

    assert (talk.started_at, talk.duration, talk.credits, talk.llm_charge) == (SINCE, 76, 0, 173)
    assert talk.llm_usage == {"gpt-4o-mini": {"input": TokenUsage(tokens=11, price=Decimal(0))}}


def test_half_an_emoji_in_any_text_is_replaced() -> None:
    half = "a\ud83d\x00b"
    usage = {half: {half: tokens(10, "0.1")}}

    talk = parse_conversation(
        detail(
            agent_name=half,
            status=half,
            metadata=billed(
                termination_reason=half,
                conversation_initiation_source=half,
                phone_call=TWILIO_CALL | {"direction": half, "external_number": half},
                charging=charged(llm_usage={"initiated_generation": {"model_usage": usage}}),
            ),
        ),
        fetched_at=NOW,
    )

    texts = (talk.agent_name, talk.status, talk.termination_reason, talk.channel, talk.direction, talk.external_number)
    assert texts == ("a\ufffdb",) * 6
    assert list(talk.llm_usage) == ["a\ufffdb"]


@pytest.mark.parametrize("value", ["c\ud83d", "c\x00", "c\n", "c" * 10**6, 5, {"a": 1}])
def test_an_id_that_no_store_could_keep_is_a_failure_and_the_others_are_read(
    server: ScriptedServer, elevenlabs: ElevenLabsClient, value: object
) -> None:
    server.on(LIST, page(listed(), listed(conversation_id=value), listed(conversation_id="conv_3")))

    first, bad, last = elevenlabs.summaries_since(SINCE)

    assert isinstance(first, ConversationSummary)
    assert isinstance(last, ConversationSummary)
    assert isinstance(bad, Failure)
    assert bad.record_id == ""
    with pytest.raises(MalformedRecordError):
        read(phone_call=TWILIO_CALL | {"call_sid": value})


@pytest.mark.parametrize("status", ["initiated", "in-progress", "processing", "failed", "brand-new"])
def test_every_status_is_kept_as_it_is(status: str) -> None:
    assert parse_conversation(detail(status=status), fetched_at=NOW).status == status


def test_a_dial_that_failed_is_read() -> None:
    metadata = billed(call_duration_secs=0, error={"code": 404, "reason": None}, charging=charged())

    talk = parse_conversation(detail(status="failed", metadata=metadata), fetched_at=NOW)

    assert (talk.status, talk.duration) == ("failed", 0)


@pytest.mark.parametrize(
    "damaged",
    [
        detail(metadata=None),
        detail(metadata=[]),
        detail(status=None),
        detail(conversation_id=None),
        detail(metadata=billed(start_time_unix_secs=None)),
        detail(metadata=billed(start_time_unix_secs="soon")),
        detail(metadata=billed(start_time_unix_secs=10**15)),
        detail(metadata=billed(call_duration_secs=None)),
        detail(metadata=billed(call_duration_secs=-1)),
        detail(metadata=billed(cost="many")),
        detail(metadata=billed(cost=-5)),
        detail(metadata=billed(cost_fiat="NaN")),
        detail(metadata=billed(cost_fiat=10**12)),
        detail(metadata=billed(charging=[])),
        detail(metadata=billed(charging=charged(llm_usage=[]))),
        detail(metadata=billed(charging=charged(dev_discount="a lot"))),
        detail(metadata=billed(phone_call="+34600000009")),
        [],
        None,
        "conv_1",
    ],
)
def test_a_conversation_that_cannot_be_read_says_so_without_its_values(damaged: object) -> None:
    with pytest.raises(MalformedRecordError, match=r"^ElevenLabs sent a conversation that cannot be read: ") as caught:
        parse_conversation(damaged, fetched_at=NOW)

    assert CALLER not in str(caught.value)


def test_several_details_are_asked_at_once_up_to_the_limit(server: ScriptedServer) -> None:
    wanted = [f"conv_{n}" for n in range(16)]
    for number, name in enumerate(wanted):
        server.on(f"{LIST}/{name}", Answer(body=detail(conversation_id=name), delay=0.03 if number % 2 else 0.05))

    with ElevenLabsClient(KEY, base_url=server.url, limit=ConcurrencyLimit(most=8)) as client:
        talks = [talk for talk in client.conversations(wanted) if isinstance(talk, Conversation)]

    assert {talk.conversation_id for talk in talks} == set(wanted)
    assert 4 <= server.most_at_once <= 8


def test_a_conversation_that_is_gone_or_cannot_be_read_does_not_stop_the_others(
    server: ScriptedServer, elevenlabs: ElevenLabsClient
) -> None:
    server.on(f"{LIST}/c1", Answer(body=detail(conversation_id="c1")))
    server.on(f"{LIST}/c2", refusal(404, kind="not_found", code="conversation_not_found"))
    server.on(f"{LIST}/c3", Answer(body=detail(conversation_id="c3", metadata=None)))
    server.on(f"{LIST}/c4", Answer(body=detail(conversation_id="c4")))

    entries = list(elevenlabs.conversations(["c1", "c2", "c3", "c4"]))

    failures = {entry.record_id: entry for entry in entries if isinstance(entry, Failure)}
    assert {entry.conversation_id for entry in entries if isinstance(entry, Conversation)} == {"c1", "c4"}
    assert {name: failure.is_gone for name, failure in failures.items()} == {"c2": True, "c3": False}
    assert "metadata" in failures["c3"].error


def test_a_failure_of_the_whole_provider_is_no_failure_of_one_conversation(
    server: ScriptedServer, elevenlabs: ElevenLabsClient
) -> None:
    server.on(f"{LIST}/c1", Answer(status=503))
    server.on(f"{LIST}/c2", Answer(status=503))

    with pytest.raises(ProviderDownError):
        list(elevenlabs.conversations(["c1", "c2"]))


def test_an_id_cannot_lead_out_of_its_folder(server: ScriptedServer, elevenlabs: ElevenLabsClient) -> None:
    with pytest.raises(RejectedRequestError):
        elevenlabs.conversation("../agents?x=ñ#y")

    assert server.requests[0].path == f"{LIST}/..%2Fagents%3Fx%3D%C3%B1%23y"
    assert server.requests[0].query == ""


# Section 5 of providers/elevenlabs.md: read the code, then the status.
REFUSALS = [
    pytest.param(
        refusal(401, kind="authentication_error", code="unauthorized", legacy="invalid_api_key"),
        WrongCredentialsError,
        "ElevenLabs does not accept the key (401): check ELEVENLABS_API_KEY",
        id="401 bad key",
    ),
    pytest.param(
        refusal(401, kind="authentication_error", code="unauthorized", legacy="needs_authorization"),
        WrongCredentialsError,
        "ElevenLabs does not accept the key (401): check ELEVENLABS_API_KEY",
        id="401 no key",
    ),
    pytest.param(
        refusal(401, kind="authentication_error", code="unauthorized", legacy="missing_permissions"),
        MissingPermissionError,
        "The ElevenLabs key may not read conversations: give it the permission convai_read.",
        id="401 missing scope",
    ),
    pytest.param(
        Answer(status=403, body={"detail": "Forbidden"}),
        MissingPermissionError,
        "The ElevenLabs key may not read conversations: give it the permission convai_read.",
        id="403",
    ),
    pytest.param(
        refusal(401, legacy="quota_exceeded"),
        RejectedRequestError,
        "ElevenLabs refuses because the account's credits or payments have run out.",
        id="401 quota, older",
    ),
    pytest.param(
        refusal(402, code="payment_required"),
        RejectedRequestError,
        "ElevenLabs refuses because the account's credits or payments have run out.",
        id="402",
    ),
    pytest.param(
        refusal(400, code="invalid_page_size"),
        RejectedRequestError,
        "ElevenLabs refused the request (HTTP 400); check ELEVENLABS_BASE_URL and the account.",
        id="400",
    ),
    pytest.param(
        refusal(404, kind="not_found", code="conversation_not_found", legacy="conversation_history_not_found"),
        RecordNotFoundError,
        "ElevenLabs does not know this record (404): it was deleted, or is not there yet.",
        id="404",
    ),
    pytest.param(
        Answer(status=422, body={"detail": [{"loc": ["query", "page_size"], "msg": CALLER, "type": "int_parsing"}]}),
        RejectedRequestError,
        "ElevenLabs refused the request (HTTP 422); check ELEVENLABS_BASE_URL and the account.",
        id="422, a list",
    ),
    pytest.param(
        refusal(429, kind="rate_limit_error", code="concurrent_limit_exceeded"),
        RateLimitedError,
        "ElevenLabs allows no more requests at the moment (429); the next run goes on.",
        id="429",
    ),
    pytest.param(
        refusal(500, code="internal_error"),
        ProviderDownError,
        "ElevenLabs has a problem of its own (HTTP 500); it is tried again with the next run.",
        id="500",
    ),
    pytest.param(
        refusal(503, code="maintenance"),
        ProviderDownError,
        "ElevenLabs has a problem of its own (HTTP 503); it is tried again with the next run.",
        id="503",
    ),
    pytest.param(
        Answer(status=401, body="<html>401</html>", headers={"Content-Type": "text/html"}),
        RejectedRequestError,
        "Something in front of ElevenLabs (a firewall or Cloudflare) refuses this machine (401, text/html)",
        id="401, HTML",
    ),
    pytest.param(
        Answer(body="<html>Log in</html>", headers={"Content-Type": "text/html"}),
        UnexpectedAnswerError,
        "ElevenLabs answered with text/html instead of JSON; check that ELEVENLABS_BASE_URL is its API.",
        id="200, HTML",
    ),
]


@pytest.mark.parametrize(("answer", "kind", "sentence"), REFUSALS)
def test_a_refusal_says_what_to_do_and_nothing_of_the_body(
    server: ScriptedServer, elevenlabs: ElevenLabsClient, answer: Answer, kind: type[Exception], sentence: str
) -> None:
    server.on(LIST, answer)

    with pytest.raises(kind) as caught:
        list(elevenlabs.summaries_since(SINCE))

    assert type(caught.value) is kind
    assert str(caught.value).startswith(sentence)
    assert KEY not in str(caught.value)
    assert CALLER not in str(caught.value)


def test_agents_are_listed_over_all_pages(server: ScriptedServer, elevenlabs: ElevenLabsClient) -> None:
    server.on(
        AGENTS,
        Answer(body={"agents": [{"agent_id": "a1", "name": "Reception"}], "next_cursor": "n", "has_more": True}),
        Answer(body={"agents": [{"agent_id": "a2", "name": None}], "next_cursor": None, "has_more": False}),
    )

    agents = list(elevenlabs.agents())

    assert agents == [ListedAgent(agent_id="a1", name="Reception"), ListedAgent(agent_id="a2", name="")]
    assert asked(server) == [{"page_size": "100"}, {"page_size": "100", "cursor": "n"}]


@pytest.mark.parametrize(
    ("typed", "number"), [("34910000001", "+34910000001"), ("00 34 910 000 001", "+34910000001"), ("desk", "desk")]
)
def test_a_listed_number_of_a_trunk_is_the_one_that_its_conversations_have(
    server: ScriptedServer, elevenlabs: ElevenLabsClient, typed: str, number: str
) -> None:
    server.on("/v1/convai/phone-numbers", Answer(body=[{"phone_number": typed, "label": "Desk"}]))

    assert [each.phone_number for each in elevenlabs.phone_numbers()] == [number]


def test_phone_numbers_come_as_a_bare_list(server: ScriptedServer, elevenlabs: ElevenLabsClient) -> None:
    numbers = [
        {"phone_number": OURS, "label": "Main", "phone_number_id": "phnum_1", "provider": "twilio"},
        {"phone_number": CALLER, "label": "", "phone_number_id": "phnum_2", "provider": "sip_trunk"},
    ]
    server.on(NUMBERS, Answer(body=numbers))

    found = elevenlabs.phone_numbers()

    assert found == [ListedNumber(phone_number=OURS, label="Main"), ListedNumber(phone_number=CALLER)]


@pytest.mark.parametrize("body", ['{"phone_numbers": []}', "null", '[{"label": "no number"}]', "[7]"])
def test_numbers_that_cannot_be_read_are_an_error(
    server: ScriptedServer, elevenlabs: ElevenLabsClient, body: str
) -> None:
    server.on(NUMBERS, Answer(body=body))

    with pytest.raises(UnexpectedAnswerError, match="ElevenLabs"):
        elevenlabs.phone_numbers()
