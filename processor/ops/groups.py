"""The processors of a group as Kafka knows them: who is a member, with which partitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from schemas.kafka.asking import answer, asked_again, error_code, error_text
from schemas.kafka.clients import CLIENT_ID, admin_config
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings

__all__ = ["Member", "coordinated", "members"]

T = TypeVar("T")
_NOT_YET = {
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
"""A new cluster makes the topic of its groups when first asked; after a restart its partitions move and are read."""


class Member(msgspec.Struct, frozen=True):
    """A processor that is in its group now."""

    instance: str
    host: str
    partitions: list[int]


def coordinated(question: Callable[[], T], patience_s: float) -> T:
    """Asks a group's coordinator, again and again while there is none yet, for so long. Raises `KafkaException`.

    librdkafka asks again by itself only while it looks for the coordinator, not when that one says so of itself.
    """
    return asked_again(question, patience_s, lambda error: error_code(error) in _NOT_YET)


def members(settings: Settings, group: str, patience_s: float) -> list[Member]:
    """In order of their names; none for a group that nobody ever joined. Raises `BrokerUnavailable`."""
    admin = AdminClient(admin_config(settings))
    try:
        about = coordinated(lambda: answer(admin.describe_consumer_groups([group])[group]), patience_s)
    except KafkaException as error:
        if error_code(error) == KafkaError.GROUP_ID_NOT_FOUND:
            return []
        raise BrokerUnavailable(f"group {group} could not be looked at: {error_text(error)}") from error
    found = []
    for member in about.members:
        places = member.assignment.topic_partitions if member.assignment else []
        numbers = sorted(place.partition for place in places if place.topic == settings.topics.jobs)
        name = str(member.client_id).removeprefix(f"{CLIENT_ID}-")
        found.append(Member(name, str(member.host).lstrip("/"), numbers))
    return sorted(found, key=lambda member: member.instance)
