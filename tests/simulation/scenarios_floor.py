"""Old months are closed: what was sent stays sent, what was not is told once, and nothing is attempted again."""

from __future__ import annotations

import asyncio

from schemas.records import Outcome
from tests.simulation.audit import Audit
from tests.simulation.control_log import read_control
from tests.simulation.faults import redis_fault
from tests.simulation.process import Host
from tests.simulation.story import (
    MONTHS_MS,
    done,
    drain,
    forget_offsets,
    keeps,
    publish,
    raise_the_floor,
    replay,
    until,
)
from tests.simulation.world import World, settings

__all__: list[str] = []

OLD, NOW = "2025-12", "2027-02"


async def a_closed_month(world: World) -> None:
    """Three mails of more than a year ago, sent; the month that closes theirs was opened, and the group was idle."""
    publish(world, 3, month=OLD)
    world.start("p0")
    assert await done(world)
    await asyncio.sleep(1)
    world.later_ms = MONTHS_MS
    world.open_month(NOW)
    assert not await raise_the_floor(world)
    assert not [key for key in world.redis.at("redis").set.claims if key.month == OLD]
    forget_offsets(world)


@keeps(r"G1 .* accepted 2 times", "a floor that only rises; raising the retention later does not lower it")
async def the_retention_is_raised_after_a_month_expired(world: World, audit: Audit) -> list[str]:
    await a_closed_month(world)
    world.settings = settings(retention_months=24)
    assert not await raise_the_floor(world)
    return await drain(world)


@keeps(r"G6 .* lowered sent to dead", "a job below the floor that has an outcome is passed over silently")
async def the_fourteenth_month(world: World, audit: Audit) -> list[str]:
    """The group was idle for a week and its entries are gone: what was sent became too old, and ended the new month."""
    world.settings = settings(breaker_consecutive=2)
    await a_closed_month(world)
    world.publish("late", month=OLD)
    world.publish("later", month=OLD)
    world.cancel("u0", month=OLD)
    publish(world, 2, month=NOW)
    return [*await drain(world), *_told(world)]


@keeps(r"G6 .* letters of too-old", "a job below the floor without an outcome gets its dead letter once")
async def a_letter_of_a_closed_month_once(world: World, audit: Audit) -> list[str]:
    """The offsets are gone once more, and the marks of the last reading with the next month's floor."""
    await the_fourteenth_month(world, audit)
    world.later_ms += 30 * 86_400_000
    world.open_month("2027-03")
    assert not await raise_the_floor(world)
    forget_offsets(world)
    return [*await drain(world), *_told(world)]


def _told(world: World) -> list[str]:
    """Two that nobody had sent are told of, and no more."""
    letters = sorted(world.letter(record).reason for record in world.letters())
    return [] if letters == ["too-old"] * 2 else [f"G6 letters of {letters} instead of two of too-old"]


@keeps(r"G1 .* accepted 2 times", "scripts that grant refuse months below the set's floor")
async def closed_between_intent_and_claim(world: World, audit: Audit) -> list[str]:
    """A replay has intended a corrected row, told of before, and one that nobody sent; Redis has forgotten the month."""
    world.publish("u0", month=OLD)
    world.start("p0")
    assert await done(world)
    world.publish("u0", month=OLD, version=2)
    assert await until(world, lambda: len(world.letters()) == 1)
    await asyncio.sleep(1)
    forget_offsets(world)
    world.publish("u1", month=OLD)
    world.when("r", "redis.claim <", 1, lambda _process: _close(world))
    found = await replay(world)
    letters = sorted(world.letter(record).reason for record in world.letters())
    return found if letters == ["changed-after-sending", "too-old"] else [*found, f"G6 letters of {letters}"]


def _close(world: World) -> None:
    """The set alone: this process hears of it by the claim."""
    server = world.redis.at("redis").set
    server.floor = NOW
    server.claims = {key: claim for key, claim in server.claims.items() if key.month >= NOW}


@keeps(r"G1 .* accepted 2 times", "a rebuild carries the floor into the set")
async def redis_lost_after_a_month_was_closed(world: World, audit: Audit) -> list[str]:
    await a_closed_month(world)
    redis_fault(world)
    world.redis.at("redis").flush()
    found = await drain(world)
    server = world.redis.at("redis").set
    if server.floor != "2026-01" or any(key.month == OLD for key in server.claims):
        found.append(f"G6 the rebuilt set has floor {server.floor!r} and {len(server.claims)} entries")
    return found


@keeps(r"G6 .* closed by a wrong clock", "only while the clocks agree within a day")
async def a_clock_a_year_ahead(world: World, audit: Audit) -> list[str]:
    """`produce` on a machine whose clock is wrong, of a month that somebody mistyped."""
    publish(world, 2)
    world.start("p0")
    assert await done(world)
    world.open_month("2099-01")
    left = await raise_the_floor(world, host=Host(offset_ms=400 * 86_400_000))
    floor = read_control(world.kafka, world.settings.topics.control).floor
    if floor or not left.startswith("FloorRefused"):
        return [f"G6 {floor} was closed by a wrong clock: {left}"]
    assert not await raise_the_floor(world)
    floor = read_control(world.kafka, world.settings.topics.control).floor
    closed = [raw for raw, mail in world.mails().items() if mail.outcome is not Outcome.SENT]
    return [] if floor and floor.month == "2025-10" and not closed else [f"G6 the floor is {floor}"]
