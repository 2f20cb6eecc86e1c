"""More corrected rows than a command closes one by one: it waits for what processes tell, then looks at the keys."""

from __future__ import annotations

import asyncio

from processor.ops.closing import Correction, Standing, heard, look_at
from schemas.codec import fingerprint
from schemas.identity import Key
from tests.simulation.audit import Audit
from tests.simulation.process import Process
from tests.simulation.redis_twin import SimDedup
from tests.simulation.scenarios_latest import Command
from tests.simulation.story import LONG_AGO_S, done, keeps, sent, until
from tests.simulation.world import MONTH, World, job

__all__ = ["a_correction_among_many_and_redis_lost", "a_correction_among_many_of_what_is_in_flight"]

RULE = "the command says what it found: not sent and never will be, in flight, or sent"


def correcting_many(world: World, user: str) -> Command:
    """As `produce` does for a changed row among many."""

    async def run(process: Process) -> Standing:
        partition, offset = world.publish(user, version=2)
        assert not await heard(world.settings, {partition: offset + 1})
        newer = Correction(Key(user, MONTH), partition, offset, fingerprint(job(user, version=2)))
        (found,) = await look_at(world.settings, SimDedup(world.redis, process.address), [newer])  # type: ignore[arg-type]
        return found

    return Command(world, run)


@keeps(r"G5 u0 was sent, and is told as", RULE)
async def a_correction_among_many_of_what_is_in_flight(world: World, audit: Audit) -> list[str]:
    """SES takes its time with the older mail while all tell that they have read the newer one: its answer is waited for."""
    commands: list[Command] = []

    def act(process: Process) -> None:
        commands.append(correcting_many(world, "u0"))
        # The answer alone is slow.
        world.net.slow = 300.0
        world.loop.later(0.0, lambda: setattr(world.net, "slow", 1.0))

    world.net.patience = 8.0
    world.when("p0", "ses.send >", 1, act)
    world.publish("u0")
    world.start("p0")
    await until(world, lambda: bool(commands) and commands[0].found is not None)
    assert await done(world)
    found = commands[0].found
    return [] if found is Standing.SENT else [f"G5 u0 was sent, and is told as {found}"]


@keeps(r"G5 u0 was sent, and is told as", RULE)
async def a_correction_among_many_and_redis_lost(world: World, audit: Audit) -> list[str]:
    """FLUSHALL just before the look: a set that is not whole does not say that nothing was sent."""
    await sent(world, 1)
    await asyncio.sleep(LONG_AGO_S)
    world.redis_faults_s.append(world.loop.time())

    def lose(_process: Process) -> None:
        world.redis.at("redis").flush()

    world.when("op", "redis.supersede <", 1, lose)
    command = correcting_many(world, "u0")
    await until(world, lambda: command.found is not None)
    world.publish("later")
    assert await done(world)
    told = {Standing.SENT, Standing.LATER}
    return [] if command.found in told else [f"G5 u0 was sent, and is told as {command.found}"]
