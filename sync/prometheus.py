"""What Prometheus scrapes. The numbers come from the store: the processes that sync are others than the one asked."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from sync.freshness import freshness_of, notable_runs
from sync.models import RunKind, RunState, RunTotals, Source, SyncRun
from sync.runs import STALE_AFTER
from sync.store import Store

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
ENDED = tuple(state for state in RunState if state is not RunState.RUNNING)

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the store said. `sources` are configured: their counters begin at 0, not at the first event."""

    sources: Sequence[Source]
    now: datetime
    totals: Sequence[RunTotals]
    notable_runs: Sequence[SyncRun]
    waiting_failures: Mapping[Source, int]
    unpriced: Mapping[Source, int]


def read_figures(store: Store, sources: Sequence[Source], *, now: datetime) -> Figures:
    calls = store.twilio_statement(None, None, (), None).closing.values()
    talks = store.elevenlabs_statement(None, None, (), None).closing.values()
    return Figures(
        sources=sources,
        now=now,
        totals=store.run_totals(alive_since=now - STALE_AFTER),
        notable_runs=notable_runs(store, now=now),
        waiting_failures=store.waiting_failures(),
        unpriced={
            "twilio": sum(totals.unpriced_calls for totals in calls),
            "elevenlabs": sum(totals.unpriced_conversations for totals in talks),
        },
    )


def exposition(figures: Figures | None) -> bytes:
    """Return the text that Prometheus reads; None is a store that cannot be read, of which only that is told."""
    return generate_latest(_Exposition(figures))


class _Exposition(Collector):
    def __init__(self, figures: Figures | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        up = self._figures is not None
        yield GaugeMetricFamily("voice_ledger_store_up", "Whether the store can be read (1) or not (0).", int(up))
        if self._figures:
            yield from _runs(self._figures)
            yield from _durations(self._figures)
            yield from _records(self._figures)
            yield from _requests(self._figures)
            yield from _data(self._figures)


def _runs(figures: Figures) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "voice_ledger_sync_runs", "Runs that have ended, by how.", labels=["source", "kind", "state"]
    )
    counted: dict[Labels, int] = {
        (each.source, each.kind, each.state): each.runs for each in figures.totals if each.state in ENDED
    }
    _add(ended, counted, product(figures.sources, RunKind, ENDED))
    yield ended
    alive = GaugeMetricFamily("voice_ledger_sync_runs_in_progress", "Runs that go on.", labels=["source", "kind"])
    _add(alive, _sums(figures, _by_kind, lambda each: each.alive), product(figures.sources, RunKind))
    yield alive


def _durations(figures: Figures) -> Iterator[Metric]:
    family = SummaryMetricFamily(
        "voice_ledger_sync_run_duration_seconds",
        "How long runs took that have ended; skipped ones are left out.",
        labels=["source", "kind"],
    )
    took = [each for each in figures.totals if each.state in ENDED and each.state is not RunState.SKIPPED]
    for source, kind in _in_order(((each.source, each.kind) for each in took), product(figures.sources, RunKind)):
        these = [each for each in took if (each.source, each.kind) == (source, kind)]
        runs, seconds = sum(each.runs for each in these), sum(each.seconds for each in these)
        family.add_metric([source, kind], count_value=runs, sum_value=seconds)
    yield family


def _records(figures: Figures) -> Iterator[Metric]:
    kinds = list(product(figures.sources, RunKind))
    saved = CounterMetricFamily(
        "voice_ledger_records_saved", "Records that runs saved, also those that go on.", labels=["source", "kind"]
    )
    _add(saved, _sums(figures, _by_kind, lambda each: each.saved), kinds)
    yield saved
    failed = CounterMetricFamily(
        "voice_ledger_records_failed",
        "Records that runs which have ended could not fetch or read; each is tried again.",
        labels=["source", "kind"],
    )  # a run that goes on may yet take some back, and a counter must not fall
    _add(failed, _sums(figures, _by_kind, lambda each: each.failed if each.state in ENDED else 0), kinds)
    yield failed
    waiting = GaugeMetricFamily(
        "voice_ledger_failed_records_waiting", "Records in the list of failures, to be tried again.", labels=["source"]
    )
    _add(waiting, {(source,): count for source, count in figures.waiting_failures.items()}, product(figures.sources))
    yield waiting
    unpriced = GaugeMetricFamily(
        "voice_ledger_unpriced_records", "Records whose cost is not known yet, and in no total.", labels=["source"]
    )
    _add(unpriced, {(source,): figures.unpriced[source] for source in figures.sources}, ())
    yield unpriced


def _requests(figures: Figures) -> Iterator[Metric]:
    refused = CounterMetricFamily(
        "voice_ledger_requests_refused",
        "Requests that a provider refused because there were too many (429); they were sent again.",
        labels=["source"],
    )
    _add(refused, _sums(figures, _by_source, lambda each: each.refused), product(figures.sources))
    yield refused
    in_flight = GaugeMetricFamily(
        "voice_ledger_requests_in_flight",
        "Requests under way at the last heartbeat of the runs that go on.",
        labels=["source"],
    )
    _add(in_flight, _sums(figures, _by_source, lambda each: each.in_flight), product(figures.sources))
    yield in_flight


def _data(figures: Figures) -> Iterator[Metric]:
    """Before the first success there is nothing to tell, and so no sample."""
    age = GaugeMetricFamily(
        "voice_ledger_data_age_seconds", "Age of the moment that the data reaches to.", labels=["source"]
    )
    ended = GaugeMetricFamily(
        "voice_ledger_last_success_timestamp_seconds",
        "When the last run ended that went well (Unix time); historical syncs do not count.",
        labels=["source"],
    )
    ahead = GaugeMetricFamily(
        "voice_ledger_clock_was_ahead",
        "Whether the newest successful run is from a clock that was ahead, and counts for nothing (1), or not (0).",
        labels=["source"],
    )
    for source in figures.sources:
        state = freshness_of(figures.notable_runs, source, now=figures.now)
        ahead.add_metric([source], int(state.ahead is not None))
        if state.age is not None:
            age.add_metric([source], state.age.total_seconds())
        if state.success and state.success.finished_at:
            ended.add_metric([source], state.success.finished_at.timestamp())
    yield from (age, ended, ahead)


def _by_kind(each: RunTotals) -> Labels:
    return each.source, each.kind


def _by_source(each: RunTotals) -> Labels:
    return (each.source,)


def _sums(
    figures: Figures, labels: Callable[[RunTotals], Labels], value: Callable[[RunTotals], int]
) -> dict[Labels, int]:
    sums: dict[Labels, int] = {}
    for each in figures.totals:
        sums[labels(each)] = sums.get(labels(each), 0) + value(each)
    return sums


def _add(
    family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[Labels, int], expected: Iterable[Labels]
) -> None:
    for labels in _in_order(values, expected):
        family.add_metric(labels, values.get(labels, 0))


def _in_order(found: Iterable[Labels], expected: Iterable[Labels]) -> list[Labels]:
    return sorted({*found, *expected})
