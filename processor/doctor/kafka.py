"""Kafka: does it answer, and do the topics keep what the promise rests on?"""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import KafkaException, libversion
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    TopicMetadata,
)

from processor.adapters.control import read_control
from processor.adapters.installation import check_installation, places_now
from processor.adapters.topics import topic_config
from processor.doctor.finding import Finding, bad, fine, note
from schemas.kafka.asking import TIMEOUT_S, error_text
from schemas.kafka.clients import admin_config
from schemas.runtime.errors import BrokerUnavailable, InstallationForeign
from schemas.runtime.settings import Settings
from schemas.topics import TopicSpec

__all__ = ["check_kafka"]

AREA = "kafka"
_CREATE = "mailonce topics create"


def check_kafka(settings: Settings) -> Iterator[Finding]:
    """Raises `BrokerUnavailable`."""
    admin = AdminClient(admin_config(settings))
    try:
        cluster = admin.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise BrokerUnavailable(
            f"Kafka at {settings.kafka_bootstrap_servers} does not answer: {error_text(error)}; is it up, and is "
            f"MAILONCE_KAFKA_BOOTSTRAP_SERVERS right?"
        ) from error
    brokers = len(cluster.brokers)
    yield fine(AREA, "answers", f"{brokers} {'broker' if brokers == 1 else 'brokers'}, librdkafka {libversion()[0]}")
    if brokers < 3:
        yield note(AREA, "brokers", f"{brokers}: none may be lost", "run three: any one may die then")
    jobs = cluster.topics.get(settings.topics.jobs)
    for spec in settings.topics.specs():
        topic = cluster.topics.get(spec.name)
        if topic is None:
            yield bad(AREA, spec.name, "there is no such topic", _CREATE)
            continue
        yield from _topic(admin, spec, topic, brokers, len(jobs.partitions) if jobs else 0)
    if all(spec.name in cluster.topics for spec in settings.topics.specs()):
        yield from _whose(settings)


def _whose(settings: Settings) -> Iterator[Finding]:
    """Whether cluster and topics are those that the control topic tells of."""
    places = places_now(settings)
    try:
        ours = check_installation(read_control(settings).installation, places, settings.topics.control)
    except InstallationForeign as foreign:
        yield bad(AREA, "installation", str(foreign), "as it says; what is adopted is told before")
        return
    yield fine(AREA, "installation", ours.id)
    if len(places.topics) < 4:
        todo = "brokers of Kafka 2.8 or newer: until then the cluster's id alone tells one installation from another"
        yield note(AREA, "topic ids", "the brokers tell none: a topic made anew goes unnoticed", todo)


def _topic(
    admin: AdminClient, spec: TopicSpec, topic: TopicMetadata, brokers: int, partitions: int
) -> Iterator[Finding]:
    config = topic_config(admin, spec.name)
    problems = list(_policy(spec, config))
    if not spec.partitions and len(topic.partitions) < partitions:
        problems.append(bad(AREA, spec.name, f"{len(topic.partitions)} partitions, jobs have {partitions}", _CREATE))
    copies = min((len(partition.replicas) for partition in topic.partitions.values()), default=0)
    in_sync = int(config.get("min.insync.replicas", "1"))
    if brokers >= 3 and (copies < 3 or in_sync < 2):
        problems.append(
            note(
                AREA,
                spec.name,
                f"{copies} copies, min.insync.replicas {in_sync}",
                "3 copies and 2 in sync: else a lost disk is lost outcomes",
            )
        )
    if config.get("unclean.leader.election.enable") == "true":
        todo = f"kafka-configs --alter --topic {spec.name} --add-config unclean.leader.election.enable=false"
        problems.append(bad(AREA, spec.name, "unclean leader election: committed records may vanish", todo))
    yield from problems or [
        fine(AREA, spec.name, f"{len(topic.partitions)} partitions, {copies} copies, {config['cleanup.policy']}")
    ]


def _policy(spec: TopicSpec, config: dict[str, str]) -> Iterator[Finding]:
    if frozenset(config["cleanup.policy"].split(",")) != spec.cleanup_policy:
        wanted = spec.config["cleanup.policy"]
        todo = f"kafka-configs --alter --topic {spec.name} --add-config cleanup.policy=[{wanted}]"
        yield bad(AREA, spec.name, f"cleanup.policy={config['cleanup.policy']}: records would vanish", todo)
    for name, wanted in spec.config.items():
        # A segment may be short: how long records stay is what matters.
        if name.endswith(".ms") and name != "segment.ms" and 0 <= int(config.get(name, "0")) < int(wanted):
            todo = f"kafka-configs --alter --topic {spec.name} --add-config {name}={wanted}"
            yield bad(AREA, spec.name, f"{name}={config.get(name)}: shorter than a campaign", todo)
