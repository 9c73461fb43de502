"""How amounts read, and what a download holds."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest

from dashboard import changes, formats
from dashboard.csv_export import to_csv
from dashboard.tables import Row, Table
from sync.elevenlabs_metrics import allowances, elevenlabs, models
from sync.metrics import combined, twilio
from sync.models import LlmUsage, TwilioTotals

UNKNOWN = formats.UNKNOWN


@pytest.mark.parametrize(
    ("amount", "currency", "places", "text"),
    [
        (Decimal("1234.565"), "USD", 2, "$1,234.57"),
        (Decimal("0.0004"), "USD", 2, "< $0.01"),
        (Decimal("0.0717"), "USD", 4, "$0.0717"),
        (Decimal("-1.5"), "USD", 2, "\N{MINUS SIGN}$1.50"),
        (Decimal("12.5"), "EUR", 2, "12.50 EUR"),
        (Decimal(0), "USD", 2, "$0.00"),
        (None, "USD", 2, UNKNOWN),
    ],
)
def test_money_names_its_currency(amount: Decimal | None, currency: str, places: int, text: str) -> None:
    assert formats.money(amount, currency, places=places) == text


def test_credits_are_followed_by_the_word_and_never_dollars() -> None:
    assert formats.credits_(352389) == "352,389 credits"


@pytest.mark.parametrize(
    ("seconds", "text"), [(275_280, "76 h 28 m"), (3600, "1 h 0 m"), (162, "2 m 42 s"), (5, "5 s"), (None, UNKNOWN)]
)
def test_durations_read_as_hours_and_minutes(seconds: int | None, text: str) -> None:
    assert formats.hours(seconds) == text


@pytest.mark.parametrize(
    ("age", "text"), [(20, "just now"), (720, "12 min ago"), (7500, "2 h 5 min ago"), (300_000, "3 days ago")]
)
def test_ages_read_in_words(age: int, text: str) -> None:
    assert formats.age(timedelta(seconds=age)) == text


def test_text_of_others_is_never_taken_for_markdown() -> None:
    assert formats.literal("$5 *a* [b](c) :red[d]") == r"\$5 \*a\* \[b\]\(c\) \:red\[d\]"


@pytest.mark.parametrize(
    "text",
    [
        *(":material/home:", "https://evil.example", "ftp://evil.example", "www.evil.example"),
        *("ana@evil.example", "mailto:ana@evil.example", "a -> b", "a <- b", "a <-> b", "a -- b", "a >= b", "a ~= b"),
    ],
)
def test_what_streamlit_finds_in_any_text_is_kept_apart(text: str) -> None:
    shown = formats.literal(text).replace("\\", "")

    assert shown != text
    assert shown.replace(formats.WORD_JOINER, "") == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("- one\n- two", "\\- one\\\n\\- two"),
        ("1. one\r\n2) two", "1\\. one\\\n2\\) two"),
        ("* one\r+ two", "\\* one\\\n\\+ two"),
        ("title\n===", "title\\\n\\==="),
        ("    code", "\N{NO-BREAK SPACE}" * 4 + "code"),
        ("one\n\n\tcode", "one\n\n" + "\N{NO-BREAK SPACE}" * 4 + "code"),
        ("  - one", "\N{NO-BREAK SPACE}" * 2 + "\\- one"),
        ("one\n\ntwo", "one\n\ntwo"),
    ],
)
def test_lines_stay_lines_and_make_no_lists_headings_or_code(text: str, written: str) -> None:
    assert formats.literal(text) == written


def test_an_entity_stays_the_letters_that_it_is() -> None:
    assert formats.literal("&lt;i&gt; at 14:00") == r"\&lt;i\&gt; at 14\:00"


WIDE = [
    "\N{FULLWIDTH EQUALS SIGN}1",
    "\N{FULLWIDTH PLUS SIGN}1",
    "\N{FULLWIDTH HYPHEN-MINUS}1",
    "\N{FULLWIDTH COMMERCIAL AT}x",
]


@pytest.mark.parametrize("text", ["=1+1", "+34", "-2", "@sum", "\tx", "\rx", *WIDE])
def test_a_spreadsheet_never_runs_a_name_as_a_formula(text: str) -> None:
    exported = to_csv([("Period", text)], ["Workspace"], [[text]]).decode("utf-8-sig")

    assert list(csv.reader(io.StringIO(exported, newline="")))[0::3] == [["Period", f"'{text}"], [f"'{text}"]]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("sip:x;=1+1", "sip:x;'=1+1"),
        ("a; @b;-c", "a; '@b;'-c"),
        ("a\t+1", "a\t'+1"),
        (f"a;{WIDE[0]}", f"a;'{WIDE[0]}"),
        ("a;b - c, d = e", "a;b - c, d = e"),
    ],
)
def test_nor_the_part_behind_a_semicolon_where_that_begins_a_cell(text: str, written: str) -> None:
    exported = to_csv([], ["Caller"], [[text]]).decode("utf-8-sig")

    assert list(csv.reader(io.StringIO(exported, newline="")))[-1] == [written]


def test_a_download_has_exact_amounts_and_leaves_the_unknown_empty() -> None:
    rows = [
        Row(name="Acme", totals=TwilioTotals(total_cost=Decimal("0.00850000"), total_legs=1)),
        Row(name="Total", totals=TwilioTotals(unpriced_calls=1)),
    ]

    exported = Table(heading="Workspace", metrics=twilio("USD")[:2], rows=rows).csv([]).decode("utf-8-sig")

    assert exported.splitlines()[1:] == ["Workspace,total_cost (USD),total_calls (count)", "Acme,0.0085,0", "Total,,0"]


@pytest.mark.parametrize(
    "metrics",
    [twilio("USD"), twilio("EUR"), elevenlabs(), allowances(), models(LlmUsage()), combined("USD"), combined("EUR")],
)
def test_every_metric_tells_formula_unit_and_source(metrics: list[object]) -> None:
    assert all("Unit: " in metric.help and "Source: " in metric.help for metric in metrics)
    assert len({metric.label for metric in metrics}) == len({metric.key for metric in metrics}) == len(metrics)


@pytest.mark.parametrize(
    ("amount", "before", "text"),
    [
        (Decimal("1.5"), Decimal(1), "+50.0%"),
        (1, 4, "-75.0%"),
        (3, 3, "+0.0%"),
        (0, 0, "+0.0%"),
        (2, 0, "new"),
        (None, 1, None),
        (1, None, None),
        (Decimal(-1), Decimal(-2), "+50.0%"),
        (1_000_000, 1, "+99,999,900.0%"),
    ],
)
def test_a_change_is_a_percentage_and_new_after_nothing(
    amount: Decimal | None, before: Decimal | None, text: str | None
) -> None:
    assert changes.text(amount, before) == text
