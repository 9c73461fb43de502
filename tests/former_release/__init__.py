"""What the release before left behind: the 18 migrations of its Supabase projects, for tests of the move."""

from pathlib import Path

SUPABASE_FILES = tuple(sorted((Path(__file__).parent / "supabase").glob("*.sql")))
