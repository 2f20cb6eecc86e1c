"""Reading topics whole, for commands and rebuilds; and making them with the right policies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from processor.adapters.kafka import record_of
from processor.core.work import Record
from schemas.errors import BrokerUnavailable, UsageError
from schemas.settings import Settings
from schemas.topics import TopicSpec
from schemas.wire import admin_config, reader_config

__all__ = ["TopicState", "create_topics", "partition_numbers", "read_record", "read_topic"]

TIMEOUT_S = 15.0


def read_topic(settings: Settings, topic: str, partitions: list[int] | None = None) -> Iterator[Record]:
    """Every committed record of a topic from its beginning to its end as of now, partition after partition mixed.

    Raises `BrokerUnavailable` when Kafka does not answer or the topic is missing.
    """
    consumer = Consumer(reader_config(settings))
    try:
        numbers = partitions if partitions is not None else _partitions(consumer, topic, settings)
        consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        left = set(numbers)
        while left:
            messages = consumer.consume(1000, 5.0)
            if not messages:
                raise BrokerUnavailable(f"Kafka sent nothing of {topic} for 5 s")
            for message in messages:
                error = message.error()
                if error is None:
                    yield record_of(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition() or 0)
                elif error.code() not in {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}:
                    raise BrokerUnavailable(f"reading {topic}: {error.str()}")
    except KafkaException as error:
        raise BrokerUnavailable(f"reading {topic}: {error}") from error
    finally:
        consumer.close()


def read_record(settings: Settings, topic: str, partition: int, offset: int) -> Record | None:
    """The record at a place, or ``None``."""
    consumer = Consumer(reader_config(settings))
    try:
        if partition not in _partitions(consumer, topic, settings):
            return None
        consumer.assign([TopicPartition(topic, partition, offset)])
        while messages := consumer.consume(1, 5.0):
            error = messages[0].error()
            if error is not None:
                return None
            record = record_of(messages[0])
            return record if record.offset == offset else None
        return None
    finally:
        consumer.close()


def partition_numbers(settings: Settings, topic: str) -> list[int]:
    """The topic's partitions; raises `BrokerUnavailable`."""
    consumer = Consumer(reader_config(settings))
    try:
        return _partitions(consumer, topic, settings)
    finally:
        consumer.close()


def _partitions(consumer: Consumer, topic: str, settings: Settings) -> list[int]:
    try:
        found = consumer.list_topics(topic, TIMEOUT_S).topics[topic]
    except KafkaException as error:
        raise BrokerUnavailable(
            f"Kafka at {settings.kafka_bootstrap_servers} does not answer: is it up, and is "
            f"MAILONCE_KAFKA_BOOTSTRAP_SERVERS right? ({error.args[0].str()})"
        ) from error
    if found.error is not None:
        raise BrokerUnavailable(f"there is no topic {topic}: run `mailonce topics create`")
    return sorted(found.partitions)


@dataclass(frozen=True, slots=True)
class TopicState:
    name: str
    created: bool
    partitions: int


def create_topics(settings: Settings) -> list[TopicState]:
    """Makes the topics that are missing; raises `UsageError` for one whose cleanup policy would lose records."""
    admin = AdminClient(admin_config(settings))
    try:
        cluster = admin.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise BrokerUnavailable(
            f"Kafka at {settings.kafka_bootstrap_servers} does not answer: {error.args[0].str()}"
        ) from error
    specs = settings.topics.specs()
    _refuse_wrong_policies(admin, [spec for spec in specs if spec.name in cluster.topics])
    replication = settings.replication_factor or min(3, len(cluster.brokers))
    missing = [spec for spec in specs if spec.name not in cluster.topics]
    futures = admin.create_topics(
        [NewTopic(spec.name, settings.partitions, replication, config=_with_isr(spec, replication)) for spec in missing]
    )
    for name, future in futures.items():
        try:
            future.result(TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BrokerUnavailable(f"topic {name} could not be created: {error.args[0].str()}") from error
    return [
        TopicState(
            spec.name,
            spec in missing,
            settings.partitions if spec in missing else len(cluster.topics[spec.name].partitions),
        )
        for spec in specs
    ]


def _with_isr(spec: TopicSpec, replication: int) -> dict[str, str]:
    return {**spec.config, "min.insync.replicas": "2" if replication >= 3 else "1"}


def _refuse_wrong_policies(admin: AdminClient, specs: list[TopicSpec]) -> None:
    if not specs:
        return
    asked = {spec.name: spec for spec in specs}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in asked]
    for resource, future in admin.describe_configs(resources).items():
        policy = future.result(TIMEOUT_S)["cleanup.policy"].value
        spec = asked[resource.name]
        if frozenset(policy.split(",")) != spec.cleanup_policy:
            wanted = spec.config["cleanup.policy"]
            raise UsageError(
                f"topic {spec.name} exists with cleanup.policy={policy}; mailonce needs {wanted}, or records that the "
                f"promise rests on would vanish. Change it with kafka-configs, or set another MAILONCE_TOPIC_PREFIX."
            )
