"""What Kafka says of a processor group."""

from __future__ import annotations

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from schemas.runtime.settings import Settings
from tests.support.world import WAIT_S

__all__ = ["shares"]


def shares(settings: Settings) -> list[int]:
    """How many partitions each member has; nothing while the group rebalances, or when nobody is in it."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    group = admin.describe_consumer_groups([settings.group_id])[settings.group_id].result(WAIT_S)
    if group.state != ConsumerGroupState.STABLE:
        return []
    return [len(member.assignment.topic_partitions) for member in group.members]
