"""The latest record counts: once `cancel`, or a `produce` of corrected rows, has returned, no call for an older one begins.

Commands are the product's own, run as processes beside the processors. Which mechanism holds: the start-up scan where a
processor begins after the command, the dedup set's place where it runs, and whichever comes first while it follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from processor.ops.cancel import cancel
from processor.ops.closing import Standing, close_at, heard
from processor.ports import Produced
from schemas.identity import Key
from schemas.runtime.errors import RedisUnavailable
from tests.simulation.audit import Audit
from tests.simulation.process import Process
from tests.simulation.redis_twin import SimDedup
from tests.simulation.story import LONG_AGO_S, done, keeps, publish, replay, until
from tests.simulation.world import MONTH, World

__all__ = [
    "a_cancel_before_any_processor",
    "a_cancel_during_a_back_off",
    "a_cancel_while_a_lost_set_is_marked",
    "newer_records_where_the_key_does_not_belong",
]

RULE = "after the command has returned no call for an older record of the key begins"


class Command:
    """A command on a user's mail: what it found, and when it returned."""

    def __init__(self, world: World, run: Callable[[Process], Awaitable[Standing]]) -> None:
        self.world = world
        self.found: Standing | None = None
        self.returned_s = float("inf")
        self.error = ""
        self._run = run
        self.process = world.start("op", self._main)

    async def _main(self, process: Process) -> None:
        try:
            self.found = await self._run(process)
        except RedisUnavailable as error:
            self.error = str(error)
        self.returned_s = self.world.loop.time()


def cancelling(world: World, user: str) -> Command:
    async def run(process: Process) -> Standing:
        dedup = SimDedup(world.redis, process.address)
        return await cancel(world.settings, Key(user, MONTH), dedup)  # type: ignore[arg-type]

    return Command(world, run)


def correcting(world: World, user: str) -> Command:
    """As `produce` does for a changed row."""

    async def run(process: Process) -> Standing:
        partition, offset = world.publish(user, version=2)
        dedup = SimDedup(world.redis, process.address)
        (found,) = await close_at(world.settings, dedup, [(Key(user, MONTH), partition, offset - 1)])  # type: ignore[arg-type]
        return found

    return Command(world, run)


def correcting_unseen(world: World, user: str) -> Command:
    """As `produce` does for a changed row while Redis is away from it, or for many."""

    async def run(process: Process) -> Standing:
        partition, offset = world.publish(user, version=2)
        return Standing.LATER if await heard(world.settings, {partition: offset + 1}) else Standing.NEVER

    return Command(world, run)


def judge(audit: Audit, command: Command, user: str, before: int) -> None:
    """No call for a record before this offset begins after a command that found nothing in flight has returned."""
    world = audit.world
    assert command.found in {Standing.NEVER, Standing.LATER}, f"the story has lost its point: {command.found}"
    audit.told += [
        f"G5 {who} called for {key} at offset {place.offset} at {at_s:.3f}, after {command.returned_s:.3f}"
        for at_s, key, _, place, who in world.ses.begun
        if key.user_id == user and place.offset < before and at_s > command.returned_s
    ]


def hang(world: World) -> None:
    """Somebody has died in a transaction on every partition: for a while nobody reads what is written behind it."""
    jobs = world.settings.topics.jobs
    epoch = world.kafka.init("died")
    places = range(world.kafka.partitions)
    world.kafka.add("died", epoch, [Produced(jobs, p, b"nobody:2026-11", None) for p in places])


@keeps(r"G5 .* called for u0", RULE)
async def a_cancel_during_a_back_off(world: World, audit: Audit) -> None:
    """Refused for now and free; the retry's claim comes while nobody can have read the tombstone."""
    commands: list[Command] = []

    def act(process: Process) -> None:
        hang(world)
        commands.append(cancelling(world, "u0"))

    world.ses.fate = lambda: "" if commands and commands[0].returned_s < world.loop.time() else "throttled"
    world.when("p0", "redis.throttled >", 2, act)
    world.publish("u0")
    world.start("p0")
    await until(world, lambda: bool(commands))
    await done(world)
    assert commands[0].found is Standing.NEVER
    judge(audit, commands[0], "u0", 1)


@keeps(r"G5 .* called for u0", RULE)
async def a_cancel_while_a_lost_set_is_marked(world: World, audit: Audit) -> None:
    """The place has nowhere to stand: what was in a back-off is claimed only once its partition was read anew."""
    written_s: list[float] = []

    def lose(process: Process) -> None:
        world.redis_faults_s.append(world.loop.time())
        world.redis.at("redis").flush()

    def act(process: Process) -> None:
        hang(world)
        world.cancel("u0")
        written_s.append(world.loop.time())

    world.ses.fate = lambda: "" if written_s else "throttled"
    world.when("p0", "redis.throttled >", 2, lose)
    world.when("p0", "redis.set_whole <", 2, act)
    world.publish("u0")
    world.start("p0")
    assert await until(world, lambda: bool(written_s))
    assert await done(world)
    audit.told += [
        f"G5 {who} called for {key} at {at_s:.3f}" for at_s, key, *_, who in world.ses.begun if at_s > written_s[0]
    ]


@keeps(r"G2 what was in flight", RULE)
async def a_cancel_of_what_is_in_flight(world: World, audit: Audit) -> None:
    """The command says so, and the call's outcome stands."""
    world.publish("u0")
    commands: list[Command] = []

    def act(process: Process) -> None:
        commands.append(cancelling(world, "u0"))
        process.freeze(1.0)

    world.when("p0", "ses.send <", 1, act)
    world.start("p0")
    await done(world)
    await asyncio.sleep(3)
    assert commands[0].found is Standing.IN_FLIGHT
    if len(world.ses.accepted) != 1:
        audit.told.append("G2 what was in flight has another outcome than its own")


@keeps(r"G5 .* called for u59", RULE)
async def a_correction_under_a_processor_far_behind(world: World, audit: Audit) -> None:
    """The corrected row lies far beyond the read-ahead of one that runs, and partitions move meanwhile."""
    publish(world, 60)
    world.start("p0")
    await until(world, lambda: len(world.ses.accepted) >= 3)
    command = correcting(world, "u59")
    await until(world, lambda: command.found is not None)
    world.start("p1")
    assert await done(world)
    newer = world.published[-1].place[1]
    judge(audit, command, "u59", newer)
    if [m.place.offset for m in world.ses.accepted if m.key.user_id == "u59"] != [newer]:
        audit.told.append("G2 the corrected row did not go out")


@keeps(r"G5 .* called for u59", RULE)
async def a_cancel_while_redis_is_rebuilt(world: World, audit: Audit) -> None:
    """The tombstone alone is written, and the processor that makes the set whole reads it before it claims."""
    publish(world, 60)
    world.start("p0")
    await until(world, lambda: len(world.ses.accepted) >= 3)
    world.redis_faults_s.append(world.loop.time())
    world.redis.at("redis").flush()
    command = cancelling(world, "u59")
    await until(world, lambda: command.found is not None)
    assert await done(world, 120)
    judge(audit, command, "u59", 1_000)


@keeps(r"G5 .* called for u0", RULE)
async def a_cancel_before_any_processor(world: World, audit: Audit) -> None:
    """No set at all: the tombstone is enough, and the command says so. Looking ahead takes its time."""
    publish(world, 40)
    command = cancelling(world, "u0")
    await until(world, lambda: command.found is not None)
    began_s = world.loop.time()
    world.net.loses = lambda what, _owner: "request" if what == "kafka.scan" and world.loop.time() < began_s + 4 else ""
    world.start("p0")
    assert await done(world)
    judge(audit, command, "u0", 1_000)


@keeps(r"G1 u0\S* was accepted 2 times", "a record in a partition where its key does not belong is nothing")
async def newer_records_where_the_key_does_not_belong(world: World, audit: Audit) -> list[str]:
    """A correction, a tombstone and one more correction stand in another partition when the first processor begins."""
    audit.strict = True
    own = world.kafka.partition_of(Key("u0", MONTH).to_bytes())
    world.publish("u0")
    world.publish("u0", version=2, partition=1 - own)
    world.cancel("u0", partition=1 - own)
    world.publish("u0", version=3, partition=1 - own)
    world.publish("u1")
    await asyncio.sleep(LONG_AGO_S)
    world.start("p0")
    await until(world, lambda: not world.pending(), 20)
    await asyncio.sleep(2)
    told = sorted(world.letter(record).reason for record in world.letters())
    found = [] if told == ["wrong-partition"] * 2 else [f"G2 letters of {told}"]
    return [*found, *await replay(world)]


@keeps(r"G5 .* called for u0", RULE)
async def a_correction_without_redis_during_a_back_off(world: World, audit: Audit) -> None:
    """Nothing is closed in the set: the command waits until the processor says that it has read the newer record."""
    commands: list[Command] = []

    def act(process: Process) -> None:
        hang(world)
        commands.append(correcting_unseen(world, "u0"))

    world.ses.fate = lambda: "" if commands and commands[0].returned_s < world.loop.time() else "throttled"
    world.when("p0", "redis.throttled >", 2, act)
    world.publish("u0")
    world.start("p0")
    await until(world, lambda: bool(commands))
    assert await done(world)
    assert commands[0].found is Standing.NEVER
    judge(audit, commands[0], "u0", world.published[-1].place[1])


@keeps(r"G5 .* called for u0", RULE)
async def a_correction_without_redis_of_one_that_stands_still(world: World, audit: Audit) -> None:
    """It stands still with its claim on the way, for less than it may call: whoever is silent is waited for as long."""
    commands: list[Command] = []

    def act(process: Process) -> None:
        commands.append(correcting_unseen(world, "u0"))
        process.freeze(1.2)

    world.when("p0", "redis.claim <", 1, act)
    world.publish("u0")
    world.start("p0")
    await until(world, lambda: bool(commands) and commands[0].found is not None)
    await asyncio.sleep(3)
    judge(audit, commands[0], "u0", world.published[-1].place[1])
