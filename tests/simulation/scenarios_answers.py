"""SES refuses, or does not answer: for minutes, for one mail alone, for all, in words instead of a code."""

from __future__ import annotations

import asyncio

from schemas.records import Outcome
from schemas.templates.template import Needs
from tests.simulation.audit import Audit
from tests.simulation.process import Host
from tests.simulation.story import drain, keeps, publish, sent, until
from tests.simulation.world import World, settings

WAITS = "no job dies of an outage: all wait, and one call at a time tries whether it is over"
OTHERS = "what others are answered says whether a refusal is one mail's own"
FEW_TRIES = {"interval_s": 0.3, "backoff_rate": 2, "max_attempts": 3, "max_delay_s": 2}
ON = settings(retry={"throttled": FEW_TRIES, "unreachable": FEW_TRIES}, breaker_consecutive=10)
OUTAGE_S = 60.0
DOUBTS_MAX = 14
"""Five in a row, one more that was in the air, and a try after 1, 2, 4 … seconds of a minute."""


def _count(world: World, outcome: Outcome) -> int:
    return sum(mail.outcome is outcome for mail in world.mails().values())


def _all(world: World, outcome: Outcome, count: int) -> list[str]:
    found = _count(world, outcome)
    return [] if found == count else [f"G2 {found} of {count} mails are {outcome.value}"]


async def _outage(world: World, fate: str, count: int) -> list[str]:
    usual, world.ses.fate = world.ses.fate, lambda: fate
    publish(world, count)
    process = world.start("p0")
    await asyncio.sleep(OUTAGE_S)
    if process.dead:
        return [f"G2 a processor left for an outage: {process.left}"]
    world.ses.fate = usual
    return await drain(world)


@keeps(r"G2 \d+ of 12 mails are sent", WAITS, on=ON)
async def ses_cannot_be_reached_for_a_minute(world: World, audit: Audit) -> list[str]:
    """Nothing is written at all, more often than a mail may be tried."""
    return [*await _outage(world, "unreachable", 12), *_all(world, Outcome.SENT, 12)]


@keeps(r"G2 a processor left for an outage", WAITS, on=ON)
async def ses_is_broken_for_a_minute(world: World, audit: Audit) -> list[str]:
    """Every call ends with 500, and each may have been accepted: few are made."""
    found = await _outage(world, "broken", 40)
    for _, key, _, _, _ in world.ses.begun[:DOUBTS_MAX]:
        audit.excuse_key(key, "answered with 500")
    doubts = _count(world, Outcome.UNCERTAIN)
    if doubts > DOUBTS_MAX:
        found.append(f"G4 {doubts} mails are in doubt after an outage")
    return [*found, *_all(world, Outcome.SENT, 40 - doubts)]


@keeps(r"G2 [1-9]\d* of 0 mails are sent", "what a template needs is known before its mail is sent")
async def ses_takes_mails_and_tells_of_no_template(world: World, audit: Audit) -> list[str]:
    """Reads are throttled when a processor starts. SES would accept the mails, and drop them for what they lack."""
    world.ses.needs, world.ses.tells_nothing = Needs.of({"Subject": "{{nowhere}}"}), True
    publish(world, 6)
    world.start("p0")
    await asyncio.sleep(20)
    world.ses.tells_nothing = False
    return [*await drain(world), *_all(world, Outcome.SENT, 0), *_all(world, Outcome.DEAD, 6)]


@keeps(r"G2 drain did not drain: Halted", OTHERS)
async def one_mail_is_not_authorized(world: World, audit: Audit) -> list[str]:
    """Its recipient is an identity of the account that this role may not write to; the others are fine."""
    world.ses.denies.add("u3")
    publish(world, 8)
    return [*await drain(world), *_all(world, Outcome.DEAD, 1), *_all(world, Outcome.SENT, 7)]


@keeps(r"G2 [1-9]\d* of 0 mails are dead", OTHERS)
async def nobody_is_authorized(world: World, audit: Audit) -> list[str]:
    """The role lost its policy in mid-month: nothing is dead-lettered, and all go out once it is back."""
    await sent(world)
    process, found = world.slots["p0"], []
    world.ses.denies.update(f"u{number}" for number in range(40))
    publish(world, 40)
    await until(world, lambda: process.dead)
    if not (process.left or "").startswith("Halted"):
        found.append(f"G2 a processor went on though nobody is authorized: {process.left}")
    found += _all(world, Outcome.DEAD, 0)
    world.ses.denies.clear()
    return [*found, *await drain(world), *_all(world, Outcome.SENT, 40)]


@keeps(r"G2 [1-9]\d* of 0 mails are dead", "a refusal of every message is known by its text as well as by its code")
async def paused_in_words(world: World, audit: Audit) -> list[str]:
    """`MessageRejected`, which else is one mail's fault, says that sending is paused for the account."""
    world.ses.paused_in_words = True
    publish(world, 6)
    process = world.start("p0")
    await until(world, lambda: process.dead)
    found = _all(world, Outcome.DEAD, 0)
    world.ses.paused_in_words = False
    return [*found, *await drain(world), *_all(world, Outcome.SENT, 6)]


@keeps(r"G2 .*went on with a wrong clock", "a fresh signature that is refused is our clock's fault")
async def a_clock_that_is_wrong(world: World, audit: Audit) -> list[str]:
    """Every signature is refused for its time; another machine's are not."""
    publish(world, 6)
    process = world.start("p0", host=Host(offset_ms=-60_000))
    await until(world, lambda: process.dead, 30)
    found = _all(world, Outcome.DEAD, 0)
    if "clock" not in (process.left or ""):
        found.append(f"G2 a processor went on with a wrong clock: {process.left}")
        process.die()
    return [*found, *await drain(world), *_all(world, Outcome.SENT, 6)]
