"""SES accepts, and its events say what became of it: a month that does not arrive is stopped; its first mails go before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from processor.core.brake import pausing, resuming
from processor.core.control import Control
from schemas.codec import encode
from schemas.control import Content
from schemas.records import Outcome
from tests.simulation.audit import Audit
from tests.simulation.control_log import read_control
from tests.simulation.faults_of_processes import kill
from tests.simulation.faults_of_servers import redis_fault
from tests.simulation.story import drain, keeps, publish, until
from tests.simulation.world import MONTH, World, settings

STOPS = "a month that SES accepts and does not deliver stops early"
FIRST = "a month's first mails go, the rest waits until SES's events say that they arrive"
BREAKER = settings(breaker_consecutive=8)
CANARY = settings(canary=6, canary_share=0.8, canary_wait_s=8, configuration_set="events")
PATIENT = settings(canary=6, canary_share=0.8, canary_wait_s=60, configuration_set="events")
MANY, FEW = 120, 24
OTHERS_S = 3.0
"""Long enough for what else would be sent to be sent."""


def turn(world: World, change: Callable[[Control], list[tuple[bytes, Content | None]]]) -> None:
    """As `mailonce pause` and `mailonce resume`."""
    topic = world.settings.topics.control
    for key, content in change(read_control(world.kafka, topic)):
        world.kafka.publish(topic, key, encode(content) if content else None, partition=0)


def resume(world: World) -> None:
    turn(world, lambda control: resuming(control, MONTH, "ops", world.wall_ms()))


def wipe(world: World) -> None:
    redis_fault(world)
    world.redis.at("redis").flush()


def why_paused(world: World) -> str:
    return read_control(world.kafka, world.settings.topics.control).brake.paused.get(MONTH, "")


def sent_all(world: World, count: int) -> list[str]:
    found = sum(mail.outcome is Outcome.SENT for mail in world.mails().values())
    return [] if found == count else [f"G2 {found} of {count} mails are sent"]


@keeps(r"G2 all \d+ were sent", STOPS, on=BREAKER)
async def accepted_and_not_delivered(world: World, audit: Audit) -> list[str]:
    """The template cannot be filled in: every mail is accepted and dropped. A drain says so and ends with the halt."""
    world.ses.drops.update(f"u{number}" for number in range(MANY))
    world.start_evidence()
    publish(world, MANY)
    process = world.start("p0", drain=True)
    await until(world, lambda: process.dead)
    accepted, found = len(world.ses.accepted), []
    if accepted == MANY:
        found.append(f"G2 all {MANY} were sent though none arrives")
    if "not delivered" not in (process.left or "") or not (process.left or "").startswith("Halted"):
        found.append(f"G2 a drain ended otherwise: {process.left}")
    world.ses.drops.clear()
    resume(world)
    found += await drain(world)
    return [*found, *sent_all(world, MANY - accepted)]


@keeps(r"G2 \d+ were sent of a paused month", "of a paused month nothing is called for")
async def paused_and_resumed(world: World, audit: Audit) -> list[str]:
    """By a person in mid-month, with a process that dies meanwhile: nothing is lost, nothing is in doubt."""
    publish(world, MANY)
    world.start("p0")
    world.start("p1")
    await until(world, lambda: len(world.ses.accepted) > FEW)
    turn(world, lambda control: pausing(control, MONTH, "wrong template", "ops", world.wall_ms()))
    await asyncio.sleep(2)
    before = len(world.ses.accepted)
    await asyncio.sleep(OTHERS_S)
    found = []
    if (since := len(world.ses.accepted) - before) or before == MANY:
        found.append(f"G2 {since} were sent of a paused month, after {before}")
    kill(world, audit, world.slots["p0"])
    world.publish("u0", version=1, month=MONTH)
    resume(world)
    return [*found, *await drain(world), *sent_all(world, MANY)]


@keeps(r"G2 \d+ went before", FIRST, on=CANARY)
async def the_first_arrive(world: World, audit: Audit) -> list[str]:
    """Two processes share the first mails; the rest goes by itself once they are delivered, and a drain waits for it."""
    world.ses.delivers = True
    world.ses.tells = lambda: [2.0]
    publish(world, FEW)
    world.start("p0")
    world.start("p1")
    await asyncio.sleep(OTHERS_S)
    found = _only_first(world)
    world.start_evidence()
    return [*found, *await drain(world), *sent_all(world, FEW)]


def _only_first(world: World) -> list[str]:
    accepted = len(world.ses.accepted)
    return [] if accepted == CANARY.canary else [f"G2 {accepted} went before the others, not {CANARY.canary}"]


@keeps(r"G2 \d+ went before", FIRST, on=CANARY)
async def the_first_bounce(world: World, audit: Audit) -> list[str]:
    """The month is paused. Neither a new process nor an empty Redis forgets it; a person lets it go."""
    world.ses.bounces.update(f"u{number}" for number in range(FEW))
    world.start_evidence()
    publish(world, FEW)
    world.start("p0")
    await until(world, lambda: bool(why_paused(world)))
    found = [] if "hard-bounced" in why_paused(world) else [f"G2 it is not paused: {why_paused(world)!r}"]
    world.slots["p0"].stop()
    await until(world, lambda: world.slots["p0"].dead)
    wipe(world)
    halted = world.start("p1", drain=True)
    await until(world, lambda: halted.dead)
    found += _only_first(world)
    if "canary" not in (halted.left or ""):
        found.append(f"G2 a drain of a paused month ended otherwise: {halted.left}")
    world.ses.bounces.clear()
    resume(world)
    return [*found, *await drain(world), *sent_all(world, FEW)]


@keeps(r"G2 \d+ went before", FIRST, on=PATIENT)
async def killed_while_the_first_are_waited_for(world: World, audit: Audit) -> list[str]:
    """Redis is lost with it: the topic remembers that the month waits, and since when."""
    world.ses.delivers = True
    publish(world, FEW)
    world.start("p0")
    await asyncio.sleep(OTHERS_S + 3)
    kill(world, audit, world.slots["p0"])
    wipe(world)
    world.start("p1")
    await asyncio.sleep(4 * OTHERS_S)
    found = _only_first(world)
    world.start_evidence()
    return [*found, *await drain(world), *sent_all(world, FEW)]


@keeps(r"G2 \d+ went before", "who cannot look says so and goes on", on=CANARY)
async def nobody_can_look(world: World, audit: Audit) -> list[str]:
    """No event ever comes: after its time the month goes on."""
    publish(world, FEW)
    world.start("p0")
    await asyncio.sleep(OTHERS_S)
    found = _only_first(world)
    return [*found, *await drain(world), *sent_all(world, FEW)]
