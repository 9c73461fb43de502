"""One JSON-over-HTTP client for both providers: time-outs, retries, exact decimals, errors that say what to do."""

import email.utils
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import httpx
import stamina

from sync.errors import (
    ProviderDownError,
    ProviderError,
    RateLimitedError,
    RejectedRequestError,
    TransientError,
    UnexpectedAnswerError,
)
from sync.times import utc_now

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
TIMEOUT = httpx.Timeout(30, connect=10)
LONGEST_RETRY_AFTER = 10**9  # seconds; what is longer is as good as for ever, and too long for a timedelta
CONNECTIONS = httpx.Limits(max_connections=64, max_keepalive_connections=64)

Json = Any  # whatever json.loads returns; only clients see it
Params = Mapping[str, str | int | list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long one request may be tried again, and how the pauses grow (with jitter) from the first on."""

    budget: timedelta = timedelta(seconds=90)
    first_pause: timedelta = timedelta(seconds=0.5)
    longest_pause: timedelta = timedelta(seconds=20)


class JsonClient:
    """Reads JSON from one provider. May be used from many threads; `explain` names a provider's own errors."""

    def __init__(
        self,
        provider: str,
        base_url: str,
        *,
        explain: Callable[[httpx.Response], ProviderError | None],
        setting: str,
        auth: httpx.BasicAuth | None = None,
        headers: Mapping[str, str] | None = None,
        retries: RetryPolicy | None = None,
        timeout: httpx.Timeout = TIMEOUT,
    ) -> None:
        self._provider = provider
        self._setting = setting
        self._explain = explain
        self._retries = retries or RetryPolicy()
        self._http = httpx.Client(
            base_url=base_url,
            auth=auth,
            headers=headers,
            timeout=timeout,
            limits=CONNECTIONS,
            trust_env=urlsplit(base_url).hostname not in LOOPBACK,  # a proxy has no business on this machine
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, params: Params | None = None) -> Json:
        """Return the parsed body of a GET. Transient errors are tried again within the time budget."""
        give_up_at = time.monotonic() + self._retries.budget.total_seconds()
        for attempt in stamina.retry_context(
            on=lambda exc: _pause(exc, give_up_at),
            attempts=None,
            timeout=self._retries.budget,
            wait_initial=self._retries.first_pause,
            wait_max=self._retries.longest_pause,
            wait_jitter=self._retries.first_pause,
        ):
            with attempt:
                return self._get_once(path, params)
        raise AssertionError("stamina either returns or raises")

    def _get_once(self, path: str, params: Params | None) -> Json:
        try:
            # httpx drops the query of `path` as soon as `params` is given, even an empty one.
            response = self._http.get(path, params=params) if params else self._http.get(path)
        except httpx.TimeoutException as exc:
            raise ProviderDownError(
                f"{self._provider} did not answer in time; it is tried again with the next run."
            ) from exc
        except (httpx.TransportError, httpx.DecodingError) as exc:
            raise ProviderDownError(
                f"{self._provider} cannot be reached; check the network and {self._setting}."
            ) from exc
        except httpx.InvalidURL as exc:
            raise UnexpectedAnswerError(
                f"{self._provider} names a page that is no address; check that {self._setting} is its API."
            ) from exc
        if response.status_code != httpx.codes.OK:
            raise self._error(response)
        return self._parsed(response)

    def _error(self, response: httpx.Response) -> ProviderError:
        status = response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS:
            return RateLimitedError(
                f"{self._provider} allows no more requests at the moment (429); the next run goes on.",
                retry_after(response.headers.get("retry-after")),
            )
        if status >= 500 or status == httpx.codes.REQUEST_TIMEOUT:
            return ProviderDownError(
                f"{self._provider} has a problem of its own (HTTP {status}); it is tried again with the next run.",
                retry_after(response.headers.get("retry-after")),
            )
        return self._explain(response) or RejectedRequestError(
            f"{self._provider} refused the request (HTTP {status}); check {self._setting} and the account."
        )

    def _parsed(self, response: httpx.Response) -> Json:
        try:
            return json.loads(response.content, parse_float=Decimal)
        except ValueError as exc:
            kind = response.headers.get("content-type", "no content type").split(";")[0]
            raise UnexpectedAnswerError(
                f"{self._provider} answered with {kind} instead of JSON; check that {self._setting} is its API."
            ) from exc


def retry_after(value: str | None, now: Callable[[], datetime] = utc_now) -> timedelta | None:
    """Return the pause that a Retry-After header asks for, given as seconds or as a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    try:
        if value.isdecimal():
            return timedelta(seconds=min(int(value), LONGEST_RETRY_AFTER))
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(moment - now(), timedelta(0)) if moment.tzinfo else None


def _pause(exc: Exception, give_up_at: float) -> bool | timedelta:
    """Tell stamina whether to try again, and after which pause if the provider named one."""
    if not isinstance(exc, TransientError):
        return False
    if exc.retry_after is None:
        return True
    return exc.retry_after if time.monotonic() + exc.retry_after.total_seconds() < give_up_at else False


stamina.instrumentation.set_on_retry_hooks([])  # a retry that works is no news; one that fails is the run's message
