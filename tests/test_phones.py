"""Numbers as CSV on both stores: what becomes of each row, dry runs, and exports that can be imported again."""

import csv
from codecs import BOM_UTF8
from io import StringIO

import pytest

from sync.phones import COLUMNS, ImportedRow, ImportFileError, PhoneRow, export_phones, import_phones, read_phones
from sync.registry import AddWorkspace, RegisterNumber
from sync.store import Store
from tests.conftest import OpenStore
from tests.records import DAY, OTHER_NUMBER, OUR_NUMBER, TEN, THIRD_NUMBER, make_leg

HEADER = ",".join(COLUMNS)


def file_of(*lines: str) -> bytes:
    return "\n".join([HEADER, *lines]).encode()


def rows_of(*lines: str) -> list[PhoneRow]:
    return read_phones(file_of(*lines), name="numbers.csv")


def fates(store: Store, *lines: str, dry_run: bool = False) -> list[str]:
    return [row.fate for row in import_phones(store, rows_of(*lines), dry_run=dry_run).rows]


def test_each_row_is_registered_corrected_unchanged_or_refused(store: Store) -> None:
    store.change_registry(
        [
            RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, label="Old"),
            RegisterNumber(workspace="Acme", phone_number=OTHER_NUMBER, label="Same", valid_until=TEN),
        ]
    )

    imported = import_phones(
        store,
        rows_of(
            f"acme,{OUR_NUMBER},New,,",
            f"Acme,{OTHER_NUMBER},Same,,{TEN:%Y-%m-%d %H:%M}",
            f"Borealis,{THIRD_NUMBER},,,",
            f"Borealis,{OUR_NUMBER},,,",
            "Borealis,none,,,",
            f"Borealis,{THIRD_NUMBER},Later corrected in the same file,,",
        ),
    )

    assert imported.rows == [
        ImportedRow(line=2, fate="corrected"),
        ImportedRow(line=3, fate="unchanged"),
        ImportedRow(line=4, fate="registered"),
        ImportedRow(
            line=5,
            fate="refused",
            error="Line 5: The number …0001 belongs to another workspace, or has another period, in that time; "
            "end that first.",
        ),
        ImportedRow(
            line=6,
            fate="refused",
            error="Line 6: The number …none is not in international form, such as +34911234567; correct it.",
        ),
        ImportedRow(line=7, fate="corrected"),
    ]
    assert [phone.label for phone in store.phones()] == ["Later corrected in the same file", "New", "Same"]


def test_a_dry_run_tells_every_fate_and_effect_and_registers_nothing(store: Store) -> None:
    store.save_calls([make_leg()])
    rows = rows_of(f"Acme,{OUR_NUMBER},,,", f"Borealis,{OUR_NUMBER},,,")

    tried = import_phones(store, rows, dry_run=True)
    left = (store.phones(), len(store.workspaces()))
    done = import_phones(store, rows)

    assert left == ([], 1)
    assert tried == done
    assert [row.fate for row in done.rows] == ["registered", "refused"]
    assert [(effect.workspace, effect.twilio.total_calls) for effect in done.effects] == [
        ("Acme", 1),
        ("Unassigned", -1),
    ]


def test_an_uploaded_file_is_read_with_or_without_its_invisible_mark() -> None:
    content = file_of(f"Café,{OUR_NUMBER},,,")

    from_both = [read_phones(each, name="numbers.csv") for each in (content, BOM_UTF8 + content)]

    assert [row.change for [row] in from_both] == [RegisterNumber(workspace="Café", phone_number=OUR_NUMBER)] * 2


@pytest.mark.parametrize("separator", [",", ";", "\t", ", ", " ; "])
@pytest.mark.parametrize("mark", [b"", BOM_UTF8])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_commas_semicolons_and_tabs_separate(separator: str, mark: bytes, end: str, quote: str) -> None:
    if quote and separator == " ; ":
        separator = ";"  # a blank between a quotation mark and a separator is no CSV
    lines = [
        COLUMNS,
        ("Café, S.L." if "," not in separator else "Café", OUR_NUMBER, "Front; desk"[: -len("; desk")], "", ""),
    ]
    content = end.join(separator.join(f"{quote}{cell}{quote}" for cell in line) for line in lines).encode()

    [row] = read_phones(mark + content + end.encode(), name="numbers.csv")

    assert row.error is None
    assert row.change == RegisterNumber(workspace=lines[1][0], phone_number=OUR_NUMBER, label="Front")


def test_what_else_is_in_a_file_does_not_change_what_separates() -> None:
    [first, second] = read_phones(
        b'workspace;phone_number;label\n"A;B";+12025550101;one, two\nC, D;+12025550102;"x\ny"\n', name="numbers.csv"
    )

    assert first.change == RegisterNumber(workspace="A;B", phone_number="+12025550101", label="one, two")
    assert second.change == RegisterNumber(workspace="C, D", phone_number="+12025550102", label="x y")


@pytest.mark.parametrize(
    "content", ["workspace|phone_number\nA|+1", "workspace phone_number\nA +1", "A;+12025550101\n"]
)
def test_a_file_without_the_columns_says_what_its_first_line_must_be(content: str) -> None:
    with pytest.raises(ImportFileError, match=r"no column workspace and no column phone_number.*commas, semicolons or"):
        read_phones(content.encode(), name="numbers.csv")


@pytest.mark.parametrize(
    "mark", ["\u202a", "\u202c", "\u200e", "\u200b", "\u2060", "\ufeff", "\xad", "\xa0", "\u202f", "\t"]
)
def test_marks_that_nobody_sees_are_no_part_of_a_number(mark: str) -> None:
    [row] = rows_of(f"Acme,{mark}{OUR_NUMBER[:5]}{mark}{OUR_NUMBER[5:]}{mark},,,")

    assert row.change == RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER)


def test_a_file_of_another_kind_is_one_sentence() -> None:
    with pytest.raises(
        ImportFileError, match=r"^numbers.csv is not a CSV file in UTF-8; save it as such and try again"
    ):
        read_phones(b"\xff\xfe\x00", name="numbers.csv")
    with pytest.raises(ImportFileError, match=r"^numbers.csv has no column workspace and no column phone_number; its"):
        read_phones(b"", name="numbers.csv")


NAMES = ["Acme", "=SUM(A1)", "@home", "-5", "+1", "'quoted", "''", 'Comma, "quotes"', "Café"]


def test_an_export_can_be_imported_to_the_same_registry(open_store: OpenStore) -> None:
    store, _ = open_store()
    store.change_registry(
        [
            *(
                RegisterNumber(workspace=name, phone_number=f"+3491000010{n}", label=NAMES[-n])
                for n, name in enumerate(NAMES)
            ),
            RegisterNumber(workspace="Acme", phone_number=OUR_NUMBER, valid_from=TEN, valid_until=TEN + DAY),
            RegisterNumber(workspace="@home", phone_number=OUR_NUMBER, valid_from=TEN + DAY),
        ]
    )
    exported, phones = export_phones(store), store.phones()
    names = {workspace.name for workspace in store.workspaces()}
    store.close()
    other, _ = open_store()
    # The same ids, so that the phones can be compared.
    other.change_registry([AddWorkspace(name=name) for name in NAMES])

    rows = read_phones(exported.encode(), name="numbers.csv")
    imported = import_phones(other, rows)

    assert {row.fate for row in imported.rows} == {"registered"}
    assert {workspace.name for workspace in other.workspaces()} == names == {*NAMES, "Unassigned"}
    assert other.phones() == phones
    assert export_phones(other) == exported
    assert {row.fate for row in import_phones(other, rows).rows} == {"unchanged"}
    other.close()


def test_no_cell_of_an_export_is_a_formula_in_a_spreadsheet(store: Store) -> None:
    store.change_registry([RegisterNumber(workspace="=1+1", phone_number=OUR_NUMBER, label="-2", valid_from=TEN)])

    _, row = csv.reader(StringIO(export_phones(store)))

    assert row == ["'=1+1", f"'{OUR_NUMBER}", "'-2", "2026-10-24T10:00:00+00:00", ""]


def test_two_thousand_rows_are_one_change(store: Store) -> None:
    lines = [f"Client {n % 50},+3493{n:07d},,," for n in range(2000)]

    assert set(fates(store, *lines, dry_run=True)) == {"registered"}
    assert set(fates(store, *lines)) == {"registered"}
    assert (len(store.phones()), len(store.workspaces())) == (2000, 51)
