"""Whose key somebody has pasted, as far as its form tells: a refused key may be a good one in the wrong place."""

import base64
import json
import re
from collections.abc import Mapping

BY_FORM: Mapping[str, str] = {
    r"sb_secret_.+": "a Supabase secret key",
    r"sb_publishable_.+": "a Supabase publishable key",
    r"sbp_.+": "a Supabase personal access token",
    r"sk_[0-9a-f]{32,}": "an ElevenLabs key",
    r"AC[0-9a-f]{32}": "a Twilio account SID",
    r"SK[0-9a-f]{32}": "the SID of a Twilio API key",
}


def kind_of_key(key: str) -> str | None:
    """Return what a key looks like, or None if its form tells nothing."""
    key = key.strip()
    if role := _role(key):
        return f"a Supabase key of the role {role}"
    return next((kind for form, kind in BY_FORM.items() if re.fullmatch(form, key)), None)


def _role(key: str) -> str | None:
    """Return the role that a legacy key of Supabase (a JWT) names."""
    parts = key.split(".")
    if len(parts) != 3 or not key.startswith("eyJ"):
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
    except (ValueError, RecursionError):
        return None
    role = claims.get("role") if isinstance(claims, dict) else None
    return role if role in ("anon", "authenticated", "service_role") else None
