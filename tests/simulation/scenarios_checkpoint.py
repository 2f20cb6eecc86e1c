"""The dedup set carries a checkpoint: Redis comes back with a part of its data, and only what came since is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from processor.core.states import State
from schemas.identity import Key
from tests.simulation.audit import Audit
from tests.simulation.faults import kill, redis_fault
from tests.simulation.redis_twin import Server
from tests.simulation.story import done, keeps, publish, replay, sent, until
from tests.simulation.world import MONTH, World

PREFIX = "what a restart or a replica brings back is a prefix, its checkpoint included, so a rebuild reads from there"
COPIED = "a set copied key by key is no prefix and is rebuilt whole"


def back(world: World, lag: int = 0) -> Server:
    """Redis starts again without its last scripts."""
    redis_fault(world)
    return world.redis.point("redis", world.redis.replica("redis", lag))


def rebuilds(world: World) -> list[tuple[int, str]]:
    """How many records each rebuild read, and from where."""
    told = [e.about for e in world.net.history.entries if e.what == "# dedup set rebuilt"]
    about = [dict(str(one).split("=", 1) for one in words) for words in told]
    return [(int(one["records"]), one["read_from"]) for one in about]


def moved(world: World) -> bool:
    """Whether the checkpoint stands at the ends of both topics."""
    carried, topics = world.redis.at("redis").set.carried.checkpoint, world.settings.topics
    pairs = ((carried.ledger, topics.deliveries), (carried.attempts, topics.attempts))
    return all(log.end == topic.starts.get(log.number) for topic, name in pairs for log in world.kafka.topic(name))


def read_little(world: World, most: int) -> list[str]:
    """What the last rebuild says of itself."""
    records, begun = rebuilds(world)[-1]
    if begun == "the checkpoint" and records <= most:
        return []
    return [f"G6 the rebuild read {records} records from {begun}, and {most} would do"]


@keeps(r"G6 the rebuild read", PREFIX)
async def redis_back_with_most_of_its_data(world: World, audit: Audit) -> list[str]:
    """Twelve mails are settled, three more are claimed when Redis starts again without its last scripts."""
    await sent(world, 12)
    assert await until(world, lambda: moved(world))
    world.when("p0", "redis.note_sent >", 1, lambda _process: back(world, 3))
    for number in range(3):
        world.publish(f"late{number}")
    assert await done(world)
    found = read_little(world, 12)
    return [*found, *await replay(world)]


@keeps(r"G6 the rebuild read", PREFIX)
async def failed_over_with_a_checkpoint_and_back(world: World, audit: Audit) -> list[str]:
    """A replica that lags is promoted and used, its checkpoint moves on; then the address leads to the old primary."""
    await sent(world, 8)
    assert await until(world, lambda: moved(world))
    old = back(world, 2)
    for number in range(4):
        world.publish(f"there{number}")
    assert await done(world)
    assert await until(world, lambda: moved(world))
    redis_fault(world)
    world.redis.point("redis", old)
    world.publish("one-more")
    assert await done(world)
    found = read_little(world, 14)
    return [*found, *await replay(world)]


@keeps(r"G1 .* accepted 2 times", "one without a checkpoint is rebuilt whole")
async def flushed_with_a_checkpoint(world: World, audit: Audit) -> list[str]:
    """FLUSHALL takes the checkpoint along."""
    await sent(world, 6)
    assert await until(world, lambda: moved(world))
    redis_fault(world)
    world.redis.at("redis").flush()
    world.publish("one-more")
    assert await done(world)
    found = [] if rebuilds(world)[-1][1] == "the beginning" else ["G6 a flushed set was read on"]
    return [*found, *await replay(world)]


@keeps(r"G1 .* accepted 2 times", COPIED)
async def copied_key_by_key(world: World, audit: Audit) -> list[str]:
    """To another server, while mail flows: the buckets first, the marker and what stands beside it last."""
    world.start("p0")
    await asyncio.sleep(2)
    buckets = world.redis.at("redis").set.dump()
    publish(world, 6)
    assert await done(world)
    assert await until(world, lambda: moved(world))
    copy = world.redis.start("redis")
    copy.load_keys(buckets, list(buckets.claims), marker=False)
    copy.load_keys(world.redis.at("redis").set.dump(), [], marker=True)
    redis_fault(world)
    world.redis.point("redis", copy)
    world.publish("one-more")
    assert await done(world)
    return await replay(world)


@keeps(
    r"G1 u0\S* was accepted 2 times", "a checkpoint never moves past an intent that has neither outcome nor withdrawal"
)
async def a_claim_lost_behind_the_checkpoint(world: World, audit: Audit) -> list[str]:
    """An intent waits for quota and the checkpoint moves; then its call is taken, its process dies, Redis forgets it."""
    audit.events_come = False
    await sent(world, 1)
    world.ses.quota = 0.0
    world.publish("u0", version=2, partition=1)
    world.publish("u1", partition=1)
    await asyncio.sleep(6)
    before = world.redis.at("redis").set.dump()
    assert not any(claim.state is State.SENDING for claim in before.claims.values())
    world.when("p0", "ses.send >", 1, lambda process: kill(world, audit, process))
    world.ses.quota = -1.0
    assert await until(world, lambda: world.slots["p0"].dead)
    redis_fault(world)
    world.redis.point("redis", world.redis.start("redis", before))
    world.start("p1")
    await done(world)
    return await replay(world)


@keeps(
    r"G6 .* is sent by the ledger", "only a reader that has applied every record moves the checkpoint, after applying"
)
async def an_outcome_that_the_set_never_heard_of(world: World, audit: Audit) -> list[str]:
    """Evidence proves a mail to a Redis that is replaced, and tells the ledger after the next one was made whole."""
    world.net.loses = lambda what, _owner: "answer" if what == "ses.send" else ""
    world.when("ev", "kafka.init <", 1, lambda process: process.freeze(8.0))
    world.when("ev", "kafka.commit >", 1, lambda process: kill(world, audit, process))
    world.start("p0")
    await asyncio.sleep(1)
    world.start_evidence()
    before = world.redis.at("redis").set.dump()
    world.when("p0", "ses.send >", 1, lambda process: kill(world, audit, process))
    world.publish("u0")
    assert await until(world, lambda: world.slots["ev"].stalls != [])
    redis_fault(world)
    world.redis.point("redis", world.redis.start("redis", before))
    world.start("p1")
    assert await until(world, lambda: world.slots["ev"].dead)
    await asyncio.sleep(3)
    return []


@keeps(r"G1 .* accepted 2 times", "another topic id voids the checkpoint")
async def topics_made_anew_beside_a_checkpoint(world: World, audit: Audit) -> list[str]:
    """Ledger and attempts are other topics, and have grown past the checkpoint when an older Redis comes back."""

    def made_anew(topic: str) -> None:
        world.kafka.recreate(topic)
        world.install(world.kafka, "ours")

    return await _grown_past_a_checkpoint(world, made_anew)


@keeps(r"G1 .* accepted 2 times", "a log that was cut and has grown again voids the checkpoint")
async def cut_and_grown_past_a_checkpoint(world: World, audit: Audit) -> list[str]:
    """Ledger and attempts lose their disks and grow past the checkpoint again; then an older Redis comes back."""

    def cut(topic: str) -> None:
        for log in world.kafka.topic(topic):
            log.lose(0)

    return await _grown_past_a_checkpoint(world, cut)


async def _grown_past_a_checkpoint(world: World, befall: Callable[[str], None]) -> list[str]:
    """Something befalls ledger and attempts, which grow past the checkpoint again; then an older Redis comes back."""
    topics = [world.settings.topics.deliveries, world.settings.topics.attempts]
    for topic in topics:
        for number in range(12):
            world.kafka.publish(topic, b"junk", b"", partition=number % 2)
    world.start("p0")
    await asyncio.sleep(2)
    before = world.redis.at("redis").set.dump()
    for topic in topics:
        befall(topic)
    publish(world, 12)
    assert await done(world)
    await asyncio.sleep(1)
    redis_fault(world)
    world.redis.point("redis", world.redis.start("redis", before))
    return await replay(world)


@keeps(
    r"G1 u0\S* was accepted 2 times",
    "what the set says is an entry of the past, and stands by the rule of any two entries",
)
async def a_doubt_before_the_checkpoint(world: World, audit: Audit) -> list[str]:
    """A replay has intended for a mail in doubt and stands still; Redis starts again, and is read from the checkpoint."""
    audit.events_come = False
    audit.excuse_key(Key("u0", MONTH), "answer lost")
    world.net.loses = lambda what, _owner: "answer" if what == "ses.send" else ""
    await sent(world, 1)
    world.net.loses = lambda _what, _owner: ""
    assert await until(world, lambda: moved(world))
    world.when("r", "redis.claim <", 1, lambda process: process.freeze(6.0))
    world.start("r", group="replay-1")
    assert await until(world, lambda: world.slots["r"].stalls != [])
    back(world)
    world.publish("one-more")
    assert await done(world)
    await asyncio.sleep(10)
    return await replay(world, "replay-2")
