"""Numbers as CSV: an import registers the good rows and tells each bad one by its line; an export can be imported."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Literal

from sync.errors import RegistryError, VoiceLedgerError
from sync.models import Phone
from sync.registry import Effect, RegisterNumber, cleaned
from sync.store import Store
from sync.times import iso

COLUMNS = ("workspace", "phone_number", "label", "valid_from", "valid_until")
SEPARATORS = ",;\t"  # spreadsheets write semicolons where numbers have a decimal comma, as in Spain and Germany

# Spreadsheets take a text that begins so for a formula (of +34911234567 they make 34911234567), unless it begins with
# an apostrophe. It is written in exports and understood in imports.
TAKEN_FOR_FORMULAS = ("=", "+", "-", "@", "'")

Fate = Literal["registered", "corrected", "unchanged", "refused"]


class ImportFileError(VoiceLedgerError):
    """The file as a whole cannot be read; nothing was imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneRow:
    """One line of the file: what it asks for, or a sentence why that cannot be read."""

    line: int
    change: RegisterNumber | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRow:
    """What became of one line; `error` is a sentence if it was refused."""

    line: int
    fate: Fate
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of all lines, and what they moved between workspaces in all."""

    rows: Sequence[ImportedRow]
    effects: Sequence[Effect]


def read_file(path: Path) -> list[PhoneRow]:
    try:
        return read_phones(path.read_bytes(), name=str(path))
    except OSError as exc:
        raise ImportFileError(f"{path} cannot be read ({exc.strerror}); check its name.") from exc


def read_phones(content: bytes, *, name: str) -> list[PhoneRow]:
    """Read a CSV file in UTF-8 with the columns COLUMNS; dates without a zone are UTC."""
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        columns, separator = _header(text.partition("\n")[0])
        missing = [column for column in COLUMNS[:2] if column not in columns]
        if missing:
            raise ImportFileError(
                f"{name} has no column {' and no column '.join(missing)}; its first line must be {','.join(COLUMNS)}, "
                "with commas, semicolons or tabs between them."
            )
        lines = csv.reader(StringIO(text, newline=""), strict=True, skipinitialspace=True, delimiter=separator)
        next(lines)
        return [_read_row(lines.line_num, dict(zip(columns, cells, strict=False))) for cells in lines if cells]
    except (UnicodeDecodeError, csv.Error) as exc:
        raise ImportFileError(f"{name} is not a CSV file in UTF-8; save it as such and try again.") from exc


def _header(line: str) -> tuple[list[str], str]:
    """Return the names in the first line, and what separates them: what finds most of the columns."""
    found = {
        separator: [
            name.strip().lower() for name in next(csv.reader([line], skipinitialspace=True, delimiter=separator), [])
        ]
        for separator in SEPARATORS
    }
    separator = max(found, key=lambda each: len(set(COLUMNS).intersection(found[each])))
    return found[separator], separator


def _read_row(line: int, raw: dict[str, str]) -> PhoneRow:
    cells = {column: _plain_text((raw.get(column) or "").strip()) for column in COLUMNS}
    try:
        change = RegisterNumber(
            workspace=cells["workspace"],
            phone_number=cells["phone_number"],
            label=cells["label"],
            valid_from=_moment("valid_from", cells["valid_from"]),
            valid_until=_moment("valid_until", cells["valid_until"]),
        )
        return PhoneRow(line=line, change=cleaned(change))
    except RegistryError as exc:
        return PhoneRow(line=line, error=f"Line {line}: {exc}")


def _plain_text(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(TAKEN_FOR_FORMULAS) else cell


def _moment(column: str, cell: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(cell) if cell else None
        return moment and (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as exc:
        raise RegistryError(f"{column} must be a date such as 2026-11-01, or a date and time.") from exc


def import_phones(store: Store, rows: Sequence[PhoneRow], *, dry_run: bool = False) -> Imported:
    """Register the rows that can be, or with `dry_run` only tell what would become of them. May be repeated."""
    names = {workspace.id: workspace.name for workspace in store.workspaces()}
    known = {_key(phone, names[phone.workspace_id]): (phone.label, phone.valid_until) for phone in store.phones()}
    changes = {row.line: row.change for row in rows if row.change}
    outcome = store.change_registry(list(changes.values()), dry_run=dry_run)
    refusals = dict(zip(changes, outcome.refusals, strict=True))
    return Imported(
        rows=[
            ImportedRow(line=row.line, fate="refused", error=row.error or f"Line {row.line}: {refusals[row.line]}")
            if row.change is None or refusals[row.line]
            else ImportedRow(line=row.line, fate=_fate(known, row.change))
            for row in rows
        ],
        effects=outcome.effects,
    )


Key = tuple[str, str, datetime | None]
Known = dict[Key, tuple[str | None, datetime | None]]


def _key(period: Phone | RegisterNumber, workspace: str) -> Key:
    return period.phone_number, workspace.lower(), period.valid_from


def _fate(known: Known, change: RegisterNumber) -> Fate:
    """Tell what a change did to what was known, and add it there: a file may correct its own lines."""
    key, period = _key(change, change.workspace), (change.label, change.valid_until)
    before, known[key] = known.get(key), period
    if before is None:
        return "registered"
    return "unchanged" if before == period else "corrected"


def export_phones(store: Store) -> str:
    """Return all registered periods as CSV with the columns COLUMNS, for spreadsheets and for imports."""
    names = {workspace.id: workspace.name for workspace in store.workspaces()}
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for phone in store.phones():
        dates = [iso(at) if at else "" for at in (phone.valid_from, phone.valid_until)]
        words = (names[phone.workspace_id], phone.phone_number, phone.label or "")
        writer.writerow([*map(_safe_text, words), *dates])
    return text.getvalue()


def _safe_text(cell: str) -> str:
    return f"'{cell}" if cell.startswith(TAKEN_FOR_FORMULAS) else cell
