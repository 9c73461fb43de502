"""docs/reliability.md names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
PROMISES = TESTS.parent / "docs" / "reliability.md"


def test_every_test_that_the_promises_name_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", PROMISES.read_text())

    assert len(named) > 30
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (TESTS / file).read_text()]
    assert missing == []
