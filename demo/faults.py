"""Misbehaviour on request: which of the simulated providers' answers go wrong, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

LIST, DETAIL = "list", "detail"
NAMES = (
    "error500",  # 500 with the provider's body
    "error503",
    "rate_limit",  # 429 with Retry-After: 1
    "html",  # 200 with an HTML page
    "cut_body",  # the connection closes before the declared length was sent
    "hang",  # answers after a minute
    "repeat_page",  # a list page that points to itself
    "not_found",  # 404 for a single record
    "malformed",  # one record with a missing or nonsensical field
)
ONLY_ON = {"repeat_page": LIST, "not_found": DETAIL}


@dataclass(frozen=True, slots=True)
class OneShot:
    name: str
    path_part: str


class Faults:
    """What goes wrong from now on. Everything may be changed while the server runs.

    `rates` maps names to shares of requests between 0 and 1. `latency` is in seconds. `max_concurrency`
    counts requests per provider, 0 meaning without limit; answers take no time, so it is `latency` that makes
    requests overlap. The same requests in the same order meet the same faults.
    """

    def __init__(
        self, rates: Mapping[str, float] | None = None, *, seed: int = 1, latency: float = 0.0, max_concurrency: int = 0
    ) -> None:
        self.rates = dict(rates or {})
        self.latency = latency
        self.max_concurrency = max_concurrency
        self.random = Random(seed)  # noqa: S311  misbehaviour must be repeatable, not secret
        self._one_shots: list[OneShot] = []
        for name in self.rates:
            _check(name)

    def once(self, name: str, *, on: str = "", times: int = 1) -> None:
        """Let the next `times` requests that the fault can meet, and whose path contains `on`, go wrong."""
        _check(name)
        self._one_shots += [OneShot(name, on)] * times

    def draw(self, operation: str, path: str) -> str | None:
        """Return what goes wrong with this request, if anything: one-shots first, then the rates."""
        for shot in self._one_shots:
            if shot.path_part in path and _can_meet(shot.name, operation):
                self._one_shots.remove(shot)
                return shot.name
        for name, rate in self.rates.items():
            if _can_meet(name, operation) and self.random.random() < rate:
                return name
        return None


def parse_rates(text: str) -> dict[str, float]:
    """Read `error500=0.01,hang=0.001`. Raises ValueError with a sentence that names the wrong part."""
    rates = {}
    for part in filter(None, text.split(",")):
        name, _, rate = part.partition("=")
        _check(name)
        try:
            rates[name] = float(rate)
        except ValueError as exc:
            raise ValueError(f"{part!r} needs a share between 0 and 1, as in {name}=0.05.") from exc
    return rates


def _can_meet(name: str, operation: str) -> bool:
    return ONLY_ON.get(name, operation) == operation


def _check(name: str) -> None:
    if name not in NAMES:
        raise ValueError(f"{name!r} is no fault. Choose from {', '.join(NAMES)}.")
