"""Times that were measured under load, and what is told of them."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import typer

HEADINGS = f"{'':<34}{'count':>8}{'errors':>8}{'p50':>11}{'p95':>11}{'p99':>11}{'max':>11}   alone, p50"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answer: `seconds` from the moment at which it was due to be asked for."""

    name: str
    seconds: float
    is_error: bool = False


def by_name(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    named = defaultdict(list)
    for sample in samples:
        named[sample.name].append(sample)
    return dict(sorted(named.items()))


def show(title: str, samples: Sequence[Sample], alone: Sequence[Sample]) -> None:
    """Print a line for each name and one for all, beside the median of the same when nothing else was asked for."""
    typer.echo(f"\n{title:<34}{HEADINGS[34:]}")
    baseline = by_name(alone)
    for name, named in {**by_name(samples), "all": samples}.items():
        beside = baseline.get(name, alone if name == "all" else [])
        typer.echo(f"{name:<34}{_figures(named)}{_milliseconds(beside, 0.5):>13}")


def _figures(samples: Sequence[Sample]) -> str:
    times = "".join(f"{_milliseconds(samples, share):>11}" for share in (0.5, 0.95, 0.99, 1.0))
    return f"{len(samples):>8,}{sum(sample.is_error for sample in samples):>8,}{times}"


def _milliseconds(samples: Sequence[Sample], share: float) -> str:
    if not samples:
        return ""
    times = sorted(sample.seconds for sample in samples)
    return f"{times[max(math.ceil(share * len(times)) - 1, 0)] * 1000:,.0f} ms"
