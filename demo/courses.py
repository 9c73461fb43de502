"""The course of a leg: when it rings, is answered and ends."""

from dataclasses import dataclass, replace
from random import Random

PATIENCE = 45  # seconds it may ring in vain


@dataclass(frozen=True, slots=True)
class Course:
    """Unix seconds, and how it ended. `answered` is None if nobody ever picked up."""

    created: int
    dialled: int
    answered: int | None
    ended: int
    outcome: str

    def lasting_until(self, end: int) -> "Course":
        return replace(self, ended=end)


def answered(created: int, dialled: int, ringing: int, talking: int) -> Course:
    picked_up = dialled + ringing
    return Course(created, dialled, picked_up, picked_up + talking, "completed")


def in_vain(random: Random, created: int, dialled: int, outcome: str) -> Course:
    return Course(created, dialled, None, dialled + random.randint(1, PATIENCE), outcome)
