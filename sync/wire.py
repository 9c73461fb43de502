"""Field types for what providers send: absent, null and empty are the same, money is exact, and a text is text.

What a field cannot be read as is an error of that one record. What it plainly means is read so: 75.6 seconds are 76, an
emoji that was cut in the middle becomes a replacement character.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from sync.models import PRICE_PLACES

LARGEST_PRICE = Decimal(1_000_000)  # of one record; beyond it the record is wrong, not expensive
LARGEST_COUNT = Decimal(10**12)
LONGEST_ID, LONGEST_TEXT, LONGEST_SPEECH = 128, 1_000, 100_000  # characters
EARLIEST_START = datetime(2008, 1, 1, tzinfo=UTC)  # the year in which Twilio began
CLOCKS_DIFFER = timedelta(days=2)  # at most; ours may be the wrong one, and show 1970

REPLACED = "\ufffd"  # stands where a character could not be read
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # JSON may hold one half of a pair alone; no store and no answer can
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def clean(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text that stores, pages and answers take: no half characters, no NUL, not longer than `longest`."""
    return _HALF_CHARACTER.sub(REPLACED, text[:longest].replace("\0", ""))


def readable_id(value: object, longest: int = LONGEST_TEXT) -> str:
    """Return the value if it can name a record, else nothing: an id is kept letter by letter, or not at all."""
    is_whole = isinstance(value, str) and len(value) <= longest and value.isprintable() and REPLACED not in value
    return str(value) if is_whole else ""


def implausible_start(started_at: datetime, fetched_at: datetime) -> str | None:
    """Say what is wrong with a start that cannot be, such as the year 9999, which no balance of today should reach."""
    if started_at < min(EARLIEST_START, fetched_at - CLOCKS_DIFFER):
        return f"its start, {started_at:%Y-%m-%d}, is too long ago"
    if started_at > fetched_at + CLOCKS_DIFFER:
        return f"its start, {started_at:%Y-%m-%d}, lies in the future"
    return None


def _cleaned(value: object, longest: int = LONGEST_TEXT) -> object:
    return clean(value, longest) if isinstance(value, str) else value


def _sure_id(value: object) -> str:
    if identifier := readable_id(value, LONGEST_ID):
        return identifier
    raise ValueError(f"must be an id of 1 to {LONGEST_ID} printable characters")


def _number(value: object) -> Decimal:
    """Return a number as exactly as it came; `true`, `1_0` and NaN are none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if not isinstance(value, str | float | Decimal) or not _NUMBER.fullmatch(text := str(value).strip()):
        raise ValueError("must be a number")
    try:
        return Decimal(text)
    except InvalidOperation as exc:  # an exponent of twenty digits
        raise ValueError("must be a number") from exc


def _whole(value: object) -> int:
    number = _number(value)
    if not 0 <= number <= LARGEST_COUNT:
        raise ValueError(f"must be between 0 and {LARGEST_COUNT:,}")
    return int(number.to_integral_value(ROUND_HALF_EVEN))


def _exact(value: object) -> Decimal:
    number = _number(value)
    if not -LARGEST_PRICE <= number <= LARGEST_PRICE:
        raise ValueError(f"must be at most {LARGEST_PRICE:,}")
    return number.quantize(PRICE_PLACES, ROUND_HALF_EVEN)


def _zero_if_null(value: object) -> object:
    return 0 if value is None else value


RecordId = Annotated[str, BeforeValidator(_sure_id)]
Text = Annotated[str, BeforeValidator(_cleaned)]
Speech = Annotated[str, BeforeValidator(partial(_cleaned, longest=LONGEST_SPEECH))]
Price = Annotated[Decimal, BeforeValidator(_exact)]
Count = Annotated[int, BeforeValidator(_whole)]
CountOrZero = Annotated[Count, BeforeValidator(_zero_if_null)]
PriceOrZero = Annotated[Price, BeforeValidator(_zero_if_null)]


class WireModel(BaseModel):
    """A JSON object of which the declared fields matter; others are ignored, missing and null are the default."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if not _is_empty(value)}


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip("\0"))


def what_is_wrong(exc: ValidationError) -> str:
    """Say which field is wrong and how, without the value: it may be a phone number."""
    error = exc.errors(include_input=False, include_url=False)[0]
    place = clean(".".join(str(part) for part in error["loc"]), longest=200) or "the record"
    if error["type"] == "missing":
        return f"{place} is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}"
