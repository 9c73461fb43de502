"""What stands between this machine and a service, and answers in its place: firewalls, proxies, certificates.

Each sentence names the service, and the setting that holds its address. None repeats what was answered.
"""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

Json = Any

LARGEST_ERROR = 1_000_000  # bytes; the word of a provider is short
CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
LONGEST_TYPE = 60

_LOGIN = (
    "A proxy between this machine and {name} asks for a login{status}; put user and password into HTTPS_PROXY, such "
    "as http://USER:PASSWORD@proxy.example.com:8080."
)
_REFUSED = (
    "Something in front of {name} (a firewall or Cloudflare) refuses this machine ({status}, {kind}); allow it there, "
    "or check {setting}."
)
_NOT_HERE = "The API of {name} is not there ({status}, {kind}); correct the address in {setting}."
_LED_AWAY = (
    "Something in front of {name} leads to another address ({status}), such as the login page of a proxy; let this "
    "machine through to {name}, or check {setting}."
)

BY_STATUS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: _REFUSED,
    HTTPStatus.PAYMENT_REQUIRED: _REFUSED,
    HTTPStatus.FORBIDDEN: _REFUSED,
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: _REFUSED,
    HTTPStatus.NOT_FOUND: _NOT_HERE,
    HTTPStatus.METHOD_NOT_ALLOWED: _NOT_HERE,
    HTTPStatus.GONE: _NOT_HERE,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: _LOGIN,
    HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED: _LOGIN,
}

# Words of Rust's and of Python's TLS and proxy errors, the first that fits. What they have in common: it is no use to
# try again before somebody has changed something.
BY_CONNECTION: Sequence[tuple[str, str]] = (
    (
        r"not valid for name|NotValidForName|hostname mismatch|ip address mismatch",
        "The certificate that {name} shows is for another address; check {setting}, and whether a proxy answers in "
        "its place.",
    ),
    (
        r"certificate (has )?expired|certificate (is )?not (yet valid|valid yet)|certificate: (Expired|NotValidYet)",
        "The certificate that {name} shows is not valid today; check this machine's clock, and whether a proxy "
        "answers in its place.",
    ),
    (
        r"invalid peer certificate|certificate.verify.failed",
        "This machine does not trust the certificate that {name} shows; if your company's proxy or firewall reads "
        "the traffic, name a file with its root certificate in SSL_CERT_FILE.",
    ),
    (
        r"InvalidContentType|wrong version number",
        "The server at the address in {setting} does not speak HTTPS; correct the address of {name}, or its port.",
    ),
    (r"proxy authorization required|407 proxy auth", _LOGIN),
)


def told_by_status(status: int, content_type: str | None, *, name: str, setting: str) -> str | None:
    """Return what it means that somebody else than the service answers so, or None if it tells nothing."""
    sentence = _LED_AWAY if 300 <= status < 400 else BY_STATUS.get(status)
    if sentence is None:
        return None
    shown = f" ({status})" if sentence is _LOGIN else status
    return sentence.format(name=name, setting=setting, status=shown, kind=kind(content_type))


def told_by_connection(words: str, *, name: str, setting: str) -> str | None:
    """Return why there is no connection, or None if it is only that nobody answers."""
    for pattern, sentence in BY_CONNECTION:
        if re.search(pattern, words, re.IGNORECASE):
            return sentence.format(name=name, setting=setting, status="")
    return None


def unreachable(words: str, *, name: str, setting: str) -> str:
    """Return the sentence for a connection that may come about later."""
    if re.search(r"tunnel error|ProxyError", words):
        return f"{name} cannot be reached through the proxy in HTTPS_PROXY; check the proxy, the network and {setting}."
    return f"{name} cannot be reached; check the network and {setting}."


def has_no_address(words: str) -> bool:
    """Tell whether the name of a server leads nowhere."""
    return (
        re.search(r"name or service not known|nodename nor servname|getaddrinfo failed|no address", words, re.I)
        is not None
    )


def kind(content_type: str | None) -> str:
    """Return a content type as it may stand in a sentence."""
    found = CONTENT_TYPE.match(content_type or "")
    return found[0][:LONGEST_TYPE] if found else "no content type"


def said(body: bytes) -> Json:
    """Return the JSON of an error body, or None: it may be anything."""
    if len(body) > LARGEST_ERROR:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
