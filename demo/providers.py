"""What the two providers do differently around an answer: keys, overload, and how they apologise."""

import secrets
from base64 import b64encode
from typing import Protocol

from starlette.requests import Request

from demo import refusals
from demo.credentials import ACCOUNT_SID, AUTH_TOKEN, ELEVENLABS_API_KEY
from demo.identifiers import digest
from demo.refusals import Refusal

BASIC = "Basic " + b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()


class Provider(Protocol):
    """One simulated provider, seen from the server."""

    def check_key(self, request: Request) -> None:
        """Raise Refusal unless the request carries the made-up credentials."""

    def not_found(self, request: Request) -> Refusal: ...

    def broken(self, status: int) -> Refusal: ...

    def overloaded(self) -> Refusal: ...

    def rate_limited(self) -> Refusal: ...

    def headers(self, request: Request, in_flight: int) -> dict[str, str]: ...


class Twilio:
    """Basic authentication with the account's sid and token; the account in the path must be the same one."""

    def check_key(self, request: Request) -> None:
        if not secrets.compare_digest(request.headers.get("authorization", "").encode(), BASIC.encode()):
            raise refusals.twilio_unauthorized()
        if request.path_params.get("account_sid", ACCOUNT_SID) != ACCOUNT_SID:
            raise refusals.twilio_not_found(request.url.path)

    def not_found(self, request: Request) -> Refusal:
        return refusals.twilio_not_found(request.url.path)

    def broken(self, status: int) -> Refusal:
        return refusals.twilio_broken(status)

    def overloaded(self) -> Refusal:
        return refusals.twilio_overloaded()

    def rate_limited(self) -> Refusal:
        return refusals.twilio_overloaded()

    def headers(self, request: Request, in_flight: int) -> dict[str, str]:
        request_id = f"RQ{digest(request.url.path, request.url.query)[:32]}"
        return {"Twilio-Concurrent-Requests": str(in_flight), "Twilio-Request-Id": request_id}


class ElevenLabs:
    """A key in `xi-api-key`."""

    def check_key(self, request: Request) -> None:
        key = request.headers.get("xi-api-key")
        if key is None or not secrets.compare_digest(key.encode(), ELEVENLABS_API_KEY.encode()):
            raise refusals.elevenlabs_unauthorized(key)

    def not_found(self, request: Request) -> Refusal:
        return refusals.conversation_not_found(request.path_params.get("conversation_id", ""))

    def broken(self, status: int) -> Refusal:
        return refusals.elevenlabs_broken(status)

    def overloaded(self) -> Refusal:
        return refusals.elevenlabs_overloaded()

    def rate_limited(self) -> Refusal:
        return refusals.elevenlabs_rate_limited()

    def headers(self, request: Request, in_flight: int) -> dict[str, str]:
        return {}
