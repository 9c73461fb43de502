"""Which migrations a project lacks, and how a person applies them: the secret key may not change the schema."""

from collections.abc import Iterable
from pathlib import Path

from sync.sentences import counted

MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"
BASELINE = MIGRATIONS / "20261128000000_baseline.sql"  # the whole database; it may run again at any time

# Runs when the new balances have caught up with the old table that it drops; everything works without it.
LAST = ("20261128009900_drop_call_snapshots",)

# What the release before had in place of the baseline. Projects that it served name these; nobody needs them any more.
FORMER = (
    "20261122190000_tables",
    "20261122190100_balances",
    "20261122190200_ingest",
    "20261122190300_reads_and_runs",
    "20261122190400_row_level_security",
    "20261122190500_drop_call_snapshots",
    "20261123000100_backfill",
    "20261123000200_call_costs",
    "20261123000300_registry",
    "20261123000400_breakdowns",
    "20261123000900_scopes",
    "20261123001100_moving",
    "20261123001200_watching",
    "20261123001300_longest_waiting_first",
    "20261123001400_covered_periods",
    "20261123001500_one_way_to_register",
    "20261123001600_synced_since",
    "20261123001700_registered_by_hand",
    "20261123009900_drop_call_snapshots",
)


def pending(applied: Iterable[str]) -> list[str]:
    """Return the names of the files that have not run yet, in their order."""
    return sorted({path.stem for path in MIGRATIONS.glob("*.sql")}.difference(applied))


def unknown(applied: Iterable[str]) -> list[str]:
    """Return the names of migrations that a newer program has brought."""
    return sorted(set(applied).difference({path.stem for path in MIGRATIONS.glob("*.sql")}, FORMER))


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
