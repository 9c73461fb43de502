"""Supabase's refusals, and what to do about each: the database's, the gateway's, and those of others in its place."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx
from postgrest.exceptions import APIError

from sync import front_door
from sync.errors import StoreError
from sync.kinds_of_keys import kind_of_key

NAME, SETTING = "Supabase", "SUPABASE_URL"
EXAMPLE = "such as https://REF.supabase.co"

OF_DATABASE = re.compile(r"PGRST\w+|[0-9A-Z]{5}")  # PostgREST's codes, and Postgres' own
NO_UNIQUE_KEY = "42P10"  # which `on conflict` needs
MISSING = ("42P01", "42883", "PGRST202", "PGRST205")  # table or function unknown, in older and newer PostgREST
BUSY = ("57014", "55P03", "40001", "40P01", "53300", "PGRST000", "PGRST001", "PGRST002", "PGRST003")
NOT_A_PATH, NOT_A_SCHEMA = "PGRST125", "PGRST106"
PAUSED_STATUS = 540  # of Supabase's own
DASHBOARDS = ("supabase.com", "app.supabase.com", "supabase.io", "app.supabase.io")
ALL_MAY = ("a Supabase secret key", "a Supabase key of the role service_role")

BUSY_SENTENCE = "Supabase is overloaded or restarting; nothing is lost, the next run goes on."
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

# What the gateway in front of the database says, in its words: it has no codes.
BY_WORDS: Sequence[tuple[str, str]] = (
    (r"project is restricted|exceed_\w+_quota", RESTRICTED),
    (r"legacy api keys", LEGACY),
    (r"project (is )?paused", PAUSED),
    (r"api.?key|authentication credentials|cannot consume|\bjwt\b", NOT_ACCEPTED),
)


class BusyError(StoreError):
    """The database is slow, restarting or overloaded; the same call may succeed later."""


class NotMigratedError(StoreError):
    """The project lacks a table or a function."""


def refuse(response: httpx.Response, *, key: str) -> None:
    """Raise what supabase-py's errors do not tell: that another answers than the database."""
    kind = front_door.kind(response.headers.get("content-type"))
    if response.is_success and ("json" in kind or not response.read()):
        return
    body = front_door.said(response.read())
    if response.is_success or response.status_code > 500 or not _is_of_database(body):
        raise _of_gateway(response.status_code, body, key) or _of_status(response, kind)


def _is_of_database(body: front_door.Json) -> bool:
    code = body.get("code") if isinstance(body, dict) else None
    return isinstance(code, str) and OF_DATABASE.fullmatch(code) is not None


def _of_gateway(status: int, body: front_door.Json, key: str) -> StoreError | None:
    words = " ".join(str(body.get(name)) for name in ("message", "error")) if isinstance(body, dict) else ""
    sentence = next((said for pattern, said in BY_WORDS if re.search(pattern, words, re.IGNORECASE)), None)
    if status == PAUSED_STATUS:
        return StoreError(PAUSED)
    if sentence is NOT_ACCEPTED:
        return not_accepted(key)
    return StoreError(sentence) if sentence else None


def _of_status(response: httpx.Response, kind: str) -> StoreError:
    """Return what a status means whose body is nobody's word."""
    status = response.status_code
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return BusyError("Supabase allows no more requests at the moment (429); the next run goes on.")
    is_down = status >= 500 and status != HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED
    if is_down or status == HTTPStatus.REQUEST_TIMEOUT:
        return BusyError(BUSY_SENTENCE)
    if wrong := _wrong_address(str(response.request.url), status, kind):
        return StoreError(wrong)
    in_front = front_door.told_by_status(status, kind, name=NAME, setting=SETTING)
    return StoreError(in_front or f"Supabase refused the request (HTTP {status}, {kind}); check SUPABASE_URL.")


def _wrong_address(url: str, status: int, kind: str) -> str | None:
    """Return what is wrong with the address that was asked, if it shows that it is not the API's."""
    address = urlsplit(url)
    if address.hostname in DASHBOARDS:
        return f"SUPABASE_URL is the dashboard's address; put the project's URL from its API settings there, {EXAMPLE}."
    if address.path.count("/rest/v1") > 1:
        return f"SUPABASE_URL ends with /rest/v1; put the project's URL alone there, {EXAMPLE}."
    if status in (404, 405, 410) or status < 300:
        return (
            f"SUPABASE_URL is not the address of the project's API ({status}, {kind}); put the project's URL there, "
            f"{EXAMPLE}."
        )
    return None


def not_accepted(key: str) -> StoreError:
    kind = kind_of_key(key)
    if kind and ("Supabase" not in kind or "personal" in kind):
        return StoreError(f"SUPABASE_KEY is {kind}; copy the secret key from the project's API settings there.")
    return StoreError(NOT_ACCEPTED)


def explain(exc: APIError, *, key: str) -> StoreError:
    """Return the error that says what to do; what the server said is not repeated, since it may quote values."""
    code, words = exc.code or "", str(exc.message or "").lower()
    if code.startswith("PGRST3") or "jwt" in words:
        return StoreError(WANTS_JWT) if key.startswith("sb_") else not_accepted(key)
    if code == "42501":
        return _not_allowed(key)
    if code == NO_UNIQUE_KEY:
        return StoreError(
            "A table of the Supabase project has lost its UNIQUE constraint; `python -m sync verify` says which, and "
            "how to restore it."
        )
    if code in MISSING:
        return NotMigratedError(
            "The Supabase project lacks a migration; `python -m sync verify` says which and how to apply it."
        )
    if code == "57014":
        return BusyError("Supabase ended a statement that took too long; nothing was changed, the next run goes on.")
    if code in BUSY:
        return BusyError("Supabase is overloaded or restarting; nothing was changed, the next run goes on.")
    if code == "22003":
        return StoreError("A value is too large for the ledger's columns; nothing of its batch was saved.")
    if code == NOT_A_PATH:
        return StoreError(f"SUPABASE_URL is not the address of the project's API; put its URL there, {EXAMPLE}.")
    if code == NOT_A_SCHEMA:
        return StoreError("The Supabase project does not offer the schema public; add it in its Data API settings.")
    return StoreError(
        f"Supabase refused (code {code or 'unknown'}); nothing was changed, and the project's logs say why."
    )


def _not_allowed(key: str) -> StoreError:
    if kind_of_key(key) in ALL_MAY:
        return StoreError(
            "The Supabase project does not let its secret key use the ledger; run the migrations once more, which "
            "give it the rights."
        )
    return StoreError("SUPABASE_KEY may not use the ledger: it needs the secret (service) key, not the anon key.")


def no_connection(exc: httpx.HTTPError) -> StoreError:
    """Return why there is no connection; what somebody has to change first is not tried again."""
    words = f"{type(exc).__name__} {exc}"
    if sentence := front_door.told_by_connection(words, name=NAME, setting=SETTING):
        return StoreError(sentence)
    if isinstance(exc, httpx.TimeoutException):
        return BusyError("Supabase did not answer in time; the next run goes on.")
    if front_door.has_no_address(words):
        return BusyError(
            "Supabase cannot be reached; check the network and SUPABASE_URL, and that the project is neither paused "
            "nor deleted."
        )
    return BusyError(front_door.unreachable(words, name=NAME, setting=SETTING))
