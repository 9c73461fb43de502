"""The simulated providers misbehave when they are told to, in exactly the way they are told."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import perf_counter, sleep
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from demo.faults import Faults, parse_rates
from demo.fleet import Fleet
from demo.server import create_app, running

NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
CALLS = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json"
TALKS = "/v1/convai/conversations"


@pytest.fixture(scope="module")
def shared_faults() -> Faults:
    return Faults()


@pytest.fixture
def faults(shared_faults: Faults) -> Iterator[Faults]:
    yield shared_faults
    shared_faults.rates.clear()
    shared_faults.latency, shared_faults.max_concurrency = 0.0, 0


@pytest.fixture(scope="module")
def client(shared_faults: Faults) -> Iterator[httpx.Client]:
    app = create_app(Fleet(opened_at=NOW, days=1), faults=shared_faults, clock=lambda: NOW)
    with (
        running(app) as url,
        httpx.Client(
            base_url=url,
            auth=(ACCOUNT_SID, AUTH_TOKEN),
            headers={"xi-api-key": ELEVENLABS_API_KEY},
            trust_env=False,
            timeout=5,
        ) as client,
    ):
        yield client


@pytest.mark.parametrize("path", [CALLS, TALKS])
@pytest.mark.parametrize(("name", "status"), [("error500", 500), ("error503", 503), ("rate_limit", 429)])
def test_an_error_is_answered_once_in_the_providers_words(
    client: httpx.Client, faults: Faults, name: str, status: int, path: str
) -> None:
    faults.once(name)

    first, second = client.get(path), client.get(path)

    assert (first.status_code, second.status_code) == (status, 200)
    assert ("code" in first.json()) if path == CALLS else ("code" in first.json()["detail"])
    assert first.headers.get("Retry-After") == ("1" if status == 429 else None)


def test_a_page_for_people_comes_with_status_200(client: httpx.Client, faults: Faults) -> None:
    faults.once("html")

    answer = client.get(CALLS)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize("path", [CALLS, TALKS])
def test_a_cut_body_ends_before_its_declared_length(client: httpx.Client, faults: Faults, path: str) -> None:
    faults.once("cut_body")

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        client.get(path)
    assert client.get(path).status_code == 200


def test_a_hanging_answer_outlasts_the_clients_patience(client: httpx.Client, faults: Faults) -> None:
    faults.once("hang")

    with pytest.raises(httpx.ReadTimeout):
        client.get(CALLS, timeout=0.2)
    sleep(0.3)
    in_flight = client.get(CALLS).headers["Twilio-Concurrent-Requests"]

    assert in_flight == "1", "who has given up is not in flight any more"


def test_a_server_with_a_hanging_answer_still_stops_at_once(faults: Faults) -> None:
    own = Faults()
    own.once("hang")
    with running(create_app(Fleet(opened_at=NOW, days=1), faults=own, clock=lambda: NOW)) as url:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{url}{CALLS}", timeout=0.2, trust_env=False)
        begin = perf_counter()

    assert perf_counter() - begin < 2


def test_a_repeated_page_leads_to_itself(client: httpx.Client, faults: Faults) -> None:
    second = client.get(CALLS, params={"PageSize": 5}).json()["next_page_uri"]
    faults.once("repeat_page", times=2)

    calls = client.get(second).json()
    talks = client.get(TALKS, params={"page_size": 5}).json()
    again = client.get(TALKS, params={"page_size": 5, "cursor": talks["next_cursor"]}).json()

    assert parse_qs(urlsplit(calls["next_page_uri"]).query) == parse_qs(urlsplit(second).query)
    assert talks["has_more"] is True
    assert again["conversations"] == talks["conversations"]


def test_a_record_can_be_gone_while_lists_still_work(client: httpx.Client, faults: Faults) -> None:
    faults.once("not_found", on="/Calls/")
    faults.once("not_found", on=TALKS)

    sid = client.get(CALLS).json()["calls"][0]["uri"]
    talk = f"{TALKS}/{client.get(TALKS).json()['conversations'][0]['conversation_id']}"

    assert [client.get(sid).status_code, client.get(sid).status_code] == [404, 200]
    assert [client.get(talk).status_code, client.get(talk).status_code] == [404, 200]


@pytest.mark.parametrize(("path", "key"), [(CALLS, "calls"), (TALKS, "conversations")])
def test_exactly_one_record_of_a_malformed_page_differs(
    client: httpx.Client, faults: Faults, path: str, key: str
) -> None:
    whole = client.get(path).json()[key]
    faults.once("malformed")

    spoilt = client.get(path).json()[key]

    assert sum(record != original for record, original in zip(spoilt, whole, strict=True)) == 1


def test_a_malformed_detail_differs_in_one_field(client: httpx.Client, faults: Faults) -> None:
    talk = f"{TALKS}/{client.get(TALKS).json()['conversations'][-1]['conversation_id']}"
    whole = client.get(talk).json()
    faults.once("malformed")

    spoilt = client.get(talk).json()

    assert sum(whole[name] != spoilt.get(name) for name in whole) == 1


def test_more_requests_than_allowed_are_refused_at_once(client: httpx.Client, faults: Faults) -> None:
    faults.max_concurrency, faults.latency = 2, 0.3

    with ThreadPoolExecutor(6) as pool:
        calls = list(pool.map(lambda _: client.get(CALLS), range(6)))
    with ThreadPoolExecutor(6) as pool:
        talks = list(pool.map(lambda _: client.get(TALKS), range(6)))

    refused = [answer for answer in calls if answer.status_code == 429]
    assert len(refused) == 4
    assert {answer.json()["code"] for answer in refused} == {20429}
    assert all(int(answer.headers["Twilio-Concurrent-Requests"]) > 2 for answer in refused)
    assert "Retry-After" not in refused[0].headers
    details = [answer.json()["detail"] for answer in talks if answer.status_code == 429]
    assert len(details) == 4
    assert {(each["type"], each["code"], each["status"]) for each in details} == {
        ("rate_limit_error", "concurrent_limit_exceeded", "too_many_concurrent_requests")
    }


def test_the_limit_counts_each_provider_by_itself(client: httpx.Client, faults: Faults) -> None:
    faults.max_concurrency, faults.latency = 1, 0.2

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(client.get, [CALLS, TALKS]))

    assert [answer.status_code for answer in answers] == [200, 200]


def test_rates_hit_the_same_requests_for_the_same_seed() -> None:
    first, second, other = (Faults({"error500": 0.3, "not_found": 0.3}, seed=seed) for seed in (1, 1, 2))

    def drawn(faults: Faults) -> list[str | None]:
        return [faults.draw("detail", TALKS) for _ in range(50)]

    expected = drawn(first)
    assert drawn(second) == expected != drawn(other)
    assert set(expected) == {None, "error500", "not_found"}


def test_rates_can_change_while_the_server_runs(client: httpx.Client, faults: Faults) -> None:
    faults.rates["error503"] = 1.0
    broken = client.get(CALLS)
    faults.rates.clear()

    assert broken.status_code == 503
    assert client.get(CALLS).status_code == 200


def test_a_fault_only_meets_requests_it_makes_sense_for() -> None:
    faults = Faults({"repeat_page": 1.0})

    assert faults.draw("detail", TALKS) is None
    assert faults.draw("list", TALKS) == "repeat_page"


@pytest.mark.parametrize(("text", "sentence"), [("nonsense=1", "is no fault"), ("hang=often", "needs a share")])
def test_a_misspelt_fault_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_rates(text)
    with pytest.raises(ValueError, match="is no fault"):
        Faults().once("nonsense")


def test_rates_are_read_from_one_line() -> None:
    assert parse_rates("error500=0.01,hang=0.5") == {"error500": 0.01, "hang": 0.5}
