"""Who says no in Supabase's place, and what to do: database, gateway, wrong address, firewall, proxy."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import httpx
import pytest

from sync.errors import StoreError
from sync.supabase_store import SupabaseStore
from sync.supabase_store.refusals import BusyError, refuse
from tests.answer_shapes import HTML, every_answer
from tests.records import make_leg
from tests.scripted_server import Answer, ScriptedServer

SECRET, PRIVATE = "sb_secret_7c21", "+34600111222"
MIGRATIONS, CLAIM = "/rest/v1/ledger_migrations", "/rest/v1/rpc/ledger_claim"
JSON, PAGE = "application/json", "text/html; charset=UTF-8"
ONCE = timedelta(milliseconds=1)


def jwt(role: str) -> str:
    claims = urlsafe_b64encode(json.dumps({"role": role}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{claims}.signature"


LEGACY_KEY = jwt("service_role")
PAUSED = "The Supabase project is paused; restore it in the dashboard, the next run goes on."
RESTRICTED = (
    "Supabase has restricted the project (402), because it is over a limit of its plan such as database size or "
    "egress; see Usage and Billing in the dashboard, the next run goes on."
)
LEGACY = (
    "Supabase has switched off the legacy keys of this project; copy an sb_secret_ key from the project's API settings "
    "into SUPABASE_KEY."
)
NOT_ACCEPTED = "Supabase does not accept SUPABASE_KEY; copy the secret key from the project's API settings."
WANTS_JWT = (
    "This Supabase (a local or self-hosted one) does not know sb_ keys; put its service_role key, a JWT that begins "
    "with eyJ, into SUPABASE_KEY."
)
NOT_ALLOWED = "SUPABASE_KEY may not use the ledger: it needs the secret (service) key, not the anon key."
NO_RIGHTS = (
    "The Supabase project does not let its secret key use the ledger; run the migrations once more, which give it the "
    "rights."
)
NOT_THE_API = (
    "SUPABASE_URL is not the address of the project's API ({}); put the project's URL there, such as "
    "https://REF.supabase.co."
)
REFUSES = (
    "Something in front of Supabase (a firewall or Cloudflare) refuses this machine ({}); allow it there, or check "
    "SUPABASE_URL."
)
ASKS = (
    "A proxy between this machine and Supabase asks for a login ({}); put user and password into HTTPS_PROXY, such as "
    "http://USER:PASSWORD@proxy.example.com:8080."
)
LEADS = (
    "Something in front of Supabase leads to another address ({}), such as the login page of a proxy; let this machine "
    "through to Supabase, or check SUPABASE_URL."
)
BUSY = "Supabase is overloaded or restarting; nothing is lost, the next run goes on."
UNREADABLE = "Supabase's answer is not the ledger's; check that SUPABASE_URL is the address of the project's API."
ANON_HINT = "Double check your Supabase `anon` or `service_role` API key."


def of_database(code: str, message: str) -> dict[str, object]:
    return {"code": code, "message": f"{message} {PRIVATE}", "details": None, "hint": None}


Case = tuple[int, str, object, str, str]
CASES: list[Case] = [
    # The gateway
    (401, JSON, {"message": "Legacy API keys are disabled", "hint": "…"}, LEGACY_KEY, LEGACY),
    (401, JSON, {"message": "Invalid API key", "hint": ANON_HINT}, SECRET, NOT_ACCEPTED),
    (401, JSON, {"message": "No API key found in request"}, SECRET, NOT_ACCEPTED),
    (401, JSON, {"message": "Invalid authentication credentials"}, LEGACY_KEY, NOT_ACCEPTED),
    (403, JSON, {"message": "You cannot consume this service"}, LEGACY_KEY, NOT_ACCEPTED),
    (
        402,
        JSON,
        {"message": "Service for this project is restricted due to the following violations: exceed_db_size_quota."},
        SECRET,
        RESTRICTED,
    ),
    (540, JSON, {"message": "Project is paused"}, SECRET, PAUSED),
    (540, PAGE, HTML, SECRET, PAUSED),
    (
        401,
        JSON,
        {"message": "Invalid API key"},
        "sbp_0123456789",
        "SUPABASE_KEY is a Supabase personal access token; copy the secret key from the project's API settings there.",
    ),
    (
        401,
        JSON,
        {"message": "Invalid API key"},
        "sk_" + "0" * 48,
        "SUPABASE_KEY is an ElevenLabs key; copy the secret key from the project's API settings there.",
    ),
    # The database
    (401, JSON, of_database("PGRST301", "Expected 3 parts in JWT; got 1"), SECRET, WANTS_JWT),
    (401, JSON, of_database("PGRST301", "Expected 3 parts in JWT; got 1"), "sb_publishable_x", WANTS_JWT),
    (401, JSON, of_database("PGRST301", "JWSError JWSInvalidSignature"), LEGACY_KEY, NOT_ACCEPTED),
    (401, JSON, of_database("42501", "permission denied for table calls"), jwt("anon"), NOT_ALLOWED),
    (401, JSON, of_database("42501", "permission denied for table calls"), "sb_publishable_x", NOT_ALLOWED),
    (403, JSON, of_database("42501", "permission denied for table calls"), SECRET, NO_RIGHTS),
    (403, JSON, of_database("42501", "permission denied for table calls"), LEGACY_KEY, NO_RIGHTS),
    (
        404,
        JSON,
        of_database("PGRST125", "Invalid path specified in request URL"),
        SECRET,
        "SUPABASE_URL is not the address of the project's API; put its URL there, such as https://REF.supabase.co.",
    ),
    (
        406,
        JSON,
        of_database("PGRST106", "The schema must be one of the following: api"),
        SECRET,
        "The Supabase project does not offer the schema public; add it in its Data API settings.",
    ),
    (
        400,
        JSON,
        of_database("22P05", "unsupported Unicode escape sequence"),
        SECRET,
        "Supabase refused (code 22P05); nothing was changed, and the project's logs say why.",
    ),
    # Another address
    (200, PAGE, HTML, SECRET, NOT_THE_API.format("200, text/html")),
    (200, "text/plain", "ok", SECRET, NOT_THE_API.format("200, text/plain")),
    (404, PAGE, HTML, SECRET, NOT_THE_API.format("404, text/html")),
    (404, JSON, {"error": "requested path is invalid"}, SECRET, NOT_THE_API.format("404, application/json")),
    (404, JSON, {"message": "no Route matched with those values"}, SECRET, NOT_THE_API.format("404, application/json")),
    (405, PAGE, HTML, SECRET, NOT_THE_API.format("405, text/html")),
    # Somebody between
    (401, PAGE, HTML, SECRET, REFUSES.format("401, text/html")),
    (402, PAGE, HTML, SECRET, REFUSES.format("402, text/html")),
    (403, PAGE, HTML, SECRET, REFUSES.format("403, text/html")),
    (403, JSON, {"message": "Forbidden"}, SECRET, REFUSES.format("403, application/json")),
    (407, PAGE, HTML, SECRET, ASKS.format("407")),
    (511, PAGE, HTML, SECRET, ASKS.format("511")),
    (302, PAGE, "", SECRET, LEADS.format("302")),
    (400, PAGE, HTML, SECRET, "Supabase refused the request (HTTP 400, text/html); check SUPABASE_URL."),
    # For a while
    (
        429,
        JSON,
        {"message": "x"},
        SECRET,
        "Supabase allows no more requests at the moment (429); the next run goes on.",
    ),
    (500, PAGE, HTML, SECRET, BUSY),
    (530, PAGE, HTML, SECRET, BUSY),
    # Not what the ledger says
    *((200, JSON, body, SECRET, UNREADABLE) for body in ("{}", "7", "null", '"ok"', "[7]", "[{}]", "{", "[" * 100_000)),
]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.mark.parametrize(("status", "kind", "body", "key", "sentence"), CASES)
def test_who_answers_for_supabase_is_told_apart(
    server: ScriptedServer, status: int, kind: str, body: object, key: str, sentence: str
) -> None:
    server.on(MIGRATIONS, Answer(status=status, headers={"Content-Type": kind}, body=body))

    with closing(SupabaseStore(server.url, key, retry_budget=ONCE)) as store, pytest.raises(StoreError) as caught:
        store.claim_for("real")

    assert str(caught.value) == sentence
    assert len(server.requests) == 1 or isinstance(caught.value, BusyError)


@pytest.mark.parametrize(("status", "kind", "body"), list(every_answer()))
def test_any_answer_of_supabase_is_one_sentence(
    server: ScriptedServer, status: int, kind: str, body: str | bytes
) -> None:
    answer = Answer(status=status, headers={"Content-Type": kind}, body=b"" if status in (204, 304) else body)
    server.on(MIGRATIONS, answer)

    with closing(SupabaseStore(server.url, SECRET, retry_budget=ONCE)) as store, pytest.raises(StoreError) as caught:
        store.claim_for("real")

    assert "\n" not in str(caught.value)
    assert PRIVATE not in str(caught.value)


@pytest.mark.parametrize("claimed", ["{}", "[]", "7", "null", '"someone\'s"', "{", ""])
def test_a_project_that_claims_nonsense_is_one_sentence(server: ScriptedServer, claimed: str) -> None:
    from sync.supabase_store import migrations

    names = [{"name": name} for name in migrations.pending([])]
    server.on(MIGRATIONS, Answer(body=names, headers={"Content-Type": JSON}))
    server.on(CLAIM, Answer(body=claimed, headers={"Content-Type": JSON}))

    with closing(SupabaseStore(server.url, SECRET, retry_budget=ONCE)) as store, pytest.raises(StoreError) as caught:
        store.claim_for("real")

    assert str(caught.value) == UNREADABLE


@pytest.mark.parametrize(
    ("url", "status", "sentence"),
    [
        (
            "https://abc.supabase.co/rest/v1/rest/v1/rpc/ledger_claim",
            404,
            "SUPABASE_URL ends with /rest/v1; put the project's URL alone there, such as https://REF.supabase.co.",
        ),
        *(
            (
                f"https://{host}/dashboard/project/abc/rest/v1/rpc/ledger_claim",
                status,
                "SUPABASE_URL is the dashboard's address; put the project's URL from its API settings there, such as "
                "https://REF.supabase.co.",
            )
            for host in ("supabase.com", "app.supabase.com")
            for status in (200, 307, 403, 404, 405)
        ),
    ],
)
def test_an_address_that_shows_what_it_is_is_named(url: str, status: int, sentence: str) -> None:
    answer = httpx.Response(status, headers={"Content-Type": PAGE}, text=HTML, request=httpx.Request("POST", url))

    with pytest.raises(StoreError) as caught:
        refuse(answer, key=SECRET)

    assert str(caught.value) == sentence


@pytest.mark.parametrize("key", ["clé", "sb_secret_\N{ZERO WIDTH SPACE}x", "sb_secret_x\n"])
def test_a_key_that_no_header_can_hold_is_one_sentence(key: str) -> None:
    with pytest.raises(StoreError, match="SUPABASE_KEY holds characters that no key has; copy it once more"):
        SupabaseStore("http://127.0.0.1:9", key)


def test_a_firewall_that_comes_later_is_told_too(server: ScriptedServer) -> None:
    server.on("/rest/v1/rpc/ledger_ingest_calls", Answer(status=403, headers={"Content-Type": PAGE}, body=HTML))

    with closing(SupabaseStore(server.url, SECRET, retry_budget=ONCE)) as store, pytest.raises(StoreError) as caught:
        store.save_calls([make_leg()])

    assert str(caught.value) == REFUSES.format("403, text/html")
