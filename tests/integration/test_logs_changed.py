"""The jobs topic is another than the group remembers: emptied, cut, or deleted and made anew."""

from __future__ import annotations

import shutil

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from processor.ops.replay import set_group
from processor.ops.status import month_status
from schemas.records import Outcome
from tests.support.cluster import OwnKafka
from tests.support.world import MONTH, WAIT_S, Process, World, job, wait_for

BEGINS_ANEW = "reading starts at the beginning"


def begun_anew(process: Process) -> dict[int, tuple[int, int]]:
    """Partition: committed offset and end, of each that was told to begin anew. Once each."""
    told = [entry for entry in process.events() if entry.get("event") == BEGINS_ANEW]
    assert len({entry["partition"] for entry in told}) == len(told)
    return {entry["partition"]: (entry.get("committed"), entry.get("end")) for entry in told}


def recreate(world: World) -> None:
    """The jobs topic, under a running processor."""
    admin = AdminClient({"bootstrap.servers": world.settings.kafka_bootstrap_servers})
    name = world.settings.topics.jobs
    admin.delete_topics([name])[name].result(WAIT_S)

    def made() -> bool:
        config = {"cleanup.policy": "compact"}
        future = admin.create_topics([NewTopic(name, world.settings.partitions, 1, config=config)])[name]
        return future.exception(WAIT_S) is None

    def empty() -> bool:
        """A broker that has heard of the deletion alone, or of neither, still takes records into the old log."""
        parts = {TopicPartition(name, number): OffsetSpec.latest() for number in range(world.settings.partitions)}
        try:
            return all(end.result(WAIT_S).offset == 0 for end in admin.list_offsets(parts).values())
        except KafkaException:
            return False

    wait_for(made, "making the topic anew")
    wait_for(empty, "the new topic")


def test_a_committed_offset_beyond_the_end_is_no_reason_to_send_nothing(world: World) -> None:
    """G2: said once a partition, and read from the beginning; what was sent stays barred."""
    world.publish(job(f"u{n}") for n in range(40))
    world.drain("p1")
    world.publish(job(f"v{n}") for n in range(40))
    set_group(world.settings, world.settings.group_id, dict.fromkeys(range(4), 1000))
    drained = world.drain("p2")
    told = begun_anew(drained)
    assert sorted(told) == [0, 1, 2, 3]
    assert all(committed == 1000 and 0 < end < 1000 for committed, end in told.values())
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 80
    assert not begun_anew(world.drain("p3"))


def lose_the_disk(own: OwnKafka, world: World) -> None:
    """The broker comes back without the jobs, under the same topic id."""
    own.kill()
    for folder in own.folder.rglob(f"{world.settings.topics.jobs}-*"):
        shutil.rmtree(folder)
    own.start()


def test_a_log_that_lost_its_disk_and_grew_again(own: OwnKafka, on_own: World) -> None:
    """G2: the committed offsets lie within the new log; only the leader epoch tells that they mean other records."""
    on_own.publish(job(f"u{n}") for n in range(40))
    on_own.drain("p1")
    lose_the_disk(own, on_own)
    on_own.publish(job(f"v{n}") for n in range(200))
    drained = on_own.drain("p2")
    assert sorted(begun_anew(drained)) == [0, 1, 2, 3]
    audit = on_own.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 240


@pytest.mark.long  # at a start it is tried above; under a processor by the simulator as well
def test_a_log_that_is_lost_under_a_processor(own: OwnKafka, on_own: World) -> None:
    """G2: it reads on from the beginning by itself, and says so."""
    on_own.publish(job(f"u{n}") for n in range(200))
    process = on_own.processor("p1")
    # Of a job whose record is lost before its outcome is written nobody could tell.
    wait_for(lambda: month_status(on_own.settings, MONTH).sent == 200, "outcomes")
    lose_the_disk(own, on_own)
    on_own.publish(job(f"v{n}") for n in range(40))
    wait_for(lambda: on_own.sandbox.accepted_count() == 240, "sending again")
    assert process.says(BEGINS_ANEW)
    assert process.terminate() == 0
    on_own.drain("p2")
    audit = on_own.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 240


def test_a_topic_made_anew_under_a_processor_is_refused(world: World) -> None:
    """Exit code 7 and what to do; once it is adopted it is read from its beginning, and nothing is sent twice."""
    world.publish(job(f"u{n}") for n in range(40))
    process = world.processor("p1")
    wait_for(lambda: world.sandbox.accepted_count() == 40, "sending")
    recreate(world)
    # The same again, and more: the old offsets lie within the new log.
    world.publish(job(f"u{n}") for n in range(40))
    world.publish(job(f"v{n}") for n in range(200))
    assert process.wait() == 7
    assert "was deleted and made anew" in process.log.read_text().splitlines()[-1]
    assert "start them again" in process.log.read_text().splitlines()[-1]
    assert "dedup adopt" in world.run("process", "--drain", ok=(7,)).stderr
    world.run("dedup", "adopt", "--yes")
    world.drain("p2")
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 240
