"""Kafka killed, stopped, slow, re-partitioned and reconfigured while mail flows: nobody is mailed twice or forgotten."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from infra.embedded import Stack
from processor.adapters.topics import topic_config
from schemas.records import Outcome
from tests.support.cluster import OwnKafka
from tests.support.killer import IN_TRANSACTION
from tests.support.outage import goes_on
from tests.support.sandbox import SandboxAdmin
from tests.support.world import CALLS_AT_ONCE, MONTH, WAIT_S, Process, World, job, wait_for


def sending(world: World, *fault: str, users: int = 1200, at: str = "", nth: int = 1, **env: str) -> Process:
    # A batch of 500 goes on through an outage: there must be more than that to do.
    world.sandbox.set(latency_ms=50)
    world.publish(job(f"u{n}") for n in range(users))
    process = world.processor("p1", *fault, at=at, nth=nth, **env)
    # A fault may strike before the first batch is through.
    wait_for(lambda: world.sandbox.accepted_count() > (0 if fault else 40), "sending")
    return process


def finish(world: World, process: Process, *, uncertain_max: int = 0) -> None:
    if process.running:
        assert process.terminate() in {0, 6, 7}
    world.sandbox.set(latency_ms=0)
    world.drain("p2")
    world.audit().check(uncertain_max=uncertain_max)


@pytest.mark.long  # it dies inside a transaction below
@pytest.mark.parametrize("deaths", [1, 3])
def test_the_broker_is_killed_while_mail_flows(own: OwnKafka, on_own: World, deaths: int) -> None:
    """G1, G2: again and again, at any moment; the processor waits for it, and goes on by itself."""
    process = sending(on_own, users=600)
    for _ in range(deaths):
        own.kill()
        own.start()
        goes_on(on_own)
    assert process.running
    finish(on_own, process)
    assert on_own.audit().count(Outcome.SENT) == len(on_own.published)


@pytest.mark.parametrize("nth", [2, pytest.param(5, marks=pytest.mark.long)])
def test_the_broker_dies_inside_a_transaction(own: OwnKafka, on_own: World, nth: int) -> None:
    """G1, G3: records written, offsets sent, and the broker dies before the commit's answer."""
    pid = own.pid()
    process = sending(on_own, "--broker", str(pid), at=IN_TRANSACTION, nth=nth)
    wait_for(lambda: not own.alive(), "the broker's death")
    own.start()
    goes_on(on_own)
    finish(on_own, process)
    assert on_own.audit().count(Outcome.SENT) == len(on_own.published)


def test_a_coordinator_that_answers_too_late(own: OwnKafka, on_own: World) -> None:
    """G1, G3: the commit's time is up and nobody knows its end: a new producer, and everything read again."""
    fault = ("--signal", "STOP", "--broker", str(own.pid()), "--commit-timeout", "2")
    process = sending(on_own, *fault, at=IN_TRANSACTION, nth=3)
    wait_for(lambda: process.says("transaction's end unknown"), "the commit's time-out")
    own.signal("kafka", signal.SIGCONT)
    goes_on(on_own)
    finish(on_own, process)
    assert on_own.audit().count(Outcome.SENT) == len(on_own.published)


@pytest.mark.long  # an idle one notices it in `make test`
def test_a_broker_that_stays_away_ends_the_processor_clearly(own: OwnKafka, on_own: World) -> None:
    """Exit code 7 and what to do; whoever starts it again loses nothing."""
    process = sending(on_own, users=200, MAILONCE_PATIENCE_S="10")
    own.kill()
    assert process.wait() == 7
    assert "Kafka" in process.log.read_text().splitlines()[-1]
    own.start()
    finish(on_own, process, uncertain_max=CALLS_AT_ONCE)


@pytest.mark.short_lives
def test_max_poll_interval_exceeded(world: World) -> None:
    """G1: a processor that was away too long for its group comes back to partitions that are another's."""
    env = {"MAILONCE_KAFKA_MAX_POLL_INTERVAL_MS": "3000", "MAILONCE_SESSION_TIMEOUT_S": "2"}
    world.sandbox.set(latency_ms=100)
    world.publish(job(f"u{n}") for n in range(300))
    # Its heartbeats go on (librdkafka's own thread), it does not poll: a stall inside one commit does that.
    stalled = world.processor("p1", "--stall", "6", at="before_settling_commit", nth=2, **env)
    wait_for(lambda: world.sandbox.accepted_count() > 20, "sending")
    other = world.processor("p2", drain=True, **env)
    assert other.wait() == 0
    if stalled.running:
        stalled.terminate()
    assert stalled.says("partitions lost") or stalled.says("transaction aborted"), stalled.log.read_text()[-2000:]
    world.audit().check(uncertain_max=CALLS_AT_ONCE)


# ---- partitions and policies ----


def admin(world: World) -> AdminClient:
    return AdminClient({"bootstrap.servers": world.settings.kafka_bootstrap_servers})


def grow(world: World, topic: str, count: int) -> None:
    client = admin(world)
    for future in client.create_partitions([NewPartitions(topic, count)]).values():
        future.result(WAIT_S)
    # The controller has done it; a broker hears of it later.
    wait_for(lambda: len(client.list_topics(topic, timeout=WAIT_S).topics[topic].partitions) >= count, "growing")


def test_partitions_added_while_jobs_are_pending(world: World) -> None:
    """G1, G2: keys move to other partitions in mid-month; the processor waits for the other topics to follow."""
    env = {"MAILONCE_KAFKA_TOPIC_METADATA_REFRESH_INTERVAL_MS": "500"}
    world.sandbox.set(latency_ms=100)
    world.publish(job(f"u{n}") for n in range(300))
    process = world.processor("p1", **env)
    wait_for(lambda: world.sandbox.accepted_count() > 20, "sending")
    grow(world, world.settings.topics.jobs, 7)
    wait_for(lambda: "mailonce topics create" in process.log.read_text(), "the hint")
    world.run("topics", "create")
    # The same users again, some with changed content: most of them stand in another partition now.
    world.publish(job(f"u{n}", note="changed" if n % 3 == 0 else "") for n in range(300))
    world.publish(job(f"v{n}") for n in range(50))
    world.sandbox.set(latency_ms=0)
    world.drain("p2", **env)
    assert process.terminate() == 0
    audit = world.audit()
    audit.check()
    assert audit.count(Outcome.SENT) == 350
    status = world.run("status", "--month", MONTH, "--json").stdout
    assert '"jobs": 350, "sent": 350' in status
    assert '"pending": 0' in status
    # The dedup set comes back right from both partitions of a key.
    world.run("dedup", "rebuild")
    accepted = world.sandbox.accepted_count()
    world.drain("replay", MAILONCE_GROUP_ID=f"{world.settings.group_id}-replay")
    assert world.sandbox.accepted_count() == accepted


def test_too_few_partitions_are_refused_and_mended(world: World) -> None:
    """An outcome goes to its job's partition: said at the start, before anything is sent."""
    grow(world, world.settings.topics.jobs, 6)
    world.publish([job("u1")])
    refused = world.processor("p1", drain=True)
    assert refused.wait() == 2
    assert "has 4 partitions" in refused.log.read_text()
    assert "Traceback" not in refused.log.read_text()
    world.run("topics", "create")
    world.drain("p1")
    world.audit().check()


def test_a_wrong_policy_is_refused_at_the_start(world: World) -> None:
    """A ledger that forgets would be a second mail."""
    change = ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, world.settings.topics.deliveries, incremental_configs=[change])
    client = admin(world)
    for future in client.incremental_alter_configs([resource]).values():
        future.result(WAIT_S)
    name = world.settings.topics.deliveries
    wait_for(lambda: topic_config(client, name)["cleanup.policy"] == "delete", "the wrong policy")
    world.publish([job("u1")])
    refused = world.processor("p1", drain=True)
    assert refused.wait() == 2
    assert "cleanup.policy=delete" in refused.log.read_text()
    assert world.sandbox.accepted_count() == 0


def test_a_missing_topic_is_named(world: World) -> None:
    """What to do, in one line."""
    missing = world.processor("p1", drain=True, MAILONCE_TOPIC_PREFIX=f"{world.settings.topic_prefix}x-")
    assert missing.wait() == 7
    assert "mailonce topics create" in missing.log.read_text()


# ---- three brokers ----


@pytest.fixture(scope="module")
def three(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnKafka]:
    three = OwnKafka(tmp_path_factory.mktemp("three"), stack, brokers=3)
    yield three
    three.close()


@pytest.mark.long
@pytest.mark.parametrize("deaths", [1, 3])
def test_one_of_three_brokers_dies_at_random(
    three: OwnKafka, sandbox: SandboxAdmin, tmp_path: Path, deaths: int
) -> None:
    """G1, G2: replication 3, min.insync 2: any one may die, again and again; no doubt arises, nobody waits long."""
    world = three.world(sandbox, tmp_path)
    chance = random.Random(20261101)
    try:
        process = sending(world, users=600)
        for _ in range(deaths):
            victim = chance.choice(three.names)
            three.kill(victim)
            goes_on(world)
            three.start(victim)
        assert process.running
        finish(world, process)
        audit = world.audit()
        audit.check()
        assert audit.count(Outcome.SENT) == len(world.published)
    finally:
        world.close()
