"""Import of numbers from CSV: good rows are registered, each bad one is told by its line."""

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError

from sync.errors import RegistryError, VoiceLedgerError
from sync.models import E164, Phone
from sync.store import Store
from sync.wire import WireModel, what_is_wrong

COLUMNS = ("workspace", "phone_number", "label", "valid_from", "valid_until")


class ImportFileError(VoiceLedgerError):
    """The file as a whole cannot be read; nothing was imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRow:
    """What became of one line of the file; `error` is a sentence, or None if the number was registered."""

    line: int
    error: str | None = None


def _number(value: object) -> str:
    number = str(value).replace(" ", "")
    if not E164.fullmatch(number):
        raise ValueError("must be in international form, such as +34911234567")
    return number


def _utc(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError("must be a date such as 2026-11-01, or a date and time") from exc


class _Row(WireModel):
    workspace: str = Field(max_length=200)
    phone_number: Annotated[str, BeforeValidator(_number)]
    label: str | None = Field(None, max_length=200)
    valid_from: Annotated[datetime, BeforeValidator(_utc)] | None = None
    valid_until: Annotated[datetime, BeforeValidator(_utc)] | None = None


def import_phones(store: Store, path: Path) -> list[ImportedRow]:
    """Register the numbers of a CSV file with the columns COLUMNS. May be repeated; dates without a zone are UTC."""
    return [_import_row(store, line, raw) for line, raw in _read(path)]


def _read(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True, skipinitialspace=True)
            missing = [name for name in COLUMNS[:2] if name not in (reader.fieldnames or ())]
            if missing:
                raise ImportFileError(
                    f"{path} has no column {' and no column '.join(missing)}; "
                    f"its first line must be {','.join(COLUMNS)}."
                )
            return [(reader.line_num, row) for row in reader]
    except OSError as exc:
        raise ImportFileError(f"{path} cannot be read ({exc.strerror}); check its name.") from exc
    except (UnicodeDecodeError, csv.Error) as exc:
        raise ImportFileError(f"{path} is not a CSV file in UTF-8; save it as such and try again.") from exc


def _import_row(store: Store, line: int, raw: dict[str, str]) -> ImportedRow:
    try:
        row = _Row.model_validate({name: (raw.get(name) or "").strip() for name in COLUMNS})
        store.save_phone(
            Phone(
                phone_number=row.phone_number,
                workspace_id=store.find_or_add_workspace(row.workspace.strip()),
                label=row.label,
                valid_from=row.valid_from,
                valid_until=row.valid_until,
            )
        )
    except ValidationError as exc:
        return ImportedRow(line=line, error=f"Line {line}: {what_is_wrong(exc)}.")
    except RegistryError as exc:
        return ImportedRow(line=line, error=f"Line {line}: {exc}")
    return ImportedRow(line=line)
