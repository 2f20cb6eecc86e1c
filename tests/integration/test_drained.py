"""What a drain says at its end is true, and nothing is told twice: by the topics, whatever offsets say."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient

from processor.ops.replay import set_group
from processor.ops.status import month_status
from schemas.kafka.asking import answer
from schemas.kafka.ends import end_offsets
from schemas.kafka.reading import partition_numbers, read_topic
from tests.support.world import MONTH, World, job


def to_the_end(world: World) -> None:
    """The group's offsets, whatever was sent."""
    admin = AdminClient({"bootstrap.servers": world.settings.kafka_bootstrap_servers})
    topic = world.settings.topics.jobs
    ends = end_offsets(admin, topic, partition_numbers(world.settings, topic))
    set_group(world.settings, world.settings.group_id, ends)


def forget_offsets(world: World) -> None:
    """What Kafka does to a group that had no member for a week."""
    admin = AdminClient({"bootstrap.servers": world.settings.kafka_bootstrap_servers})
    group = world.settings.group_id
    answer(admin.delete_consumer_groups([group])[group])


def test_a_drain_that_left_jobs_out_does_not_end_well(world: World) -> None:
    """G2: a code of its own, the first keys, and what to do, which helps."""
    world.publish(job(f"u{n}") for n in range(30))
    world.drain("p1")
    world.publish([job("late"), job("later")])
    to_the_end(world)
    drained = world.processor("p2", drain=True)
    assert drained.wait() == 9
    assert not drained.says("drained")
    said = drained.log.read_text().splitlines()[-1]
    assert "2 of 32 jobs have no outcome" in said
    assert f"late:{MONTH}, later:{MONTH}" in said
    world.run("replay", "--from-beginning", "--json")
    assert world.drain("p3").says("drained")
    world.audit().check()


def test_a_job_that_was_cancelled_refused_or_changed_is_not_missing(world: World) -> None:
    """G2: only what nobody can see the end of is."""
    world.publish(job(f"u{n}") for n in range(5))
    world.run("cancel", "u1", MONTH)
    world.publish_raw([(f"bad:{MONTH}".encode(), b"{not json", []), (b"no-month", b"{}", [])])
    world.drain("p1")
    world.publish([job("u2", note="changed")])
    world.run("cancel", "u3", MONTH)
    world.drain("p2")


def test_nothing_is_told_again_when_the_offsets_are_gone(world: World) -> None:
    """G6: one letter a record, however often it is read, and by whom."""
    world.publish(job(f"u{n}") for n in range(3))
    world.drain("p1")
    world.publish(job(f"u{n}", note="changed") for n in range(3))
    world.publish_raw([(b"no-month", b"{}", [])])
    for _ in range(2):
        world.drain("p1")
        forget_offsets(world)
    world.run("replay", "--from-beginning", "--json")
    reasons = sorted(letter.reason for _, letter in world.dead_letters())
    assert reasons == ["bad-key", *["changed-after-sending"] * 3]
    assert world.sandbox.accepted_count() == 3


def test_a_cancel_of_nobody_writes_nothing(world: World) -> None:
    """Exit code 1, no tombstone, no mail in the books."""
    world.publish([job("u1")])
    refused = world.run("cancel", "nobody", MONTH, ok=(1,))
    assert "nobody published a mail" in refused.stderr
    assert sum(1 for _ in read_topic(world.settings, world.settings.topics.jobs)) == 1
    world.drain("p1")
    assert month_status(world.settings, MONTH).jobs == 1
