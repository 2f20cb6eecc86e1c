"""Who withdraws: intents of processes that call no more, and what the set alone knows of their calls."""

from __future__ import annotations

import asyncio

from processor.core.states import State
from schemas.identity import Key
from tests.simulation.audit import Audit
from tests.simulation.faults import kill, redis_fault
from tests.simulation.scenarios_checkpoint import back, moved, read_little
from tests.simulation.story import done, keeps, replay, until
from tests.simulation.world import MONTH, World

NEXT = "2026-12"
MOVER = {"group": "replay-9", "month": "1999-01"}
"""A process with nothing to do but follow."""
ORDER = "first the process is seen to have lapsed, then the set is asked, then the intent is withdrawn"
UNRECORDED = "a claim of nobody, or an unrecorded sent or uncertain, is never withdrawn"


async def mover(world: World) -> None:
    """The process that follows, from now on."""
    world.start("m", **MOVER)  # type: ignore[arg-type]
    assert await until(world, lambda: world.redis.at("redis").set.carried.follower != "")


def told(world: World, user: str = "u0") -> list[str]:
    """The ledger's outcomes of a key, in order."""
    raw = Key(user, MONTH).to_bytes()
    return [delivery.outcome.value for key, delivery, _ in world.deliveries() if key == raw]


@keeps(r"G6 the rebuild read", "whoever moves the checkpoint withdraws what nobody calls for any more")
async def months_go_on_behind_a_dead_process(world: World, audit: Audit) -> list[str]:
    """Killed between its intents and their claims; nobody reads these records while the next month is mailed."""
    world.when("p0", "redis.claim <", 1, lambda process: kill(world, audit, process))
    for number in range(4):
        world.publish(f"u{number}")
    world.start("p0")
    assert await until(world, lambda: world.slots["p0"].dead)
    world.open_month(NEXT)
    for number in range(12):
        world.publish(f"v{number}", month=NEXT)
    world.start("r", group="replay-1", month=NEXT)
    assert await until(world, lambda: len(world.ses.accepted) == 12)
    if not await until(world, lambda: moved(world), 20):
        return ["G6 the rebuild read all from an intent on that nobody withdraws"]
    await asyncio.sleep(1)
    back(world)
    world.publish("late", month=NEXT)
    assert await until(world, lambda: len(world.ses.accepted) == 13)
    found = read_little(world, 6)
    world.start("p1")
    assert await done(world)
    return [*found, *await replay(world, "replay-2")]


@keeps(r"G1 u0\S* was accepted 2 times", ORDER)
async def a_live_process_waits_with_an_intent(world: World, audit: Audit) -> list[str]:
    """For longer than a heartbeat lasts it has no quota; then it calls, dies, and its claim is lost."""
    audit.events_come = False
    world.ses.quota = 0.0
    await mover(world)
    world.start("p0")
    await asyncio.sleep(2)
    world.publish("u0")
    await asyncio.sleep(9)
    world.when("p0", "ses.send >", 1, lambda process: kill(world, audit, process))
    world.ses.quota = -1.0
    assert await until(world, lambda: world.slots["p0"].dead)
    return await _read_again_without_the_claim(world)


async def _read_again_after_its_silence(world: World) -> list[str]:
    """Once the mover had time to settle what the dead process left behind."""
    assert await until(world, lambda: world.slots["p0"].dead)
    await asyncio.sleep(8)
    world.start("p1")
    await until(world, lambda: not world.pending(), 40)
    return await replay(world)


async def _read_again_without_the_claim(world: World) -> list[str]:
    """Redis comes back as it was before the claim; somebody else reads the record."""
    redis_fault(world)
    world.redis.point("redis", world.redis.replica("redis", _since_claim(world)))
    world.start("p1")
    await until(world, lambda: not world.pending(), 40)
    return await replay(world)


def _since_claim(world: World) -> int:
    """How many scripts Redis must forget so that it knows of no claim."""
    past = world.redis.at("redis").past
    key = Key("u0", MONTH)
    return next(
        lag
        for lag in range(len(past))
        if (claim := past[len(past) - 1 - lag].claims.get(key)) is None or claim.state is State.ABSENT
    )


@keeps(r"G1 u0\S* was accepted 2 times", ORDER)
async def killed_in_a_call_beside_the_mover(world: World, audit: Audit) -> list[str]:
    """SES took it, and nobody heard; the set knows of the claim for as long as its lifetime."""
    audit.events_come = False
    await mover(world)
    world.start("p0")
    world.when("p0", "ses.send >", 1, lambda process: kill(world, audit, process))
    world.publish("u0")
    return await _read_again_after_its_silence(world)


@keeps(r"G1 u0\S* was accepted 2 times", ORDER)
async def called_between_the_look_and_the_silence(world: World, audit: Audit) -> list[str]:
    """The set knows nothing of the intent as long as there is no quota; then its process calls, and dies."""
    audit.events_come = False
    world.ses.quota = 0.0
    await mover(world)
    world.start("p0")
    await asyncio.sleep(2)
    world.publish("u0")
    await asyncio.sleep(5)
    world.when("p0", "ses.send >", 1, lambda process: kill(world, audit, process))
    world.ses.quota = -1.0
    return await _read_again_after_its_silence(world)


@keeps(r"G1 u0\S* was accepted 2 times", UNRECORDED)
async def sent_and_recorded_by_nobody(world: World, audit: Audit) -> list[str]:
    """Killed after the mark; nobody reads the record before Redis is lost."""
    audit.events_come = False
    await mover(world)
    world.start("p0")
    world.when("p0", "redis.note_sent >", 1, lambda process: process.die())
    world.publish("u0")
    assert await until(world, lambda: world.slots["p0"].dead)
    in_time = await until(world, lambda: told(world) == ["sent"] and moved(world), 20)
    redis_fault(world)
    world.redis.at("redis").flush()
    world.start("p1")
    await until(world, lambda: not world.pending(), 40)
    found = [] if in_time else ["G6 nobody tells the ledger what the set alone knows as sent"]
    return [*found, *await replay(world)]


@keeps(r"G6 nobody tells the ledger of a claim that has expired", "an expired claim becomes its outcome")
async def in_doubt_and_recorded_by_nobody(world: World, audit: Audit) -> list[str]:
    """Killed in its call; nobody reads the record."""
    audit.events_come = False
    await mover(world)
    world.start("p0")
    world.when("p0", "ses.send >", 1, lambda process: kill(world, audit, process))
    world.publish("u0")
    assert await until(world, lambda: world.slots["p0"].dead)
    if not await until(world, lambda: told(world) == ["uncertain"] and moved(world), 30):
        return ["G6 nobody tells the ledger of a claim that has expired"]
    world.start("p1")
    return await replay(world)


@keeps(r"G1 u0\S* was accepted 2 times", UNRECORDED)
async def two_intents_of_nobody(world: World, audit: Audit) -> list[str]:
    """Two groups have intended, one of them has called; both die, and Redis comes back empty."""
    audit.events_come = False
    world.when("p0", "redis.claim <", 1, lambda process: kill(world, audit, process))
    world.publish("u0")
    world.start("p0")
    assert await until(world, lambda: world.slots["p0"].dead)
    world.when("r", "ses.send >", 1, lambda process: kill(world, audit, process))
    world.start("r", group="replay-1")
    assert await until(world, lambda: world.slots["r"].dead)
    redis_fault(world)
    world.redis.at("redis").flush()
    await mover(world)
    await asyncio.sleep(6)
    world.start("p1")
    await until(world, lambda: not world.pending(), 40)
    return await replay(world, "replay-2")
