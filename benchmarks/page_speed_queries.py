"""What the pages ask of a store: time, number of queries, and what each page shows, as JSON.

DATABASE_PATH=FILE.db python -m benchmarks.page_speed_queries URL… (page_speed.py runs it in a process of its own)
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import streamlit as st
from streamlit.testing.v1 import AppTest

from sync.bootstrap import shared

ROOT = Path(__file__).parent.parent
TIMES = 5


@dataclass
class TimedStore:
    """Passes every call on to the store, and notes how long it took."""

    store: Any
    calls: list[tuple[str, float]] = field(default_factory=list)
    processor: float = 0.0  # milliseconds of all calls: the others are longer on a busy machine

    def __getattr__(self, name: str) -> Any:
        return self._timed(name, getattr(self.store, name))

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start, start_of_work = time.perf_counter(), time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                self.calls.append((name, (time.perf_counter() - start) * 1000))
                self.processor += (time.thread_time() - start_of_work) * 1000

        return timed


@dataclass
class PageReads:
    """What one page asked of the store when nothing was cached, and what it shows. Times in milliseconds."""

    store: float
    processor: float  # what the store's work took of it; a database elsewhere is not seen
    script: float  # from the first line of the script to its last, of which the store is a part
    queries: dict[str, int]
    slowest: dict[str, float]
    queries_of_next_run: dict[str, int]  # as after a click that changes nothing
    metrics: int
    charts: int
    tables: list[list[int]]
    errors: list[str]


def read(store: TimedStore, url: str) -> PageReads:
    """Run the script of a page several times without what it cached, and once more with it."""
    app = opened(url)
    runs = []
    for _ in range(TIMES):
        st.cache_data.clear()
        st.cache_resource.clear()
        script, calls = run(app, store)
        runs.append((sum(milliseconds for _, milliseconds in calls), store.processor, script, calls))
    _, calls_of_next_run = run(app, store)
    in_store, processor, script, calls = min(runs)  # the others waited for the machine
    return PageReads(
        store=in_store,
        processor=processor,
        script=script,
        queries=dict(Counter(name for name, _ in calls)),
        slowest=dict(sorted(calls, key=lambda call: -call[1])[:4]),
        queries_of_next_run=dict(Counter(name for name, _ in calls_of_next_run)),
        metrics=len(app.metric),
        charts=len(app.get("plotly_chart")),
        tables=[list(table.value.shape) for table in app.dataframe],
        errors=[error.value for error in [*app.error, *app.exception]],
    )


def run(app: AppTest, store: TimedStore) -> tuple[float, list[tuple[str, float]]]:
    """Run the script once; return how long it took, and each call of the store with its time."""
    store.calls.clear()
    store.processor = 0.0
    start = time.perf_counter()
    app.run()
    return (time.perf_counter() - start) * 1000, list(store.calls)


def opened(url: str) -> AppTest:
    """Return a session in which the page was run once, which imports what it needs."""
    parts = urlsplit(url)
    app = AppTest.from_file(str(ROOT / "dashboard" / "main.py"), default_timeout=60).run()
    if page := parts.path.strip("/"):
        app.switch_page(str(ROOT / "pages" / f"{page}.py"))
    for name, values in parse_qs(parts.query).items():
        app.query_params[name] = values
    return app.run()


def main() -> None:
    services = shared()
    store = TimedStore(services.store)
    services.store = store  # type: ignore[assignment]  # it answers to all that the store answers to
    json.dump({url: asdict(read(store, url)) for url in sys.argv[1:]}, sys.stdout)


if __name__ == "__main__":
    main()
