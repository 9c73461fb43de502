"""What axe-core finds on a page: serious and critical violations, by rule and by kind of element."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.npm import installed

HERE = Path(__file__).parent
# The kind of an element is its tag and the part of Streamlit that it belongs to, of which text alone says nothing.
RUN = """async () => {
    const part = element => element.closest("[data-testid]:not([data-testid^=stMarkdown])")?.dataset.testid;
    const kind = element => `${element.localName} in ${part(element)}`;
    const found = await axe.run(document, {elementRef: true, resultTypes: ["violations"]});
    return found.violations
        .filter(({impact}) => ["serious", "critical"].includes(impact))
        .flatMap(({id, nodes}) => nodes.map(({element, html, failureSummary}) =>
            ({rule: id, kind: kind(element), html: html.slice(0, 300), why: failureSummary})));
}"""


@dataclass(frozen=True)
class Violation:
    """What makes two violations the same; `example` is one place, for whoever mends it."""

    rule: str
    kind: str


def violations(page: Page) -> dict[Violation, str]:
    """Return each violation of the page as it stands, with an example."""
    page.evaluate(_axe())  # as a debugger does: the page's content security policy lets no script in
    found: list[dict[str, Any]] = page.evaluate(RUN)
    return {Violation(each["rule"], each["kind"]): f"{each['html']}\n{each['why']}" for each in found}


@cache
def _axe() -> str:
    return installed(HERE, "node_modules/axe-core/axe.min.js").read_text("utf-8")
