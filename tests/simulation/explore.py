"""Every reachable state, breadth first, each looked at once; and random walks deeper than that.

``python -m tests.simulation.explore --faults 3`` prints the number of states and transitions.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from tests.simulation.model import Rules, World, canonical, first_world, steps, violations

__all__ = ["Found", "explore", "walk"]


@dataclass
class Found:
    """What an exploration saw."""

    states: int = 0
    transitions: int = 0
    at_rest: int = 0
    complete: bool = True
    violation: str = ""
    trace: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        ended = "all" if self.complete else "stopped early"
        verdict = f"VIOLATION {self.violation}: {' > '.join(self.trace)}" if self.violation else "no violation"
        return (
            f"{self.states:,} states, {self.transitions:,} transitions ({ended}), {self.at_rest:,} at rest, "
            f"{self.seconds:.1f} s: {verdict}"
        )


def explore(first: World, rules: Rules, *, states_max: float = inf, seconds_max: float = inf) -> Found:
    """Breadth first from `first`; stops at the first violation, whose trace is then a shortest one, and at its limits."""
    found, began = Found(), time.monotonic()
    # States by hash only, each with the one it came from: a trace is walked again from the first.
    first = canonical(first)
    came: dict[int, int] = {hash(first): 0}
    queue = deque([first])
    while queue:
        world = queue.popleft()
        here = hash(world)
        found.states += 1
        moves = False
        for name, after in steps(world, rules):
            found.transitions += 1
            after = canonical(after)
            if after == world:
                continue
            moves = moves or not name.startswith("!")
            there = hash(after)
            if there not in came:
                came[there] = here
                queue.append(after)
        found.at_rest += not moves
        if problem := next(violations(world, at_rest=not moves), None):
            found.violation, found.trace = problem, _trace(first, rules, came, here)
            break
        if found.states >= states_max or time.monotonic() - began > seconds_max:
            found.complete = False
            break
    found.seconds = time.monotonic() - began
    return found


def _trace(first: World, rules: Rules, came: dict[int, int], there: int) -> list[str]:
    """The names of the steps from the first state to this one."""
    path = [there]
    while came[path[-1]]:
        path.append(came[path[-1]])
    names, world = [], first
    for there in path[-2::-1]:
        moves = ((name, canonical(after)) for name, after in steps(world, rules))
        name, world = next((name, after) for name, after in moves if hash(after) == there)
        names.append(name)
    return names


def walk(first: World, rules: Rules, seed: int, steps_max: int = 400) -> Found:
    """One random walk: the same seed takes the same steps. Faults come now and then, as many as there are left."""
    chance, found, world = random.Random(seed), Found(complete=False), first
    for _ in range(steps_max):
        moves = [(name, after) for name, after in steps(world, rules) if after != world]
        calm = [move for move in moves if not move[0].startswith("!")]
        found.states += 1
        found.transitions += len(moves)
        if problem := next(violations(world, at_rest=not calm), None):
            found.violation = problem
            break
        if not moves:
            found.at_rest += 1
            break
        wild = [move for move in moves if move[0].startswith("!")]
        name, world = chance.choice(wild if wild and (not calm or chance.random() < 0.15) else calm)
        found.trace.append(name)
    return found


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.explore", description=__doc__)
    parser.add_argument("--faults", type=int, default=3, help="faults at the most, in a world of one job")
    parser.add_argument("--faults-of-two", type=int, default=1, help="faults at the most, in a world of two jobs")
    parser.add_argument("--seconds", type=float, default=inf, help="each world is walked for so long at the most")
    parser.add_argument("--walks", type=int, default=0, help="random walks through two jobs, six faults each")
    options = parser.parse_args(arguments)
    good = True
    for jobs, faults in ((1, options.faults), (2, options.faults_of_two)):
        for resends in (False, True):
            # A mail that is sent again has twice the life, and many times the states.
            count = max(0, faults - resends)
            found = explore(first_world(count, jobs=jobs, resends=resends), Rules(), seconds_max=options.seconds)
            print(f"{_name(jobs, count, resends)}: {found}", flush=True)
            good = good and not found.violation
    again = max(0, options.faults - 1)
    found = explore(first_world(again, jobs=1, again=True), Rules(), seconds_max=options.seconds)
    print(f"{_name(1, again, False)}, published again: {found}", flush=True)
    good = good and not found.violation
    for resends in (False, True):
        results = [walk(first_world(6, resends=resends), Rules(), seed) for seed in range(options.walks)]
        bad = [(seed, found) for seed, found in enumerate(results) if found.violation]
        seen = sum(found.states for found in results)
        print(f"{len(results):,} walks, {_name(2, 6, resends)}: {seen:,} states, {len(bad)} violations")
        for seed, found in bad[:3]:
            print(f"  seed {seed}: {found.violation}: {' > '.join(found.trace)}")
        good = good and not bad
    return 0 if good else 1


def _name(jobs: int, faults: int, resends: bool) -> str:
    return f"{jobs} job{'s' * (jobs > 1)}, {faults} faults{', resends by policy' * resends}"


if __name__ == "__main__":
    # States refer to no one who refers to them: a collector would look at millions of them in vain.
    gc.disable()
    sys.exit(main())
