"""Processes that die, stand still, stop, come and go, and start twice."""

from __future__ import annotations

import random

from tests.simulation.audit import Audit
from tests.simulation.process import Process
from tests.simulation.world import SLOTS, UNTIL_S, World

STEPS = (
    "redis.claim <",
    "redis.claim >",
    "redis.note_sent <",
    "redis.note_sent >",
    "redis.record_sent <",
    "redis.record_sent >",
    "redis.restore >",
    "redis.set_whole <",
    "redis.lock_rebuild >",
    "ses.checked",
    "ses.send <",
    "ses.send >",
    "kafka.produce >",
    "kafka.offsets >",
    "kafka.commit <",
    "kafka.commit >",
    "kafka.init >",
    "kafka.committed <",
)
EVIDENCE_STEPS = ("sqs.delete <", "redis.prove >", "kafka.produce >", "kafka.commit >", "redis.note <", "redis.noted <")
STALLS_S = (0.4, 1.5, 4.0, 8.0, 16.0, 22.0)


def kill(world: World, audit: Audit, process: Process) -> None:
    if not process.dead:
        audit.excuse(process, "killed")
        process.die()


def freeze(world: World, audit: Audit, process: Process, seconds: float) -> None:
    if process.running:
        audit.excuse(process, "stalled")
        process.freeze(seconds)


def killed(world: World, audit: Audit, chance: random.Random) -> None:
    world.when(
        chance.choice(SLOTS), chance.choice(STEPS), chance.randint(1, 5), lambda process: kill(world, audit, process)
    )


def killed_at_a_moment(world: World, audit: Audit, chance: random.Random) -> None:
    slot = chance.choice(SLOTS)
    world.at(chance.uniform(0.1, UNTIL_S), f"kill {slot}", lambda: kill(world, audit, world.slots[slot]))


def stalled(world: World, audit: Audit, chance: random.Random) -> None:
    seconds = chance.choice(STALLS_S)
    world.when(
        chance.choice(SLOTS),
        chance.choice(STEPS),
        chance.randint(1, 5),
        lambda process: freeze(world, audit, process, seconds),
    )


def stopped(world: World, audit: Audit, chance: random.Random) -> None:
    slot = chance.choice(SLOTS)
    world.at(chance.uniform(0.1, UNTIL_S), f"stop {slot}", lambda: world.slots[slot].stop())


def scaled(world: World, audit: Audit, chance: random.Random) -> None:
    """A third processor comes and goes."""
    begin_s = chance.uniform(0.1, UNTIL_S - 10)
    world.at(begin_s, "one more processor", lambda: world.start("p2"))
    world.at(begin_s + chance.uniform(1, 9), "one less", lambda: world.slots["p2"].stop())


def doubled(world: World, audit: Audit, chance: random.Random) -> None:
    """A second process under the same instance name: one of them is fenced."""
    slot = chance.choice(SLOTS)

    def again() -> None:
        first = world.slots[slot]
        world.start(slot, instance=first.instance)

    world.at(chance.uniform(0.1, UNTIL_S), f"{slot} started twice", again)


def zombie(world: World, audit: Audit, chance: random.Random) -> None:
    """Stalled past everything, with a successor of the same name at work when it goes on."""
    seconds = chance.choice((4.0, 16.0))

    def act(process: Process) -> None:
        freeze(world, audit, process, seconds)
        world.loop.later(1.0, lambda: world.start(process.name.partition(".")[0], instance=process.instance))

    world.when(chance.choice(SLOTS), chance.choice(STEPS), chance.randint(1, 5), act)


def evidence_killed(world: World, audit: Audit, chance: random.Random) -> None:
    world.when("ev", chance.choice(EVIDENCE_STEPS), chance.randint(1, 3), lambda process: process.die())
