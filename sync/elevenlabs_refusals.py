"""ElevenLabs' refusals, and what to do about each. Its own word is JSON with a `detail` (its docs: Errors)."""

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

Refusal = tuple[type[ProviderError], str]

_NOT_ALLOWED: Refusal = (
    MissingPermissionError,
    "The ElevenLabs key may not read conversations: give it the permission convai_read.",
)
_USED_UP: Refusal = (
    RejectedRequestError,
    "ElevenLabs refuses because the account's credits or payments have run out.",
)
_NOT_IN_PLAN: Refusal = (
    RejectedRequestError,
    "ElevenLabs refuses because the account's plan does not include this: choose a plan that has agents.",
)

# By the words `code`, `status` (the older one) and `type` of a refusal; the first that fits.
BY_WORD: Mapping[str, Refusal] = {
    "detected_unusual_activity": (
        RejectedRequestError,
        "ElevenLabs has blocked this free account for unusual activity, such as a VPN or several free accounts: a "
        "paid plan lifts that.",
    ),
    "missing_permissions": _NOT_ALLOWED,
    "insufficient_permissions": _NOT_ALLOWED,
    "quota_exceeded": _USED_UP,
    "insufficient_credits": _USED_UP,
    "paid_plan_required": _NOT_IN_PLAN,
    "subscription_required": _NOT_IN_PLAN,
}

BY_STATUS: Mapping[int, Refusal] = {
    HTTPStatus.UNAUTHORIZED: (
        WrongCredentialsError,
        "ElevenLabs does not accept the key (401): check ELEVENLABS_API_KEY; a key of a residency region works only "
        "with that region's ELEVENLABS_BASE_URL.",
    ),
    HTTPStatus.PAYMENT_REQUIRED: _USED_UP,
    HTTPStatus.FORBIDDEN: _NOT_ALLOWED,
}

NOT_THERE: Refusal = (
    RecordNotFoundError,
    "ElevenLabs does not know this record (404): it was deleted, or is not there yet.",
)


def explain(answer: Answer, *, key: str) -> ProviderError | None:
    """Return what ElevenLabs means, or None if it is not ElevenLabs that answers, or a status without a meaning."""
    body = said(answer.body)
    detail = body.get("detail") if isinstance(body, dict) else None
    if not detail or not isinstance(detail, dict | list | str):
        return None
    refusal = _refusal(answer.status, detail)
    if refusal and refusal[0] is WrongCredentialsError and (pasted := kind_of_key(key)) and "ElevenLabs" not in pasted:
        return WrongCredentialsError(
            f"ElevenLabs does not accept the key (401): ELEVENLABS_API_KEY is {pasted}; put a key of ElevenLabs there."
        )
    return refusal and refusal[0](refusal[1])


def _refusal(status: int, detail: dict[str, object] | list[object] | str) -> Refusal | None:
    words = [str(detail.get(name)) for name in ("code", "status", "type")] if isinstance(detail, dict) else []
    if found := next((refusal for word, refusal in BY_WORD.items() if word in words), None):
        return found
    if (
        status == HTTPStatus.NOT_FOUND
    ):  # of a record there is more to say; of an address that is none, "Not Found" alone
        return NOT_THERE if words else None
    return BY_STATUS.get(status)
