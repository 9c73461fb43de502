"""A table as a CSV file that spreadsheets open safely: no text of others is run as a formula."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from sync.metrics import Amount

# Where text becomes a formula: at its start, and after a semicolon or a tab, where a spreadsheet in Spain, for example,
# begins a new cell although the file has commas. The wide signs begin a formula in Japan, for example.
WIDE = "\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
FORMULA = re.compile(rf"(^|[;\t]\s*)(?=[=+\-@{WIDE}\t\r\n])")

Cell = str | Amount | None


def to_csv(notes: Iterable[tuple[str, str]], headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """Return the notes line by line, an empty line, then the table. UTF-8 with the mark that Excel looks for."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([safe(name), safe(value)] for name, value in notes)
    writer.writerow([])
    writer.writerow([safe(heading) for heading in headings])
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def safe(text: str) -> str:
    """Return `text` with an apostrophe before what a spreadsheet would take for a formula."""
    return FORMULA.sub(r"\1'", text)


def _plain(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return f"{cell.normalize():f}"  # all its digits: 12.50000000 is 12.5, and 1E+3 is 1000
    return safe(cell) if isinstance(cell, str) else str(cell)
