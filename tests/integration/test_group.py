"""Many processors: scaled up and down while mail flows; cancelling; transactions as others see them."""

from __future__ import annotations

import signal

import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas.codec import decode_attempt
from schemas.identity import Key
from schemas.kafka.clients import reader_config
from schemas.kafka.reading import read_topic
from schemas.records import Outcome
from tests.support.groups import shares
from tests.support.killer import IN_TRANSACTION, STEPS
from tests.support.world import CALLS_AT_ONCE, MONTH, WAIT_S, World, job, wait_for

TRIED_ALWAYS = {"inside_call", IN_TRANSACTION}
"""Where Kafka and SES themselves are in the middle of something; the simulator stalls at every step."""


def test_two_then_three_then_one_while_mail_flows(world: World) -> None:
    """G1, G2: rebalances, joins and leaves lose nothing and repeat nothing; no doubt arises."""
    world.sandbox.set(latency_ms=150)
    world.publish(job(f"u{n}") for n in range(600))
    one, two = world.processor("p1"), world.processor("p2")
    wait_for(lambda: world.sandbox.accepted_count() > 60, "sending")
    three = world.processor("p3")
    wait_for(lambda: three.says("partitions assigned"), "p3's partitions")
    wait_for(lambda: world.sandbox.accepted_count() > 200, "sending")
    assert one.terminate() == 0
    assert two.terminate() == 0
    wait_for(lambda: world.sandbox.accepted_count() > 300, "sending")
    world.sandbox.set(latency_ms=5)
    last = world.processor("p4", drain=True)
    assert last.wait() == 0
    assert three.terminate() == 0
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 600


@pytest.mark.long  # two, three and one do above
def test_all_processors_share_the_work(world: World) -> None:
    """Four partitions, four processors: each of them sends."""
    world.sandbox.set(latency_ms=40)
    processes = [world.processor(f"p{n}") for n in range(4)]
    for process in processes:
        wait_for(lambda process=process: process.says("partitions assigned"), "partitions")
    wait_for(lambda: shares(world.settings) == [1, 1, 1, 1], "one partition each")
    world.publish(job(f"u{n}") for n in range(300))
    wait_for(lambda: sum(map(len, world.deliveries().values())) >= 300, "all outcomes")
    assert [process.terminate() for process in processes] == [0] * 4
    audit = world.audit()
    audit.check()
    assert len({delivery.instance for delivery in audit.outcomes.values()}) == 4


@pytest.mark.short_lives
@pytest.mark.parametrize(
    "step",
    [step if step in TRIED_ALWAYS else pytest.param(step, marks=pytest.mark.long) for step in (*STEPS, IN_TRANSACTION)],
)
def test_a_zombie_repeats_nothing(world: World, step: str) -> None:
    """G1: stopped at a step of the protocol for longer than its session and its attempts' lifetime, then continued.

    Another takes over and finishes meanwhile; what the zombie then still does changes nothing that was settled.
    """
    world.sandbox.set(latency_ms=30)
    world.publish(job(f"u{n}") for n in range(150))
    zombie = world.processor("zombie", "--signal", "STOP", at=step, nth=4)
    wait_for(lambda: zombie.stopped, f"its stop {step}")
    world.drain("heir")
    before = world.sandbox.accepted_count()
    zombie.signal(signal.SIGCONT)
    wait_for(
        lambda: not zombie.running or zombie.says("partitions lost") or zombie.says("transaction aborted"),
        "the zombie's end",
    )
    if zombie.running:
        zombie.terminate()
    # What SES was asked by the zombie before its stop may be accepted only now; nothing new is asked.
    assert world.sandbox.accepted_count() - before <= CALLS_AT_ONCE * (step == "inside_call")
    world.drain("last")
    world.audit().check(uncertain_max=CALLS_AT_ONCE)


@pytest.mark.long  # test_replay has the like
def test_a_replay_of_a_settled_month_only_reads(world: World) -> None:
    """G1: from the beginning in another group: no call, no intent; what is new in the topic is seen all the same."""
    world.publish(job(f"u{n}") for n in range(300))
    world.drain("p1")
    attempts = world.settings.topics.attempts
    before = {(record.partition, record.offset) for record in read_topic(world.settings, attempts)}
    world.publish([job("u7", usage="43")])
    world.publish_raw([(b"u8:2026-11", b"{", [])])
    replay = world.drain("replay", MAILONCE_GROUP_ID=f"{world.settings.group_id}-replay")
    assert replay.says("drained")
    assert world.sandbox.accepted_count() == 300
    new = [r for r in read_topic(world.settings, attempts) if (r.partition, r.offset) not in before]
    withdrawn = [decode_attempt(record.value or b"").withdrawn for record in new if record.key == b"u7:2026-11"]
    assert (len(new), withdrawn) == (2, [False, True]), "the changed job's intent, taken back, and no more"
    assert {(record.key, letter.reason) for record, letter in world.dead_letters()} == {
        (b"u7:2026-11", "changed-after-sending"),
        (b"u8:2026-11", "not-json"),
    }


@pytest.mark.short_lives
def test_a_second_instance_of_the_same_name_fences_the_first(world: World) -> None:
    """Two processors with one name: one leaves with a clear message, nothing is lost."""
    # Enough to do that the first is still sending, and so committing, long after the second has come.
    world.sandbox.set(latency_ms=500)
    world.publish(job(f"u{n}") for n in range(600))
    first = world.processor("same")
    wait_for(lambda: world.sandbox.accepted_count() > 20, "sending")
    second = world.processor("same", drain=True)
    assert first.wait() == 6
    assert "another processor runs as instance 'same'" in first.log.read_text()
    world.sandbox.set(latency_ms=0)
    assert second.wait() == 0
    world.audit().check(uncertain_max=CALLS_AT_ONCE)


def test_cancelled_before_sending_is_not_sent(world: World) -> None:
    """A tombstone cancels what was not attempted, and only that."""
    world.publish(job(f"u{n}") for n in range(10))
    world.run("cancel", "u3", MONTH)
    world.drain("p1")
    world.run("cancel", "u4", MONTH)
    world.drain("p2")
    audit = world.audit()
    audit.check()
    assert audit.outcomes[Key("u3", MONTH)].outcome is Outcome.CANCELLED
    assert audit.outcomes[Key("u4", MONTH)].outcome is Outcome.SENT
    assert audit.count(Outcome.SENT) == 9


def test_a_cancelled_mail_can_be_published_again(world: World) -> None:
    """A newer record for the key is another chance."""
    world.publish_raw([(f"u1:{MONTH}".encode(), None, [])])
    world.drain("p1")
    world.publish([job("u1")])
    world.drain("p2")
    audit = world.audit()
    audit.check()
    assert audit.outcomes[Key("u1", MONTH)].outcome is Outcome.SENT


@pytest.mark.short_lives
def test_offsets_outcomes_and_letters_commit_together(world: World) -> None:
    """G3: what a crash left uncommitted is invisible: a read_committed reader sees outcomes only with their offsets."""
    world.sandbox.set(latency_ms=20)
    world.publish(job(f"u{n}") for n in range(100))
    victim = world.processor("p1", at="before_settling_commit", nth=2)
    assert victim.wait() == -9
    settled = {d.source.partition: [] for entries in world.deliveries().values() for d in entries}
    for entries in world.deliveries().values():
        for delivery in entries:
            settled[delivery.source.partition].append(delivery.source.offset)
    consumer = Consumer(reader_config(world.settings, group=world.settings.group_id))
    places = consumer.committed([TopicPartition(world.settings.topics.jobs, p) for p in range(4)], WAIT_S)
    consumer.close()
    from processor.core.offsets import decode_settled
    from processor.core.resume import Committed, Log, resume

    for place in places:
        begin = max(0, place.offset)
        window = resume(Committed(place.offset, place.metadata), Log(place.offset)).metadata
        told = set(range(begin)) | set(decode_settled(window, begin))
        assert told == set(settled.get(place.partition, [])), "offsets and outcomes tell different stories"
    world.drain("p1")
    world.audit().check(uncertain_max=CALLS_AT_ONCE)


@pytest.mark.long  # audited by the simulator in each history
def test_every_accepted_mail_had_a_committed_intent(world: World) -> None:
    """Kafka is the permission: SES's record holds no attempt that the attempts topic does not."""
    world.publish(job(f"u{n}") for n in range(50))
    world.drain()
    from schemas.codec import decode_attempt

    intents = {
        decode_attempt(record.value).attempt
        for record in read_topic(world.settings, world.settings.topics.attempts)
        if record.value
    }
    assert {mail.tags["mailonce_attempt"] for mail in world.sandbox.accepted()} <= intents


def test_mails_carry_tags_and_unsubscribe_headers(world: World) -> None:
    """What SES accepted names its user, month and attempt, and can be unsubscribed from with one click."""
    world.publish([job("a:b")])
    world.drain(MAILONCE_UNSUBSCRIBE_URL="https://example.com/u/{user_id}/{month}")
    (mail,) = world.sandbox.accepted()
    assert mail.headers == {
        "List-Unsubscribe": f"<https://example.com/u/a%3Ab/{MONTH}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert mail.tags["mailonce_user"] == "YTpi"
    assert mail.tags["mailonce_month"] == MONTH
    assert mail.tags["mailonce_attempt"] == world.deliveries()[Key("a:b", MONTH)][-1].attempt


@pytest.mark.long  # the laws are those of the contract suite
def test_the_consumer_protocol_works_as_well(world: World) -> None:
    """KIP-848 by a setting: same promise."""
    world.sandbox.set(latency_ms=20)
    world.publish(job(f"u{n}") for n in range(200))
    env = {"MAILONCE_GROUP_PROTOCOL": "consumer"}
    one = world.processor("p1", **env)
    wait_for(lambda: world.sandbox.accepted_count() > 20, "sending")
    two = world.processor("p2", drain=True, **env)
    assert two.wait() == 0
    assert one.terminate() == 0
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 200


@pytest.mark.short_lives
@pytest.mark.long  # test_redis_lost wipes it while mail flows
def test_a_wiped_redis_is_rebuilt_before_anybody_sends(world: World) -> None:
    """G1: the marker is gone, the ledger and the intents are not."""
    import redis

    world.sandbox.set(latency_ms=40)
    world.publish(job(f"u{n}") for n in range(200))
    process = world.processor("p1")
    wait_for(lambda: world.sandbox.accepted_count() > 60, "sending")
    client = redis.Redis.from_url(world.env["MAILONCE_REDIS_URL"])
    client.flushall()
    client.close()
    # There is something to claim, however far it was.
    world.publish(job(f"late{n}") for n in range(20))
    wait_for(lambda: [e["event"] for e in process.events()].count("dedup set rebuilt") == 2, "the rebuild")
    assert process.terminate() == 0
    world.sandbox.set(latency_ms=0)
    world.drain("p2")
    world.audit().check(uncertain_max=2 * CALLS_AT_ONCE)
