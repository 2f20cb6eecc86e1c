"""Who may still call: what heartbeats say, and who waits for whom before a set of another life is used."""

from __future__ import annotations

import asyncio

from tests.simulation.audit import Audit
from tests.simulation.faults import kill, redis_fault
from tests.simulation.scenarios_withdraw import mover
from tests.simulation.story import done, keeps, until
from tests.simulation.world import World

__all__ = ["a_lapse_with_an_intent_that_others_withdrew", "a_lineage_begun_beside_one_that_hears_late"]


@keeps(
    r"G1 u0\S* was accepted 2 times", "whoever begins a lineage waits until others know of it, or may call no longer"
)
async def a_lineage_begun_beside_one_that_hears_late(world: World, audit: Audit) -> None:
    """One of two Redis servers is slow for one heartbeat, and the control topic for its process: a replay has the other.

    Its process goes on under the lineage that it knows, for as long as its last heartbeat lasts.
    """
    deaf: list[str] = []

    def loses(what: str, owner: object) -> str:
        return "answer" if what in deaf and getattr(owner, "name", "").startswith("p0") else ""

    world.net.loses = loses
    world.start("p0", address="redis-a")
    await asyncio.sleep(2)
    deaf.append("redis.server")
    await asyncio.sleep(1.0)
    deaf[:] = ["control.fetch"]
    world.redis_faults_s.append(world.loop.time())
    world.when("r", "redis.set_whole >", 1, lambda _process: world.publish("u0") and None)
    replayed = world.start("r", address="redis-b", group="replay-1")
    await until(world, lambda: len(world.ses.accepted) > 0, 8)
    deaf.clear()
    await asyncio.sleep(5)
    replayed.die()
    await done(world)


@keeps(
    r"G1 u0\S* was accepted 2 times",
    "intents begun before a lapse are never called for: others may have withdrawn them",
)
async def a_lapse_with_an_intent_that_others_withdrew(world: World, audit: Audit) -> None:
    """It waits for quota and is cut off from the control topic for a while; back again it is killed in its call, and Redis is lost."""
    audit.events_come = False
    deaf: list[str] = []
    world.net.loses = lambda what, owner: (
        "request" if what in deaf and getattr(owner, "name", "").startswith("p0") else ""
    )
    world.ses.quota = 0.0
    await mover(world)
    world.start("p0")
    await asyncio.sleep(2)
    world.publish("u0")
    await asyncio.sleep(2)
    deaf += ["control.fetch", "control.beat"]
    await asyncio.sleep(8)
    deaf.clear()
    await asyncio.sleep(3)
    called = world.slots["p0"]
    world.when("p0", "ses.send >", 1, lambda process: kill(world, audit, process))
    world.ses.quota = -1.0
    await until(world, lambda: called.dead, 15)
    redis_fault(world)
    world.redis.at("redis").flush()
    world.start("p1")
    await done(world, 60)
