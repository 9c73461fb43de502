"""What is counted in a sentence agrees with its number."""

import pytest

from sync.sentences import counted
from sync.supabase_store.migrations import how_to_apply


@pytest.mark.parametrize(
    ("number", "with_noun", "with_verb"),
    [
        (0, "0 records", "0 records are"),
        (1, "1 record", "1 record is"),
        (2400, "2,400 records", "2,400 records are"),
    ],
)
def test_noun_and_verb_agree_with_their_number(number: int, with_noun: str, with_verb: str) -> None:
    assert counted(number, "record") == with_noun
    assert counted(number, "record", verb=("is", "are")) == with_verb


def test_one_lacking_migration_has_no_order() -> None:
    assert "lacks 1 migration; apply it, by pasting it into the SQL editor" in how_to_apply(["a"])
    assert "lacks 2 migrations; apply them in this order, by pasting them into" in how_to_apply(["a", "b"])
