"""Outcomes on their way to the ledger: what is told, recorded and barred when somebody stops in between."""

from __future__ import annotations

import asyncio
from typing import Any

from schemas.identity import Key
from tests.simulation.audit import Audit
from tests.simulation.faults import redis_fault
from tests.simulation.process import Process
from tests.simulation.story import done, evidence_dies_at, keeps, replay, until
from tests.simulation.world import MONTH, World


@keeps(r"G6 .* letters of not-json", "a record that must not reach SES stays barred until its letter has committed")
async def a_bad_record_read_by_two_groups(world: World, audit: Audit) -> None:
    """A replay looks at what a processor, standing still before its commit, has refused."""
    world.when("p0", "redis.refuse >", 1, lambda process: process.freeze(2.5))
    world.start("p0")
    world.publish_raw(b"u0:2026-11", b"{not json")
    await asyncio.sleep(1.5)
    await replay(world)
    await asyncio.sleep(5)


@keeps(r"G6 .* letters of not-json", "nothing is reported twice for one record")
async def a_bad_record_told_and_not_closed(world: World, audit: Audit) -> None:
    """Killed between the settling commit and the closing of the key: a replay tells of the record once more."""
    world.publish_raw(b"u0:2026-11", b"{not json")
    world.when("p0", "redis.close <", 1, lambda process: process.die())
    world.start("p0")
    await asyncio.sleep(5)
    await replay(world)


@keeps(r"G6 .* letters of message-rejected", "nothing is reported twice for one record")
async def a_dead_record_of_a_commit_that_nobody_heard_of(world: World, audit: Audit) -> None:
    """The settling commit's answer is lost; the processor starts over behind it and closes no key."""
    world.ses.refuses.add("u0")
    world.publish("u0")
    begun = []

    def loses(what: str, _owner: object) -> str:
        begun.append(what) if what == "kafka.commit" else None
        return "answer" if what == "kafka.commit" and len(begun) == 2 else ""

    world.net.loses = loses
    world.start("p0")
    await done(world)
    await asyncio.sleep(3)
    world.processes[0].die()
    await asyncio.sleep(20)
    await replay(world)


@keeps(r"G[23] .*u0:\S+ has no outcome", "outcome and offset commit in one transaction")
async def refused_after_it_was_sent(world: World, audit: Audit) -> None:
    """Killed after the mark; the address is suppressed before another reads the record."""
    world.when("p0", "redis.note_sent >", 1, lambda process: process.die())
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(2)
    world.suppressed.add("u0@mail.example.net")
    world.start("p1")
    await asyncio.sleep(10)


@keeps(r"G[23] .*u0:\S+ has no outcome", "outcome and offset commit in one transaction")
async def refused_after_a_lost_answer(world: World, audit: Audit) -> None:
    """Killed inside its call; the address is suppressed before the lifetime has passed."""
    audit.excuse_key(Key("u0", MONTH), "killed inside its call")
    world.when("p0", "ses.send <", 1, lambda process: process.die())
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(2)
    world.suppressed.add("u0@mail.example.net")
    world.start("p1")
    await asyncio.sleep(25)


@keeps(r"G6 .* letters of rendering-failure", "nothing is reported twice for one record")
async def a_drop_told_before_redis_was_lost(world: World, audit: Audit) -> None:
    """The notes go with everything else, and the queue gives the event once more."""
    world.ses.drops.add("u0")
    await evidence_dies_at(world, "sqs.delete <")
    world.redis.at("redis").flush()
    world.redis_faults_s.append(world.loop.time())
    world.start_evidence()
    await asyncio.sleep(20)


@keeps(r"G6 .* letters of bounced", "nothing is reported twice for one record")
async def a_bounce_told_twice(world: World, audit: Audit) -> None:
    """Evidence dies between its commit and its note in Redis; the event comes again."""
    world.ses.bounces.add("u0")
    await evidence_dies_at(world, "redis.note <", 2)
    world.start_evidence()
    await asyncio.sleep(10)


@keeps(r"G6 .* has 2 letters of changed-after-sending", "nothing is reported twice for one record")
async def a_changed_record_told_by_two_groups(world: World, audit: Audit) -> None:
    """Both ask for its letter before either has committed one: its key is sent, so no bar keeps them apart."""
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(2)

    def act(process: Any) -> None:
        process.freeze(2.5)
        world.start("r", group="replay-1", drain=True)

    world.when("p0", "kafka.produce <", 2, act)
    world.publish("u0", version=2)
    await asyncio.sleep(10)


@keeps(r"G6 .* has 2 letters of bad-key", "nothing is reported twice for one record")
async def a_nameless_record_told_by_two_groups(world: World, audit: Audit) -> None:
    """Without a key there is nothing to bar."""

    def act(process: Any) -> None:
        process.freeze(2.5)
        world.start("r", group="replay-1", drain=True)

    world.when("p0", "kafka.produce <", 1, act)
    world.publish_raw(b"nobody", b"{}")
    world.start("p0")
    await asyncio.sleep(10)


@keeps(r"G2 .* no readable key and no letter", "whoever finds the set not whole makes it whole")
async def a_nameless_record_while_the_set_is_not_whole(world: World, audit: Audit) -> None:
    """Nobody claims anything that would find it."""
    world.start("p0")
    await asyncio.sleep(2)
    world.redis.at("redis").flush()
    world.redis_faults_s.append(world.loop.time())
    world.publish_raw(b"nobody", b"{}")
    await asyncio.sleep(10)


@keeps(r"G6 .* lowered sent to cancelled", "what the ledger holds as `sent` is lowered by SES's own word alone")
async def cancelled_over_sent(world: World, audit: Audit) -> None:
    """A replay mails the corrected record behind a tombstone whose reader stands still before its commit."""

    def act(process: Any) -> None:
        process.freeze(2.5)
        world.publish("u0", version=2)
        world.start("r", group="replay-1", drain=True)

    world.publish("u0")
    world.cancel("u0")
    world.when("p0", "redis.cancel >", 1, act)
    world.start("p0")
    await asyncio.sleep(10)


@keeps(
    r"G2 a mail was accepted, and its doubt",
    "what SES accepted of a lost partition is written to the ledger by itself",
    partitions=1,
)
async def lost_while_ses_accepts(world: World, audit: Audit) -> list[str]:
    """A processor leaves the group in a call; the next owner stands still, and Redis is lost before it has claimed."""
    audit.events_come = False
    group = world.kafka.group("mailonce")

    def lose(process: Process) -> None:
        # The answer is on its way for longer than the next poll takes.
        world.net.slow = 3
        world.loop.later(0.05, lambda: setattr(world.net, "slow", 1.0))
        for member in [m for m in group.members.values() if m.owner is process]:
            group.leave(member.name, "is taken for dead")

    world.start("p0")
    await asyncio.sleep(2)
    world.start("p1")
    await asyncio.sleep(2)
    world.when("p1", "redis.claim <", 1, lambda process: process.freeze(2.0))
    world.when("p0", "ses.send <", 1, lose)
    world.publish("u0")
    assert await until(world, lambda: bool(world.slots["p1"].stalls), 10)
    await asyncio.sleep(1.4)
    redis_fault(world)
    world.redis.at("redis").flush()
    await until(world, lambda: not world.pending(), 40)
    told = [delivery.outcome.value for _, delivery, _ in world.deliveries()]
    return [] if "uncertain" not in told else [f"G2 a mail was accepted, and its doubt is told: {told}"]
