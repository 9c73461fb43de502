"""The agency's numbers in every form in which providers write them: E.164, addresses round a number, as people type."""

import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import unquote

from sync.models import E164

# What Twilio sends when the caller is withheld: words, spelt on a telephone's keypad. They look like numbers, and
# belong to nobody.
WITHHELD: Mapping[str, str] = {
    "+266696687": "Anonymous",
    "+7378742833": "Restricted",
    "+2562533": "Blocked",
    "+8656696": "Unknown",
    "+86282452253": "Unavailable",
}

# Spaces, signs between groups of digits, and the invisible marks that come along when a number is copied from a page.
_BETWEEN = re.compile(r"[\s().\-/\u00ad\u200b-\u200f\u2010-\u2015\u202a-\u202e\u2060-\u2069\u2212\ufeff]")
_TRUNK_ZERO = "(0)"  # +44 (0)20 … is dialled without it
_WITHOUT_PLUS = re.compile(r"[1-9][0-9]{6,14}")
_NATIONAL = re.compile(r"0[1-9][0-9]{5,13}")  # nobody says of which country


def owned_number(text: str | None, *, on_trunk: bool = False) -> str | None:
    """Return the number that a workspace may own, or None: it is a withheld caller's, a person's name, or no number.

    A SIP trunk passes on what somebody typed: there a SIP address round a number and digits without a plus count too. A
    national number stays as it is, so that it is listed as nobody's instead of being passed over.
    """
    written = _written(unicodedata.normalize("NFKC", text or "").strip(), on_trunk=on_trunk)
    number = _BETWEEN.sub("", written.replace(_TRUNK_ZERO, "") if written.startswith(("+", "00")) else written)
    if on_trunk:
        number = _with_plus(number)
        if _NATIONAL.fullmatch(number):
            return number
    return number if E164.fullmatch(number) and number not in WITHHELD else None


def plain_number(text: str | None) -> str | None:
    """Return the number of anybody on a SIP trunk, so that it can be found and masked, or the text if it is none."""
    return owned_number(text, on_trunk=True) or text


def _written(text: str, *, on_trunk: bool) -> str:
    """Return what stands for the number in an address: of `"Desk" <sip:+34911234567@host;a=b>` it is +34911234567."""
    if bracketed := re.search(r"<([^<>]*)>", text):
        text = bracketed[1].strip()
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower() if colon else ""
    if scheme in ("whatsapp", "tel"):
        return rest.partition(";")[0]
    if on_trunk and scheme in ("sip", "sips"):
        return _user(rest)
    return _user(text) if on_trunk and "@" in text else text


def _user(address: str) -> str:
    """Return who is named before the host. Without `@` there is only a host, unless a plus shows that it is none."""
    user, at, _ = address.partition("@")
    user = user if at else address if address.startswith("+") else ""
    return unquote(re.split("[;:]", user)[0])


def _with_plus(number: str) -> str:
    number = f"+{number[2:]}" if number.startswith("00") else number  # 00 is how many telephones dial a plus
    return f"+{number}" if _WITHOUT_PLUS.fullmatch(number) else number
