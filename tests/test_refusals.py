"""Who says no, and what to do about it: the provider in its own words, or somebody who answers in its place."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from sync.elevenlabs import ElevenLabsClient
from sync.errors import (
    MissingPermissionError,
    ProviderError,
    RecordNotFoundError,
    RejectedRequestError,
    UnexpectedAnswerError,
    WrongCredentialsError,
)
from sync.http import RetryPolicy
from sync.kinds_of_keys import kind_of_key
from sync.twilio import TwilioClient
from tests.answer_shapes import HTML, every_answer
from tests.scripted_server import Answer, ScriptedServer

ACCOUNT, PRIVATE = "AC" + "0" * 32, "+34600111222"
ONCE = RetryPolicy(budget=timedelta(milliseconds=1), first_pause=timedelta(milliseconds=1))
CALLS = f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
CALL = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/CA1.json"
TALKS, TALK = "/v1/convai/conversations", "/v1/convai/conversations/c1"
JSON, PAGE = "application/json", "text/html; charset=UTF-8"

Case = tuple[int, str, object, type[ProviderError], str]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def twilio(server: ScriptedServer, *, token: str = "token") -> TwilioClient:
    return TwilioClient(ACCOUNT, (ACCOUNT, token), base_url=server.url, retries=ONCE)


def elevenlabs(server: ScriptedServer, *, key: str = "key") -> ElevenLabsClient:
    return ElevenLabsClient(key, base_url=server.url, retries=ONCE)


def refused(status: int, kind: str, body: object) -> Answer:
    return Answer(status=status, headers={"Content-Type": kind}, body=body)


def twilio_says(status: int, code: int) -> dict[str, Any]:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return {"code": code, "message": f"No {PRIVATE}", "more_info": more, "status": status}


def elevenlabs_says(word: str, **others: str) -> dict[str, Any]:
    return {"detail": {"status": word, "message": f"No {PRIVATE}", **others}}


def in_front(name: str, setting: str) -> list[Case]:
    """Return what nobody in front of a provider is mistaken for the provider with."""
    refuses = (
        f"Something in front of {name} (a firewall or Cloudflare) refuses this machine ({{}}); allow it there, or "
        f"check {setting}."
    )
    not_here = f"The API of {name} is not there ({{}}); correct the address in {setting}."
    asks = (
        f"A proxy between this machine and {name} asks for a login ({{}}); put user and password into HTTPS_PROXY, "
        "such as http://USER:PASSWORD@proxy.example.com:8080."
    )
    leads = (
        f"Something in front of {name} leads to another address ({{}}), such as the login page of a proxy; let this "
        f"machine through to {name}, or check {setting}."
    )
    no_json = f"{name} answered with {{}}; check that {setting} is its API."
    other = f"{name} refused the request (HTTP {{}}); check {setting} and the account."
    return [
        (401, PAGE, HTML, RejectedRequestError, refuses.format("401, text/html")),
        (402, PAGE, HTML, RejectedRequestError, refuses.format("402, text/html")),
        (403, PAGE, HTML, RejectedRequestError, refuses.format("403, text/html")),
        (403, "text/plain", "error code: 1010", RejectedRequestError, refuses.format("403, text/plain")),
        (403, JSON, {"message": "Forbidden"}, RejectedRequestError, refuses.format("403, application/json")),
        (401, JSON, {"error": {"code": 401}}, RejectedRequestError, refuses.format("401, application/json")),
        (403, "", "", RejectedRequestError, refuses.format("403, no content type")),
        (403, f"{PRIVATE} <b>", "", RejectedRequestError, refuses.format("403, no content type")),
        (451, PAGE, HTML, RejectedRequestError, refuses.format("451, text/html")),
        (404, PAGE, HTML, RejectedRequestError, not_here.format("404, text/html")),
        (404, JSON, {"error": "no such route"}, RejectedRequestError, not_here.format("404, application/json")),
        (404, JSON, {"detail": "Not Found"}, RejectedRequestError, not_here.format("404, application/json")),
        (405, PAGE, HTML, RejectedRequestError, not_here.format("405, text/html")),
        (407, PAGE, HTML, RejectedRequestError, asks.format("407")),
        (511, PAGE, HTML, RejectedRequestError, asks.format("511")),
        (302, PAGE, HTML, RejectedRequestError, leads.format("302")),
        (307, "", "", RejectedRequestError, leads.format("307")),
        (200, PAGE, HTML, UnexpectedAnswerError, no_json.format("text/html instead of JSON")),
        (200, JSON, "[" * 100_000, UnexpectedAnswerError, no_json.format("JSON that cannot be read")),
        (409, PAGE, HTML, RejectedRequestError, other.format("409")),
    ]


NO_CALLS = "Twilio's answer has no list of calls; check that TWILIO_BASE_URL is its API."
NOT_ACTIVE = (
    "The Twilio account is suspended or closed ({}): its console says why, and the next run goes on when it is active "
    "again."
)
TWILIO: list[Case] = [
    (
        401,
        JSON,
        twilio_says(401, 20003),
        WrongCredentialsError,
        "Twilio does not accept the credentials (401): check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or that the "
        "API key may read calls, and that the account is not suspended.",
    ),
    (
        403,
        JSON,
        twilio_says(403, 20403),
        MissingPermissionError,
        "The Twilio key may not read calls (403): allow it Voice, read.",
    ),
    *(
        (
            status,
            JSON,
            twilio_says(status, 20008),
            WrongCredentialsError,
            "These are Twilio's test credentials (20008), which have no calls: put the live ones of its console into "
            "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.",
        )
        for status in (401, 403)
    ),
    (403, JSON, twilio_says(403, 20005), RejectedRequestError, NOT_ACTIVE.format("20005")),
    (401, JSON, twilio_says(401, 20005), RejectedRequestError, NOT_ACTIVE.format("20005")),
    (403, JSON, twilio_says(403, 10001), RejectedRequestError, NOT_ACTIVE.format("10001")),
    (
        404,
        JSON,
        twilio_says(404, 20404),
        RecordNotFoundError,
        "Twilio does not know this record (404): it was deleted, or TWILIO_ACCOUNT_SID is another account.",
    ),
    (
        400,
        JSON,
        twilio_says(400, 20004),
        RejectedRequestError,
        "Twilio no longer has calls from that long ago (20004): choose a later start for the historical sync.",
    ),
    (
        400,
        JSON,
        twilio_says(400, 21481),
        RejectedRequestError,
        "Twilio refused the request (HTTP 400, code 21481); twilio.com/docs/errors/21481 says why.",
    ),
    *((200, JSON, body, UnexpectedAnswerError, NO_CALLS) for body in ("{}", "[]", "7", "null", '"ok"')),
    *in_front("Twilio", "TWILIO_BASE_URL"),
]

USED_UP = "ElevenLabs refuses because the account's credits or payments have run out."
MAY_NOT = "The ElevenLabs key may not read conversations: give it the permission convai_read."
NOT_ACCEPTED = (
    "ElevenLabs does not accept the key (401): check ELEVENLABS_API_KEY; a key of a residency region works only with "
    "that region's ELEVENLABS_BASE_URL."
)
BLOCKED = (
    "ElevenLabs has blocked this free account for unusual activity, such as a VPN or several free accounts: a paid "
    "plan lifts that."
)
NOT_A_LIST = "ElevenLabs' answer is not the documented list; check that ELEVENLABS_BASE_URL is its API."
ELEVENLABS: list[Case] = [
    (401, JSON, elevenlabs_says("invalid_api_key"), WrongCredentialsError, NOT_ACCEPTED),
    (401, JSON, elevenlabs_says("", code="unauthorized"), WrongCredentialsError, NOT_ACCEPTED),
    (401, JSON, elevenlabs_says("detected_unusual_activity"), RejectedRequestError, BLOCKED),
    (403, JSON, elevenlabs_says("", code="detected_unusual_activity"), RejectedRequestError, BLOCKED),
    (401, JSON, elevenlabs_says("missing_permissions"), MissingPermissionError, MAY_NOT),
    (403, JSON, {"detail": "Forbidden"}, MissingPermissionError, MAY_NOT),
    (401, JSON, elevenlabs_says("quota_exceeded"), RejectedRequestError, USED_UP),
    (402, JSON, elevenlabs_says("", code="payment_required"), RejectedRequestError, USED_UP),
    (
        403,
        JSON,
        elevenlabs_says("subscription_required"),
        RejectedRequestError,
        "ElevenLabs refuses because the account's plan does not include this: choose a plan that has agents.",
    ),
    (
        404,
        JSON,
        elevenlabs_says("conversation_not_found"),
        RecordNotFoundError,
        "ElevenLabs does not know this record (404): it was deleted, or is not there yet.",
    ),
    (
        422,
        JSON,
        {"detail": [{"loc": ["query"], "msg": PRIVATE, "type": "int_parsing"}]},
        RejectedRequestError,
        "ElevenLabs refused the request (HTTP 422); check ELEVENLABS_BASE_URL and the account.",
    ),
    *((200, JSON, body, UnexpectedAnswerError, NOT_A_LIST) for body in ("{}", "[]", "7", "null", '"ok"')),
    *in_front("ElevenLabs", "ELEVENLABS_BASE_URL"),
]


@pytest.mark.parametrize(("status", "kind", "body", "error", "sentence"), TWILIO)
def test_who_answers_for_twilio_is_told_apart(
    server: ScriptedServer, status: int, kind: str, body: object, error: type[ProviderError], sentence: str
) -> None:
    server.on(CALLS, refused(status, kind, body))

    with twilio(server) as client, pytest.raises(ProviderError) as caught:
        client.server_time()

    assert (type(caught.value), str(caught.value)) == (error, sentence)
    assert len(server.requests) == 1, "nothing of this is better a second later"


@pytest.mark.parametrize(("status", "kind", "body", "error", "sentence"), ELEVENLABS)
def test_who_answers_for_elevenlabs_is_told_apart(
    server: ScriptedServer, status: int, kind: str, body: object, error: type[ProviderError], sentence: str
) -> None:
    server.on(TALKS, refused(status, kind, body))

    with elevenlabs(server) as client, pytest.raises(ProviderError) as caught:
        client.server_time()

    assert (type(caught.value), str(caught.value)) == (error, sentence)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "kind", "body"), list(every_answer()))
def test_any_answer_is_records_or_one_sentence(
    server: ScriptedServer, status: int, kind: str, body: str | bytes
) -> None:
    for path in (CALLS, CALL, TALKS, TALK):
        server.on(path, refused(status, kind, b"" if status == 204 else body))

    with twilio(server) as calls, elevenlabs(server) as talks:
        for ask in (
            calls.server_time,
            lambda: calls.call("CA1"),
            talks.server_time,
            lambda: talks.conversation("c1"),
        ):
            with pytest.raises(ProviderError) as caught:
                ask()
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 300


@pytest.mark.parametrize("body", [HTML, {"detail": "Not Found"}, {"message": "no Route matched"}, ""])
def test_a_record_is_gone_only_when_the_provider_itself_says_so(server: ScriptedServer, body: object) -> None:
    server.on(CALL, refused(404, PAGE, body))
    server.on(TALK, refused(404, PAGE, body))

    with twilio(server) as calls, elevenlabs(server) as talks:
        for ask in (lambda: calls.call("CA1"), lambda: talks.conversation("c1")):
            with pytest.raises(RejectedRequestError):
                ask()


def jwt(role: str) -> str:
    return f"eyJhbGciOiJIUzI1NiJ9.{base64_of({'role': role})}.signature"


def base64_of(claims: object) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("sk_" + "0123456789abcdef" * 3, "an ElevenLabs key"),
        ("sb_secret_abc", "a Supabase secret key"),
        ("sb_publishable_abc", "a Supabase publishable key"),
        ("sbp_abc", "a Supabase personal access token"),
        (ACCOUNT, "a Twilio account SID"),
        ("SK" + "0" * 32, "the SID of a Twilio API key"),
        (jwt("anon"), "a Supabase key of the role anon"),
        (f" {jwt('service_role')}\n", "a Supabase key of the role service_role"),
        (jwt("+34600111222"), None),
        ("eyJ.%%%.x", None),
        ("eyJ.W10.x", None),
        ("0123456789abcdef" * 2, None),
        ("", None),
    ],
)
def test_a_key_shows_whose_it_is_by_its_form(key: str, kind: str | None) -> None:
    assert kind_of_key(key) == kind


def test_a_key_of_another_service_is_named_when_it_is_refused(server: ScriptedServer) -> None:
    server.on(CALLS, refused(401, JSON, twilio_says(401, 20003)))
    server.on(TALKS, refused(401, JSON, elevenlabs_says("invalid_api_key")))

    with (
        twilio(server, token="sk_" + "0123456789abcdef" * 3) as calls,
        pytest.raises(WrongCredentialsError, match=r"secret in \.env is an ElevenLabs key; copy the one of Twilio"),
    ):
        calls.server_time()
    with (
        elevenlabs(server, key="sb_secret_abc") as talks,
        pytest.raises(WrongCredentialsError, match="ELEVENLABS_API_KEY is a Supabase secret key; put a key of"),
    ):
        talks.server_time()
