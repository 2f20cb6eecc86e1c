"""Making the topics with the policies that the promise rests on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from processor.adapters.installation import ensure_installation
from processor.core.kept import loses, too_short
from schemas.kafka.asking import TIMEOUT_S, answer, asked_again, error_code, error_text, no_answer
from schemas.kafka.clients import admin_config
from schemas.runtime.errors import BrokerUnavailable, UsageError
from schemas.runtime.settings import Settings
from schemas.topics import TopicSpec

__all__ = [
    "TopicState",
    "check_topics",
    "create_topics",
    "ensure_topic",
    "too_few",
    "topic_config",
    "topic_config_is",
    "topic_configs",
]


@dataclass(frozen=True, slots=True)
class TopicState:
    name: str
    created: bool
    partitions: int


def create_topics(settings: Settings) -> list[TopicState]:
    """Makes the topics that are missing, with as many partitions as the jobs topic has, and the installation.

    What is there stays as it is: `topics upgrade` changes it. Raises `UsageError` for a topic whose policy would lose
    records, and `BrokerUnavailable`.
    """
    admin = AdminClient(admin_config(settings))
    cluster = _cluster(admin, settings)
    found = {name: len(topic.partitions) for name, topic in cluster.topics.items()}
    specs = settings.topics.specs()
    _refuse_wrong_policies(admin, [spec for spec in specs if spec.name in found])
    replication = settings.replication_factor or min(3, len(cluster.brokers))
    many = found.get(settings.topics.jobs, settings.partitions)
    wanted = {spec.name: spec.partitions or many for spec in specs}
    missing = [spec for spec in specs if spec.name not in found]
    if missing:
        # Somebody else may have made one just now, and otherwise.
        _refuse_wrong_policies(admin, _create(admin, missing, wanted, replication))
    small = [name for name, count in wanted.items() if found.get(name, count) < count]
    if small:
        _grow(admin, small, many)
    counts = {name: max(count, found.get(name, 0)) for name, count in wanted.items()}
    if missing or small:
        _until_known(admin, settings, counts)
    ensure_installation(settings)
    made = {spec.name for spec in missing}
    return [TopicState(spec.name, spec.name in made, counts[spec.name]) for spec in specs]


def ensure_topic(settings: Settings, spec: TopicSpec, partitions: int) -> int:
    """Makes one topic if it is missing, and waits until it can be seen; returns its partitions.

    Raises `BrokerUnavailable`.
    """
    admin = AdminClient(admin_config(settings))
    cluster = _cluster(admin, settings)
    if (topic := cluster.topics.get(spec.name)) is not None:
        return len(topic.partitions)
    replication = settings.replication_factor or min(3, len(cluster.brokers))
    _create(admin, [spec], {spec.name: partitions}, replication)
    return _until_known(admin, settings, {spec.name: 1})[spec.name]


def check_topics(settings: Settings) -> None:
    """Refuses to work on topics that would break the promise: raises `UsageError` and `BrokerUnavailable`."""
    admin = AdminClient(admin_config(settings))
    found = {name: len(topic.partitions) for name, topic in _cluster(admin, settings).topics.items()}
    specs = settings.topics.specs()
    for spec in specs:
        if spec.name not in found:
            raise BrokerUnavailable(f"there is no topic {spec.name}: run `mailonce topics create`")
    configs = _refuse_wrong_policies(admin, specs)
    for _, why in too_short(settings.topics, configs):
        raise UsageError(why)
    for spec in specs:
        if not spec.partitions and found[spec.name] < found[settings.topics.jobs]:
            raise UsageError(too_few(spec.name, found[spec.name], settings.topics.jobs, found[settings.topics.jobs]))


def too_few(name: str, count: int, jobs: str, wanted: int) -> str:
    """What to do about a topic that cannot take the outcomes of every partition of the jobs topic."""
    return (
        f"topic {name} has {count} partitions and {jobs} {wanted}: an outcome goes to its job's partition; "
        f"`mailonce topics create` adds what is missing"
    )


def _until_known(admin: AdminClient, settings: Settings, wanted: dict[str, int]) -> dict[str, int]:
    """Waits until a broker tells of each topic with so many partitions at least; returns how many it has.

    The controller answers when a topic is made; a busy broker hears of it later, and calls it unknown until then.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        known = {name: len(topic.partitions) for name, topic in _cluster(admin, settings).topics.items()}
        late = sorted(name for name, count in wanted.items() if known.get(name, 0) < count)
        if not late:
            return {name: known[name] for name in wanted}
        if time.monotonic() > deadline:
            raise BrokerUnavailable(f"topic {late[0]} was made, and no broker knows it whole after {TIMEOUT_S:g} s")
        time.sleep(0.1)


def _cluster(admin: AdminClient, settings: Settings) -> ClusterMetadata:
    try:
        return admin.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise no_answer(admin, settings, error) from error


def _grow(admin: AdminClient, names: list[str], partitions: int) -> None:
    for name, future in admin.create_partitions([NewPartitions(name, partitions) for name in names]).items():
        try:
            answer(future)
        except KafkaException as error:
            raise BrokerUnavailable(f"topic {name} could not be given more partitions: {error_text(error)}") from error


def _create(
    admin: AdminClient, missing: list[TopicSpec], partitions: dict[str, int], replication: int
) -> list[TopicSpec]:
    """Returns those that were there already."""
    there = []
    new = [
        NewTopic(spec.name, partitions[spec.name], replication, config=_with_isr(spec, replication)) for spec in missing
    ]
    futures = admin.create_topics(new)
    for name, future in futures.items():
        try:
            answer(future)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BrokerUnavailable(f"topic {name} could not be created: {error_text(error)}") from error
            there += [spec for spec in missing if spec.name == name]
    return there


def _with_isr(spec: TopicSpec, replication: int) -> dict[str, str]:
    return {**spec.config, "min.insync.replicas": "2" if replication >= 3 else "1"}


def topic_config(admin: AdminClient, name: str) -> dict[str, str]:
    """A topic's settings; one that was made just now is waited for until every broker knows it.

    Raises `BrokerUnavailable`.
    """
    resource = ConfigResource(ResourceType.TOPIC, name)
    try:
        found = asked_again(
            lambda: answer(admin.describe_configs([resource])[resource]),
            TIMEOUT_S,
            lambda error: error_code(error) == KafkaError.UNKNOWN_TOPIC_OR_PART,
        )
    except KafkaException as error:
        raise BrokerUnavailable(f"topic {name} could not be looked at: {error_text(error)}") from error
    return {key: str(entry.value) for key, entry in found.items()}


def topic_config_is(admin: AdminClient, name: str, wanted: Mapping[str, str]) -> None:
    """Waits until a broker tells that a topic's settings are these. Raises `BrokerUnavailable`."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        found = topic_config(admin, name)
        late = [setting for setting, value in wanted.items() if found.get(setting) != value]
        if not late:
            return
        if time.monotonic() > deadline:
            raise BrokerUnavailable(f"topic {name} was changed, and no broker tells the new {late[0]}")
        time.sleep(0.1)


def topic_configs(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The settings of each of these topics. Raises `BrokerUnavailable`."""
    return {name: topic_config(admin, name) for name in names}


def _refuse_wrong_policies(admin: AdminClient, specs: list[TopicSpec]) -> dict[str, dict[str, str]]:
    configs = topic_configs(admin, [spec.name for spec in specs])
    for spec in specs:
        if why := loses(spec, configs[spec.name]):
            raise UsageError(why)
    return configs
