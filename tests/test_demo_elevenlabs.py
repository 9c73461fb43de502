"""The simulated ElevenLabs answers like the real one: shapes, cursors, filters, refusals, a conversation's life."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import simplejson

from demo.conversations import Conversation
from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from demo.fleet import LINES, Fleet
from demo.server import create_app, running
from demo.timeline import Timeline
from tests.openapi_shapes import assert_matches

NOW = datetime(2026, 11, 3, 21, 10, tzinfo=UTC)
FLEET = Fleet(opened_at=NOW, days=9)
LIST, AGENTS, NUMBERS = "/v1/convai/conversations", "/v1/convai/agents", "/v1/convai/phone-numbers"
CALLS = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls"


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
        httpx.Client(base_url=url, headers={"xi-api-key": ELEVENLABS_API_KEY}, trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def elevenlabs(server: httpx.Client, clock: Clock) -> httpx.Client:
    clock.now = NOW
    return server


@pytest.fixture(scope="module")
def every_detail(server: httpx.Client, clock: Clock) -> list[dict[str, Any]]:
    clock.now = NOW
    return [exact(server.get(f"{LIST}/{talk['conversation_id']}")) for talk in listed(server, page_size=100)]


def exact(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = simplejson.loads(answer.raise_for_status().text, use_decimal=True)
    return body


def listed(client: httpx.Client, path: str = LIST, key: str = "conversations", **query: Any) -> list[dict[str, Any]]:
    page = client.get(path, params=query).raise_for_status().json()
    found: list[dict[str, Any]] = page[key]
    while page["has_more"]:
        page = client.get(path, params=query | {"cursor": page["next_cursor"]}).raise_for_status().json()
        found += page[key]
    assert page["next_cursor"] is None
    return found


def talk_that(holds: Callable[[Conversation], bool]) -> Conversation:
    seconds = int(NOW.timestamp())
    return next(
        talk for talk in Timeline(FLEET).conversations((0, ""), (seconds, ""), newest_first=False) if holds(talk)
    )


def billed(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [detail["metadata"] for detail in details if detail["status"] == "done"]


def test_every_answer_has_the_documented_shape(elevenlabs: httpx.Client, every_detail: list[dict[str, Any]]) -> None:
    assert_matches("elevenlabs", LIST, elevenlabs.get(LIST, params={"page_size": 100}).json())
    assert_matches("elevenlabs", AGENTS, elevenlabs.get(AGENTS).json())
    assert_matches("elevenlabs", NUMBERS, elevenlabs.get(NUMBERS).json())
    for detail in every_detail[:300]:
        assert_matches("elevenlabs", f"{LIST}/{{conversation_id}}", simplejson.loads(simplejson.dumps(detail)))


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("size", [7, 100])
def test_paging_yields_every_conversation_exactly_once_in_order(
    elevenlabs: httpx.Client, size: int, direction: str
) -> None:
    found = listed(elevenlabs, page_size=size, sort_direction=direction)

    starts = [talk["start_time_unix_secs"] for talk in found]
    assert starts == sorted(starts, reverse=direction == "desc")
    assert len({talk["conversation_id"] for talk in found}) == len(found) > 700


def test_the_default_page_holds_thirty_newest_first(elevenlabs: httpx.Client) -> None:
    page = elevenlabs.get(LIST).json()

    assert len(page["conversations"]) == 30
    assert page["has_more"] is True
    assert page["conversations"] == listed(elevenlabs, page_size=100)[:30]


def test_start_bounds_are_inclusive_unix_seconds(elevenlabs: httpx.Client) -> None:
    starts = [talk["start_time_unix_secs"] for talk in listed(elevenlabs, page_size=100)]
    before, after = starts[50], starts[250]

    found = listed(elevenlabs, call_start_after_unix=after, call_start_before_unix=before)

    assert [talk["start_time_unix_secs"] for talk in found] == [start for start in starts if after <= start <= before]


def test_agent_and_excluded_statuses_filter(elevenlabs: httpx.Client) -> None:
    agent_id = elevenlabs.get(AGENTS).json()["agents"][2]["agent_id"]

    of_agent = listed(elevenlabs, agent_id=agent_id)
    unfinished = listed(elevenlabs, exclude_statuses=["done", "failed"])

    assert {talk["agent_id"] for talk in of_agent} == {agent_id}
    assert {talk["status"] for talk in unfinished} <= {"initiated", "in-progress", "processing"}
    assert unfinished


def test_the_list_and_the_detail_of_a_conversation_agree(
    elevenlabs: httpx.Client, every_detail: list[dict[str, Any]]
) -> None:
    for talk, detail in zip(listed(elevenlabs, page_size=100), every_detail, strict=True):
        metadata = detail["metadata"]
        assert (talk["conversation_id"], talk["status"]) == (detail["conversation_id"], detail["status"])
        assert talk["start_time_unix_secs"] == metadata["start_time_unix_secs"]
        assert talk["call_duration_secs"] == metadata["call_duration_secs"]
        assert talk["message_count"] == len(detail["transcript"])
        assert talk["cost"] == metadata["cost"]


@pytest.mark.parametrize(
    ("key", "legacy"), [(None, "needs_authorization"), ("wrong", "invalid_api_key"), ("", "invalid_api_key")]
)
def test_a_wrong_or_missing_key_is_refused(elevenlabs: httpx.Client, key: str | None, legacy: str) -> None:
    headers = {} if key is None else {"xi-api-key": key}

    answer = httpx.get(f"{elevenlabs.base_url}{LIST}", headers=headers, trust_env=False)

    assert answer.status_code == 401
    assert answer.json()["detail"]["type"] == "authentication_error"
    assert answer.json()["detail"]["status"] == legacy


@pytest.mark.parametrize("conversation_id", ["conv_" + "0" * 28, "conv_" + "f" * 8 + "0" * 20, "nonsense"])
def test_an_unknown_conversation_is_a_404(elevenlabs: httpx.Client, conversation_id: str) -> None:
    answer = elevenlabs.get(f"{LIST}/{conversation_id}")

    assert answer.status_code == 404
    assert answer.json()["detail"]["code"] == "conversation_not_found"
    assert answer.json()["detail"]["status"] == "conversation_history_not_found"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"page_size": 0}, "invalid_page_size"),
        ({"page_size": 101}, "invalid_page_size"),
        ({"cursor": "nonsense"}, "invalid_cursor"),
        ({"cursor": "Ã"}, "invalid_cursor"),
    ],
)
def test_bad_pages_are_refused_by_name(elevenlabs: httpx.Client, query: dict[str, Any], code: str) -> None:
    answer = elevenlabs.get(LIST, params=query)

    assert (answer.status_code, answer.json()["detail"]["code"]) == (400, code)


@pytest.mark.parametrize(
    "query",
    [
        {"page_size": "many"},
        {"call_start_after_unix": "2026-11-18"},
        {"sort_direction": "up"},
        {"exclude_statuses": "finished"},
    ],
)
def test_values_of_the_wrong_type_are_a_422_that_names_them(elevenlabs: httpx.Client, query: dict[str, str]) -> None:
    answer = elevenlabs.get(LIST, params=query)

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", *query]
    assert_matches("elevenlabs", LIST, answer.json(), status=422)


def test_costs_add_up_exactly(every_detail: list[dict[str, Any]]) -> None:
    for metadata in billed(every_detail):
        bill = metadata["charging"]
        initiated = bill["llm_usage"]["initiated_generation"]["model_usage"]
        prices = [part["price"] for parts in initiated.values() for part in parts.values()]
        assert metadata["cost"] == bill["llm_charge"] + bill["call_charge"]
        assert bill["llm_price"] == sum(prices)
        if metadata["cost_fiat"] is not None:
            items = bill["platform_usage"]["category_usage"].values()
            assert metadata["cost_fiat"] == bill["llm_price"] + bill["platform_price"]
            assert bill["platform_price"] == sum(item["price"] for item in items)
            assert bill["call_charge"] == bill["platform_charge"] == sum(item["credits"] for item in items)


def test_irreversible_generation_is_part_of_the_initiated_one(every_detail: list[dict[str, Any]]) -> None:
    smaller = 0
    for metadata in billed(every_detail):
        usage = metadata["charging"]["llm_usage"]
        initiated, irreversible = (usage[f"{kind}_generation"]["model_usage"] for kind in ("initiated", "irreversible"))
        assert initiated.keys() == irreversible.keys()
        for model, parts in irreversible.items():
            assert all(part["tokens"] <= initiated[model][name]["tokens"] for name, part in parts.items())
        smaller += initiated != irreversible
    assert smaller


def test_numbers_are_written_as_plain_literals(elevenlabs: httpx.Client, every_detail: list[dict[str, Any]]) -> None:
    for detail in every_detail[::5]:
        text = elevenlabs.get(f"{LIST}/{detail['conversation_id']}").text
        numbers = simplejson.loads(text, parse_float=str, use_decimal=False)["metadata"]["charging"]
        assert "E" not in str(list(_leaves(numbers)))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, str) and value[0].isdecimal():
        yield value


def test_the_fleet_shows_every_kind_of_bill(every_detail: list[dict[str, Any]]) -> None:
    metadata = billed(every_detail)
    bills = [each["charging"] for each in metadata]

    models = {model for bill in bills for model in bill["llm_usage"]["initiated_generation"]["model_usage"]}
    categories = {name for bill in bills for name in bill.get("platform_usage", {}).get("category_usage", {})}
    assert models == {"gpt-4o-mini", "gemini-2.5-flash", "claude-sonnet-4-5", "custom-llm"}
    assert categories == {"voice", "silence", "burst", "text_message"}
    assert any(bill["is_burst"] for bill in bills)
    assert any(bill["dev_discount"] for bill in bills)
    assert 0 < sum(each["cost_fiat"] is None for each in metadata) < 0.05 * len(metadata)
    assert any(each["phone_call"] is None and each["whatsapp"] for each in metadata)
    assert any(each["phone_call"] is None and not each["whatsapp"] for each in metadata)


def test_the_plan_absorbs_the_first_days_of_each_month(every_detail: list[dict[str, Any]]) -> None:
    for metadata in billed(every_detail):
        day = datetime.fromtimestamp(metadata["start_time_unix_secs"], UTC).day
        free = metadata["charging"]["free_llm_dollars_consumed"]
        assert free == (metadata["charging"]["llm_price"] if day <= 3 else 0)
        assert (metadata["charging"]["free_minutes_consumed"] > 0) == (day <= 3 and not metadata["text_only"])


def test_a_conversation_on_the_phone_names_a_call_that_twilio_knows(
    elevenlabs: httpx.Client, every_detail: list[dict[str, Any]]
) -> None:
    every_call = [detail["metadata"]["phone_call"] for detail in every_detail if detail["metadata"]["phone_call"]]
    phone_calls = [phone_call for phone_call in every_call if phone_call["type"] == "twilio"]
    lines = {line.number for line in LINES}

    for phone_call in phone_calls[:200]:
        path = f"{CALLS}/{phone_call['call_sid']}.json"
        call = elevenlabs.get(path, auth=(ACCOUNT_SID, AUTH_TOKEN)).raise_for_status().json()
        ours, theirs = ("to", "from") if phone_call["direction"] == "inbound" else ("from", "to")
        assert call[ours] == phone_call["agent_number"]
        assert call[theirs] == phone_call["external_number"]
        assert phone_call["agent_number"] in lines
    assert len(phone_calls) > 0.85 * len(every_detail)


def test_numbers_of_a_trunk_come_as_somebody_typed_them_and_those_of_text_messages_apart(
    every_detail: list[dict[str, Any]],
) -> None:
    metadata = [detail["metadata"] for detail in every_detail]
    typed = [each["phone_call"] for each in metadata if (each["phone_call"] or {}).get("type") == "sip_trunking"]
    texted = [each for each in metadata if each["sms"]]

    assert typed
    assert not {each["agent_number"] for each in typed} & {line.number for line in LINES}
    assert all(each["call_sid"].startswith("SCL_") for each in typed)
    assert texted
    assert all(each["phone_call"] is None and each["text_only"] for each in texted)
    assert {each["conversation_initiation_source"] for each in texted} == {"twilio_sms"}
    assert {each["sms"]["agent_phone_number"] for each in texted} <= {line.number for line in LINES}
    assert len(typed) + len(texted) < 0.05 * len(metadata), "in moderation"


def test_charges_are_null_until_the_conversation_is_analysed(elevenlabs: httpx.Client, clock: Clock) -> None:
    talk = talk_that(lambda talk: talk.leg is not None and not talk.error and talk.ended - talk.started > 60)
    statuses = []

    for moment in (talk.started, talk.started + 30, talk.ended, talk.analysed - 1):
        clock.set(moment)
        detail = elevenlabs.get(f"{LIST}/{talk.conversation_id}").json()
        statuses.append(detail["status"])
        assert detail["metadata"]["cost"] is detail["metadata"]["cost_fiat"] is None
        assert detail["metadata"]["charging"]["llm_price"] is detail["metadata"]["charging"]["call_charge"] is None
        assert detail["analysis"] is None
        assert_matches("elevenlabs", f"{LIST}/{{conversation_id}}", detail)
    clock.set(talk.analysed)
    final = elevenlabs.get(f"{LIST}/{talk.conversation_id}").json()

    assert statuses == ["initiated", "in-progress", "processing", "processing"]
    assert final["status"] == "done"
    assert final["metadata"]["cost"] > 0


def test_a_conversation_that_never_connected_failed_without_words_or_cost(every_detail: list[dict[str, Any]]) -> None:
    found = [detail for detail in every_detail if detail["status"] == "failed" and not detail["transcript"]]

    for detail in found:
        metadata = detail["metadata"]
        assert (metadata["call_duration_secs"], metadata["cost"], metadata["cost_fiat"]) == (0, 0, 0)
        assert metadata["error"]["code"] == 404
        assert detail["analysis"] is None
    assert found


def test_transcripts_are_short_and_take_turns(every_detail: list[dict[str, Any]]) -> None:
    for detail in every_detail:
        if detail["status"] == "done":
            roles = [turn["role"] for turn in detail["transcript"]]
            assert 4 <= len(roles) <= 10
            assert roles == [("agent", "user")[place % 2] for place in range(len(roles))]


def test_agents_are_listed_in_pages_and_numbers_all_at_once(elevenlabs: httpx.Client) -> None:
    agents = listed(elevenlabs, AGENTS, "agents", page_size=4)
    numbers = elevenlabs.get(NUMBERS).json()

    assert len({agent["agent_id"] for agent in agents}) == len(agents) == 15
    assert [number["phone_number"] for number in numbers] == [line.number for line in LINES]


def test_a_conversation_may_outlast_the_hour_it_began_in() -> None:
    talk = talk_that(lambda talk: talk.ended - talk.started > timedelta(hours=3).total_seconds())

    assert talk.source == "whatsapp"
    assert talk.status_at(talk.started + 3600) == "in-progress"
