"""docs/reliability.md and docs/access.md name tests that exist."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
DOCS = TESTS.parent / "docs"


@pytest.mark.parametrize(("page", "at_least"), [("reliability.md", 30), ("access.md", 5)])
def test_every_test_that_the_promises_name_exists(page: str, at_least: int) -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (DOCS / page).read_text())

    assert len(named) > at_least
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (TESTS / file).read_text()]
    assert missing == []
