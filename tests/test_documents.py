"""The written documents agree with the program, and their links lead somewhere."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, ROOT, variables

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
PROMISED_PATH = re.compile(r"`((?:sync|dashboard|pages|demo|tests|docs|deploy|supabase|benchmarks)/[\w./-]*)`")


@pytest.mark.parametrize(("path", "write"), DOCUMENTS.items(), ids=lambda part: getattr(part, "name", ""))
def test_what_is_told_of_the_settings_is_up_to_date(path: Path, write: Callable[[], str]) -> None:
    assert path.read_text(encoding="utf-8") == write(), "run `make documents`"


def test_every_setting_is_explained() -> None:
    assert [name for name, setting in variables() if not setting.description] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in LINK.findall(text) if not re.match(r"https?://|mailto:", link)]

    assert [link for link in links if not _target_exists(page, link)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_is_named_exists(page: Path) -> None:
    paths = PROMISED_PATH.findall(page.read_text(encoding="utf-8"))

    assert [path for path in paths if not (ROOT / path).exists()] == []


def _target_exists(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to headings: small letters, hyphens for spaces, nothing else."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
