"""Jobs marked with a registry's schema id, against a real registry: what others write is read, what is written others read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas.codec import encode
from schemas.kafka.reading import read_topic
from schemas.records import Outcome
from tests.support.apicurio import FOLDER, Apicurio
from tests.support.world import MONTH, World, job

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="no registry here: `make registry` fetches one (150 MB)"),
]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apicurio]:
    registry = Apicurio(tmp_path_factory.mktemp("apicurio"))
    try:
        yield registry
    finally:
        registry.close()


@pytest.fixture
def client(registry: Apicurio) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


def publish(world: World, url: str, rows: int, *args: str, ok: tuple[int, ...] = (0,)) -> Any:
    source = world.folder / "users.csv"
    source.write_text("user_id,email,name,usage\n" + "".join(f"u{n},u{n}@b.de,N,5\n" for n in range(rows)))
    return world.run(
        *("produce", "--month", MONTH, "--source", str(source), "--json", *args),
        ok=ok,
        MAILONCE_SCHEMA_REGISTRY_URL=url,
    )


def context(world: World) -> SerializationContext:
    return SerializationContext(world.settings.topics.jobs, MessageField.VALUE)


def test_what_the_producer_writes_others_read(world: World, registry: Apicurio, client: SchemaRegistryClient) -> None:
    """By Confluent's own deserializer; publishing again changes nothing, with the registry or without."""
    assert json.loads(publish(world, registry.url, 12).stdout)["published"] == 12
    assert json.loads(publish(world, registry.url, 12).stdout)["unchanged"] == 12
    plain = json.loads(publish(world, "", 13).stdout)
    assert (plain["published"], plain["unchanged"]) == (1, 12)
    subject = f"{world.settings.topics.jobs}-value"
    assert client.get_subjects() == [subject]
    text = client.get_latest_version(subject).schema.schema_str
    from confluent_kafka.schema_registry.json_schema import JSONDeserializer  # slow to import

    read = JSONDeserializer(text, schema_registry_client=client)
    marked = [r.value for r in read_topic(world.settings, world.settings.topics.jobs) if r.value and r.value[0] == 0]
    assert len(marked) == 12
    assert {read(value, context(world))["user_id"] for value in marked} == {f"u{n}" for n in range(12)}
    world.drain()
    assert world.sandbox.accepted_count() == 13


def test_what_others_write_the_processor_reads(world: World, client: SchemaRegistryClient) -> None:
    """G1 to G3 for marked jobs: sent, dead-lettered with their exact bytes, requeued."""
    text = Path("schemas/json/job.schema.json").read_text()
    from confluent_kafka.schema_registry.json_schema import JSONSerializer

    write = JSONSerializer(Schema(text, "JSON"), client)
    jobs = [job(f"u{n}") for n in range(5)]
    records = [(f"{one.user_id}:{MONTH}".encode(), write(json.loads(encode(one)), context(world)), []) for one in jobs]
    bad = write(json.loads(encode(job("lacks", usage=None))), context(world))
    records += [(f"lacks:{MONTH}".encode(), bad, []), (f"junk:{MONTH}".encode(), b"\0\0\0\0\1junk", [])]
    world.publish_raw(records)
    world.drain()
    assert world.sandbox.accepted_count() == 5
    letters = {record.key: (record.value, letter.reason) for record, letter in world.dead_letters()}
    assert letters == {
        f"lacks:{MONTH}".encode(): (bad, "missing-data"),
        f"junk:{MONTH}".encode(): (b"\0\0\0\0\1junk", "not-json"),
    }
    ((record, _),) = [one for one in world.dead_letters() if one[1].reason == "missing-data"]
    world.run("dead-letters", "requeue", f"{record.partition}:{record.offset}", "--set", "usage=5", "--why", "test")
    world.drain()
    assert world.sandbox.accepted_count() == 6
    assert {entry[-1].outcome for entry in world.deliveries().values()} == {Outcome.SENT, Outcome.DEAD}


def test_a_registry_that_says_no(world: World, registry: Apicurio, client: SchemaRegistryClient) -> None:
    """Nothing is published; which subject, which address, no password."""
    subject = f"{world.settings.topics.jobs}-value"
    other = {"type": "object", "properties": {"v": {"type": "string"}}, "additionalProperties": False}
    client.set_compatibility(subject_name=subject, level="FULL")
    client.register_schema(subject, Schema(json.dumps(other), "JSON"))
    assert f"refuses subject {subject}" in publish(world, registry.url, 1, ok=(2,)).stderr
    done = publish(world, "http://me:hidden@127.0.0.1:9/", 1, ok=(1,))
    assert "the schema registry at 127.0.0.1 does not answer" in done.stderr
    assert "hidden" not in done.stderr
    assert list(read_topic(world.settings, world.settings.topics.jobs)) == []
