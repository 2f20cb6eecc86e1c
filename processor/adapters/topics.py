"""Making the topics with the policies that the promise rests on."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from schemas.errors import BrokerUnavailable, UsageError
from schemas.reading import TIMEOUT_S, error_text
from schemas.settings import Settings
from schemas.topics import TopicSpec
from schemas.wire import admin_config

__all__ = ["TopicState", "create_topics"]


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
            f"Kafka at {settings.kafka_bootstrap_servers} does not answer: {error_text(error)}"
        ) from error
    specs = settings.topics.specs()
    _refuse_wrong_policies(admin, [spec for spec in specs if spec.name in cluster.topics])
    replication = settings.replication_factor or min(3, len(cluster.brokers))
    missing = [spec for spec in specs if spec.name not in cluster.topics]
    if missing:
        _create(admin, missing, settings.partitions, replication)
    return [
        TopicState(
            spec.name,
            spec in missing,
            settings.partitions if spec in missing else len(cluster.topics[spec.name].partitions),
        )
        for spec in specs
    ]


def _create(admin: AdminClient, missing: list[TopicSpec], partitions: int, replication: int) -> None:
    futures = admin.create_topics(
        [NewTopic(spec.name, partitions, replication, config=_with_isr(spec, replication)) for spec in missing]
    )
    for name, future in futures.items():
        try:
            future.result(TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BrokerUnavailable(f"topic {name} could not be created: {error_text(error)}") from error


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
