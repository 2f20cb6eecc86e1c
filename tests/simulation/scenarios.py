"""Histories that break a promise, each by name: what happens, what must be found, and the rule that forbids it.

They are the work list. A cure turns its scenario: the finding is gone, the test that expects it fails, and the entry
moves to the histories that must stay good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from processor.core.states import State
from schemas.identity import TAG_ATTEMPT, TAG_MONTH, TAG_SOURCE, TAG_USER, Key
from schemas.records import Outcome
from tests.simulation.audit import Audit
from tests.simulation.faults import redis_fault
from tests.simulation.kafka import Kafka
from tests.simulation.process import Host
from tests.simulation.world import MONTH, World, settings

__all__ = ["SCENARIOS", "Scenario", "play"]

Story = Callable[[World, Audit], Awaitable[list[str] | None]]
MONTHS_MS = 62 * 86_400_000
LONG_AGO_S = 6.0
"""Longer than a processor is given to know a newer record."""


@dataclass(frozen=True)
class Scenario:
    story: Story
    breaks: str
    """what the audit must say: a regular expression"""
    rule: str
    """the rule that forbids it"""
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.story.__name__


SCENARIOS: list[Scenario] = []


def breaks(what: str, rule: str, **made: Any) -> Callable[[Story], Story]:
    def note(story: Story) -> Story:
        SCENARIOS.append(Scenario(story, what, rule, made))
        return story

    return note


def play(scenario: Scenario, *, told: bool = False) -> tuple[list[str], list[str]]:
    """The findings of a scenario, and its history."""
    with World.made(1, **scenario.made) as world:
        audit = Audit(world, strict=True)
        found = world.run(scenario.story(world, audit)) or []
        found += audit.findings()
        return found, world.net.history.lines() if told or not found else []


async def _until(world: World, condition: Callable[[], bool], limit_s: float = 60.0) -> bool:
    until_s = world.loop.time() + limit_s
    while not condition() and world.loop.time() < until_s:
        await asyncio.sleep(0.1)
    return condition()


async def _done(world: World, limit_s: float = 60.0) -> bool:
    """Waits until no job is pending."""
    return await _until(world, lambda: not world.pending(), limit_s)


async def _drain(world: World, slot: str = "drain", **how: Any) -> list[str]:
    process = world.start(slot, drain=True, **how)
    await _until(world, lambda: process.dead)
    if process.left != "":
        return [f"G2 {slot} did not drain: {process.left}"]
    if pending := world.pending():
        return [f"G2 {slot} ended well though {len(pending)} jobs have no outcome"]
    return []


async def _replay(world: World, name: str = "replay-1", **how: Any) -> list[str]:
    return await _drain(world, "r", group=name, **how)


def _publish(world: World, count: int, **how: Any) -> None:
    for number in range(count):
        world.publish(f"u{number}", **how)


async def _sent(world: World, count: int = 4) -> None:
    _publish(world, count)
    world.start("p0")
    assert await _done(world)
    await asyncio.sleep(1)


WHOLE = "nothing is granted by a set that may lack a claim made for this installation"


# ---- Redis in another state than Kafka remembers ----


@breaks(r"G1 .* accepted 2 times", WHOLE)
async def failed_over_and_back(world: World, audit: Audit) -> None:
    """The replica is promoted and used, then the address leads to the old primary again, which lived on."""
    world.start("p0")
    await asyncio.sleep(2)
    old = world.redis.point("redis", world.redis.replica("redis"))
    _publish(world, 4)
    assert await _done(world)
    await asyncio.sleep(1)
    world.redis.point("redis", old)
    await _replay(world)


@breaks(r"G1 .* accepted 2 times", "two servers in use: no claim under a server that is not the newest lineage's")
async def two_servers_in_use(world: World, audit: Audit) -> None:
    """Half the processors have the new address already; one of the others dies in the middle of its calls."""
    world.start("p0", address="redis-a")
    world.start("p1", address="redis-b")
    await asyncio.sleep(4)
    world.when("p0", "ses.send >", 1, lambda process: process.die())
    _publish(world, 6)
    await _done(world)


@breaks(r"G1 .* accepted 2 times", "ids that cannot be read: the server is refused at the start")
async def a_server_that_tells_no_id(world: World, audit: Audit) -> None:
    """INFO is forbidden: every server is the same one, so an older file is not noticed."""
    world.redis.at("redis").set.run = "unknown"
    world.start("p0")
    await asyncio.sleep(2)
    early = world.redis.at("redis").set.dump()
    _publish(world, 4)
    assert await _done(world)
    await asyncio.sleep(1)
    back = world.redis.start("redis", early)
    back.set.run = "unknown"
    world.redis.point("redis", back)
    await _replay(world)


@breaks(r"G1 .* accepted 2 times", "lock, chunks and mark carry one token, bound to the server's ids at the lock")
async def flushed_while_it_is_rebuilt(world: World, audit: Audit) -> None:
    """FLUSHALL between two chunks: the lock is lost, and the rebuild declares the rest whole."""
    await _sent(world, 12)
    server = world.redis.at("redis")
    redis_fault(world)
    server.flush()
    world.when("p0", "redis.restore >", 2, lambda _process: server.flush())
    world.publish("one-more")
    await _done(world)
    await _replay(world)


@breaks(r"G4 u\d\S* is in doubt .* no call", "a suspended rebuild fails and starts again")
async def rebuilt_beside_a_whole_set(world: World, audit: Audit) -> None:
    """A rebuild that stood still past its lock goes on: it puts back what was withdrawn since it read the topics."""
    world.ses.quota = 0.0
    world.when("p1", "redis.lock_rebuild >", 1, lambda process: process.freeze(6.0))
    world.when("p1", "redis.restore <", 1, lambda process: process.freeze(3.0))
    world.start("p1")
    await asyncio.sleep(1)
    world.start("p0")
    await asyncio.sleep(4)
    _publish(world, 2)
    await asyncio.sleep(2)
    world.slots["p0"].stop()
    await asyncio.sleep(4)
    world.ses.quota = -1.0
    await _done(world)


@breaks(r"G1 .* accepted 2 times", "callers pass the highest count they saw; a lower one is an older dump")
async def an_old_dump_key_by_key(world: World, audit: Audit) -> None:
    """Yesterday's keys are restored into the running server, the marker among them."""
    world.start("p0")
    await asyncio.sleep(2)
    yesterday = world.redis.at("redis").set.dump()
    _publish(world, 4)
    assert await _done(world)
    await asyncio.sleep(1)
    server = world.redis.at("redis")
    server.flush()
    server.load_keys(yesterday, [], marker=True)
    await _replay(world)


def _forget_a_month(world: World, month: str) -> None:
    """What the buckets' expiry and an idle week do."""
    claims = world.redis.at("redis").set.claims
    for key in [key for key in claims if key.month == month]:
        del claims[key]
    for process in world.processes:
        process.die()
    group = world.kafka.group("mailonce")
    group.members.clear()
    group.forget_offsets()


@breaks(r"G1 .* accepted 2 times", "a floor that only rises; raising the retention later does not lower it")
async def the_retention_is_raised_after_a_month_expired(world: World, audit: Audit) -> None:
    _publish(world, 3, month="2025-12")
    world.start("p0")
    assert await _done(world)
    await asyncio.sleep(1)
    world.later_ms = MONTHS_MS
    _forget_a_month(world, "2025-12")
    world.settings = settings(retention_months=24)
    await _drain(world)


@breaks(r"G6 .* lowered sent to dead", "a job below the floor that has an outcome is passed over silently")
async def the_fourteenth_month(world: World, audit: Audit) -> None:
    """The group was idle for a week and its entries have expired: what was sent becomes too old."""
    _publish(world, 3, month="2025-12")
    world.start("p0")
    assert await _done(world)
    await asyncio.sleep(1)
    world.later_ms = MONTHS_MS
    _forget_a_month(world, "2025-12")
    await _drain(world)


@breaks(r"G2 drain ended well though 4 jobs", "a Redis of another installation is refused")
async def two_clusters_on_one_redis(world: World, audit: Audit) -> list[str]:
    """Staging and production under one prefix: the second sends nothing and says that all is well."""
    await _sent(world)
    world.kafka = Kafka(world.net, 2, "other-kafka")
    _publish(world, 4)
    return await _drain(world)


@breaks(r"G2 u0:\S+ is told as sent, and SES never took it", "events of another installation prove nothing here")
async def events_of_another_installation(world: World, audit: Audit) -> None:
    world.ses.paused = True
    world.publish("u0")
    world.start_evidence()
    place = world.published[0].place
    tags = {TAG_USER: "u0", TAG_MONTH: MONTH, TAG_ATTEMPT: "elsewhere", TAG_SOURCE: f"{place[0]}-{place[1]}-"}
    mail = {"messageId": "x1", "timestamp": "2026-11-15T00:00:00+00:00", "tags": {n: [v] for n, v in tags.items()}}
    world.sqs.put(msgspec.json.encode({"eventType": "Send", "mail": mail}))
    await asyncio.sleep(5)
    world.ses.paused = False
    world.start("p0")
    await _done(world)


@breaks(r"G2 .* has no outcome", "restored claims are sending since the moment of restoring, by Redis's clock")
async def a_clock_ahead_and_redis_lost(world: World, audit: Audit) -> None:
    """The intents of a machine whose clock is an hour ahead are restored as claims that last an hour."""
    world.start("p0", host=Host(offset_ms=3_600_000))
    await asyncio.sleep(2)
    world.when("p0", "redis.claim <", 1, lambda process: process.die())
    _publish(world, 2)
    await asyncio.sleep(1)
    redis_fault(world)
    world.redis.at("redis").flush()
    world.start("p1")
    await _done(world, 90)


@breaks(r"G4 u0\S* is in doubt .*its attempt had ended", "who follows the ledger applies each outcome to its set")
async def a_claim_that_ended_comes_back(world: World, audit: Audit) -> None:
    """Redis starts again without the last scripts; the letter of the refused mail leaves the old claim as it is."""
    world.ses.refuses.add("u0")
    world.publish("u0")
    world.start("p0")
    assert await _done(world)
    await asyncio.sleep(1)
    past = world.redis.at("redis").past
    claimed = next(state for state in past if any(c.state is State.SENDING for c in state.claims.values()))
    redis_fault(world)
    world.redis.point("redis", world.redis.start("redis", claimed))
    world.ses.refuses.clear()
    world.publish("u0", version=2)
    await _done(world)


@breaks(r"G4 u0\S* is in doubt .* no call", "a record passed over withdraws its own intent in that transaction")
async def a_superseded_intent_and_redis_lost(world: World, audit: Audit) -> list[str]:
    """Nobody dies and no call is in flight: the intent of a record that was passed over stays open all the same."""
    world.start("p0")
    await asyncio.sleep(2)
    world.when("p0", "redis.claim <", 1, lambda _process: world.redis.at("redis").flush())
    world.kafka.on_commit.append(lambda done: _correct_once(world, done))
    world.publish("u0")
    await _done(world)
    return []


def _correct_once(world: World, done: Any) -> None:
    """A corrected row that comes right after the first intent."""
    if len(world.published) == 1 and any(topic == world.settings.topics.attempts for topic, _ in done.records):
        world.publish("u0", version=2)
        world.redis.at("redis").down = True
        world.loop.later(1.5, lambda: setattr(world.redis.at("redis"), "down", False))


@breaks(
    r"G4 u\d\S* is in doubt", "restored claims are sending since the moment of restoring; an unused intent is no doubt"
)
async def two_groups_wait_and_redis_is_lost(world: World, audit: Audit) -> list[str]:
    """A month and a replay beside it wait for quota; nobody dies, no call was made, and the mails are in doubt."""
    world.ses.quota = 0.0
    world.start("p0")
    world.start("r", group="replay-1")
    _publish(world, 2)
    await asyncio.sleep(5)
    world.redis.at("redis").flush()
    await asyncio.sleep(12)
    world.ses.quota = -1.0
    await _done(world)
    uncertain = [raw.decode() for raw, mail in world.mails().items() if mail.outcome is Outcome.UNCERTAIN]
    return [f"G4 {key} is in doubt, and no call was ever made for it" for key in uncertain]


@breaks(r"G4 u0\S* is in doubt .*nobody heard", "a record passed over leaves no claim behind")
async def a_claim_that_nobody_heard_of(world: World, audit: Audit) -> None:
    """Redis's answer to a claim is lost, the mail is then cancelled, and the claim stands for its whole lifetime."""
    world.start("p0")
    await asyncio.sleep(2)
    claims = iter(["answer"])
    world.net.loses = lambda what, _owner: next(claims, "") if what == "redis.claim" else ""
    world.publish("u0")
    world.at(2.5, "u0 cancelled", lambda: world.cancel("u0"))
    await asyncio.sleep(1)
    await _done(world)
    await asyncio.sleep(20)


# ---- Kafka in another state than the group remembers ----


@breaks(r"G2 drain ended well though 4 jobs", "a committed offset beyond the log's end: start at the beginning, aloud")
async def committed_beyond_the_end(world: World, audit: Audit) -> list[str]:
    world.kafka.group("mailonce").offsets.update({0: (100, ""), 1: (100, "")})
    _publish(world, 4)
    return await _drain(world)


@breaks(r"G2 .* has no outcome", "a topic with another id is refused until adopted")
async def the_topic_is_recreated(world: World, audit: Audit) -> None:
    """Deleted and made anew under a running processor, with fewer records than before."""
    await _sent(world, 6)
    world.kafka.recreate(world.settings.topics.jobs)
    world.published.clear()
    world.publish("new")
    await _done(world, 30)


@breaks(r"G2 .* has no outcome", "whatever Kafka lets into the jobs topic fits into the dead-letter topic")
async def a_letter_too_large(world: World, audit: Audit) -> None:
    """A record of nearly a megabyte whose letter exceeds it: the same batch for ever, good jobs with it."""
    world.publish_raw(b"big:2026-11", b"x" * 999_900)
    _publish(world, 4)
    world.start("p0")
    await _done(world, 30)


@breaks(r"G5 .* called for u\d", "a partition count that grows takes effect with the next month")
async def partitions_grow_before_a_cancel(world: World, audit: Audit) -> None:
    """The tombstone stands in another partition than its job."""
    _publish(world, 4)
    world.kafka.grow(4)
    for number in range(4):
        world.cancel(f"u{number}")
    await asyncio.sleep(LONG_AGO_S)
    world.start("p0")
    await _done(world)


@breaks(r"G1 u\d\S* was accepted 2 times", "one fold per key, whatever partition its records stand in")
async def partitions_grow_over_a_doubt_and_redis_lost(world: World, audit: Audit) -> None:
    """A mail in doubt is published again to another partition while the set is lost."""
    world.ses.tells = list
    world.net.loses = lambda what, _owner: "answer" if what == "ses.send" and not world.calm else ""
    _publish(world, 4)
    world.start("p0")
    assert await _done(world)
    await asyncio.sleep(1)
    world.calm = True
    world.kafka.grow(4)
    await asyncio.sleep(3)
    redis_fault(world)
    world.redis.at("redis").flush()
    _publish(world, 4)
    await asyncio.sleep(10)


# ---- months, records and operators ----


@breaks(r"G5 .* called for u0", "the latest record counts, however many records lie between")
async def a_tombstone_beyond_the_read_ahead(world: World, audit: Audit) -> None:
    _publish(world, 60)
    world.cancel("u0")
    await asyncio.sleep(LONG_AGO_S)
    world.start("p0")
    await _done(world)


@breaks(r"G5 .* called for u0", "the latest record counts, however many records lie between")
async def a_correction_beyond_the_read_ahead(world: World, audit: Audit) -> None:
    _publish(world, 60)
    world.publish("u0", version=2)
    await asyncio.sleep(LONG_AGO_S)
    world.start("p0")
    await _done(world)


@breaks(r"G5 .* called for u0", "what compaction would remove is never sent")
async def a_bad_record_between_two_good_ones(world: World, audit: Audit) -> None:
    place = world.publish("u0")
    world.publish_raw(b"u0:2026-11", b"{not json", place[0])
    world.publish("u0", version=3)
    await asyncio.sleep(LONG_AGO_S)
    world.start("p0")
    await _done(world)


@breaks(r"G2 u0:\S+ has no outcome", "every published job ends in exactly one visible outcome")
async def cancelled_after_it_had_ended(world: World, audit: Audit) -> None:
    """A mail that was dead, or cancelled before, is cancelled again: it is told as pending for ever."""
    world.ses.refuses.add("u0")
    world.publish("u0")
    world.start("p0")
    assert await _done(world)
    world.cancel("u0")
    await _done(world, 30)


@breaks(
    r"G2 nobody:\S+ is told as cancelled, and nobody ever published it",
    "a cancel of a key without a job writes nothing",
)
async def cancelled_and_never_published(world: World, audit: Audit) -> None:
    await _sent(world, 1)
    world.cancel("nobody")
    await asyncio.sleep(5)


@breaks(r"G6 .* letters of changed-after-sending", "nothing is reported twice for one record")
async def a_change_told_again_by_each_replay(world: World, audit: Audit) -> None:
    await _sent(world, 1)
    world.publish("u0", version=2)
    await asyncio.sleep(3)
    await _replay(world, "replay-1")
    await _replay(world, "replay-2")


@breaks(r"G6 .* letters of bad-key", "nothing is reported twice for one record")
async def a_bad_key_told_again_without_offsets(world: World, audit: Audit) -> None:
    world.publish_raw(b"no-month", b"{}")
    await _sent(world, 1)
    _forget_a_month(world, "1999-01")
    await _drain(world)


@breaks(r"G6 .* letters of message-rejected", "whoever follows the ledger applies each outcome to its set")
async def a_dead_record_attempted_again(world: World, audit: Audit) -> None:
    """Killed between the settling commit and the closing of the key: a replay calls for the dead record once more."""
    world.ses.refuses.add("u0")
    world.publish("u0")
    world.when("p0", "redis.close <", 1, lambda process: process.die())
    world.start("p0")
    await asyncio.sleep(5)
    await _replay(world)


@breaks(r"G6 .* lowered sent to dead", "a record that is certainly refused stays barred until its letter has committed")
async def dead_over_sent(world: World, audit: Audit) -> None:
    """A replay mails what a processor, standing still before its commit, has seen refused."""
    world.ses.refuses.add("u0")

    def act(process: Any) -> None:
        process.freeze(2.5)
        world.ses.refuses.clear()
        world.start("r", group="replay-1", drain=True)

    world.when("p0", "redis.release >", 1, act)
    world.start("p0")
    world.publish("u0")
    await asyncio.sleep(10)


@breaks(r"G6 u0:\S+: sent is said of", "the ledger's `sent` names the content that really went out")
async def sent_of_another_content(world: World, audit: Audit) -> None:
    """Killed after the mark, corrected before the successor reads."""
    world.when("p0", "redis.mark_sent >", 1, lambda process: process.die())
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(2)
    world.publish("u0", version=2)
    await asyncio.sleep(4)
    world.start("p1")
    await _done(world)


@breaks(r"G4 u0:\S+ is still in doubt", "what SES's event has told stands over a doubt")
async def doubt_over_a_drop(world: World, audit: Audit) -> None:
    """SES's word that it dropped the mail comes before our own time-out; the ledger goes back to doubt for good."""
    world.ses.drops.add("u0")
    audit.excuse_key(Key("u0", MONTH), "answer lost")
    world.net.loses = lambda what, _owner: "answer" if what == "ses.send" else ""
    world.start_evidence()
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(30)


@breaks(r"G3 .* was settled although u0:\S+ has no outcome", "outcome and offset commit in one transaction")
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
    await asyncio.sleep(10)


@breaks(r"G6 .* letters of rendering-failure", "nothing is reported twice for one record")
async def a_drop_told_twice(world: World, audit: Audit) -> None:
    """Evidence dies between its commit and its note in Redis; the event comes again."""
    world.ses.drops.add("u0")
    world.when("ev", "redis.note <", 1, lambda process: process.die())
    world.start_evidence()
    world.publish("u0")
    world.start("p0")
    await asyncio.sleep(4)
    world.start_evidence()
    await asyncio.sleep(10)


@breaks(
    r"G1 u0:\S+ was accepted 2 times",
    "no resend by policy while messages of the queue are invisible",
    on=settings(on_uncertain="resend-after-evidence-window"),
)
async def resent_while_the_event_is_invisible(world: World, audit: Audit) -> None:
    """The doubtful mail's event was received by somebody who died; a later mail's event proves the feed alive."""
    world.net.loses = lambda what, _owner: "answer" if what == "ses.send" and not world.calm else ""
    world.ses.tells = lambda: [0.1]
    audit.excuse_key(Key("u0", MONTH), "answer lost")
    world.publish("u0")
    world.start("p0")
    assert await _done(world)
    world.calm = True
    world.sqs.hide(3600)
    await asyncio.sleep(25)
    world.publish("u1")
    await asyncio.sleep(3)
    world.start_evidence(drain=True)
    await asyncio.sleep(15)
