"""Which migrations a project lacks, and how a person applies them: the secret key may not change the schema."""

from collections.abc import Iterable
from pathlib import Path

from sync.sentences import counted

MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"

# Runs when the new balances have caught up with the old table that it drops; everything works without it.
LAST = ("20261123009900_drop_call_snapshots",)
RENAMED = ("20261122190500_drop_call_snapshots",)  # what projects may still call it


def pending(applied: Iterable[str]) -> list[str]:
    """Return the names of the files that have not run yet, in their order."""
    return sorted({path.stem for path in MIGRATIONS.glob("*.sql")}.difference(applied))


def unknown(applied: Iterable[str]) -> list[str]:
    """Return the names of migrations that a newer program has brought."""
    return sorted(set(applied).difference({path.stem for path in MIGRATIONS.glob("*.sql")}, RENAMED))


def how_to_catch_up(names: list[str]) -> str:
    return (
        f"The Supabase project has migrations that this program does not know ({', '.join(names)}); "
        "update the program, or use another project."
    )


def how_to_apply(names: list[str]) -> str:
    files = " ".join(f"supabase/migrations/{name}.sql" for name in names)
    lacking = counted(len(names), "migration")
    them, in_this_order = ("it", "") if len(names) == 1 else ("them", " in this order")
    return (
        f"The Supabase project lacks {lacking}; apply {them}{in_this_order}, by pasting {them} into the SQL editor, "
        f'with `supabase db push`, or with `psql "$DATABASE_URL" -1 -f FILE`: {files}'
    )
