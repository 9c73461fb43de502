"""Calls of the project's SQL functions: one shared client, retries, and errors that say what to do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import stamina
from postgrest.exceptions import APIError

from supabase import Client, ClientOptions, create_client
from sync.errors import StoreError

TIMEOUT = httpx.Timeout(10, read=65)  # the longest functions may take 55 s, which Supabase allows up to 60
RETRY_BUDGET = timedelta(seconds=60)

MISSING = ("42P01", "42883", "PGRST202", "PGRST205")  # table or function unknown, in older and newer PostgREST
BUSY = ("57014", "55P03", "40001", "40P01", "53300", "PGRST000", "PGRST001", "PGRST002", "PGRST003")
PAUSED = 540  # a status of Supabase's own
DOWN = (502, 503, 504, 520, 521, 522, 523, 524, 544)  # HTTP statuses; the body may be anything


class BusyError(StoreError):
    """The database is slow, restarting or overloaded; the same call may succeed later."""


class NotMigratedError(StoreError):
    """The project lacks a table or a function."""


class Functions:
    """Calls functions by name. Each is one transaction and may be repeated. Safe with several threads."""

    def __init__(self, url: str, key: str, *, retry_budget: timedelta = RETRY_BUDGET) -> None:
        # HTTP/1.1: supabase-py's HTTP/2 loses requests when the server closes a connection (supabase-py#1064).
        self._http = httpx.Client(http2=False, timeout=TIMEOUT, event_hooks={"response": [refuse_if_down]})
        options = ClientOptions(
            httpx_client=self._http,
            auto_refresh_token=False,
            persist_session=False,
            postgrest_client_retry=False,  # reads only, and 7 seconds whatever the budget
        )
        self._client: Client = create_client(url, key, options)
        self._retry_budget = retry_budget

    def close(self) -> None:
        self._http.close()

    def call(self, function: str, **arguments: Any) -> Any:
        """Return the function's answer, or raise StoreError."""
        return self._answer(lambda: self._client.rpc(f"ledger_{function}", arguments).execute().data)

    def applied_migrations(self) -> list[str]:
        """Return the names that the migrations left behind; none in a project without the table for it."""
        try:
            rows = self._answer(lambda: self._client.table("ledger_migrations").select("name").execute().data)
        except NotMigratedError:
            return []
        return [row["name"] for row in rows]

    def _answer(self, request: Callable[[], Any]) -> Any:
        for attempt in stamina.retry_context(
            on=BusyError, attempts=None, timeout=self._retry_budget, wait_initial=0.3, wait_max=10
        ):
            with attempt:
                return answer_once(request)
        raise AssertionError("stamina either returns or raises")


def answer_once(request: Callable[[], Any]) -> Any:
    try:
        return request()
    except APIError as exc:
        raise explain(exc) from exc
    except httpx.TimeoutException as exc:
        raise BusyError("Supabase did not answer in time; the next run goes on.") from exc
    except httpx.HTTPError as exc:
        raise BusyError("Supabase cannot be reached; check the network and SUPABASE_URL.") from exc


def refuse_if_down(response: httpx.Response) -> None:
    """Raise what supabase-py's errors do not tell: that Supabase's front door answers, and not the database."""
    if response.status_code == PAUSED:
        raise StoreError("The Supabase project is paused; restore it in the dashboard, the next run goes on.")
    if response.status_code in DOWN:
        raise BusyError("Supabase is overloaded or restarting; nothing is lost, the next run goes on.")


def explain(exc: APIError) -> StoreError:
    """Return the error that says what to do; what the server said is not repeated, since it may quote values."""
    code, words = exc.code or "", (exc.message or "").lower()
    if "invalid api key" in words or "jwt" in words or code.startswith("PGRST3") or code == "401":
        return StoreError("Supabase does not accept SUPABASE_KEY; copy the secret key from the project's API settings.")
    if code == "42501":
        return StoreError("SUPABASE_KEY may not use the ledger: it needs the secret (service) key, not the anon key.")
    if code in MISSING:
        return NotMigratedError(
            "The Supabase project lacks a migration; `python -m sync verify` says which and how to apply it."
        )
    if code == "57014":
        return BusyError("Supabase ended a statement that took too long; nothing was changed, the next run goes on.")
    if code in BUSY or code == "500":
        return BusyError("Supabase is overloaded or restarting; nothing was changed, the next run goes on.")
    if code == "22003":
        return StoreError("A value is too large for the ledger's columns; nothing of its batch was saved.")
    return StoreError(f"Supabase refused (code {code or 'unknown'}); nothing was changed.")


stamina.instrumentation.set_on_retry_hooks([])  # a retry that works is no news; one that fails is the run's message
