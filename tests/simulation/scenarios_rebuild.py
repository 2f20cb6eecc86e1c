"""The dedup set is rebuilt: what comes between, and what a server's file brought back."""

from __future__ import annotations

import asyncio
from typing import Any

from processor.core.states import State
from schemas.records import Outcome
from tests.simulation.audit import Audit
from tests.simulation.faults import redis_fault
from tests.simulation.story import done, drain, keeps, publish, replay, sent, until
from tests.simulation.world import World


@keeps(r"G1 .* accepted 2 times", "lock, chunks and mark carry one token, bound to the server's ids at the lock")
async def flushed_while_it_is_rebuilt(world: World, audit: Audit) -> None:
    """FLUSHALL between two chunks: the lock is lost, and the rebuild declares the rest whole."""
    await sent(world, 12)
    server = world.redis.at("redis")
    redis_fault(world)
    server.flush()
    world.when("p0", "redis.restore >", 2, lambda _process: server.flush())
    world.publish("one-more")
    await done(world)
    await replay(world)


@keeps(r"G4 u\d\S* is in doubt .* no call", "a suspended rebuild fails and starts again")
async def rebuilt_beside_a_whole_set(world: World, audit: Audit) -> None:
    """A rebuild that stood still past its lock goes on: it puts back what was withdrawn since it read the topics."""
    world.ses.quota = 0.0
    world.when("p1", "redis.lock_rebuild >", 1, lambda process: process.freeze(6.0))
    world.when("p1", "redis.restore <", 1, lambda process: process.freeze(3.0))
    world.start("p1")
    await asyncio.sleep(1)
    world.start("p0")
    await asyncio.sleep(4)
    publish(world, 2)
    await asyncio.sleep(2)
    world.slots["p0"].stop()
    await asyncio.sleep(4)
    world.ses.quota = -1.0
    await done(world)


@keeps(r"G1 .* accepted 2 times", "lock, chunks and mark carry one token: a suspended rebuild fails and starts again")
async def a_suspended_rebuild_marks_a_flushed_set(world: World, audit: Audit) -> None:
    """Stopped just before its mark, long after which Redis is flushed while nobody rebuilds: an empty set is whole."""
    await sent(world)
    redis_fault(world)
    world.redis.at("redis").flush()
    world.when("p1", "redis.set_whole <", 1, lambda process: process.freeze(12.0))
    world.start("p1")
    await asyncio.sleep(6)
    world.publish("one-more")
    assert await done(world)
    await asyncio.sleep(1)
    world.redis.at("redis").flush()
    await asyncio.sleep(10)
    await replay(world)


@keeps(r"G4 u0\S* is in doubt .*its attempt had ended", "an outcome or a withdrawal frees the claim that it names")
async def a_claim_that_ended_comes_back(world: World, audit: Audit) -> None:
    """Redis starts again without the last scripts; the letter of the refused mail leaves the old claim as it is."""
    world.ses.refuses.add("u0")
    world.publish("u0")
    world.start("p0")
    assert await done(world)
    await asyncio.sleep(1)
    past = world.redis.at("redis").past
    claimed = next(state for state in past if any(c.state is State.SENDING for c in state.claims.values()))
    redis_fault(world)
    world.redis.point("redis", world.redis.start("redis", claimed))
    world.ses.refuses.clear()
    world.publish("u0", version=2)
    await done(world)


@keeps(r"G4 u0\S* is in doubt .* no call", "an outcome or a withdrawal frees the claim that it names")
async def a_withdrawn_claim_comes_back(world: World, audit: Audit) -> None:
    """The claim's answer is lost with Redis, SIGTERM follows, and Redis comes back with its file."""
    world.start("p0")
    await asyncio.sleep(2)
    server = world.redis.at("redis")

    def lose(_process: Any) -> None:
        world.redis_faults_s.append(world.loop.time())
        server.down = True

    world.net.loses = lambda what, _owner: "answer" if what == "redis.claim" else ""
    world.when("p0", "redis.claim >", 1, lose)
    world.publish("u0")
    await until(world, lambda: server.down)
    world.slots["p0"].stop()
    assert await until(world, lambda: world.slots["p0"].dead)
    world.net.loses = lambda _what, _owner: ""
    assert any(claim.state is State.SENDING for claim in server.set.claims.values())
    world.redis.point("redis", world.redis.start("redis", server.set.dump()))
    world.start("p1")
    await done(world)
    if any(mail.outcome is Outcome.UNCERTAIN for mail in world.mails().values()):
        world.defects.append("what was withdrawn is in doubt")


@keeps(
    r"G2 p0 did not stop", "every stop ends, in a bounded time: a cancelled task that does not end is cancelled again"
)
async def a_stop_in_a_rebuild_ends(world: World, audit: Audit) -> list[str]:
    """The end's cancellation meets the rebuild, whose unlocking gets no answer: that error took its place once."""
    await sent(world)
    usual = world.net.loses
    world.net.loses = lambda what, _owner: "answer" if what in {"redis.restore", "redis.unlock_rebuild"} else ""
    redis_fault(world)
    world.redis.at("redis").flush()
    world.when("p0", "redis.restore <", 1, lambda process: process.stop())
    world.publish("one-more")
    stopped = await until(world, lambda: world.slots["p0"].dead)
    world.net.loses = usual
    return await drain(world) if stopped else ["G2 p0 did not stop within 60 s"]


AGAIN_S = 4.5
"""A heartbeat's 2.4 s, two beats, and what the rebuild itself takes."""


@keeps(r"G6 the set is whole again after", "a dead process's heartbeat costs its wait, and that once")
async def killed_in_a_rebuild(world: World, audit: Audit) -> list[str]:
    """Whoever comes next waits for its heartbeat's end, not for its lock's and once more for word of the lineage."""
    await sent(world)
    world.when("p0", "redis.restore <", 1, lambda process: process.die())
    redis_fault(world)
    world.redis.at("redis").flush()
    world.publish("one-more")
    assert await until(world, lambda: world.slots["p0"].dead)
    began_s = world.loop.time()
    world.start("p1")
    server = world.redis.at("redis").set
    assert await until(world, lambda: server.marker.run == server.run, 30)
    took_s = world.loop.time() - began_s
    assert await done(world)
    return [f"G6 the set is whole again after {took_s:.1f} s"] if took_s > AGAIN_S else []
