"""Twilio's refusals, and what to do about each. Its own word is JSON with a code (twilio.com/docs/api/errors)."""

from collections.abc import Mapping
from http import HTTPStatus

from sync.errors import (
    MissingPermissionError,
    ProviderError,
    RecordNotFoundError,
    RejectedRequestError,
    WrongCredentialsError,
)
from sync.front_door import said
from sync.http import Answer
from sync.kinds_of_keys import kind_of_key

NUMBERS = "IncomingPhoneNumbers"
CODES = range(10_000, 100_000)

Refusal = tuple[type[ProviderError], str]

_NOT_ACTIVE: Refusal = (
    RejectedRequestError,
    "The Twilio account is suspended or closed ({code}): its console says why, and the next run goes on when it is "
    "active again.",
)
_NOT_ALLOWED: Refusal = (
    MissingPermissionError,
    "The Twilio key may not read {what} ({status}): allow it {permission}, read.",
)

BY_CODE: Mapping[int, Refusal] = {
    10001: _NOT_ACTIVE,
    20005: _NOT_ACTIVE,
    90010: _NOT_ACTIVE,
    20004: (
        RejectedRequestError,
        "Twilio no longer has calls from that long ago (20004): choose a later start for the historical sync.",
    ),
    20008: (
        WrongCredentialsError,
        "These are Twilio's test credentials (20008), which have no calls: put the live ones of its console into "
        "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.",
    ),
}

BY_STATUS: Mapping[int, Refusal] = {
    HTTPStatus.UNAUTHORIZED: (
        WrongCredentialsError,
        "Twilio does not accept the credentials (401): check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or that the "
        "API key may read {what}, and that the account is not suspended.",
    ),
    HTTPStatus.FORBIDDEN: _NOT_ALLOWED,
    HTTPStatus.NOT_FOUND: (
        RecordNotFoundError,
        "Twilio does not know this record (404): it was deleted, or TWILIO_ACCOUNT_SID is another account.",
    ),
}

OTHERWISE: Refusal = (
    RejectedRequestError,
    "Twilio refused the request (HTTP {status}, code {code}); twilio.com/docs/errors/{code} says why.",
)


def explain(answer: Answer, *, password: str) -> ProviderError | None:
    """Return what Twilio means, or None if it is not Twilio that answers."""
    code = _code(answer)
    if code is None:
        return None
    if answer.status == HTTPStatus.UNAUTHORIZED and (pasted := kind_of_key(password)):
        return WrongCredentialsError(
            f"Twilio does not accept the credentials (401): its token or secret in .env is {pasted}; copy the one of "
            "Twilio's console there."
        )
    error, sentence = BY_CODE.get(code) or BY_STATUS.get(answer.status) or OTHERWISE
    what, permission = ("phone numbers", "Phone Numbers") if NUMBERS in answer.path else ("calls", "Voice")
    return error(sentence.format(status=answer.status, code=code, what=what, permission=permission))


def _code(answer: Answer) -> int | None:
    """Return the code that each of Twilio's own refusals has."""
    body = said(answer.body)
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, int) and code in CODES else None
