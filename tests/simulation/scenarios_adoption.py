"""A Redis, a cluster or a topic is taken over on purpose; and who may not do what before."""

from __future__ import annotations

import asyncio

from schemas.identity import Key
from schemas.records import Outcome
from tests.simulation.audit import Audit
from tests.simulation.faults import redis_fault
from tests.simulation.process import Process, adopter
from tests.simulation.story import done, drain, keeps, publish, replay, sent, until
from tests.simulation.world import MONTH, World

__all__ = ["adopted"]

STEPS = (
    *("redis.bar <", "redis.bar >", "kafka.commit <", "kafka.commit >", "redis.adopt <", "redis.adopt >"),
    *("control.commit <", "control.commit >", "redis.own <", "redis.own >"),
)
"""Where an adoption is killed, one after the other."""


async def ended(world: World, process: Process) -> str:
    """How it left."""
    await until(world, lambda: process.dead)
    return process.left or ""


async def adopted(world: World, **how: str) -> list[str]:
    """As `mailonce dedup adopt --yes`."""
    left = await ended(world, world.start("ad", adopter, **how))
    return [f"G2 the adoption failed: {left}"] if left else []


async def refused(world: World, error: str) -> list[str]:
    """A processor that must not start."""
    left = await ended(world, world.start("p9"))
    return [] if left.startswith(error) else [f"G2 a processor was not refused: {left or 'it ended well'}"]


async def _a_month_half_done(world: World, audit: Audit) -> None:
    """u0 to u3 are sent, u4 is in doubt, u5 was refused by SES, u6's processor died inside its call; Kafka is lost."""
    world.ses.refuses.add("u5")
    await sent(world)
    for user in ("u4", "u6"):
        audit.excuse_key(Key(user, MONTH), "its call's answer is lost")
    world.net.loses = lambda what, _owner: "answer" if what == "ses.send" else ""
    world.publish("u4")
    assert await done(world)
    world.net.loses = lambda _what, _owner: ""
    for number in range(10):
        # So that the new topic's places are lower than the one that was closed.
        world.publish(f"v{number}")
    world.publish("u5")
    assert await done(world)
    await asyncio.sleep(1)
    world.when("p0", "ses.send <", 1, lambda process: process.die())
    world.publish("u6")
    await until(world, lambda: world.slots["p0"].dead)
    world.lose_kafka()
    world.ses.refuses.clear()
    publish(world, 5)
    world.publish("u5", version=2)
    world.publish("u6")


async def _outcomes(world: World) -> list[str]:
    """Who must have which outcome after that: events of what was adopted end the doubts that they name."""
    evidence = world.start_evidence(drain=True)
    await ended(world, evidence)
    wanted = {f"u{number}": Outcome.SENT for number in range(6)} | {"u6": Outcome.UNCERTAIN}
    mails = world.mails()
    found = {user: mails[Key(user, MONTH).to_bytes()].outcome for user in wanted}
    return [f"G2 {user} is {found[user]}, not {what}" for user, what in wanted.items() if found[user] is not what]


@keeps(r"G2 .* has no outcome", "adopting keeps sent; sending and uncertain are in doubt; places are void")
async def kafka_lost_redis_kept_and_adopted(world: World, audit: Audit) -> list[str]:
    """Every job has an outcome, nobody gets two mails, and a corrected address is attempted."""
    await _a_month_half_done(world, audit)
    found = await refused(world, "RedisForeign")
    found += await adopted(world)
    found += await drain(world)
    found += await replay(world)
    return found + await _outcomes(world)


@keeps(r"G2 .* has no outcome", "an adoption that was broken off goes on when it is run again")
async def an_adoption_killed_at_each_step(world: World, audit: Audit) -> list[str]:
    """Whoever starts in between is refused, or the set is whole for him."""
    await _a_month_half_done(world, audit)
    found: list[str] = []
    for number, step in enumerate(STEPS):
        world.when(f"ad{number}.", step, 1, lambda process: process.die())
        process = world.start(f"ad{number}", adopter)
        await ended(world, process)
        if process.left is not None:
            found.append(f"G2 the adoption was not killed at {step}: {process.left}")
        # Behind the last step the set is ours, and not whole.
        found += await refused(world, "RedisForeign") if step != STEPS[-1] else []
    found += await adopted(world)
    found += await drain(world)
    return found + await _outcomes(world)


@keeps(r"G2 .* has no outcome", "a topic with another id is refused until adopted; places in the old one are void")
async def the_topic_is_recreated_and_adopted(world: World, audit: Audit) -> list[str]:
    """The ledger stays: what it says of places in the old topic bars nothing in the new one, also after a loss of Redis."""
    world.ses.refuses.add("u5")
    for number in range(10):
        world.publish(f"v{number}")
    publish(world, 6)
    world.start("p0")
    assert await done(world)
    await asyncio.sleep(1)
    world.slots["p0"].stop()
    await ended(world, world.slots["p0"])
    world.kafka.recreate(world.settings.topics.jobs)
    world.ses.refuses.clear()
    publish(world, 5)
    world.publish("u5", version=2)
    found = await refused(world, "InstallationForeign")
    found += await adopted(world)
    redis_fault(world)
    world.redis.at("redis").flush()
    found += await drain(world)
    wrong = [raw.decode() for raw, mail in world.mails().items() if mail.outcome is not Outcome.SENT]
    return found + [f"G2 {key} was not sent" for key in wrong]


@keeps(r"G2 .* while .* runs", "no adoption while processors run")
async def adopted_while_a_processor_runs(world: World, audit: Audit) -> list[str]:
    """It names who runs; one that died a moment ago is waited for and does not stand in the way."""
    await sent(world)
    world.kafka.recreate(world.settings.topics.attempts)
    left = await ended(world, world.start("ad", adopter))
    if not left.startswith("UsageError: p0"):
        return [f"G2 it was adopted while p0 runs: {left}"]
    world.slots["p0"].die()
    return await adopted(world) + await drain(world)
