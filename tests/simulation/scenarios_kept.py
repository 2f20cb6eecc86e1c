"""Topics that age: what is still attempted, and what is told, once Kafka has taken away what tells of a job."""

from __future__ import annotations

import asyncio

from schemas.topics import PATIENCE_MS
from tests.simulation.audit import Audit
from tests.simulation.faults import redis_fault
from tests.simulation.story import done, drain, forget_offsets, keeps, publish, raise_the_floor
from tests.simulation.world import MONTH, World

__all__: list[str] = []

DAY_MS = 86_400_000
JOBS_MS, TOLD_MS = 465 * DAY_MS, 527 * DAY_MS
"""As `mailonce topics create` makes them for a retention of 13 months."""


async def sent_once(world: World, users: int = 3) -> None:
    """Sent while an old floor stands; nobody raises it after that: no month is opened any more."""
    assert not await raise_the_floor(world)
    publish(world, users)
    world.start("p0")
    assert await done(world)
    await asyncio.sleep(1)
    forget_offsets(world)


def everything_but_jobs_is_aged(world: World) -> None:
    """Compaction has joined the jobs' segments with younger ones, so that Kafka leaves them lying."""
    topics = world.settings.topics
    world.age(*topics.telling)
    assert not world.deliveries()
    assert world.jobs()


@keeps(r"G1 .* accepted 2 times", "a job counts no longer than its topic keeps it, wherever Kafka has left it")
async def jobs_outlast_the_ledger(world: World, audit: Audit) -> list[str]:
    """The ledger is gone, the jobs' segments are not, and Redis is empty: nothing says that they were sent."""
    await sent_once(world)
    world.later_ms = TOLD_MS + DAY_MS
    everything_but_jobs_is_aged(world)
    redis_fault(world)
    world.redis.at("redis").flush()
    found = await drain(world)
    return [*found, *(["G6 told anew"] if world.letters() else [])]


@keeps(r"G6 told anew", "what may have had its outcome where the ledger has forgotten is passed over")
async def a_closed_month_outlasts_the_ledger(world: World, audit: Audit) -> list[str]:
    """The same below the floor: what was sent would be dead, with a letter each."""
    await sent_once(world)
    world.later_ms = TOLD_MS + DAY_MS
    world.open_month("2028-05")
    assert not await raise_the_floor(world)
    everything_but_jobs_is_aged(world)
    found = await drain(world)
    return [*found, *(["G6 told anew"] if world.letters() else [])]


@keeps(r"G6 told anew", "letters are kept as long as what they tell of counts")
async def a_bad_record_outlasts_its_letter(world: World, audit: Audit) -> list[str]:
    """No key says that it was told: the letter alone does, and is there for as long as the record counts."""
    world.publish_raw(b"no key", b"{not json")
    publish(world, 1)
    world.start("p0")
    assert await done(world)
    await asyncio.sleep(1)
    assert len(world.letters()) == 1
    for days in (100, 465, 528):
        forget_offsets(world)
        world.later_ms = days * DAY_MS
        world.age(*world.settings.topics.telling)
        there = len(world.letters())
        if found := await drain(world, f"d{days}"):
            return found
        if len(world.letters()) > there:
            return [f"G6 told anew after {days} days"]
    return []


@keeps(r"G1 .* accepted 2 times", "an intent is kept as long as its job counts")
async def an_intent_older_than_a_campaign(world: World, audit: Audit) -> list[str]:
    """Killed inside the call; nobody runs for two months, and Redis comes back empty: the intent alone says so."""
    audit.events_come = False
    world.when("p0", "ses.send >", 1, lambda process: process.die())
    publish(world, 1)
    world.start("p0")
    await asyncio.sleep(3)
    assert world.ses.accepted
    forget_offsets(world)
    world.later_ms = PATIENCE_MS + 20 * DAY_MS
    world.age()
    redis_fault(world)
    world.redis.at("redis").flush()
    return await drain(world)


@keeps(r"G2 .* no letter", "a job that nobody attempted while it counted is told of once")
async def pending_for_longer_than_jobs_are_kept(world: World, audit: Audit) -> list[str]:
    """No processor ran; Kafka has left the segment lying, and the ledger still keeps what is as old."""
    assert not await raise_the_floor(world)
    publish(world, 2)
    world.later_ms = JOBS_MS + DAY_MS
    found = await drain(world)
    reasons = sorted(world.letter(record).reason for record in world.letters())
    if reasons != ["too-old"] * 2 or world.ses.accepted:
        found.append(f"G2 no letter, or a mail: {reasons}, {len(world.ses.accepted)} accepted")
    forget_offsets(world)
    found += await drain(world, "again")
    return found if len(world.letters()) == 2 else [*found, "G6 told anew"]


@keeps(r"G2 .* no outcome", "retention by Kafka's clock takes nothing of a month that is open")
async def the_last_day_of_an_open_month(world: World, audit: Audit) -> list[str]:
    """A job of the first day of a month, thirteen months later, in the month after whose end its own is closed."""
    assert not await raise_the_floor(world)
    publish(world, 2, month=MONTH)
    world.later_ms = (13 * 30 + 28) * DAY_MS
    world.age()
    found = await drain(world)
    return found if len(world.ses.accepted) == 2 else [*found, "G2 no outcome: it was aged"]
