"""What a field of a provider may hold: texts that are no text, numbers that surprise, starts that cannot be."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import get_args

import pytest
from pydantic import Field, ValidationError

import sync.elevenlabs
import sync.elevenlabs_wire
import sync.twilio
from sync.http import read_json
from sync.wire import (
    LONGEST_ID,
    LONGEST_SPEECH,
    LONGEST_TEXT,
    Count,
    Price,
    RecordId,
    Speech,
    Text,
    WireModel,
    clean,
    implausible_start,
    readable_id,
    what_is_wrong,
)

NOW = datetime(2026, 11, 18, 16, tzinfo=UTC)
HALF_AN_EMOJI = "\ud83d"


class Thing(WireModel):
    id: RecordId | None = None
    text: Text | None = None
    speech: Speech | None = None
    names: dict[Text, Count] = Field(default_factory=dict)
    count: Count | None = None
    price: Price | None = None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Hi {HALF_AN_EMOJI}!", "Hi \ufffd!"),
        ("\udfff\ud83d", "\ufffd\ufffd"),
        ("a\0b\0", "ab"),
        ("smile \U0001f600", "smile \U0001f600"),
        ("x" * 10**6, "x" * LONGEST_TEXT),
        ("\u202e+1", "\u202e+1"),
    ],
)
def test_a_text_is_one_that_every_store_takes(text: str, expected: str) -> None:
    thing = Thing.model_validate({"text": text, "names": {text: 1}})

    assert (thing.text, thing.names) == (expected, {expected: 1})
    assert thing.text
    thing.text.encode()


def test_what_somebody_said_may_be_longer_than_a_name() -> None:
    assert Thing.model_validate({"speech": "x" * 10**6}).speech == "x" * LONGEST_SPEECH


@pytest.mark.parametrize("nothing", [None, "", "\0", "\0\0"])
def test_a_text_of_nothing_is_absent(nothing: str | None) -> None:
    assert Thing.model_validate({"text": nothing, "id": nothing, "price": nothing}) == Thing()


@pytest.mark.parametrize(
    "value", [HALF_AN_EMOJI, "CA\ufffd", "CA\0", "CA\n", "x" * (LONGEST_ID + 1), 5, True, {"a": 1}, ["CA1"]]
)
def test_an_id_is_kept_letter_by_letter_or_not_at_all(value: object) -> None:
    with pytest.raises(ValidationError):
        Thing.model_validate({"id": value})

    assert Thing.model_validate({"id": "conv ü/..😀"}).id == "conv ü/..😀"


@pytest.mark.parametrize("value", [None, "", HALF_AN_EMOJI, "CA\0", "CA\n", "x" * 10**6, 5, {"a": 1}, ["CA1"]])
def test_a_failure_is_not_named_by_what_no_store_could_keep(value: object) -> None:
    assert readable_id(value) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((0, 0), (75, 75), ("75", 75), (" 75 ", 75), ("75.0", 75), (Decimal("75.0"), 75), ("1e3", 1000), ("-0", 0)),
        *((Decimal("75.6"), 76), (75.6, 76), ("75.4", 75), (Decimal("0.15"), 0), ("74.5", 74), ("75.5", 76)),
        *((10**12, 10**12), (Decimal("1e-999999"), 0)),
    ],
)
def test_a_count_is_rounded_to_the_nearest_whole_number(value: object, expected: int) -> None:
    assert Thing.model_validate({"count": value}).count == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((0, "0"), ("-0.0085", "-0.0085"), (Decimal("0.00041565"), "0.00041565"), ("3e-7", "0.0000003"), (5, "5")),
        *(("0.000000004", "0"), ("0.000000005", "0"), ("0.000000015", "0.00000002"), ("1e-400", "0")),
        *(("1." + "1" * 10**5, "1.11111111"), ("0e99999999", "0"), (Decimal("1e6"), "1000000"), (" .5 ", "0.5")),
    ],
)
def test_a_price_is_exact_to_the_eighth_decimal(value: object, expected: str) -> None:
    price = Thing.model_validate({"price": value}).price

    assert price == Decimal(expected)
    assert price is not None
    assert price.as_tuple().exponent == -8


@pytest.mark.parametrize("field", ["count", "price"])
@pytest.mark.parametrize(
    "value",
    [
        *(
            "1_0",
            "\u0667",
            "\uff17",
            "0x10",
            "1,5",
            "a while",
            "NaN",
            "Infinity",
            "-Infinity",
            "nan",
            "inf",
            "1e400",
            "-1e400",
            "+",
        ),
        *(
            float("nan"),
            float("inf"),
            Decimal("NaN"),
            Decimal("Infinity"),
            Decimal("sNaN"),
            True,
            False,
            [],
            [1],
            {"a": 1},
        ),
        *("9" * 5000, 10**4000, "1e99999999999999999999", Decimal("1e999999"), -(10**13), "1 0", "1e", "--1"),
    ],
)
def test_what_is_no_number_or_cannot_be_one_is_an_error_of_its_record(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Thing.model_validate({field: value})

    assert what_is_wrong(caught.value).startswith(f"{field}: must be ")


@pytest.mark.parametrize(
    "literal",
    ["NaN", "Infinity", "-Infinity", "1e400", "1" * 5000, "-" + "1" * 5000, "1e99999999999999999999", "1e999999999"],
)
def test_a_literal_that_is_no_number_spoils_only_its_record(literal: str) -> None:
    bad, good = read_json(f'[{{"price": {literal}}}, {{"price": 0.1}}]'.encode())

    with pytest.raises(ValidationError):
        Thing.model_validate(bad)
    assert Thing.model_validate(good).price == Decimal("0.1")


@pytest.mark.parametrize("start", [datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)])
def test_a_start_from_before_both_providers_cannot_be(start: datetime) -> None:
    assert implausible_start(start, NOW) == f"its start, {start:%Y-%m-%d}, is too long ago"


@pytest.mark.parametrize("start", [NOW + timedelta(days=3), datetime(9999, 12, 31, tzinfo=UTC)])
def test_a_start_days_ahead_cannot_be(start: datetime) -> None:
    assert implausible_start(start, NOW) == f"its start, {start:%Y-%m-%d}, lies in the future"


@pytest.mark.parametrize("start", [NOW, NOW + timedelta(days=1), datetime(2010, 1, 1, tzinfo=UTC)])
def test_a_start_within_what_two_clocks_may_differ_by_can_be(start: datetime) -> None:
    assert implausible_start(start, NOW) is None


def test_what_is_wrong_is_told_without_a_value_and_in_few_words() -> None:
    with pytest.raises(ValidationError) as caught:
        Thing.model_validate({"names": {f"{HALF_AN_EMOJI}{'x' * 10**6}": "many"}})

    sentence = what_is_wrong(caught.value)

    assert len(sentence) < 300
    sentence.encode()


@pytest.mark.parametrize("module", [sync.twilio, sync.elevenlabs, sync.elevenlabs_wire])
def test_no_field_of_a_provider_is_a_bare_text_or_number(module: object) -> None:
    """A field that is a plain `str` or `int` would let through what no store takes."""
    models = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, WireModel)]

    for model in models:
        for name, field in model.model_fields.items():
            kinds = {field.annotation, *get_args(field.annotation)}
            is_bare = not field.metadata and kinds & {str, int, float, Decimal}
            assert not is_bare, f"{model.__name__}.{name}"


def test_cleaning_twice_changes_nothing() -> None:
    text = clean(f"a{HALF_AN_EMOJI}\0b")

    assert clean(text) == text == "a\ufffdb"
