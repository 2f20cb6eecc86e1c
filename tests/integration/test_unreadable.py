"""A batch of jobs that no client can take apart: named, unhealthy, and passed over by an operator alone."""

from __future__ import annotations

import json

from confluent_kafka import Producer

from processor.ops.unreadable import Batch
from schemas.records import UNREADABLE_REASON
from tests.integration.test_readiness import metrics_url, readiness
from tests.support.world import MONTH, World, job, wait_for

PIECE = b"x" * 36_000_000
"""Three of these are more than `receive.message.max.bytes` (100 MB), and nothing when compressed."""


def publish_unreadable(world: World, partition: int) -> tuple[int, int]:
    """One batch of three records; returns the first offset, and the first behind it."""
    producer = Producer(
        {
            "bootstrap.servers": world.settings.kafka_bootstrap_servers,
            "compression.type": "zstd",
            "message.max.bytes": 1_000_000_000,
            "batch.size": 1_000_000_000,
            "linger.ms": 60_000,
        }
    )
    offsets: list[int] = []
    for number in range(3):
        key = f"huge{number}:{MONTH}".encode()
        told = lambda _error, message: offsets.append(message.offset())  # noqa: E731
        producer.produce(world.settings.topics.jobs, PIECE, key, partition, on_delivery=told)
    assert producer.flush(120) == 0
    return min(offsets), max(offsets) + 1


def test_an_operator_alone_passes_over_what_cannot_be_read(world: World) -> None:
    """G2: the place is named, the processor is not ready, others' mails go out; nothing is passed over by itself."""
    world.publish(job(f"u{n}") for n in range(20))
    begins, ends = publish_unreadable(world, 2)
    world.publish(job(f"v{n}") for n in range(20))
    before = world.processor("p0", drain=True)
    assert before.wait() == 7
    assert f"2:{begins}" in before.log.read_text()
    sent = world.sandbox.accepted_count()
    assert 20 <= sent < 40

    live = world.start("process", "--metrics-port", "0", "--instance", "p1")
    url = metrics_url(live)
    wait_for(lambda: f"2:{begins}" in readiness(url)[1], "the place in what is not ready")
    assert readiness(url)[0] == 503
    # Readers decide nothing: they pass over it, aloud.
    status = world.run("status", "--month", MONTH, "--json")
    assert json.loads(status.stdout)["sent"] == sent
    assert "not looked at" in status.stderr

    place = f"2:{begins + 1}"
    dry = json.loads(world.run("topics", "skip", place, "--dry-run", "--json").stdout)
    assert (dry["from"], dry["to"], dry["dry_run"]) == (begins, ends - 1, True)
    assert "--why" in world.run("topics", "skip", place, "--yes", ok=(2,)).stderr
    assert "--yes" in world.run("topics", "skip", place, "--why", "too large", ok=(2,)).stderr
    assert "can be read" in world.run("topics", "skip", f"2:{ends}", "--why", "w", "--yes", ok=(2,)).stderr
    assert not world.dead_letters()
    world.run("topics", "skip", place, "--why", "too large", "--yes")
    assert "already" in world.run("topics", "skip", place, "--why", "again", "--yes", ok=(2,)).stderr
    wait_for(lambda: world.sandbox.accepted_count() == 40, "the mails behind it")
    wait_for(lambda: readiness(url)[0] == 200, "readiness")
    assert live.terminate() == 0

    world.drain("p2")
    audit = world.audit()
    audit.check()
    ((record, letter),) = audit.dead_letters
    assert record.value is None
    assert letter.reason == UNREADABLE_REASON
    assert (letter.source.partition, letter.source.offset) == (2, begins)
    assert "too large" in letter.detail
    assert str(Batch(2, begins, ends)) == f"2:{begins}"
