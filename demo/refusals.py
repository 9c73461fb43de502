"""How both providers say no: status, headers and body of every refusal."""

Body = dict[str, object]


class Refusal(Exception):  # noqa: N818  it is an answer that a provider gives, not an error of the demo
    """An answer other than 200, raised where it is decided."""

    def __init__(self, status: int, body: Body, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


def twilio_refusal(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Refusal:
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    return Refusal(status, {"code": code, "message": message, "more_info": more_info, "status": status}, headers)


def twilio_unauthorized() -> Refusal:
    return twilio_refusal(401, 20003, "Authenticate", {"WWW-Authenticate": 'Basic realm="Twilio API"'})


def twilio_not_found(path: str) -> Refusal:
    return twilio_refusal(404, 20404, f"The requested resource {path} was not found")


def twilio_overloaded() -> Refusal:
    return twilio_refusal(429, 20429, "Too Many Requests")


def twilio_broken(status: int) -> Refusal:
    return twilio_refusal(
        status, 20500 if status == 500 else 20503, "Internal Server Error" if status == 500 else "Service Unavailable"
    )


def elevenlabs_refusal(status: int, kind: str, code: str, legacy: str, message: str) -> Refusal:
    detail = {"type": kind, "code": code, "message": message, "status": legacy, "request_id": "demo"}
    return Refusal(status, {"detail": detail})


def elevenlabs_unauthorized(key: str | None) -> Refusal:
    if key is None:
        message = "Neither authorization header nor xi-api-key received, please provide one."
        return elevenlabs_refusal(401, "authentication_error", "unauthorized", "needs_authorization", message)
    return elevenlabs_refusal(401, "authentication_error", "unauthorized", "invalid_api_key", "Invalid API key")


def conversation_not_found(conversation_id: str) -> Refusal:
    message = f"Conversation with id {conversation_id} not found."
    return elevenlabs_refusal(404, "not_found", "conversation_not_found", "conversation_history_not_found", message)


def elevenlabs_overloaded() -> Refusal:
    message = "Too many concurrent requests."
    return elevenlabs_refusal(
        429, "rate_limit_error", "concurrent_limit_exceeded", "too_many_concurrent_requests", message
    )


def elevenlabs_rate_limited() -> Refusal:
    return elevenlabs_refusal(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_exceeded", "Slow down.")


def elevenlabs_broken(status: int) -> Refusal:
    code = "internal_error" if status == 500 else "service_unavailable"
    return elevenlabs_refusal(status, "server_error", code, code, "Something went wrong.")


def invalid_parameter(name: str, message: str, kind: str) -> Refusal:
    """Return the 422 with which ElevenLabs answers a value of the wrong type."""
    return Refusal(422, {"detail": [{"loc": ["query", name], "msg": message, "type": kind}]})
