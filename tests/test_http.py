"""JSON over HTTP: what is tried again and for how long, what fails at once, and that no digit of a price is lost."""

import resource
import socket
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from threading import Event, Thread, Timer
from time import perf_counter
from typing import Any

import pytest

from sync.elevenlabs import ElevenLabsClient
from sync.errors import (
    ProviderDownError,
    ProviderError,
    RateLimitedError,
    RecordNotFoundError,
    RejectedRequestError,
    TransientError,
    UnexpectedAnswerError,
)
from sync.http import LARGEST_BODY, JsonClient, RetryPolicy, retry_after
from sync.twilio import TwilioClient
from tests.scripted_server import CLOSED, Answer, ScriptedServer

NOW = datetime(2026, 11, 18, 16, 20, tzinfo=UTC)
KEY, PRIVATE = "key-2f7d91", "+34600111222"
FINE = Answer(body={"is": "fine"})
QUICK = RetryPolicy(
    budget=timedelta(seconds=3), first_pause=timedelta(milliseconds=5), longest_pause=timedelta(milliseconds=10)
)
BRIEF = RetryPolicy(budget=timedelta(seconds=0.4), first_pause=QUICK.first_pause, longest_pause=QUICK.longest_pause)
GROWING = RetryPolicy(budget=timedelta(seconds=2), first_pause=timedelta(seconds=0.1))
IMPATIENT = timedelta(seconds=0.15)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@contextmanager
def client_of(server: ScriptedServer, **changes: Any) -> Iterator[JsonClient]:
    with client_at(server.url, **changes) as client:
        yield client


@contextmanager
def client_at(url: str, **changes: Any) -> Iterator[JsonClient]:
    plain: dict[str, Any] = {"explain": lambda _: None, "setting": "ACME_BASE_URL", "headers": {"xi-api-key": KEY}}
    client = JsonClient("Acme", url, **plain | {"retries": QUICK} | changes)
    try:
        yield client
    finally:
        client.close()


@pytest.mark.parametrize("text", ["0.00041565", "0.1", "0.123456789012", "-0.38930", "12345678.00000001", "0.0"])
def test_a_price_arrives_with_every_digit_it_was_sent_with(server: ScriptedServer, text: str) -> None:
    server.on("/bill", Answer(body=f'{{"price": {text}}}'))

    with client_of(server) as client:
        bill = client.get("/bill")

    assert isinstance(bill["price"], Decimal)
    assert str(bill["price"]) == text


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(Answer(status=429), id="429"),
        pytest.param(Answer(status=500), id="500"),
        pytest.param(Answer(status=502, body="<h1>Bad Gateway</h1>"), id="502"),
        pytest.param(Answer(status=503), id="503"),
        pytest.param(Answer(status=504), id="504"),
        pytest.param(Answer(status=408), id="408"),
        pytest.param(Answer(body={"is": "fine"}, delay=0.4), id="no answer in time"),
        pytest.param(Answer(body={"is": "cut off"}, cut=True), id="cut body"),
        pytest.param(Answer(status=CLOSED), id="closed without a word"),
        pytest.param(Answer(body=b"no gzip", headers={"Content-Encoding": "gzip"}), id="broken compression"),
    ],
)
def test_what_may_pass_is_tried_again_until_it_has_passed(server: ScriptedServer, first: Answer) -> None:
    server.on("/calls", first, first, FINE)

    with client_of(server, timeout=IMPATIENT) as client:
        answer = client.get("/calls")

    assert answer == {"is": "fine"}
    assert len(server.requests) >= 3  # a connection that the server has closed meanwhile is replaced without a word


def test_a_refused_connection_is_tried_again_until_the_server_is_up() -> None:
    server = ScriptedServer()
    server.on("/calls", FINE)
    up_later = Timer(0.2, server.__enter__)
    up_later.start()

    with client_of(server) as client:
        answer = client.get("/calls")

    up_later.join()
    server.__exit__()
    assert answer == {"is": "fine"}


def test_a_refused_connection_says_to_check_the_network_and_the_address() -> None:
    nobody = ScriptedServer()

    with client_of(nobody, retries=BRIEF) as client, pytest.raises(ProviderDownError) as caught:
        client.get("/calls")

    nobody.close()
    assert str(caught.value) == "Acme cannot be reached; check the network and ACME_BASE_URL."


def test_a_name_that_does_not_exist_says_to_check_the_network_and_the_address() -> None:
    client = JsonClient(
        "Acme", "https://api.acme.invalid", explain=lambda _: None, setting="ACME_BASE_URL", headers={}, retries=BRIEF
    )

    with pytest.raises(ProviderDownError, match=r"check the network and ACME_BASE_URL"):
        client.get("/calls")
    client.close()


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (Answer(status=503), ProviderDownError, "Acme has a problem of its own (HTTP 503)"),
        (Answer(status=429), RateLimitedError, "Acme allows no more requests at the moment (429)"),
        (Answer(delay=0.4), ProviderDownError, "Acme did not answer in time"),
        (Answer(body={"is": "cut"}, cut=True), ProviderDownError, "Acme cannot be reached"),
    ],
)
def test_what_does_not_pass_is_given_up_when_the_time_budget_is_spent(
    server: ScriptedServer, answer: Answer, kind: type[TransientError], sentence: str
) -> None:
    server.on("/calls", answer)
    begin = perf_counter()

    with client_of(server, retries=BRIEF, timeout=timedelta(seconds=0.05)) as client, pytest.raises(kind) as caught:
        client.get("/calls")

    assert str(caught.value).startswith(sentence)
    assert len(server.requests) > 1
    assert perf_counter() - begin < 10, "the budget is less than a second"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("pause", ["0", " 0 ", "Wed, 10 Jun 2020 10:41:03 GMT"])
def test_a_pause_that_the_provider_names_never_makes_our_own_shorter(
    server: ScriptedServer, status: int, pause: str
) -> None:
    """A provider that says 0, or has another clock than we, would else be asked hundreds of times a second."""
    server.on("/calls", Answer(status=status, headers={"Retry-After": pause}))
    begin = perf_counter()

    with client_of(server, retries=GROWING) as client, pytest.raises(TransientError):
        client.get("/calls")

    assert perf_counter() - begin < 5
    assert len(server.requests) <= 6, "after 0.1, 0.2, 0.4 and 0.8 seconds the budget of 2 seconds is used up"


def test_a_pause_that_the_provider_names_is_kept(server: ScriptedServer) -> None:
    server.on("/calls", Answer(status=429, headers={"Retry-After": "1"}), FINE)
    begin = perf_counter()

    with client_of(server) as client:
        client.get("/calls")

    assert perf_counter() - begin >= 1


@pytest.mark.parametrize("pause", ["3600", "99999999999999999999999", "Wed, 10 Jun 2099 10:41:03 GMT"])
def test_a_pause_longer_than_the_time_budget_gives_up_at_once(server: ScriptedServer, pause: str) -> None:
    server.on("/calls", Answer(status=429, headers={"Retry-After": pause}), FINE)

    with client_of(server) as client, pytest.raises(RateLimitedError):
        client.get("/calls")

    assert len(server.requests) == 1


@pytest.mark.parametrize("pause", ["soon", "-5", "1.5", "\xb2", "", "Wed, 10 Jun 99999999999 10:41:03 GMT"])
def test_a_pause_that_cannot_be_read_leaves_our_own(server: ScriptedServer, pause: str) -> None:
    server.on("/calls", Answer(status=503, headers={"Retry-After": pause}), FINE)

    with client_of(server) as client:
        answer = client.get("/calls")

    assert answer == {"is": "fine"}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90), (None, None), ("soon", None)],
)
def test_a_pause_is_given_in_seconds_or_as_a_date(header: str | None, seconds: int | None) -> None:
    pause = retry_after(header, now=lambda: NOW)

    assert pause == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 301, 204])
def test_a_refusal_fails_at_once(server: ScriptedServer, status: int) -> None:
    server.on("/calls", Answer(status=status, body="" if status == 204 else {"message": "no"}), FINE)

    with client_of(server) as client, pytest.raises(RejectedRequestError, match=rf"\b{status}\b.* ACME_BASE_URL"):
        client.get("/calls")

    assert len(server.requests) == 1


def test_a_refusal_that_the_provider_explains_is_told_in_those_words(server: ScriptedServer) -> None:
    server.on("/calls", Answer(status=404))

    with (
        client_of(server, explain=lambda answer: RecordNotFoundError(f"gone ({answer.status})")) as client,
        pytest.raises(RecordNotFoundError, match=r"^gone \(404\)$"),
    ):
        client.get("/calls")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<!doctype html><title>Log in</title>", "text/html; charset=utf-8"),
        ("", "text/plain"),
        ('{"calls": [', "application/json"),
        (b'{"name": "\xff"}', "application/json"),
    ],
)
def test_an_answer_that_is_no_json_says_which_setting_to_check(
    server: ScriptedServer, body: str | bytes, kind: str
) -> None:
    server.on("/calls", Answer(body=body, headers={"Content-Type": kind}), FINE)

    with client_of(server) as client, pytest.raises(UnexpectedAnswerError) as caught:
        client.get("/calls")

    name = kind.split(";")[0]
    what = "JSON that cannot be read" if name == "application/json" else f"{name} instead of JSON"
    assert str(caught.value) == f"Acme answered with {what}; check that ACME_BASE_URL is its API."
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=401, body={"message": f"{KEY} of {PRIVATE}"}),
        Answer(status=500, body={"message": f"{KEY} of {PRIVATE}"}),
        Answer(status=429, body=f"{KEY} of {PRIVATE}"),
        Answer(body=f"<p>{KEY} of {PRIVATE}"),
        Answer(body=f"{KEY} of {PRIVATE}", cut=True),
        Answer(body=f"{KEY} of {PRIVATE}", delay=0.4),
    ],
)
def test_no_error_repeats_the_key_the_address_or_the_body(server: ScriptedServer, answer: Answer) -> None:
    server.on("/calls", answer)

    with (
        client_of(server, retries=BRIEF, timeout=timedelta(seconds=0.05)) as client,
        pytest.raises(ProviderError) as caught,
    ):
        client.get("/calls", {"To": PRIVATE})

    words = f"{caught.value} {caught.value!r}"
    assert KEY not in words
    assert PRIVATE not in words
    assert "127.0.0.1" not in words


def test_the_key_does_not_follow_a_redirect(server: ScriptedServer) -> None:
    with ScriptedServer() as stranger:
        server.on("/calls", Answer(status=302, headers={"Location": f"{stranger.url}/calls"}))

        with client_of(server) as client, pytest.raises(RejectedRequestError):
            client.get("/calls")

        assert stranger.requests == []


def test_a_path_keeps_its_own_query_when_no_parameters_are_given(server: ScriptedServer) -> None:
    server.on("/calls", FINE)

    with client_of(server) as client:
        client.get("/calls?StartTime%3E=2026-11-18&PageToken=PA%2B1")
        client.get("/calls?Page=2", {})

    assert [request.query for request in server.requests] == ["StartTime%3E=2026-11-18&PageToken=PA%2B1", "Page=2"]


def test_parameters_are_encoded_and_a_list_repeats_its_name(server: ScriptedServer) -> None:
    server.on("/calls", FINE)

    with client_of(server) as client:
        client.get("/calls", {"To": "+34600", "Status": ["queued", "ringing"], "PageSize": 1000})

    assert server.requests[0].query == "To=%2B34600&Status=queued&Status=ringing&PageSize=1000"


def test_a_proxy_is_not_asked_for_a_server_on_this_machine(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    server.on("/calls", FINE)

    with client_of(server) as client:
        answer = client.get("/calls")

    assert answer == {"is": "fine"}


def test_many_threads_may_share_a_client(server: ScriptedServer) -> None:
    server.on("/calls", Answer(body={"is": "fine"}, delay=0.05))

    with client_of(server) as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.get("/calls"), range(32)))

    assert answers == [{"is": "fine"}] * 32
    assert server.most_at_once > 4


NESTED = b"[" * 100_000 + b"]" * 100_000
OBJECTS = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


@pytest.mark.parametrize("body", [NESTED, OBJECTS, b'{"calls": ' + NESTED + b"}"])
def test_an_answer_that_is_nested_without_end_is_like_any_other_that_is_no_json(
    server: ScriptedServer, body: bytes
) -> None:
    server.on("/calls", Answer(body=body), FINE)

    with client_of(server) as client:
        with pytest.raises(UnexpectedAnswerError):
            client.get("/calls")
        assert client.get("/calls") == {"is": "fine"}, "the next request is none the worse"


def test_a_refusal_that_is_nested_without_end_is_still_a_refusal(server: ScriptedServer) -> None:
    server.on("/2010-04-01/Accounts/AC1/Calls.json", Answer(status=422, body=NESTED))
    server.on("/v1/convai/conversations", Answer(status=422, body=NESTED))

    with (
        TwilioClient("AC1", ("AC1", "x"), base_url=server.url, retries=QUICK) as twilio,
        ElevenLabsClient("key", base_url=server.url, retries=QUICK) as elevenlabs,
    ):
        for client in (twilio, elevenlabs):
            with pytest.raises(RejectedRequestError):
                client.server_time()


def test_a_body_of_a_page_may_be_large_but_not_without_bound(server: ScriptedServer) -> None:
    page = b'["' + b"x" * (LARGEST_BODY - 4) + b'"]'
    server.on("/calls", Answer(body=page), Answer(body=page + b" "), FINE)

    with client_of(server) as client:
        assert len(client.get("/calls")[0]) == LARGEST_BODY - 4
        with pytest.raises(UnexpectedAnswerError, match="more than 64 MB; check that ACME_BASE_URL is its API"):
            client.get("/calls")
        assert client.get("/calls") == {"is": "fine"}


def test_a_small_body_that_unpacks_to_a_gigabyte_is_dropped_on_the_way(server: ScriptedServer) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(b" " * 10**7) for _ in range(100)) + packer.flush()
    server.on("/calls", Answer(body=packed, headers={"Content-Encoding": "gzip"}), FINE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with client_of(server) as client:
        with pytest.raises(UnexpectedAnswerError, match="more than 64 MB"):
            client.get("/calls")
        assert client.get("/calls") == {"is": "fine"}

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024, "kilobytes"


@contextmanager
def pouring(piece: bytes, pause: float) -> Iterator[str]:
    """Give the address of a server whose only answer has no end."""
    is_over = Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def pour() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while not is_over.wait(pause):
                    connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))

        pourer = Thread(target=pour)
        pourer.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        is_over.set()
        pourer.join()


def test_a_body_without_end_ends() -> None:
    with (
        pouring(b" " * 65_536, pause=0) as url,
        client_at(url) as client,
        pytest.raises(UnexpectedAnswerError, match="more than 64 MB"),
    ):
        client.get("/calls")


def test_a_body_that_drips_is_given_up_after_the_time_out() -> None:
    once = RetryPolicy(budget=timedelta(seconds=0.01))
    begin = perf_counter()

    with (
        pouring(b" ", pause=0.02) as url,
        client_at(url, retries=once, timeout=IMPATIENT) as client,
        pytest.raises(ProviderDownError, match="did not answer in time"),
    ):
        client.get("/calls")

    assert perf_counter() - begin < 5


def test_a_number_of_thousands_of_digits_is_read_and_judged_by_its_field(server: ScriptedServer) -> None:
    server.on("/calls", Answer(body=f'{{"price": {"9" * 5000}, "sid": "CA1"}}'))

    with client_of(server) as client:
        assert client.get("/calls") == {"price": Decimal("9" * 5000), "sid": "CA1"}
