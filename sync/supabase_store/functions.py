"""Calls of the project's SQL functions: one shared client, retries, and errors that say what to do."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import stamina
from postgrest.exceptions import APIError

from supabase import Client, ClientOptions, create_client
from sync.errors import StoreError
from sync.supabase_store.refusals import BusyError, NotMigratedError, explain, no_connection, refuse

TIMEOUT = httpx.Timeout(10, read=65)  # the longest functions may take 55 s, which Supabase allows up to 60
RETRY_BUDGET = timedelta(seconds=60)

UNREADABLE = "Supabase's answer is not the ledger's; check that SUPABASE_URL is the address of the project's API."


class Functions:
    """Calls functions by name. Each is one transaction and may be repeated. Safe with several threads."""

    def __init__(self, url: str, key: str, *, retry_budget: timedelta = RETRY_BUDGET) -> None:
        if not (key.isascii() and key.isprintable()):
            raise StoreError("SUPABASE_KEY holds characters that no key has; copy it once more.")
        self._key = key
        self._http = _http_client(key)
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
        if not isinstance(rows, list) or not all(isinstance(row, dict) and "name" in row for row in rows):
            raise StoreError(UNREADABLE)
        return [row["name"] for row in rows]

    def conversation_of(self, call_sid: str) -> str | None:
        """Return the first conversation of a leg, which need not be stored itself."""
        talks = self._client.table("elevenlabs_conversations").select("conversation_id").eq("call_sid", call_sid)
        first = talks.order("started_at").order("conversation_id").limit(1)
        rows = self._answer(lambda: first.execute().data)
        return str(rows[0]["conversation_id"]) if rows else None

    def _answer(self, request: Callable[[], Any]) -> Any:
        for attempt in stamina.retry_context(
            on=BusyError, attempts=None, timeout=self._retry_budget, wait_initial=0.3, wait_max=10
        ):
            with attempt:
                return self._answer_once(request)
        raise AssertionError("stamina either returns or raises")

    def _answer_once(self, request: Callable[[], Any]) -> Any:
        try:
            return request()
        except APIError as exc:
            raise explain(exc, key=self._key) from exc
        except httpx.HTTPError as exc:
            raise no_connection(exc) from exc
        except RecursionError as exc:
            raise StoreError(UNREADABLE) from exc


def _http_client(key: str) -> httpx.Client:
    """Return the client, which refuses what another answers in Supabase's place."""
    try:
        # HTTP/1.1: supabase-py's HTTP/2 loses requests when the server closes a connection (supabase-py#1064).
        return httpx.Client(http2=False, timeout=TIMEOUT, event_hooks={"response": [partial(refuse, key=key)]})
    except OSError as exc:
        raise StoreError(
            "SSL_CERT_FILE names no file with certificates; correct its name, or remove the variable."
        ) from exc
    except (httpx.InvalidURL, ValueError) as exc:
        raise StoreError("HTTPS_PROXY is no address such as http://proxy.example.com:8080; correct it.") from exc


stamina.instrumentation.set_on_retry_hooks([])  # a retry that works is no news; one that fails is the run's message
