"""Which part may know which, read from the imports of every file: "Who may import whom" in docs/architecture.md."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("sync", "demo", "dashboard", "pages")
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PRODUCT = sorted([*(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")), ROOT / "streamlit_app.py"])

# From the inside out. A module imports from its own layer and from those before it.
LAYERS: dict[str, set[str]] = {
    "words": {
        "sync",
        "sync.models",
        "sync.call_costs",
        "sync.errors",
        "sync.times",
        "sync.registry",
    },
    "tools": {
        *(
            "sync.store",
            "sync.wire",
            "sync.phone_numbers",
            "sync.front_door",
            "sync.kinds_of_keys",
            "sync.twilio_refusals",
            "sync.elevenlabs_refusals",
            "sync.http",
            "sync.fanout",
            "sync.ahead",
            "sync.limits",
            "sync.traffic",
            "sync.slices",
            "sync.batches",
            "sync.refetch",
        ),
        *(
            "sync.answers",
            "sync.openapi",
            "sync.metrics",
            "sync.elevenlabs_metrics",
            "sync.sentences",
            "sync.progress",
            "sync.logs",
            "sync.ports",
            "sync.run_log",
            "sync.pace",
            "sync.stopping",
        ),
    },
    "clients and stores": {
        *("sync.twilio", "sync.elevenlabs", "sync.elevenlabs_wire"),
        *("sync.sqlite_store", "sync.supabase_store"),
    },
    "jobs": {
        *("sync.jobs", "sync.backfill", "sync.runs", "sync.settings", "sync.usage", "sync.freshness", "sync.verify"),
        *("sync.prometheus", "sync.doctor"),
        *("sync.phones", "sync.copying", "sync.backup"),
    },
    "bootstrap": {"sync.bootstrap", "sync.demo_providers"},
    "entry points": {
        *(
            "sync.cli",
            "sync.cli_console",
            "sync.cli_stores",
            "sync.cli_doctor",
            "sync.api",
            "sync.api_gate",
            "sync.api_reads",
            "sync.web_security",
            "sync.scheduler",
            "sync.background",
            "sync.launch",
            "sync.welcome",
            "sync.__main__",
        ),
        *("dashboard", "pages", "streamlit_app"),
    },
}
CONCRETE = LAYERS["clients and stores"]
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base"}

CLOCKS = {
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("time.time", "time.time_ns", "Timestamp.now", "Timestamp.today", "Timestamp.utcnow"),
}
ENVIRONMENT = {"os.environ", "os.getenv", "os.putenv", "os.environb"}


def name_of(path: Path) -> str:
    """Return the dotted name of a module: `sync.sqlite_store` for its `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


MODULES = {name_of(path) for path in PRODUCT}


def imports_of(path: Path) -> set[str]:
    """Return what a file imports, anywhere in it: `from sync import jobs` is sync.jobs."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in names}
    return found


def belongs_to(module: str, family: str) -> bool:
    return module == family or module.startswith(f"{family}.")


def layer_of(module: str) -> int | None:
    """Return the place of a module's layer; the package `sync` itself stands for nothing but its own file."""
    for place, members in enumerate(LAYERS.values()):
        if any(module == member or (member != "sync" and belongs_to(module, member)) for member in members):
            return place
    return None


def dotted_names(path: Path) -> Iterator[str]:
    """Yield what a file names with a dot, as in `datetime.now`, and what it imports by name, as in `os.environ`."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            yield f"{owner}.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers_of(family: str) -> set[str]:
    """Return the modules outside `family` that import something of it."""
    return {
        name_of(path)
        for path in PRODUCT
        if not belongs_to(name_of(path), family) and any(belongs_to(name, family) for name in imports_of(path))
    }


def those_that_name(names: set[str], *folders: str) -> set[str]:
    return {
        name_of(path)
        for path in PRODUCT
        if name_of(path).split(".")[0] in folders and names.intersection(dotted_names(path))
    }


def test_every_module_has_a_place() -> None:
    homeless = {name for name in MODULES if layer_of(name) is None and not belongs_to(name, "demo")}

    assert homeless == set(), "say in LAYERS, at the top of this file, which layer they are"


def test_the_document_has_the_same_layers() -> None:
    assert {layer: written - {"sync"} for layer, written in layers_of_the_document().items()} == {
        layer: members - {"sync"} for layer, members in LAYERS.items()
    }


def layers_of_the_document() -> dict[str, set[str]]:
    """Return what the table in docs/architecture.md names, as LAYERS does: `cli…` stands for all that begin so."""
    _, text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Who may import whom")
    rows = re.findall(r"^\| ([a-z ]+) \| (.*`.*) \|$", text.partition("\n## ")[0], re.MULTILINE)
    return {
        layer: set().union(*map(meant_by, re.findall(r"`([^`]+)`", cell))) for layer, cell in rows if layer in LAYERS
    }


def meant_by(written: str) -> set[str]:
    name = written.removesuffix("/").removesuffix(".py").removesuffix("…")
    name = name if name in {"sync", "dashboard", "pages", "streamlit_app"} else f"sync.{name}"
    known = set().union(*LAYERS.values())
    return {each for each in known if each.startswith(name)} if written.endswith("…") else {name}


def test_imports_run_one_way() -> None:
    upwards = [
        f"{name_of(path)} imports {imported}"
        for path in PRODUCT
        for imported in sorted(imports_of(path))
        if (here := layer_of(name_of(path))) is not None
        and (there := layer_of(imported)) is not None
        and there > here
        and not is_for_types_only(path, imported)
    ]

    assert upwards == []


def is_for_types_only(path: Path, imported: str) -> bool:
    """Tell whether the import stands under `if TYPE_CHECKING:` and nowhere else."""
    guarded = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.If) and is_type_checking(node.test)]
    inside = {id(each) for block in guarded for each in ast.walk(block)}
    places = [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.ImportFrom) and n.module == imported]
    return bool(places) and all(id(node) in inside for node in places)


def is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


@pytest.mark.parametrize("family", sorted(CONCRETE - {"sync.elevenlabs_wire"}))
def test_concrete_clients_and_stores_are_named_in_bootstrap_alone(family: str) -> None:
    assert importers_of(family) == {"sync.bootstrap"}


def test_what_elevenlabs_sends_is_known_to_its_client_alone() -> None:
    assert importers_of("sync.elevenlabs_wire") == {"sync.elevenlabs"}


def test_the_two_stores_do_not_know_each_other_nor_the_clients() -> None:
    for store in ("sync.sqlite_store", "sync.supabase_store"):
        for other in CONCRETE - {store}:
            assert not any(belongs_to(importer, store) for importer in importers_of(other))


def test_only_entry_points_know_bootstrap() -> None:
    entry_points = LAYERS["entry points"]

    assert all(any(belongs_to(name, entry) for entry in entry_points) for name in importers_of("sync.bootstrap"))


def test_only_pages_know_streamlit() -> None:
    assert {name.split(".")[0] for name in importers_of("streamlit")} <= {"dashboard", "pages", "streamlit_app"}


def test_the_product_does_not_know_its_pages() -> None:
    knowing = importers_of("dashboard") | importers_of("pages")

    assert {name.split(".")[0] for name in knowing} <= {"dashboard", "pages", "streamlit_app"}


def test_the_demo_and_the_product_meet_in_one_file() -> None:
    assert importers_of("demo") == {"sync.demo_providers"}
    assert not any(belongs_to(name, "demo") for name in importers_of("sync"))


def test_only_settings_read_the_environment() -> None:
    assert those_that_name(ENVIRONMENT, *FOLDERS, "streamlit_app") == {"sync.settings"}
    assert importers_of("dotenv") == {"sync.settings"}
    assert importers_of("pydantic_settings") == {"sync.settings"}


def test_the_clock_is_read_in_one_place_and_passed_on() -> None:
    assert those_that_name(CLOCKS, "sync", "dashboard", "pages", "streamlit_app") == {"sync.times"}
    assert those_that_name(CLOCKS, "demo") == {"demo.server"}


@pytest.mark.parametrize("path", [*PRODUCT, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_in_a_line_what_it_is(path: Path) -> None:
    described = ast.get_docstring(tree_of(path))

    assert described
    assert described.splitlines()[0].strip()


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [str(path) for path in [*PRODUCT, *TESTS] if path.stem in EMPTY_NAMES] == []


def test_the_table_itself_notices_what_it_forbids(tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.py"
    stranger.write_text("import os\nfrom time import time\nfrom sync import jobs\nx = os.environ['A']\ny = time()\n")

    assert {"sync.jobs", "os", "time"} == imports_of(stranger)
    assert {"os.environ", "time.time"} <= set(dotted_names(stranger))
    assert (layer_of("sync.sqlite_store.rows"), layer_of("sync.brand_new"), layer_of("sync.cli")) == (2, None, 5)
