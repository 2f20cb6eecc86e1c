"""Who this mailonce is: one cluster, its topics, one dedup set, under an id that was made once.

Names are not enough: another cluster may have topics of the same names, and a topic that was deleted and made anew has
the name of the old one. Topic ids tell those apart (KIP-516; Kafka 2.8 and newer).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from processor.adapters.control import change_control, read_control
from processor.core.adoption import Places
from processor.core.control import Control
from processor.ports import ServerSeen
from schemas.control import Content, Installation, control_key, new_control_id
from schemas.kafka.asking import TIMEOUT_S, answer, error_text
from schemas.kafka.clients import admin_config
from schemas.runtime.errors import BrokerUnavailable, InstallationForeign, RedisForeign
from schemas.runtime.settings import Settings

__all__ = ["Places", "check_installation", "check_set", "describe", "ensure_installation", "places_now", "topic_id"]

_NO_ID = "A" * 22
"""A topic id of zeros: the broker has none."""


def places_now(settings: Settings, client: AdminClient | None = None) -> Places:
    """Asked of the brokers, by a client of the caller's or one of its own. Raises `BrokerUnavailable`."""
    topics, admin = settings.topics, client or AdminClient(admin_config(settings))
    names = [topics.control, topics.jobs, topics.attempts, topics.deliveries]
    found = {name: topic_id(about) for name, about in describe(admin, names).items()}
    with _told():
        # `describe_cluster` would abort the process where every broker is fenced.
        cluster = admin.list_topics(topics.control, timeout=TIMEOUT_S).cluster_id or ""
    return Places(cluster, {name: topic for name, topic in found.items() if topic})


def describe(admin: AdminClient, names: list[str]) -> dict[str, Any]:
    """Topics as the brokers describe them. Raises `BrokerUnavailable`, also when there is no such topic."""
    with _told():
        asked = admin.describe_topics(TopicCollection(names), request_timeout=TIMEOUT_S)
        return {name: answer(future) for name, future in asked.items()}


def topic_id(about: Any) -> str:
    """Empty where the broker tells none."""
    told = str(about.topic_id or "")
    return "" if told == _NO_ID else told


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise BrokerUnavailable(f"Kafka does not say which topics it has: {error_text(error)}") from error


def ensure_installation(settings: Settings) -> Installation:
    """The installation; makes it where there is none. Raises `BrokerUnavailable`."""
    if (standing := read_control(settings).installation) is not None:
        return standing
    now = places_now(settings)
    made = Installation(id=new_control_id(), cluster=now.cluster, topics=now.topics, at_ms=_now_ms())

    def decide(control: Control) -> list[tuple[bytes, Content | None]]:
        return [] if control.installation else [(control_key(made), made)]

    found = change_control(settings, decide).installation
    assert found is not None
    return found


def check_installation(installation: Installation | None, now: Places, control_topic: str) -> Installation:
    """Raises `InstallationForeign` where cluster or topics are not those of the installation, or there is none."""
    if installation is None:
        raise InstallationForeign(f"topic {control_topic} names no installation: run `mailonce topics create`")
    if installation.cluster and now.cluster and installation.cluster != now.cluster:
        raise InstallationForeign(
            f"this Kafka is cluster {now.cluster}, and the control topic was made on {installation.cluster}: fix "
            f"MAILONCE_KAFKA_BOOTSTRAP_SERVERS, or if the topics were moved on purpose, run `mailonce dedup adopt`"
        )
    for name, topic_id in installation.topics.items():
        if name in now.topics and now.topics[name] != topic_id:
            raise InstallationForeign(
                f"topic {name} was deleted and made anew: its records are others than those that were counted on. If "
                f"the new one is right, stop every processor and run `mailonce dedup adopt`"
            )
    return installation


def check_set(installation: Installation, seen: ServerSeen) -> None:
    """Raises `RedisForeign` where the dedup set is another installation's, or is being adopted."""
    if seen.installation and seen.installation != installation.id:
        raise RedisForeign(seen.installation, installation.id)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
