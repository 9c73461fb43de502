"""Field types for what providers send: absent, null and empty are the same, and money is exact."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from sync.models import E164, PRICE_PLACES

LARGEST_PRICE = Decimal(1_000_000)  # of one record; beyond it the record is wrong, not expensive
LARGEST_COUNT = 10**12

# What Twilio sends when the caller is withheld: words, spelt on a telephone's keypad. They look like numbers, and
# belong to nobody.
WITHHELD: Mapping[str, str] = {
    "+266696687": "Anonymous",
    "+7378742833": "Restricted",
    "+2562533": "Blocked",
    "+8656696": "Unknown",
    "+86282452253": "Unavailable",
}


def owned_number(number: str | None) -> str | None:
    """Return the number if it is one that a workspace can own: E.164 and not a withheld caller's."""
    number = re.sub(r"[\s()-]", "", number or "")
    return number if E164.fullmatch(number) and number not in WITHHELD else None


def _exact(price: Decimal) -> Decimal:
    return price.quantize(PRICE_PLACES)


def _zero_if_null(value: object) -> object:
    return 0 if value is None else value


Price = Annotated[Decimal, Field(ge=-LARGEST_PRICE, le=LARGEST_PRICE), AfterValidator(_exact)]
Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
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
        return {key: value for key, value in data.items() if value is not None and value != ""}


def what_is_wrong(exc: ValidationError) -> str:
    """Say which field is wrong and how, without the value: it may be a phone number."""
    error = exc.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in error["loc"]) or "the record"
    if error["type"] == "missing":
        return f"{place} is missing"
    return f"{place}: {error['msg'].removeprefix('Value error, ').lower()}"
