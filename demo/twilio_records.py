"""Legs and numbers as Twilio writes them: strings or null, RFC-2822 dates, negative prices."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime

from demo.credentials import ACCOUNT_SID, AUTH_TOKEN
from demo.fleet import Line
from demo.identifiers import digest
from demo.legs import Leg
from demo.pricing import DOLLAR

ACCOUNT_PATH = f"/2010-04-01/Accounts/{ACCOUNT_SID}"
SUBRESOURCES = {
    "notifications": "Notifications",
    "recordings": "Recordings",
    "payments": "Payments",
    "events": "Events",
    "siprec": "Siprec",
    "streams": "Streams",
    "transcriptions": "Transcriptions",
    "user_defined_message_subscriptions": "UserDefinedMessageSubscriptions",
    "user_defined_messages": "UserDefinedMessages",
}
FIRST_RENTED = datetime(2025, 3, 3, 9, tzinfo=UTC)

Record = dict[str, object]


def call_record(leg: Leg, now: int) -> Record:
    """Write a leg as Twilio shows it at `now` (unix seconds)."""
    call_path = f"{ACCOUNT_PATH}/Calls/{leg.sid}"
    return {
        "sid": leg.sid,
        "date_created": rfc_2822(leg.dated_at(now)),
        "date_updated": rfc_2822(leg.updated_at(now)),
        "parent_call_sid": leg.parent_sid,
        "account_sid": ACCOUNT_SID,
        "to": leg.called,
        "to_formatted": formatted(leg.called),
        "from": leg.caller,
        "from_formatted": formatted(leg.caller),
        "phone_number_sid": number_sid(leg.line_number) if leg.line_number else None,
        "status": leg.status_at(now),
        "start_time": rfc_2822(leg.start_at(now)),
        "end_time": rfc_2822(leg.end_at(now)),
        "duration": text(leg.duration_at(now)),
        "price": price_text(leg.price_at(now)),
        "price_unit": "USD",
        "direction": leg.direction,
        "answered_by": leg.answered_by if leg.is_answered_at(now) else None,
        "annotation": None,
        "api_version": "2010-04-01",
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None if leg.direction == "inbound" else "",
        "queue_time": str((min(now, leg.course.dialled) - leg.created) * 1000),
        # The wire says "", although the specification only allows null or a TK sid.
        "trunk_sid": trunk_sid(leg) if leg.direction.startswith("trunking-") else "",
        "uri": f"{call_path}.json",
        "subresource_uris": {name: f"{call_path}/{page}.json" for name, page in SUBRESOURCES.items()},
    }


def number_record(line: Line) -> Record:
    sid = number_sid(line.number)
    return {
        "sid": sid,
        "account_sid": ACCOUNT_SID,
        "phone_number": line.number,
        "friendly_name": line.label,
        "capabilities": {"voice": True, "sms": False, "mms": False, "fax": False},
        "date_created": format_datetime(FIRST_RENTED),
        "date_updated": format_datetime(FIRST_RENTED),
        "origin": "twilio",
        "status": "in-use",
        "type": "local",
        "beta": False,
        "address_requirements": "none",
        "api_version": "2010-04-01",
        "trunk_sid": None,
        "voice_method": "POST",
        "voice_url": "https://api.us.elevenlabs.io/twilio/inbound_call",
        "voice_caller_id_lookup": False,
        "voice_receive_mode": "voice",
        "emergency_status": "Inactive",
        "emergency_address_status": "unregistered",
        "status_callback": "",
        "status_callback_method": "POST",
        "uri": f"{ACCOUNT_PATH}/IncomingPhoneNumbers/{sid}.json",
    }


def account_record() -> Record:
    pages = ("AvailablePhoneNumbers", "Calls", "IncomingPhoneNumbers", "Recordings", "Usage")
    return {
        "sid": ACCOUNT_SID,
        "owner_account_sid": ACCOUNT_SID,
        "friendly_name": "Demo agency",
        "status": "active",
        "type": "Full",
        "auth_token": AUTH_TOKEN,
        "date_created": format_datetime(FIRST_RENTED),
        "date_updated": format_datetime(FIRST_RENTED),
        "uri": f"{ACCOUNT_PATH}.json",
        "subresource_uris": {_snake_case(page): f"{ACCOUNT_PATH}/{page}.json" for page in pages},
    }


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def number_sid(number: str) -> str:
    return f"PN{digest('number', number)[:32]}"


def trunk_sid(leg: Leg) -> str:
    return f"TK{digest('trunk', leg.line_number)[:32]}"


def rfc_2822(moment: int | None) -> str | None:
    return None if moment is None else format_datetime(datetime.fromtimestamp(moment, UTC))


def price_text(price: int | None) -> str | None:
    """Write what is charged as Twilio does: negative, five decimals, a free call without a sign."""
    if price is None:
        return None
    return f"{'-' if price else ''}{price // DOLLAR}.{price % DOLLAR // 1000:05d}"


def text(number: int | None) -> str | None:
    return None if number is None else str(number)


def formatted(party: str) -> str:
    if party.startswith("+1") and len(party) == 12:
        return f"({party[2:5]}) {party[5:8]}-{party[8:]}"
    return party
