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
TABLE = re.compile(
    r"^create table if not exists public\.(\w+) \(\n(.*?)^\);|^alter table public\.(\w+)\n(.*?);$",
    re.MULTILINE | re.DOTALL,
)
COLUMN = re.compile(
    r"^    (?:add column if not exists )?(\w+) "
    r"((?:text|bigint|timestamptz|boolean|jsonb|uuid|numeric)\b(?:\([\d, ]+\))?)"
    r"(?: not null)?( default [^,\n]+?)?(?: constraint .*| references .*| primary key)?(?:,|$)",
    re.MULTILINE,
)
MENDED_BY_BASELINE = f"run supabase/migrations/{BASELINE.name} again"


def damages(functions: Functions) -> list[Damage]:
    baseline = BASELINE.read_text(encoding="utf-8")
    expected = DEFINED.findall(baseline)
    try:
        rows = functions.call(
            "damages",
            p_functions=[name for kind, name in expected if kind == "function"],
            p_triggers=[name for kind, name in expected if kind == "trigger"],
            p_columns=_columns(baseline),
        )
    except NotMigratedError:
        return [Damage(what="a function or a table that these checks need is missing", remedy=MENDED_BY_BASELINE)]
    return [Damage(what=row["what"], remedy=_remedy(row["statement"])) for row in rows]


def _columns(baseline: str) -> list[tuple[str, str, str]]:
    """Return table, name and type of each column that the baseline makes."""
    return [
        (table or altered, name, kind + default)
        for table, made, altered, added in TABLE.findall(baseline)
        for name, kind, default in COLUMN.findall(made or added)
    ]


def _remedy(statement: str | None) -> str:
    return f"run `{statement}` in the SQL editor" if statement else MENDED_BY_BASELINE


def legacy_records(functions: Functions) -> dict[str, LegacyRecords]:
    return {
        kind: LegacyRecords(
            waiting=row["waiting"], first=moment(row["first"]), last=moment(row["last"]), gone=row["gone"]
        )
        for kind, row in functions.call("legacy_records").items()
    }
