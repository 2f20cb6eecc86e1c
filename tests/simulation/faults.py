"""What goes wrong in a random history: each class of fault by name, arranged by a source of randomness of its own.

Only classes that the product survives stand in `FAULTS`. Those that break it are scenarios of their own
(`scenarios.py`), each with the violation that it must show.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.simulation import faults_of_people as people
from tests.simulation import faults_of_processes as processes
from tests.simulation import faults_of_servers as servers
from tests.simulation.audit import Audit
from tests.simulation.faults_of_processes import freeze, kill
from tests.simulation.faults_of_servers import redis_fault
from tests.simulation.world import World

__all__ = ["FAULTS", "Fault", "arrange", "freeze", "kill", "redis_fault"]

Fault = Callable[[World, Audit, random.Random], None]

FAULTS: dict[str, tuple[int, Fault]] = {
    fault.__name__: (weight, fault)
    for weight, fault in (
        (4, processes.killed),
        (2, processes.killed_at_a_moment),
        (4, processes.stalled),
        (2, processes.stopped),
        (2, processes.scaled),
        (1, processes.doubled),
        (2, processes.zombie),
        (2, processes.evidence_killed),
        (2, servers.ses_troubled),
        (2, servers.answers_lost),
        (1, servers.quota_used_up),
        (1, servers.sending_paused),
        (2, servers.events_unruly),
        (2, servers.redis_lossy),
        (2, servers.redis_away),
        (3, servers.restarted),
        (2, servers.wiped_by_a_restart),
        (2, servers.flushed),
        (3, servers.commits_end_badly),
        (1, servers.cut),
        (1, servers.compacted),
        (1, servers.foreign_transactions),
        (1, servers.offsets_vanish),
        (2, people.replayed),
        (2, people.corrected),
        (2, people.cancelled),
        (2, people.poisoned),
        (1, people.clock_jumps),
    )
}


def arrange(world: World, audit: Audit, chance: random.Random, *, only: tuple[str, ...] = ()) -> list[str]:
    """Draws a handful of faults, arranges them, and returns their names."""
    names = list(only or FAULTS)
    weights = [FAULTS[name][0] for name in names]
    drawn = chance.choices(names, weights, k=chance.randint(3, 9))
    for name in drawn:
        FAULTS[name][1](world, audit, chance)
    return drawn
