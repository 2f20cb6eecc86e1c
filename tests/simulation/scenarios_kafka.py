"""Kafka is in another state than the group remembers, or holds what nobody expected."""

from __future__ import annotations

import asyncio

from schemas.identity import Key
from tests.simulation.audit import Audit
from tests.simulation.faults import redis_fault
from tests.simulation.mutation_stories import moved_to_the_end
from tests.simulation.scenarios_adoption import adopted
from tests.simulation.story import (
    LONG_AGO_S,
    done,
    drain,
    keeps,
    publish,
    sent,
    until,
)
from tests.simulation.world import MONTH, World


@keeps(r"G2 drain ended well though 4 jobs", "a committed offset beyond the log's end: start at the beginning, aloud")
async def committed_beyond_the_end(world: World, audit: Audit) -> list[str]:
    world.kafka.group("mailonce").offsets.update({0: (100, ""), 1: (100, "")})
    publish(world, 4)
    return await drain(world)


@keeps(r"G2 .* has no outcome", "a topic with another id is refused until adopted")
async def the_topic_is_recreated(world: World, audit: Audit) -> list[str]:
    """Deleted and made anew under a running processor, with fewer records than before."""
    return await _recreated(world, 1)


@keeps(r"G2 .* has no outcome", "an offset that was committed for another topic of the name does not count")
async def the_topic_is_recreated_and_grows(world: World, audit: Audit) -> list[str]:
    """The new topic reaches beyond the old one's committed offsets before anybody looks."""
    return await _recreated(world, 20)


@keeps(r"G2 drain ended well though 4 jobs", "a drain ends well when each job has an outcome, whatever offsets say")
async def offsets_beyond_what_was_sent(world: World, audit: Audit) -> list[str]:
    """Somebody moved the group to the end: nothing is left to do, and nothing was done."""
    return await moved_to_the_end(world, audit)


async def _recreated(world: World, count: int) -> list[str]:
    await sent(world, 6)
    world.kafka.recreate(world.settings.topics.jobs)
    for number in range(count):
        world.publish(f"new{number}")
    old = world.slots["p0"]
    await until(world, lambda: old.dead)
    found = [] if (old.left or "").startswith("TopicReplaced") else [f"G2 it did not refuse the new topic: {old.left}"]
    found += await adopted(world)
    world.start("p0")
    await done(world, 30)
    return found


@keeps(r"G2 .* has no outcome", "whatever Kafka lets into the jobs topic fits into the dead-letter topic")
async def a_letter_too_large(world: World, audit: Audit) -> None:
    """A record of nearly a megabyte whose letter would exceed it: the same batch for ever, good jobs with it."""
    world.publish_raw(b"big:2026-11", b"x" * 999_900, world.kafka.partition_of(b"big:2026-11"))
    publish(world, 4)
    world.start("p0")
    await done(world, 30)


@keeps(r"G5 .* called for u\d", "a partition count that grows takes effect with the next month")
async def partitions_grow_before_a_cancel(world: World, audit: Audit) -> None:
    """The tombstone stands in another partition than its job."""
    publish(world, 60)
    world.kafka.grow(4)
    for number in range(4):
        world.cancel(f"u{number}")
    await asyncio.sleep(LONG_AGO_S)
    world.start("p0")
    await done(world)


@keeps(r"G1 u\d\S* was accepted 2 times", "one fold per key, whatever partition its records stand in", opened=False)
async def partitions_grow_over_a_doubt_and_redis_lost(world: World, audit: Audit) -> None:
    """A mail in doubt is published again to another partition while the set is lost."""
    audit.events_come = False
    for number in range(4):
        audit.excuse_key(Key(f"u{number}", MONTH), "answer lost")
    world.ses.tells = list
    world.net.loses = lambda what, _owner: "answer" if what == "ses.send" and not world.calm else ""
    publish(world, 4)
    world.start("p0")
    assert await done(world)
    await asyncio.sleep(1)
    world.calm = True
    world.kafka.grow(4)
    await asyncio.sleep(3)
    redis_fault(world)
    world.redis.at("redis").flush()
    publish(world, 4)
    await asyncio.sleep(10)


@keeps(
    r"G2 u0:\S+ has no outcome",
    "one fold per key: between two partitions the later record counts, not the last one read",
)
async def a_key_in_a_partition_not_its_own(world: World, audit: Audit) -> None:
    """Somebody wrote the key to another partition first: the outcomes are read in another order than they came."""
    world.start("p0")
    for partition in (1, 0):
        world.publish_raw(b"u0:2026-11", b"{not json", partition)
        await asyncio.sleep(3)
    await done(world, 20)
