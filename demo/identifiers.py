"""Identifiers in the providers' formats. Each hides the hour it was made in, so that a look-up needs no index."""

import re
from hashlib import sha256

CALL = "CA"
CONVERSATION = "conv_"
LENGTHS = {CALL: 32, CONVERSATION: 28}  # characters after the prefix
HOUR_DIGITS = 8


def identifier(prefix: str, hour: int, *origin: object) -> str:
    """Make the identifier of a record that `origin` names, made in `hour` (hours since 1970)."""
    rest = digest(*origin)[: LENGTHS[prefix] - HOUR_DIGITS]
    return f"{prefix}{hour ^ int(rest[:HOUR_DIGITS], 16):08x}{rest}"


def hour_in(prefix: str, value: str) -> int:
    """Return the hour an identifier was made in; 0, before any history, if it cannot be one of ours."""
    if not re.fullmatch(f"{prefix}[0-9a-f]{{{LENGTHS[prefix]}}}", value):
        return 0
    body = value.removeprefix(prefix)
    return int(body[:HOUR_DIGITS], 16) ^ int(body[HOUR_DIGITS : 2 * HOUR_DIGITS], 16)


def digest(*origin: object) -> str:
    """Return hex digits that depend on `origin` alone, in every process."""
    return sha256("/".join(map(str, origin)).encode()).hexdigest()
