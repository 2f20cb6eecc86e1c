"""What people do meanwhile: replay, correct, cancel, publish nonsense, set clocks."""

from __future__ import annotations

import random

from tests.simulation.audit import Audit
from tests.simulation.process import processor
from tests.simulation.world import SLOTS, UNTIL_S, World


def replayed(world: World, audit: Audit, chance: random.Random) -> None:
    group = f"replay-{chance.randint(1, 99)}"
    world.at(
        chance.uniform(0.5, UNTIL_S),
        "replay",
        lambda: world.start("r", processor, group=group, drain=True) and None,
    )


def corrected(world: World, audit: Audit, chance: random.Random) -> None:
    user = f"u{chance.randint(0, 2)}"
    world.at(chance.uniform(0.1, 10), f"{user} corrected", lambda: world.publish(user, version=2))


def cancelled(world: World, audit: Audit, chance: random.Random) -> None:
    """Each key once; the scenario "cancelled after it had ended" has the rest."""
    user = f"u{chance.randint(0, 2)}"
    if user not in world.cancelled:
        world.cancelled.add(user)
        world.at(chance.uniform(0.1, 10), f"{user} cancelled", lambda: world.cancel(user))


def poisoned(world: World, audit: Audit, chance: random.Random) -> None:
    key = chance.choice((None, b"no-month", f"u0:{'2020-01'}".encode(), b"poison:2026-11"))
    partition = chance.randint(0, 1) if key is None else world.kafka.partition_of(key)
    world.at(chance.uniform(0.0, 10), "poison", lambda: world.publish_raw(key, b"{not json", partition))


def clock_jumps(world: World, audit: Audit, chance: random.Random) -> None:
    """The wall clock of one machine; less than SES would refuse."""
    slot, offset_ms = chance.choice(SLOTS), chance.choice((-9_000, -2_000, 2_000, 9_000))
    world.at(
        chance.uniform(0.1, UNTIL_S),
        f"{slot}'s clock jumps by {offset_ms} ms",
        lambda: setattr(world.slots[slot].host, "offset_ms", offset_ms),
    )
