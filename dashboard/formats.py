"""How amounts read on a page: money, credits, durations, ages. What is not known is an en dash, never 0."""

import re
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

from sync.metrics import Amount

EN_DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"  # by name: they look like hyphens in code
UNKNOWN = EN_DASH


def money(amount: Amount | None, currency: str = "USD", *, places: int = 2) -> str:
    """Return e.g. `$1,234.50` or `1,234.50 EUR`; what is too small for the last place is `< $0.01`."""
    if amount is None:
        return UNKNOWN
    unit = Decimal(1).scaleb(-places)
    rounded = Decimal(amount).quantize(unit, ROUND_HALF_UP)
    if amount > 0 and not rounded:
        return f"< {_with_currency(unit, currency)}"
    return f"{MINUS if rounded < 0 else ''}{_with_currency(abs(rounded), currency)}"


def _with_currency(amount: Decimal, currency: str) -> str:
    return f"${amount:,}" if currency == "USD" else f"{amount:,} {currency}"


def count(amount: Amount | None) -> str:
    return UNKNOWN if amount is None else f"{amount:,}"


def credits_(amount: Amount | None) -> str:
    """Return e.g. `352,389 credits`."""
    return UNKNOWN if amount is None else f"{amount:,} credits"


def minutes(amount: Amount | None) -> str:
    """Return e.g. `116.7 min`."""
    return UNKNOWN if amount is None else f"{amount:,.1f} min"


def hours(seconds: Amount | None) -> str:
    """Return e.g. `76 h 28 m`, whole minutes; what is shorter than an hour as `28 m 5 s`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 3600:
        return short_time(seconds)
    return f"{int(seconds) // 3600:,} h {int(seconds) % 3600 // 60} m"


def short_time(seconds: Amount | None) -> str:
    """Return e.g. `2 m 42 s`, for averages."""
    if seconds is None:
        return UNKNOWN
    whole = int(Decimal(seconds).quantize(Decimal(1), ROUND_HALF_UP))
    return f"{whole // 60} m {whole % 60} s" if whole >= 60 else f"{whole} s"


def age(span: timedelta) -> str:
    """Return e.g. `12 min ago`, `2 h 5 min ago` or `3 days ago`."""
    elapsed = int(span.total_seconds()) // 60
    if elapsed < 1:
        return "just now"
    if elapsed < 60:
        return f"{elapsed} min ago"
    if elapsed < 48 * 60:
        return f"{elapsed // 60} h {elapsed % 60} min ago"
    return f"{elapsed // (24 * 60)} days ago"


def clock(moment: datetime, zone: ZoneInfo, *, now: datetime) -> str:
    """Return e.g. `14:00`, with the day before it when that is another than today's."""
    local = moment.astimezone(zone)
    if local.date() == now.astimezone(zone).date():
        return f"{local:%H:%M}"
    return f"{local:%-d %b %H:%M}" if local.year == now.year else f"{local:%-d %b %Y %H:%M}"


def masked_number(number: str, *, digits: int = 4) -> str:
    """Return e.g. `+34 … 4567`: the country and the last digits, by which those who know a number recognise it."""
    country = COUNTRY.match(number)
    if not country or len(number) <= len(country[0]) + digits:
        return number
    return f"{country[0]} … {number[-digits:]}"


def literal(text: str) -> str:
    """Return `text` so that Streamlit's Markdown shows it as it is: no formulas, links, emphasis, icons, lists, code.

    Its lines stay lines.
    """
    lines = LINE_END.split(FOUND_IN_TEXT.sub(lambda found: found[0] + WORD_JOINER, text))
    kept = [_literal_line(line) for line in lines]
    return "".join(
        f"{line}\\\n" if line and following else f"{line}\n"  # a backslash at its end keeps a line from the next
        for line, following in pairwise([*kept, ""])
    ).removesuffix("\n")


def _literal_line(line: str) -> str:
    words = line.strip(" \t")
    indent = line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4) if words else ""
    escaped = "".join(f"\\{char}" if char in MARKDOWN else char for char in words)
    return indent.replace(" ", NO_BREAK_SPACE) + BLOCK.sub(r"\1\\\2", escaped)


MARKDOWN = "\\`*_{}[]()<>#+!|~$:&"
BLOCK = re.compile(r"^(\d*)([-=.])")  # what begins a list, a line across, or makes a heading of the line above
LINE_END = re.compile(r"\r\n|\r|\n")

# Icons, addresses and arrows are looked for when the text is read already, where no backslash is left: only another
# character in between, which nobody sees, keeps them text.
FOUND_IN_TEXT = re.compile(
    r":(?=material/|streamlit:|//)|\bwww(?=\.)|@(?=[\w-])|[-<](?=-)|-(?=>)|[<>~](?==)", re.IGNORECASE
)
WORD_JOINER, NO_BREAK_SPACE = "\N{WORD JOINER}", "\N{NO-BREAK SPACE}"

# The countries' codes have one, two or three digits (ITU E.164).
COUNTRY = re.compile(r"\+(?:[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|\d{3})")
