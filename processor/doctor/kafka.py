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
from processor.core.kept import FOR_EVER_MS, kept_ms, loses, too_short
from processor.core.topic_changes import changes
from processor.doctor.finding import Finding, bad, fine, note
from schemas.kafka.asking import TIMEOUT_S, error_text
from schemas.kafka.clients import admin_config
from schemas.runtime.errors import BrokerUnavailable, InstallationForeign
from schemas.runtime.settings import Settings
from schemas.topics import TopicSpec

__all__ = ["check_kafka"]

AREA = "kafka"
_CREATE = "mailonce topics create"
_UPGRADE = "mailonce topics upgrade"


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
    jobs, configs = cluster.topics.get(settings.topics.jobs), dict[str, dict[str, str]]()
    for spec in settings.topics.specs():
        topic = cluster.topics.get(spec.name)
        if topic is None:
            yield bad(AREA, spec.name, "there is no such topic", _CREATE)
            continue
        config = configs[spec.name] = topic_config(admin, spec.name)
        yield from _topic(config, spec, topic, brokers, len(jobs.partitions) if jobs else 0)
    if len(configs) == len(settings.topics.specs()):
        yield from _ages(settings, configs)
        yield from _whose(settings)


def _ages(settings: Settings, configs: dict[str, dict[str, str]]) -> Iterator[Finding]:
    """Whether what tells of a job is kept for longer than it, and whether topics are as new ones are."""
    for name, why in too_short(settings.topics, configs):
        yield bad(AREA, name, why, _UPGRADE)
    if found := changes(settings.topics, configs):
        names = ", ".join(change.topic for change in found)
        yield note(AREA, "topics", f"not as new ones are made: {names}", _UPGRADE)


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
    config: dict[str, str], spec: TopicSpec, topic: TopicMetadata, brokers: int, partitions: int
) -> Iterator[Finding]:
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
    if why := loses(spec, config):
        wanted = spec.config["cleanup.policy"]
        todo = f"kafka-configs --alter --topic {spec.name} --add-config cleanup.policy=[{wanted}], or {_UPGRADE}"
        yield bad(AREA, spec.name, why, todo)
    for name, wanted in spec.config.items():
        if name == "retention.ms" and kept_ms(config) == FOR_EVER_MS:
            continue
        # A segment may be short: how long records stay is what matters.
        if name.endswith(".ms") and name != "segment.ms" and 0 <= int(config.get(name, "0")) < int(wanted):
            todo = f"kafka-configs --alter --topic {spec.name} --add-config {name}={wanted}, or {_UPGRADE}"
            yield bad(AREA, spec.name, f"{name}={config.get(name)}: shorter than new topics have it", todo)
