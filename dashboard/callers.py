"""Who was on one side of a call: a masked number, an address, or that the caller hid it."""

import re
from collections.abc import Mapping

from dashboard import formats
from dashboard.formats import UNKNOWN

# What Twilio gives instead of a number that the caller hides: words, spelt on a telephone's keypad.
WITHHELD: Mapping[str, str] = {
    "+266696687": "Anonymous",
    "+7378742833": "Restricted",
    "+2562533": "Blocked",
    "+8656696": "Unknown",
    "+86282452253": "Unavailable",
}


def number(text: str | None, *, masked: bool) -> str:
    """Return who was on one side; of a number only its country and last digits, unless it may be shown."""
    if not text:
        return UNKNOWN
    if text in WITHHELD:
        return WITHHELD[text]
    return re.sub(r"\+?\d{6,}", lambda found: _masked(found[0]), text) if masked else text


def _masked(digits: str) -> str:
    return formats.masked_number(digits) if digits.startswith("+") else f"… {digits[-4:]}"
