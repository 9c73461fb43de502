"""What somebody has changed in a project by hand, and what an adoption has set aside."""

import re

from sync.models import Damage, LegacyRecords
from sync.supabase_store.functions import Functions
from sync.supabase_store.migrations import BASELINE
from sync.supabase_store.refusals import NotMigratedError
from sync.supabase_store.rows import moment

DEFINED = re.compile(
    r"^\s*create (?:or replace|constraint) (function|trigger) (?:public\.)?(\w+)(?=[\s(])", re.MULTILINE
)
MENDED_BY_BASELINE = f"run supabase/migrations/{BASELINE.name} again"


def damages(functions: Functions) -> list[Damage]:
    expected = DEFINED.findall(BASELINE.read_text(encoding="utf-8"))
    try:
        rows = functions.call(
            "damages",
            p_functions=[name for kind, name in expected if kind == "function"],
            p_triggers=[name for kind, name in expected if kind == "trigger"],
        )
    except NotMigratedError:
        return [Damage(what="a function or a table that these checks need is missing", remedy=MENDED_BY_BASELINE)]
    return [Damage(what=row["what"], remedy=_remedy(row["statement"])) for row in rows]


def _remedy(statement: str | None) -> str:
    return f"run `{statement}` in the SQL editor" if statement else MENDED_BY_BASELINE


def legacy_records(functions: Functions) -> dict[str, LegacyRecords]:
    return {
        kind: LegacyRecords(
            waiting=row["waiting"], first=moment(row["first"]), last=moment(row["last"]), gone=row["gone"]
        )
        for kind, row in functions.call("legacy_records").items()
    }
