"""Topics that 0.1 made, with what it wrote, become as new ones are: real commands on a real broker."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from processor.adapters.topics import topic_config, topic_config_is
from schemas.kafka.clients import admin_config
from schemas.kafka.ends import end_offsets
from schemas.partitions import partition_of
from tests.support.world import MONTH, WAIT_S, World, job
from tests.unit.test_contracts_for_others import GOLDEN
from tests.unit.test_topic_changes import OF_0_1

pytestmark = pytest.mark.xdist_group("jsonschema")
DAY_MS = 86_400_000
AGO_MS = 500 * DAY_MS
OLD = "2025-05"
"""closed by the first month that is opened"""


def change(world: World, topic: str, config: dict[str, str]) -> None:
    admin = AdminClient(admin_config(world.settings))
    entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in config.items()]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin.incremental_alter_configs([resource])[resource].result(WAIT_S)
    topic_config_is(admin, topic, config)


def made_by_0_1(world: World) -> None:
    for name, config in OF_0_1.items():
        if name != "t-control":
            topic = world.settings.topic_prefix + name.removeprefix("t-")
            change(world, topic, {"message.timestamp.type": "CreateTime", "max.message.bytes": "1048588"} | config)


def write(world: World, user: str, ago_ms: int, *kinds: str, month: str = OLD) -> None:
    """As 0.1 wrote them so long ago: a job, and what became of it."""
    topics, key = world.settings.topics, f"{user}:{month}".encode()
    producer = Producer({"bootstrap.servers": world.settings.kafka_bootstrap_servers})
    for kind in kinds:
        topic = {"job": topics.jobs, "attempt": topics.attempts, "delivery": topics.deliveries}[kind]
        value = GOLDEN[kind].replace(b"u-1042", user.encode()).replace(b"2026-11", month.encode())
        written_ms = time.time_ns() // 1_000_000 - ago_ms
        producer.produce(topic, value, key, partition_of(key, 4), timestamp=written_ms)
    assert producer.flush(WAIT_S) == 0


def test_topics_of_0_1_are_upgraded(world: World) -> None:
    """G1, G2: nothing goes of a month that is open, nor a job without an outcome; then all is kept as it should."""

    def upgrade(*args: str, ok: int = 0) -> Any:
        done = world.run("topics", "upgrade", *args, ok=(ok,))
        return json.loads(done.stdout) if "--json" in args and ok == 0 else done.stderr

    made_by_0_1(world)
    write(world, "sent", AGO_MS, "job", "attempt", "delivery")
    write(world, "late", AGO_MS, "job")
    assert f"records of {OLD} are older" in upgrade("--dry-run", ok=2)
    source = world.folder / "users.csv"
    source.write_text("user_id,email,name,usage\nu1,u1@mail.example.net,User 1,42\n")
    world.run("produce", "--month", MONTH, "--source", str(source))
    assert f"late:{OLD}" in upgrade("--yes", ok=2)
    world.drain()
    assert [(letter.reason, record.key) for record, letter in world.dead_letters()] == [
        ("too-old", f"late:{OLD}".encode())
    ]
    assert "--yes" in upgrade(ok=2)
    planned = upgrade("--dry-run", "--json")
    assert planned["records_that_go"] == {world.settings.topics.jobs: 2, world.settings.topics.deliveries: 0}
    done = upgrade("--yes", "--json")
    assert done["changes"] == planned["changes"]
    admin = AdminClient(admin_config(world.settings))
    for spec in world.settings.topics.specs():
        assert topic_config(admin, spec.name).items() >= spec.config.items()
    assert upgrade("--yes", "--json")["changes"] == []
    world.publish([job("u2")])
    world.drain("d2")
    world.run("replay", "--from-beginning")
    assert sorted(str(key) for key in world.sandbox.by_key()) == [f"u1:{MONTH}", f"u2:{MONTH}"]
    assert world.sandbox.accepted_count() == 2


def test_a_month_whose_ledger_has_begun_to_go_is_not_published_again(world: World) -> None:
    """G1: nobody raised the floor for years; the ledger was aged, and Redis may be another."""
    source = world.folder / "users.csv"
    source.write_text("user_id,email,name,usage\nu1,u1@mail.example.net,User 1,42\n")
    produce = ("produce", "--month", MONTH, "--source", str(source))
    world.run(*produce)
    world.drain()
    world.run(*produce)
    admin, ledger = AdminClient(admin_config(world.settings)), world.settings.topics.deliveries
    ends = end_offsets(admin, ledger, range(4))
    gone = admin.delete_records([TopicPartition(ledger, number, end) for number, end in ends.items()])
    for asked in gone.values():
        asked.result(WAIT_S)
    assert "no longer holds" in world.run(*produce, ok=(2,)).stderr
    assert world.sandbox.accepted_count() == 1


def test_a_job_counts_as_long_as_its_topic_keeps_it(world: World) -> None:
    """G1, G6: of jobs that Kafka leaves lying beside a young one, none past its time is sent, and none told of anew."""
    jobs = world.settings.topics.jobs
    change(world, jobs, {"message.timestamp.type": "CreateTime"})
    for user, days in (("young", 464), ("over", 466), ("forgotten", 528)):
        write(world, user, days * DAY_MS, "job", month=MONTH)
    change(world, jobs, {"message.timestamp.type": "LogAppendTime"})
    world.publish([job("new")])
    world.push_template("monthly-usage", {"Subject": "Hi", "Text": "Hello {{name}}"})
    world.drain()
    assert sorted(str(key) for key in world.sandbox.by_key()) == [f"new:{MONTH}", f"young:{MONTH}"]
    assert [(record.key, letter.reason) for record, letter in world.dead_letters()] == [
        (f"over:{MONTH}".encode(), "too-old")
    ]
