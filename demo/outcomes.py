"""How calls end and how long people talk."""

from collections.abc import Mapping
from math import log
from random import Random

INBOUND = {"completed": 0.93, "no-answer": 0.04, "busy": 0.02, "failed": 0.01}
OUTBOUND = {"completed": 0.64, "no-answer": 0.18, "busy": 0.08, "failed": 0.06, "canceled": 0.04}
TRANSFER = {"completed": 0.86, "no-answer": 0.11, "busy": 0.03}
MARATHON_SHARE = 0.004  # calls longer than an hour
SHORTEST, LONGEST = 8, 1500


def pick(random: Random, shares: Mapping[str, float]) -> str:
    return random.choices(list(shares), list(shares.values()))[0]


def talk_seconds(random: Random, typical: float) -> int:
    if random.random() < MARATHON_SHARE:
        return random.randint(3660, 5400)
    return min(LONGEST, max(SHORTEST, int(random.lognormvariate(log(typical), 0.7))))
