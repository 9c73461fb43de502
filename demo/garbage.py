"""Makes one record of an answer malformed, as a provider's bad day would."""

from random import Random
from typing import Any

MISSING = object()
TWILIO_DAMAGE: tuple[tuple[str, object], ...] = (
    ("sid", MISSING),
    ("date_created", "yesterday"),
    ("duration", "a while"),
    ("price", "n/a"),
    ("status", None),
)
ELEVENLABS_DAMAGE: tuple[tuple[str, object], ...] = (
    ("conversation_id", MISSING),
    ("start_time_unix_secs", "soon"),
    ("call_duration_secs", "a while"),
    ("status", None),
    ("metadata", MISSING),
)
LISTS = ("calls", "incoming_phone_numbers", "conversations", "agents")


def spoil(body: Any, random: Random) -> None:
    """Damage one field of one record in place; an empty list has none to damage."""
    record = _victim(body, random)
    if record is None:
        return
    damage = TWILIO_DAMAGE if "account_sid" in record else ELEVENLABS_DAMAGE
    field, value = random.choice(
        [(field, value) for field, value in damage if field in record] or [("agent_id", MISSING)]
    )
    if value is MISSING:
        record.pop(field, None)
    else:
        record[field] = value


def _victim(body: Any, random: Random) -> Any:
    """Return the record to damage, or None if there is none."""
    if isinstance(body, list):
        return random.choice(body) if body else None
    for name in LISTS:
        if name in body:
            return random.choice(body[name]) if body[name] else None
    return body
