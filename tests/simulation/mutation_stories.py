"""Stories in which one guarding line of the shell decides; each keeps the promise as the shell is."""

from __future__ import annotations

import asyncio

from schemas.identity import Key
from tests.simulation.audit import Audit
from tests.simulation.faults import kill, redis_fault
from tests.simulation.process import Process, adopter
from tests.simulation.story import LONG_AGO_S, sent, until
from tests.simulation.world import MONTH, World

__all__ = [
    "adopted_with_an_open_intent",
    "beyond_the_end",
    "cancelled_corrected_killed_and_lost",
    "changed_and_replayed",
    "closed_in_another_partition",
    "corrected_behind_a_broken_one",
    "doubt_after_proof_and_redis_lost",
    "drained_beside_another",
    "killed_in_a_back_off",
    "lost_again_while_it_is_rebuilt",
    "made_anew",
    "moved_to_the_end",
    "proof_before_our_time_out",
    "stands_still_after_the_answer",
    "stands_still_under_a_claim",
    "stopped_in_a_call",
    "withdrawn_after_a_rebuild",
]


async def adopted_with_an_open_intent(world: World, audit: Audit) -> list[str]:
    """Killed between intent and claim; then the jobs topic is made anew, and adopted with a set that knows of no claim."""
    await sent(world, 2)
    world.when("p0", "redis.claim <", 1, lambda process: process.die())
    world.publish("late")
    await until(world, lambda: world.slots["p0"].dead)
    world.kafka.recreate(world.settings.topics.jobs)
    adopting = world.start("ad", adopter)
    await until(world, lambda: adopting.dead)
    world.publish("new")
    world.start("p1")
    await until(world, lambda: not world.pending(), 30)
    return [f"G2 the adoption failed: {adopting.left}"] if adopting.left else []


async def stopped_in_a_call(world: World, audit: Audit) -> None:
    def act(process: Process) -> None:
        # The answer is on its way for longer than a graceful end takes.
        world.net.slow = 20
        world.loop.later(0.05, lambda: setattr(world.net, "slow", 1.0))
        world.loop.later(0.0, process.stop)

    world.when("p0", "ses.send <", 1, act)
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(5)
    world.start("p1")
    await asyncio.sleep(25)


async def stands_still_after_the_answer(world: World, audit: Audit) -> None:
    """Answered long before it dies, and not committed: the mark alone says so."""
    world.start("p0")
    await asyncio.sleep(2)
    world.when("p0", "kafka.produce <", 2, lambda process: process.freeze(5.5))
    world.publish("u0")
    await asyncio.sleep(5)
    kill(world, audit, world.slots["p0"])
    world.start("p1")
    await asyncio.sleep(25)


async def proof_before_our_time_out(world: World, audit: Audit) -> None:
    """SES's event is quicker than our time-out; then evidence is away and the ledger compacted."""
    audit.excuse_key(Key("u0", MONTH), "answer lost")
    world.net.loses = lambda what, _owner: "answer" if what == "ses.send" else ""
    world.start_evidence()
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(1.6)
    world.slots["ev"].die()
    await asyncio.sleep(5)
    world.kafka.compact(world.settings.topics.deliveries)
    await asyncio.sleep(5)


async def doubt_after_proof_and_redis_lost(world: World, audit: Audit) -> None:
    """The ledger holds a doubt that was on its way when SES's event came, and Redis is lost."""
    audit.excuse_key(Key("u0", MONTH), "answer lost")
    world.net.loses = lambda what, _owner: "answer" if what == "ses.send" else ""
    world.start_evidence()
    world.publish("u0")
    world.when("p0", "redis.note_uncertain >", 1, lambda process: process.freeze(2.0))
    world.when("p0", "redis.record_uncertain <", 1, lambda process: process.die())
    world.ses.tells = lambda: [2.1]
    world.start("p0")
    await asyncio.sleep(3.5)
    world.slots["ev"].die()
    await asyncio.sleep(5)
    redis_fault(world)
    world.redis.at("redis").flush()
    world.start("r", group="replay-1", drain=True)
    await asyncio.sleep(20)


async def cancelled_corrected_killed_and_lost(world: World, audit: Audit) -> None:
    """The open intent of a record that came after one that had ended; no event tells of the call."""
    audit.events_come = False
    world.publish("u0")
    world.cancel("u0")
    world.start("p0")
    await asyncio.sleep(4)
    world.when("p0", "ses.send >", 1, lambda process: kill(world, audit, process))
    world.publish("u0", version=2)
    await asyncio.sleep(1)
    redis_fault(world)
    world.redis.at("redis").flush()
    world.start("p1")
    await asyncio.sleep(30)


async def closed_in_another_partition(world: World, audit: Audit) -> None:
    """Partitions were added: the key ended in one of them, and is called for under a record of another."""
    audit.events_come = False
    world.ses.refuses.add("u2")
    place = world.publish("u2")
    world.start("p0")
    await asyncio.sleep(4)
    world.ses.refuses.clear()
    world.kafka.grow(4)
    await asyncio.sleep(3)
    world.when("p0", "ses.send >", 1, lambda process: kill(world, audit, process))
    assert world.publish("u2", version=2) != place
    await asyncio.sleep(1)
    redis_fault(world)
    world.redis.at("redis").flush()
    world.start("p1")
    await asyncio.sleep(30)


closed_in_another_partition.made = {"opened": False}  # type: ignore[attr-defined]


async def lost_again_while_it_is_rebuilt(world: World, audit: Audit) -> None:
    """Redis starts again, empty, between the last chunk and the mark."""
    for number in range(4):
        world.publish(f"u{number}")
    world.start("p0")
    await asyncio.sleep(4)
    world.redis.at("redis").flush()
    world.when("p0", "redis.set_whole <", 1, lambda _p: world.redis.point("redis", world.redis.start("redis")) and None)
    world.publish("u4")
    await asyncio.sleep(5)
    world.start("r", group="replay-1", drain=True)
    await asyncio.sleep(5)


async def stands_still_under_a_claim(world: World, audit: Audit) -> None:
    """Longer than the claim's lifetime, between the claim and the call."""
    audit.excuse_key(Key("u0", MONTH), "stalled")
    world.when("p0", "redis.claim >", 1, lambda process: process.freeze(16.0))
    world.start_evidence()
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(25)


async def corrected_behind_a_broken_one(world: World, audit: Audit) -> None:
    """A job, a record that is none, and a newer job, all read at once."""
    audit.strict = True
    place = world.publish("u0")
    world.publish_raw(b"u0:2026-11", b"{not json", place[0])
    world.publish("u0", version=3)
    await asyncio.sleep(LONG_AGO_S)
    world.start("p0")
    await asyncio.sleep(10)


async def drained_beside_another(world: World, audit: Audit) -> None:
    """One has settled its partition; the other, in a call that takes its time, has not."""
    for number in range(4):
        world.publish(f"u{number}", partition=number % 2)
    world.when("p0", "ses.send <", 1, lambda process: process.freeze(2.0))
    one, other = world.start("p0", drain=True), world.start("p1", drain=True)
    await until(world, lambda: one.dead or other.dead)
    if pending := world.pending():
        world.defects.append(f"a drain that ended well, though {len(pending)} jobs have no outcome")


async def killed_in_a_back_off(world: World, audit: Audit) -> None:
    """SES said that it was too fast; no call is in flight."""
    world.ses.fate = lambda: "throttled"
    world.when("p0", "redis.throttled >", 1, lambda process: world.loop.later(0.005, process.die) and None)
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(4)
    world.ses.fate = lambda: ""
    world.start("p1")
    await asyncio.sleep(30)


async def moved_to_the_end(world: World, audit: Audit) -> list[str]:
    """The group's offsets lie beyond jobs that nobody attempted: the drain says so, and a replay sends them."""
    for number in range(4):
        world.publish(f"u{number}")
    ends = {log.number: log.end for log in world.kafka.topic(world.settings.topics.jobs)}
    world.kafka.group("mailonce").offsets.update({number: (end, "") for number, end in ends.items()})
    drained = world.start("drain", drain=True)
    await until(world, lambda: drained.dead)
    replayed = world.start("r", group="replay-1", drain=True)
    await until(world, lambda: replayed.dead)
    left = drained.left or ""
    if not left.startswith("OutcomesMissing: 4 of 4 jobs"):
        world.defects.append(f"G2 a drain of nothing ended well: {left}")
    return []


async def beyond_the_end(world: World, audit: Audit) -> None:
    """The log is shorter than the group remembers."""
    world.kafka.group("mailonce").offsets.update({0: (100, ""), 1: (100, "")})
    for number in range(4):
        world.publish(f"u{number}")
    world.start("p0")
    await asyncio.sleep(10)


async def made_anew(world: World, audit: Audit) -> None:
    """The topic is deleted and made anew under a processor, and grows beyond the old offsets."""
    world.publish("u0")
    world.publish("u1")
    world.start("p0")
    await asyncio.sleep(3)
    world.kafka.recreate(world.settings.topics.jobs)
    for number in range(20):
        world.publish(f"v{number}")
    await until(world, lambda: world.slots["p0"].dead, 10)
    adopting = world.start("ad", adopter)
    await until(world, lambda: adopting.dead)
    world.start("p0")
    await asyncio.sleep(20)


async def changed_and_replayed(world: World, audit: Audit) -> None:
    """A job published again with other content is told of once, whoever reads it."""
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(3)
    world.publish("u0", version=2)
    await asyncio.sleep(3)
    replayed = world.start("r", group="replay-1", drain=True)
    await until(world, lambda: replayed.dead)
    if (many := len(world.letters())) != 1:
        world.defects.append(f"{many} letters of one record")


async def withdrawn_after_a_rebuild(world: World, audit: Audit) -> None:
    """The quota is used up; Redis is lost, and a rebuild puts an unused intent back as a claim before its holder goes."""
    world.ses.quota = 0.0
    world.start("p0")
    await asyncio.sleep(2)
    world.publish("u0")
    await asyncio.sleep(2)
    redis_fault(world)
    world.redis.at("redis").flush()
    world.start("ev0", group="replay-1", month="1999-01")
    await asyncio.sleep(2)
    world.slots["p0"].stop()
    await asyncio.sleep(3)
    world.ses.quota = -1.0
    world.start("p1")
    await asyncio.sleep(25)
    world.slots["p1"].stop()
    await asyncio.sleep(3)
