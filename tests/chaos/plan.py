"""What goes wrong and when: a schedule that follows from a seed alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["FAULTS", "Plan", "Step", "make_plan"]

DURATION_S = 16.0
"""Faults begin within this time; they have all ended a little later."""


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One thing to do, so many seconds after the start."""

    at_s: float
    what: str
    args: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.at_s:.2f} {self.what} {' '.join(map(str, self.args))}".strip()


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    users: int
    processors: int
    latency_ms: int
    steps: tuple[Step, ...]

    def count(self, *kinds: str) -> int:
        return sum(step.what in kinds for step in self.steps)

    @property
    def lost_answers(self) -> int:
        """Calls whose answers SES itself loses, at the most."""
        return sum(step.args[1] for step in self.steps if step.what == "ses_lost_answers")


Fault = Callable[[random.Random, float, int], Iterator[Step]]


def _kill(chance: random.Random, at: float, processors: int) -> Iterator[Step]:
    who = chance.randrange(processors)
    yield Step(at, "kill", (who,))
    yield Step(at + chance.uniform(0.2, 3), "start", (who,))


def _stall(chance: random.Random, at: float, processors: int) -> Iterator[Step]:
    """Shorter than the session time-out (2 s), longer than it, or longer than an attempt's lifetime (5 s) as well."""
    who = chance.randrange(processors)
    yield Step(at, "stop", (who,))
    yield Step(at + chance.choice((0.7, 3.0, 7.5)), "continue", (who,))


def _leave(chance: random.Random, at: float, processors: int) -> Iterator[Step]:
    who = chance.randrange(processors)
    yield Step(at, "terminate", (who,))
    yield Step(at + chance.uniform(0.5, 3), "start", (who,))


def _redis_wiped(_chance: random.Random, at: float, _processors: int) -> Iterator[Step]:
    yield Step(at, "redis_flush")


def _redis_restarted(chance: random.Random, at: float, _processors: int) -> Iterator[Step]:
    yield Step(at, "redis_kill")
    yield Step(at + chance.uniform(0.2, 2), "redis_start", (chance.choice(("with its data", "empty")),))


def _broker_killed(chance: random.Random, at: float, _processors: int) -> Iterator[Step]:
    yield Step(at, "kafka_kill")
    yield Step(at + chance.uniform(0.2, 2), "kafka_start")


def _broker_stopped(chance: random.Random, at: float, _processors: int) -> Iterator[Step]:
    yield Step(at, "kafka_stop")
    yield Step(at + chance.uniform(0.5, 4), "kafka_continue")


def _network_cut(chance: random.Random, at: float, _processors: int) -> Iterator[Step]:
    yield Step(at, "cut", (chance.choice(("kafka", "redis", "ses")),))


def _network_held(chance: random.Random, at: float, _processors: int) -> Iterator[Step]:
    where = chance.choice(("kafka", "redis", "ses"))
    yield Step(at, "hold", (where,))
    yield Step(at + chance.uniform(0.3, 4), "release", (where,))


def _ses_refuses(chance: random.Random, at: float, _processors: int) -> Iterator[Step]:
    yield Step(at, "ses_throttles", (chance.choice((0.3, 0.9)),))
    yield Step(at + chance.uniform(0.5, 3), "ses_recovers")


def _ses_loses_answers(chance: random.Random, at: float, _processors: int) -> Iterator[Step]:
    kinds = ("accept_drop", "accept_hang", "accept_500", "accept_garble", "drop", "hang", "error_500", "error_503")
    yield Step(at, "ses_lost_answers", (chance.choice(kinds), chance.randrange(5, 25)))


def _quota(chance: random.Random, at: float, _processors: int) -> Iterator[Step]:
    yield Step(at, "quota_used_up")
    yield Step(at + chance.uniform(1, 4), "quota_freed")


def _producer(chance: random.Random, at: float, _processors: int) -> Iterator[Step]:
    yield Step(at, "producer_kill")
    yield Step(at + chance.uniform(0.1, 1), "producer_start")


def _replay(_chance: random.Random, at: float, _processors: int) -> Iterator[Step]:
    yield Step(at, "replay")


def _evidence(chance: random.Random, at: float, _processors: int) -> Iterator[Step]:
    yield Step(at, "evidence_kill")
    yield Step(at + chance.uniform(0.2, 2), "evidence_start")


FAULTS: tuple[tuple[int, Fault], ...] = (
    (4, _kill),
    (3, _stall),
    (2, _leave),
    (1, _redis_wiped),
    (2, _redis_restarted),
    (1, _broker_killed),
    (1, _broker_stopped),
    (2, _network_cut),
    (2, _network_held),
    (2, _ses_refuses),
    (4, _ses_loses_answers),
    (1, _quota),
    (1, _producer),
    (1, _replay),
    (1, _evidence),
)
"""Each with its weight."""


def make_plan(seed: int, users: int = 3000) -> Plan:
    """The plan of a seed: the same seed makes the same plan, on any machine."""
    chance = random.Random(seed)
    processors = chance.randrange(2, 5)
    weights = [weight for weight, _ in FAULTS]
    chosen = chance.choices([fault for _, fault in FAULTS], weights, k=chance.randrange(6, 13))
    steps = [step for fault in chosen for step in fault(chance, 1 + chance.random() * DURATION_S, processors)]
    return Plan(seed, users, processors, chance.choice((40, 80, 150)), tuple(sorted(steps)))
