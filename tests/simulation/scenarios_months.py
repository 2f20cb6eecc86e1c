"""Months, corrected and cancelled records, replays, evidence and operators."""

from __future__ import annotations

import asyncio
from typing import Any

from schemas.identity import Key
from tests.simulation.audit import Audit
from tests.simulation.story import (
    LONG_AGO_S,
    done,
    drain,
    evidence_dies_at,
    forget_offsets,
    keeps,
    publish,
    replay,
    sent,
)
from tests.simulation.world import MONTH, World, settings


@keeps(r"G5 .* called for u0", "the latest record counts, however many records lie between")
async def a_tombstone_beyond_the_read_ahead(world: World, audit: Audit) -> None:
    publish(world, 60)
    world.cancel("u0")
    await asyncio.sleep(LONG_AGO_S)
    world.start("p0")
    await done(world)


@keeps(r"G5 .* called for u0", "the latest record counts, however many records lie between")
async def a_correction_beyond_the_read_ahead(world: World, audit: Audit) -> None:
    publish(world, 60)
    world.publish("u0", version=2)
    await asyncio.sleep(LONG_AGO_S)
    world.start("p0")
    await done(world)


@keeps(r"G5 .* called for u0", "what compaction would remove is never sent")
async def a_bad_record_between_two_good_ones(world: World, audit: Audit) -> None:
    place = world.publish("u0")
    world.publish_raw(b"u0:2026-11", b"{not json", place[0])
    world.publish("u0", version=3)
    await asyncio.sleep(LONG_AGO_S)
    world.start("p0")
    await done(world)


@keeps(r"G2 u0:\S+ has no outcome", "every published job ends in exactly one visible outcome")
async def cancelled_after_it_had_ended(world: World, audit: Audit) -> None:
    """A mail that was dead, or cancelled before, is cancelled again: it is told as pending for ever."""
    world.ses.refuses.add("u0")
    world.publish("u0")
    world.start("p0")
    assert await done(world)
    world.cancel("u0")
    await done(world, 30)


@keeps(
    r"G2 nobody:\S+ is told as cancelled, and nobody ever published it",
    "a cancel of a key without a job writes nothing",
)
async def cancelled_and_never_published(world: World, audit: Audit) -> None:
    await sent(world, 1)
    world.cancel("nobody")
    await asyncio.sleep(5)


@keeps(r"G6 .* letters of changed-after-sending", "nothing is reported twice for one record")
async def a_change_told_again_by_each_replay(world: World, audit: Audit) -> None:
    await sent(world, 1)
    world.publish("u0", version=2)
    await asyncio.sleep(3)
    await replay(world, "replay-1")
    await replay(world, "replay-2")


@keeps(r"G6 .* letters of bad-key", "nothing is reported twice for one record")
async def a_bad_key_told_again_without_offsets(world: World, audit: Audit) -> None:
    world.publish_raw(b"no-month", b"{}")
    await sent(world, 1)
    forget_offsets(world)
    await drain(world)


@keeps(r"G6 .* letters of message-rejected", "whoever follows the ledger applies each outcome to its set")
async def a_dead_record_attempted_again(world: World, audit: Audit) -> None:
    """Killed between the settling commit and the closing of the key: a replay calls for the dead record once more."""
    world.ses.refuses.add("u0")
    world.publish("u0")
    world.when("p0", "redis.close <", 1, lambda process: process.die())
    world.start("p0")
    await asyncio.sleep(5)
    await replay(world)


@keeps(r"G6 .* lowered sent to dead", "a record that is certainly refused stays barred until its letter has committed")
async def dead_over_sent(world: World, audit: Audit) -> None:
    """A replay mails what a processor, standing still before its commit, has seen refused."""
    world.ses.refuses.add("u0")

    def act(process: Any) -> None:
        process.freeze(2.5)
        world.ses.refuses.clear()
        world.start("r", group="replay-1", drain=True)

    world.when("p0", "redis.note_refused >", 1, act)
    world.start("p0")
    world.publish("u0")
    await asyncio.sleep(10)


@keeps(r"G6 u0:\S+: sent is said of", "the ledger's `sent` names the content that really went out")
async def sent_of_another_content(world: World, audit: Audit) -> None:
    """Killed after the mark, corrected before the successor reads."""
    world.when("p0", "redis.note_sent >", 1, lambda process: process.die())
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(2)
    world.publish("u0", version=2)
    await asyncio.sleep(4)
    world.start("p1")
    await done(world)


@keeps(r"G4 u0:\S+ is still in doubt", "what SES's event has told stands over a doubt")
async def doubt_over_a_drop(world: World, audit: Audit) -> None:
    """SES's word that it dropped the mail comes before our own time-out; the ledger goes back to doubt for good."""
    world.ses.drops.add("u0")
    audit.excuse_key(Key("u0", MONTH), "answer lost")
    world.net.loses = lambda what, _owner: "answer" if what == "ses.send" else ""
    world.start_evidence()
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(30)


@keeps(r"G3 .* was settled although u0:\S+ has no outcome", "outcome and offset commit in one transaction")
async def settled_before_the_ledger_has_ses_word(world: World, audit: Audit) -> None:
    """Evidence dies between Redis and Kafka; the record's next reader takes Redis's word for the ledger's."""
    world.ses.drops.add("u0")
    world.when("p0", "ses.send >", 1, lambda process: process.die())
    world.when("ev", "redis.drop >", 1, lambda process: process.die())
    world.start_evidence()
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(5)
    world.start("p1")
    await done(world)
    world.start_evidence()
    await asyncio.sleep(20)


@keeps(r"G6 .* letters of rendering-failure", "nothing is reported twice for one record")
async def a_drop_told_twice(world: World, audit: Audit) -> None:
    """Evidence dies between its commit and its note in Redis; the event comes again."""
    world.ses.drops.add("u0")
    await evidence_dies_at(world, "redis.note <")
    world.start_evidence()
    await asyncio.sleep(10)


@keeps(
    r"G1 u0:\S+ was accepted 2 times",
    "no resend by policy while messages of the queue are invisible",
)
async def resent_while_the_event_is_invisible(world: World, audit: Audit) -> None:
    """The doubtful mail's event was received by somebody who died; a later mail's event proves the feed alive."""
    world.settings = settings(on_uncertain="resend-after-evidence-window")
    world.net.loses = lambda what, _owner: "answer" if what == "ses.send" and not world.calm else ""
    world.ses.tells = lambda: [0.1]
    audit.excuse_key(Key("u0", MONTH), "answer lost")
    world.publish("u0")
    world.start("p0")
    assert await done(world)
    world.calm = True
    world.sqs.hide(3600)
    await asyncio.sleep(25)
    world.publish("u1")
    await asyncio.sleep(3)
    world.start_evidence(drain=True)
    await asyncio.sleep(15)
    world.sqs.hide(0)
    world.start_evidence(drain=True)
    await asyncio.sleep(15)
