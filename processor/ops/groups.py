"""The processors of a group as Kafka knows them: who is a member, with which partitions."""

from __future__ import annotations

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import BrokerUnavailable
from schemas.reading import TIMEOUT_S, error_text
from schemas.settings import Settings
from schemas.wire import CLIENT_ID, admin_config

__all__ = ["Member", "members"]


class Member(msgspec.Struct, frozen=True):
    """A processor that is in its group now."""

    instance: str
    host: str
    partitions: list[int]


def members(settings: Settings, group: str) -> list[Member]:
    """In order of their names; none for a group that nobody ever joined. Raises `BrokerUnavailable`."""
    admin = AdminClient(admin_config(settings))
    try:
        about = admin.describe_consumer_groups([group])[group].result(TIMEOUT_S)
    except KafkaException as error:
        if "GROUP_ID_NOT_FOUND" in str(error):
            return []
        raise BrokerUnavailable(f"group {group} could not be looked at: {error_text(error)}") from error
    found = []
    for member in about.members:
        places = member.assignment.topic_partitions if member.assignment else []
        numbers = sorted(place.partition for place in places if place.topic == settings.topics.jobs)
        name = str(member.client_id).removeprefix(f"{CLIENT_ID}-")
        found.append(Member(name, str(member.host).lstrip("/"), numbers))
    return sorted(found, key=lambda member: member.instance)
