"""Batches of records that no client can take apart: damaged, or larger than `receive.message.max.bytes` when unpacked.

librdkafka tells of such a batch by its first offset, again and again, and stays before it
(confluentinc/librdkafka#5581); where it ends it does not say. So who wants to go on asks behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.kafka.clients import reader_config
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["UNREADABLE", "first_outside", "next_readable", "pass_over", "unreadable_at"]

log = get_log()

UNREADABLE = {KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG}
TIMEOUT_S = 15.0


def next_readable(settings: Settings, topic: str, partition: int, offset: int) -> int:
    """The first offset behind the unreadable batch that begins at `offset`. Raises `BrokerUnavailable`."""
    # What stands in an open transaction can be asked for, too.
    consumer = Consumer(reader_config(settings) | {"isolation.level": "read_uncommitted"})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), TIMEOUT_S)
        return first_outside(lambda place: _batch_at(consumer, topic, partition, place) == offset, offset, end)
    except KafkaException as error:
        raise BrokerUnavailable(f"looking behind {topic} {partition}:{offset}: {error}") from error
    finally:
        consumer.close()


def pass_over(settings: Settings, consumer: Consumer, topic: str, message: Message) -> int:
    """Goes on behind a batch that nobody can read, aloud; returns where.

    Only of the jobs: who looks at them decides nothing, and processors wait there for an operator. What the ledger
    holds must be known whole.
    """
    number, offset = message.partition() or 0, message.offset() or 0
    go_on = next_readable(settings, topic, number, offset)
    places = f"{number}:{offset} to {number}:{go_on - 1}"
    log.warning(Event.UNREADABLE, topic=topic, places=places, follows="not looked at")
    consumer.seek(TopicPartition(topic, number, go_on))
    return go_on


def unreadable_at(settings: Settings, topic: str, partition: int, offset: int) -> int | None:
    """The first offset of the unreadable batch that holds `offset`; none where it can be read.

    Raises `BrokerUnavailable`.
    """
    consumer = Consumer(reader_config(settings) | {"isolation.level": "read_uncommitted"})
    try:
        return _batch_at(consumer, topic, partition, offset)
    finally:
        consumer.close()


def first_outside(is_inside: Callable[[int], bool], offset: int, end: int) -> int:
    """The first place above `offset` that is not inside, at most `end`: in ever longer steps, then by halves."""
    inside, outside, step = offset, end, 1
    while inside + step < end:
        if not is_inside(inside + step):
            outside = inside + step
            break
        inside += step
        step *= 2
    while outside - inside > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if is_inside(middle) else (inside, middle)
    return outside


def _batch_at(consumer: Consumer, topic: str, partition: int, offset: int) -> int | None:
    """Where the unreadable batch at a place begins; none where a record or the partition's end is."""
    consumer.assign([TopicPartition(topic, partition, offset)])
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        message = consumer.poll(0.5)
        error = message.error() if message is not None else None
        if message is None:
            continue
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return None
        if error.code() in UNREADABLE:
            return message.offset()
    raise BrokerUnavailable(f"Kafka did not say what {topic} holds at {partition}:{offset}")
