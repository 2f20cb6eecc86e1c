"""How far a dashboard has to read before it may say that it has read everything.

The ends of partitions do not tell: a transaction's marker is no record, and no reader ever gets one. So the last record
of each partition is looked up.
"""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.kafka.asking import TIMEOUT_S, error_text
from schemas.kafka.clients import admin_config, reader_config
from schemas.kafka.ends import end_offsets
from schemas.kafka.reading import partition_numbers, read_topic
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings

__all__ = ["targets"]

_BACK = (100, 10_000)
"""How far before the end a last record is looked for; then from the beginning."""


def targets(settings: Settings, topics: list[str], group: str) -> dict[tuple[str, int], int]:
    """(topic, partition): offset of its last record, where `group` has not committed past it.

    Raises `BrokerUnavailable`.
    """
    found: dict[tuple[str, int], int] = {}
    admin = AdminClient(admin_config(settings))
    for topic in topics:
        ends = end_offsets(admin, topic, partition_numbers(settings, topic))
        found |= {(topic, number): offset for number, offset in _last_records(settings, topic, ends).items()}
    consumer = Consumer(reader_config(settings, group=group))
    try:
        places = [TopicPartition(topic, number) for topic, number in found]
        committed = {(at.topic, at.partition): at.offset for at in consumer.committed(places, TIMEOUT_S)}
    except KafkaException as error:
        raise BrokerUnavailable(f"asking how far {group} has read: {error_text(error)}") from error
    finally:
        consumer.close()
    return {place: offset for place, offset in found.items() if committed.get(place, -1) <= offset}


def _last_records(settings: Settings, topic: str, ends: dict[int, int]) -> dict[int, int]:
    last: dict[int, int] = {}
    left = {number: end for number, end in ends.items() if end > 0}
    for back in (*_BACK, max(left.values(), default=0)):
        starts = {number: max(0, end - back) for number, end in left.items()}
        for record in read_topic(settings, topic, sorted(left), starts):
            last[record.partition] = record.offset
        left = {number: end for number, end in left.items() if number not in last and starts[number] > 0}
        if not left:
            break
    return last
