"""Numbers as CSV: an import that first tells what would become of each row, and an export in the same columns."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard import data, formats, uploads
from dashboard.registry import effects, names, proposals
from sync.errors import VoiceLedgerError
from sync.phones import COLUMNS, Imported, ImportedRow, PhoneRow, read_phones
from sync.sentences import counted

PLACE = "import"
CHECKED = "import: checked"
LARGEST_MB = 5
MOST_ROWS, TALLEST = 10, 390
MOST_TOLD = 12  # lines that are refused


def show() -> None:
    """Draw the section."""
    st.subheader("Import and export", anchor="csv")
    st.caption(
        f"CSV in UTF-8 with the columns {', '.join(f'`{column}`' for column in COLUMNS)}; the last three may be empty;"
        " commas, semicolons or tabs between them."
        " Dates without a zone are UTC. A row that is imported again corrects its label and its end."
    )
    st.download_button(
        "Download all numbers (CSV)",
        data=data.phones_exporter(),
        file_name="voice-ledger-numbers.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="download numbers",
    )
    proposals.tell(PLACE)
    uploads.expect()
    file = st.file_uploader(
        "CSV file to import", type=["csv", "tsv", "txt"], max_upload_size=LARGEST_MB, key=proposals.key(PLACE, "file")
    )
    if file:
        _show_file(file)


def _show_file(file: UploadedFile) -> None:
    try:
        rows = read_phones(file.getvalue(), name=file.name)
        checked = _checked(file, rows)
    except VoiceLedgerError as exc:
        st.error(formats.literal(str(exc)), icon=":material/error:")
        return
    good = sum(row.fate in ("registered", "corrected") for row in checked.rows)
    st.markdown(f"**This file would do the following.** {_summary(checked.rows)} Nothing has been changed yet.")
    _tell_of_refusals([row.error for row in checked.rows if row.error])
    _show_fates(checked.rows, rows)
    effects.show(checked.effects, data.totals_by_workspace())
    what = counted(good, "row")
    if st.button(
        f"Import {what}", type="primary", disabled=not good, icon=":material/upload:", key=proposals.key(PLACE, "go")
    ):
        _import(rows)


def _checked(file: UploadedFile, rows: Sequence[PhoneRow]) -> Imported:
    """Return what would become of the rows, asked once for each file."""
    known = st.session_state.get(CHECKED)
    if known and known[0] == (file.file_id, data.version()):
        checked: Imported = known[1]
        return checked
    with st.spinner("Adding up what would move…"):
        checked = data.import_phones(rows, dry_run=True)
        st.session_state[CHECKED] = (file.file_id, data.version()), checked
    return checked


def _import(rows: Sequence[PhoneRow]) -> None:
    with st.spinner("Importing…"):
        try:
            imported = data.import_phones(rows)
        except VoiceLedgerError as exc:
            st.error(formats.literal(str(exc)), icon=":material/error:")
            return
        proposals.finish(PLACE, f"Imported. {_summary(imported.rows)}")
    st.rerun()


def _summary(rows: Sequence[ImportedRow]) -> str:
    """Return e.g. `12 rows: 10 registered, 2 refused.`"""
    fates = Counter(row.fate for row in rows)
    if not fates:
        return "It has no rows."
    return f"{counted(len(rows), 'row')}: {', '.join(f'{count:,} {fate}' for fate, count in fates.items())}."


def _tell_of_refusals(sentences: Sequence[str]) -> None:
    """Draw why lines are refused, as text: a cell of the table would cut it off."""
    if sentences:
        more = [f"And {len(sentences) - MOST_TOLD} more, in the table."] if len(sentences) > MOST_TOLD else []
        st.warning(formats.literal("\n\n".join([*sentences[:MOST_TOLD], *more])), icon=":material/warning:")


def _show_fates(imported: Sequence[ImportedRow], rows: Sequence[PhoneRow]) -> None:
    """Draw what becomes of each line, the refused ones first."""
    asked = {row.line: row.change for row in rows}
    ordered = sorted(imported, key=lambda row: (row.fate != "refused", row.line))
    if not ordered:
        return
    changes = [asked.get(row.line) for row in ordered]
    called = names.of_numbers(change.phone_number for change in changes if change)
    st.dataframe(
        pd.DataFrame(
            {
                "Line": [row.line for row in ordered],
                "Result": [row.fate.capitalize() for row in ordered],
                "Workspace": [change.workspace if change else "" for change in changes],
                "Number": [called[change.phone_number] if change else "" for change in changes],
                "Why": [(row.error or "").removeprefix(f"Line {row.line}: ") for row in ordered],
            }
        ),
        column_config={
            "Line": st.column_config.NumberColumn(width="small"),
            "Why": st.column_config.TextColumn(width="large"),
        },
        hide_index=True,
        height=TALLEST if len(ordered) > MOST_ROWS else "content",
        alt="What would become of each line of the file",
        key="table fates",
    )
