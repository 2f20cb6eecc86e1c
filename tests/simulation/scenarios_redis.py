"""Redis is in another state than Kafka remembers: failed over and back, older, flushed, another one, restored late."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from schemas.identity import TAG_ATTEMPT, TAG_INSTALLATION, TAG_MONTH, TAG_SOURCE, TAG_USER
from schemas.records import Outcome
from tests.simulation.audit import Audit
from tests.simulation.dedup import NO_MARKER
from tests.simulation.faults import kill, redis_fault
from tests.simulation.kafka import Kafka
from tests.simulation.process import Host
from tests.simulation.story import done, keeps, publish, replay, sent, until
from tests.simulation.world import MONTH, World

WHOLE = "nothing is granted by a set that may lack a claim made for this installation"


@keeps(r"G1 .* accepted 2 times", WHOLE)
async def failed_over_and_back(world: World, audit: Audit) -> None:
    """The replica is promoted and used, then the address leads to the old primary again, which lived on."""
    world.start("p0")
    await asyncio.sleep(2)
    old = world.redis.point("redis", world.redis.replica("redis"))
    publish(world, 4)
    assert await done(world)
    await asyncio.sleep(1)
    world.redis.point("redis", old)
    await replay(world)


@keeps(r"G1 .* accepted 2 times", "two servers in use: no claim under a server that is not the newest lineage's")
async def two_servers_in_use(world: World, audit: Audit) -> None:
    """Half the processors have the new address already; one of the others dies in the middle of its calls."""
    world.start("p0", address="redis-a")
    await asyncio.sleep(2)
    redis_fault(world)
    world.start("p1", address="redis-b")
    world.start_evidence(address="redis-b")
    await asyncio.sleep(4)
    world.when("p0", "ses.send >", 1, lambda process: process.die())
    publish(world, 6)
    await done(world)


@keeps(r"G1 .* accepted 2 times", "ids that cannot be read: the server is refused at the start")
async def a_server_that_tells_no_id(world: World, audit: Audit) -> list[str]:
    """INFO is forbidden: every server would be the same one, and an older file would not be noticed."""
    world.start("p0")
    await asyncio.sleep(2)
    early = world.redis.at("redis").set.dump()
    publish(world, 4)
    assert await done(world)
    await asyncio.sleep(1)
    back = world.redis.start("redis", early._replace(marker=NO_MARKER))
    world.redis.point("redis", back)
    allowed, back.set.run = back.set.run, ""
    await replay(world)
    refused = world.slots["r"].left or ""
    back.set.run = allowed
    found = await replay(world)
    return found if refused.startswith("RedisUntrusted") else [f"G1 a server without an id was not refused: {refused}"]


@keeps(r"G1 .* accepted 2 times", "callers pass the highest count they saw; a lower one is an older dump")
async def an_old_dump_key_by_key(world: World, audit: Audit) -> None:
    """Yesterday's keys are restored into the running server, the marker among them."""
    world.start("p0")
    await asyncio.sleep(2)
    yesterday = world.redis.at("redis").set.dump()
    publish(world, 4)
    assert await done(world)
    await asyncio.sleep(1)
    server = world.redis.at("redis")
    server.flush()
    server.load_keys(yesterday, [], marker=True)
    await replay(world)


@keeps(r"G2 drain did not drain: OutcomesMissing: 4 of 4", "a Redis of another installation is refused")
async def two_clusters_on_one_redis(world: World, audit: Audit) -> list[str]:
    """Staging and production under one prefix: the second is refused before it reads anything."""
    await sent(world)
    ours, world.kafka = world.kafka, Kafka(world.net, 2, "other-kafka")
    world.install(world.kafka, "theirs")
    second = world.start("drain", drain=True)
    await until(world, lambda: second.dead)
    evidence = world.start_evidence(drain=True)
    await until(world, lambda: evidence.dead)
    world.kafka = ours
    lefts = (second.left or "", evidence.left or "")
    return [f"G2 another installation was not refused: {left}" for left in lefts if not left.startswith("RedisForeign")]


@keeps(r"G2 u0:\S+ is told as sent, and SES never took it", "events of another installation prove nothing here")
async def events_of_another_installation(world: World, audit: Audit) -> list[str]:
    """One names its installation; the other, of a 0.1 on the same queue, an attempt that nobody here intended."""
    world.ses.paused = True
    world.publish("u0")
    process = world.start_evidence()
    place = world.published[0].place
    about = {TAG_USER: "u0", TAG_MONTH: MONTH, TAG_ATTEMPT: "elsewhere", TAG_SOURCE: f"{place[0]}-{place[1]}-"}
    for tags in (about | {TAG_INSTALLATION: "theirs"}, about):
        mail = {"messageId": "x1", "timestamp": "2026-11-15T00:00:00+00:00", "tags": {n: [v] for n, v in tags.items()}}
        world.sqs.put(msgspec.json.encode({"eventType": "Send", "mail": mail}))
    await asyncio.sleep(15)
    world.ses.paused = False
    world.start("p0")
    await done(world)
    assert process.evidence is not None
    counts = process.evidence.sink.counts
    kept = [] if len(world.sqs) >= 2 else ["G4 an event of others was taken away from them"]
    return kept if counts["foreign"] == 2 else [*kept, f"G2 not each of two was counted once: {counts}"]


@keeps(r"G2 .* has no outcome", "restored claims are sending since the moment of restoring, by Redis's clock")
async def a_clock_ahead_and_redis_lost(world: World, audit: Audit) -> None:
    """The intents of a machine whose clock is an hour ahead are restored as claims that last an hour."""
    world.start("p0", host=Host(offset_ms=3_600_000))
    await asyncio.sleep(2)
    world.when("p0", "redis.claim <", 1, lambda process: process.die())
    publish(world, 2)
    await asyncio.sleep(1)
    redis_fault(world)
    world.redis.at("redis").flush()
    world.start("p1")
    await done(world, 90)


@keeps(r"G4 u0\S* is in doubt .* no call", "a record passed over withdraws its own intent in that transaction")
async def a_superseded_intent_and_redis_lost(world: World, audit: Audit) -> list[str]:
    """Nobody dies and no call is in flight: the intent of a record that was passed over stays open all the same."""
    world.start("p0")
    await asyncio.sleep(2)
    world.when("p0", "redis.claim <", 1, lambda _process: world.redis.at("redis").flush())
    world.kafka.on_commit.append(lambda done: _correct_once(world, done))
    world.publish("u0")
    await done(world)
    return []


def _correct_once(world: World, done: Any) -> None:
    """A corrected row that comes right after the first intent."""
    if len(world.published) == 1 and any(topic == world.settings.topics.attempts for topic, _ in done.records):
        world.publish("u0", version=2)
        world.redis.at("redis").down = True
        world.loop.later(1.5, lambda: setattr(world.redis.at("redis"), "down", False))


@keeps(
    r"G4 u\d\S* is in doubt", "restored claims are sending since the moment of restoring; an unused intent is no doubt"
)
async def two_groups_wait_and_redis_is_lost(world: World, audit: Audit) -> list[str]:
    """A month and a replay beside it wait for quota; nobody dies, no call was made, and the mails are in doubt."""
    world.ses.quota = 0.0
    world.start("p0")
    world.start("r", group="replay-1")
    publish(world, 2)
    await asyncio.sleep(5)
    world.redis.at("redis").flush()
    await asyncio.sleep(12)
    world.ses.quota = -1.0
    await done(world)
    uncertain = [raw.decode() for raw, mail in world.mails().items() if mail.outcome is Outcome.UNCERTAIN]
    return [f"G4 {key} is in doubt, and no call was ever made for it" for key in uncertain]


@keeps(
    r"G4 u\d\S* is in doubt",
    "an attempt that finds its key held for it among others, and was not called for, leaves it",
)
async def three_groups_wait_and_redis_is_lost(world: World, audit: Audit) -> list[str]:
    """Two of them have not noticed that the set was rebuilt: both their intents were open, and restored for nobody."""
    for slot in ("r", "s"):
        world.start(slot, group=f"replay-{slot}")
    return await two_groups_wait_and_redis_is_lost(world, audit)


@keeps(r"G1 u0\S* was accepted 2 times", "an open intent of a later record than the one that closed the key is a call")
async def redis_back_with_what_ended_before_the_call(world: World, audit: Audit) -> None:
    """A corrected record is called for, its processor dies, and Redis comes back as it was before the claim."""
    audit.events_come = False
    world.ses.refuses.add("u0")
    world.publish("u0")
    world.start("p0")
    assert await done(world)
    await asyncio.sleep(1)
    world.ses.refuses.clear()
    before = world.redis.at("redis").set.dump()
    world.when("p0", "ses.send >", 1, lambda process: kill(world, audit, process))
    world.publish("u0", version=2)
    await asyncio.sleep(1)
    redis_fault(world)
    world.redis.point("redis", world.redis.start("redis", before))
    world.start("p1")
    await done(world)


@keeps(r"G4 u0\S* is in doubt .*nobody heard", "a record passed over leaves no claim behind")
async def a_claim_that_nobody_heard_of(world: World, audit: Audit) -> None:
    """Redis's answer to a claim is lost, the mail is then cancelled, and the claim stands for its whole lifetime."""
    world.start("p0")
    await asyncio.sleep(2)
    claims = iter(["answer"])
    world.net.loses = lambda what, _owner: next(claims, "") if what == "redis.claim" else ""
    world.publish("u0")
    world.at(2.5, "u0 cancelled", lambda: world.cancel("u0"))
    await asyncio.sleep(1)
    await done(world)
    await asyncio.sleep(20)
