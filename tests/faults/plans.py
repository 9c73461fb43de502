"""What happens in a schedule, and when: everything that is drawn from its seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Literal

Ending = Literal["kill", "stop", "wait"]
Kind = Literal["sqlite", "supabase"]

EVERY_FIFTH = 5  # schedule is on Supabase, whose hours take longer
WITH_DASHBOARD = (6, 18)  # of twenty; it takes seconds to start
WITH_COPY = (5, 15)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONGEST_SKEW = timedelta(hours=12)

ANSWERS = {  # what providers answer, and how often at most
    "error500": 1.0,
    "error503": 0.5,
    "rate_limit": 0.2,
    "html": 0.2,
    "cut_body": 0.4,
    "repeat_page": 1.0,
    "not_found": 0.4,
    "slow_down": 0.5,
    "stall": 0.1,
    "astray": 1.0,
    "spoilt": 0.5,
}
OF_THE_DEMO = ("error500", "error503", "rate_limit", "html", "cut_body", "repeat_page", "not_found")

TROUBLES: dict[Kind, tuple[str, ...]] = {
    "sqlite": ("locked", "locked", "full disk", "full disk"),
    "supabase": ("cut request", "lost answer", "lost answer", "PostgREST restarts", "Postgres restarts", "too slow"),
}
CHANGES = ("price", "move", "hide")
LATER = (timedelta(0), timedelta(minutes=20), HOUR, HOUR, 2 * HOUR, DAY, 8 * DAY)

PROGRAMS: tuple[tuple[str, ...], ...] = (
    ("all",),
    ("all",),
    ("scheduler",),
    ("scheduler", "scheduler"),
    ("scheduler", "all"),
    ("twilio", "twilio", "elevenlabs"),
)
BACKFILLS = ("backfill twilio", "backfill elevenlabs")


@dataclass(frozen=True, slots=True, kw_only=True)
class BadHour:
    """Programs run for `lasts` seconds in bad weather; `troubles` befall the store; then they end, and time passes."""

    programs: Sequence[str]
    answers: dict[str, float]
    troubles: Sequence[tuple[float, str]]
    changes: Sequence[str]
    skew: timedelta
    jumps_midway: bool
    lasts: float
    ending: Ending
    later: timedelta

    def __str__(self) -> str:
        return (
            f"{' and '.join(self.programs)} for {self.lasts} s, then {self.ending}; answers {self.answers or 'good'}; "
            f"store: {self.troubles or 'fine'}; records: {self.changes or 'as they were'}; clock {self.skew}"
            f"{' from the middle on' if self.jumps_midway else ''}; later {self.later}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole schedule. With `by_backfill` the first sync reaches back a day only, and a historical sync the rest."""

    seed: int
    kind: Kind
    days: int
    scale: float
    page_size: int
    latency: float
    by_backfill: bool
    has_genuine_commands: bool
    has_dashboard: bool
    has_copy: bool
    hours: Sequence[BadHour]

    def __str__(self) -> str:
        facts = ", ".join(f"{name} {getattr(self, name)}" for name in self.__slots__ if name != "hours")
        return "\n".join([facts, *(f"hour {number}: {hour}" for number, hour in enumerate(self.hours, 1))])


def kind_of(seed: int) -> Kind:
    return "supabase" if seed % EVERY_FIFTH == 0 else "sqlite"


def plan(seed: int) -> Plan:
    """Draw a schedule. The same seed gives the same plan; to the millisecond no two runs are equal."""
    random, kind = Random(seed), kind_of(seed)
    by_backfill, has_copy = random.random() < 0.5, seed % 20 in WITH_COPY
    works_on: Kind = "sqlite" if has_copy else kind  # what is copied to Supabase at the end
    return Plan(
        seed=seed,
        kind=kind,
        days=random.randint(3, 7),
        scale=random.choice([0.2, 0.4, 0.8]),
        page_size=random.choice([10, 25, 100]),
        latency=random.choice([0.0, 0.002, 0.01]),
        by_backfill=by_backfill,
        has_genuine_commands=random.random() < 0.3,
        has_dashboard=seed % 20 in WITH_DASHBOARD,
        has_copy=has_copy,
        hours=[_bad_hour(random, works_on, is_first=number == 0, by_backfill=by_backfill) for number in range(4)],
    )


def _bad_hour(random: Random, kind: Kind, *, is_first: bool, by_backfill: bool) -> BadHour:
    programs = random.choice(PROGRAMS)
    if by_backfill and (is_first or random.random() < 0.5):
        programs = (*random.sample(BACKFILLS, random.randint(1, 2)), *programs[: random.randint(0, 2)])
    skew = random.choice([timedelta(0)] * 3 + [random.uniform(-1, 1) * LONGEST_SKEW, timedelta(minutes=-3)])
    lasts = round(random.choice([random.uniform(0, 0.3), random.uniform(0.2, 1.2)]), 3)
    return BadHour(
        programs=programs,
        answers=_answers(random),
        troubles=_troubles(random, kind, lasts),
        changes=[] if is_first else random.sample(CHANGES, random.randint(0, 3)),
        skew=skew,
        jumps_midway=bool(skew) and random.random() < 0.5,
        lasts=lasts,
        ending=random.choice(["kill", "kill", "kill", "stop", "wait"]),
        later=random.choice(LATER),
    )


def _answers(random: Random) -> dict[str, float]:
    names = random.sample(sorted(ANSWERS), random.choice([0, 1, 1, 2, 3]))
    return {name: round(random.uniform(0.02, 1) * ANSWERS[name], 3) for name in names}


def _troubles(random: Random, kind: Kind, lasts: float) -> list[tuple[float, str]]:
    number = random.choice([0, 1, 1, 2])
    return sorted((round(random.uniform(0, lasts), 3), random.choice(TROUBLES[kind])) for _ in range(number))
