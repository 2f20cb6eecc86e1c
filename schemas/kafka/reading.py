"""Kafka records as values, and topics read whole: what producer, processor and operators' tools all do alike."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.kafka.asking import TIMEOUT_S, error_text, no_answer
from schemas.kafka.clients import admin_config, reader_config, transactional_config
from schemas.kafka.ends import end_offsets
from schemas.kafka.unreadable import UNREADABLE, pass_over
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = [
    "Follower",
    "Record",
    "RecordReader",
    "partition_numbers",
    "read_messages",
    "read_record",
    "read_topic",
    "record_of",
    "take",
]

log = get_log()

SAY_AFTER_S = 2.0
_PASSING = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE}


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as Kafka gave it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp_ms: int


def record_of(message: Message) -> Record:
    partition, offset = message.partition(), message.offset()
    assert partition is not None, "a consumed message has a place"
    assert offset is not None
    return Record(
        partition=partition,
        offset=offset,
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers=[(header[0], _bytes(header[1])) for header in message.headers() or ()],
        timestamp_ms=message.timestamp()[1],
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def take(consumer: Consumer, count: int, timeout_s: float) -> list[Message]:
    """Up to `count` messages as soon as there is one (`consume` alone would wait for all of them)."""
    first = consumer.poll(timeout_s)
    if first is None:
        return []
    return [first, *consumer.consume(count - 1, 0)] if count > 1 else [first]


def read_topic(
    settings: Settings, topic: str, partitions: list[int] | None = None, starts: Mapping[int, int] | None = None
) -> Iterator[Record]:
    """Every committed record that `read_messages` gives, by itself. Raises `BrokerUnavailable`."""
    for messages in read_messages(settings, topic, partitions, starts):
        yield from map(record_of, messages)


def read_messages(
    settings: Settings, topic: str, partitions: list[int] | None = None, starts: Mapping[int, int] | None = None
) -> Iterator[list[Message]]:
    """Every committed record of a topic, or of some partitions, from the beginning (or `starts`) to the end as of now.

    They come some at once, those of one partition in order. While a transaction is open nothing after its first record
    can be read: a dead processor's stays open until Kafka aborts it, and this waits for that rather than take it for
    the end. Raises `BrokerUnavailable` when Kafka does not answer or there is no topic.
    """
    begins, ends = _spans(settings, topic, partitions, starts or {})
    left = {number for number, begin in begins.items() if begin < ends[number]}
    if not left:
        return
    consumer = Consumer(reader_config(settings))
    try:
        consumer.assign([TopicPartition(topic, number, begins[number]) for number in left])
        patience = Patience(settings, topic)
        while left:
            messages = take(consumer, 2000, 0.5)
            patience.look(bool(messages))
            if good := [message for message in messages if message.error() is None]:
                yield good
            for message in messages:
                if (error := message.error()) is None:
                    continue
                number, offset = message.partition() or 0, message.offset() or 0
                if error.code() in UNREADABLE and topic == settings.topics.jobs:
                    offset = pass_over(settings, consumer, topic, message)
                elif error.code() in _PASSING:
                    continue
                elif error.code() != KafkaError._PARTITION_EOF:
                    raise BrokerUnavailable(f"reading {topic}: {error.str()}")
                elif offset < ends[number]:
                    patience.stopped_at[number] = offset
                if offset >= ends[number]:
                    left.discard(number)
    except KafkaException as error:
        raise BrokerUnavailable(f"reading {topic}: {error_text(error)}") from error
    finally:
        consumer.close()


def _spans(
    settings: Settings, topic: str, partitions: list[int] | None, starts: Mapping[int, int]
) -> tuple[dict[int, int], dict[int, int]]:
    """Where each partition is read from, and up to where. A start beyond the end is one of a log that was cut or made
    anew: then it is read from its beginning."""
    admin = AdminClient(admin_config(settings))
    numbers = partitions if partitions is not None else _partitions(admin, topic, settings)
    ends = end_offsets(admin, topic, numbers)
    asked = {number: starts.get(number, 0) for number in numbers}
    return {number: start if start <= ends[number] else 0 for number, start in asked.items()}, ends


class Patience:
    """How long a reader waits for the next record: longer than a dead processor's transaction may stay open."""

    def __init__(self, settings: Settings, topic: str) -> None:
        open_ms = int(transactional_config(settings, "")["transaction.timeout.ms"])
        self._longest_s = TIMEOUT_S + open_ms / 1000
        self._topic = topic
        self._since = time.monotonic()
        self._said = False
        self.stopped_at: dict[int, int] = {}
        """partition: offset of the first record of an open transaction"""

    def look(self, came: bool) -> None:
        """After each poll. Raises `BrokerUnavailable` when it is at its end."""
        now = time.monotonic()
        if came:
            self._since = now
        elif now - self._since > self._longest_s:
            places = ", ".join(f"{number}:{offset}" for number, offset in sorted(self.stopped_at.items()))
            hint = (
                f", open transactions begin at {places}: `kafka-transactions.sh find-hanging` shows whose"
                if places
                else ""
            )
            raise BrokerUnavailable(f"Kafka sent nothing of {self._topic} for {self._longest_s:g} s{hint}")
        elif now - self._since > SAY_AFTER_S and not self._said:
            self._said = True
            log.warning(
                Event.READER_WAITS,
                topic=self._topic,
                places=self.stopped_at,
                follows=f"Kafka aborts a dead processor's by itself: waiting up to {self._longest_s:g} s",
            )


class Follower:
    """Reads a topic in portions, from its beginning or `starts`: each time what came since the last."""

    def __init__(self, settings: Settings, topic: str, starts: Mapping[int, int] | None = None) -> None:
        self._settings = settings
        self._topic = topic
        self._positions = dict(starts or {})

    def news(self) -> Iterator[Record]:
        """Committed records since the last call, to the end as of now. Raises `BrokerUnavailable`."""
        for record in read_topic(self._settings, self._topic, starts=dict(self._positions)):
            self._positions[record.partition] = record.offset + 1
            yield record


class RecordReader:
    """Finds single records by their places, over one connection."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._consumer: Consumer | None = None
        self._partitions: list[int] = []

    def get(self, partition: int, offset: int) -> Record | None:
        """The record at a place, or ``None`` when it is not there (any more). Raises `BrokerUnavailable`."""
        if self._consumer is None:
            self._consumer = Consumer(reader_config(self._settings))
        if partition not in self._partitions:
            self._partitions = _partitions(self._consumer, self._topic, self._settings)
        if partition not in self._partitions or offset < 0:
            return None
        self._consumer.assign([TopicPartition(self._topic, partition, offset)])
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            message = self._consumer.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is None:
                record = record_of(message)
                return record if record.offset == offset else None
            if error.code() == KafkaError._PARTITION_EOF:
                return None
            if error.code() not in _PASSING:
                raise BrokerUnavailable(f"reading {self._topic}: {error.str()}")
        raise BrokerUnavailable(f"Kafka did not say what {self._topic} holds at {partition}:{offset}")

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()


def read_record(settings: Settings, topic: str, partition: int, offset: int) -> Record | None:
    """The record at a place, or ``None``. Raises `BrokerUnavailable`."""
    reader = RecordReader(settings, topic)
    try:
        return reader.get(partition, offset)
    finally:
        reader.close()


def partition_numbers(settings: Settings, topic: str) -> list[int]:
    """The topic's partitions; raises `BrokerUnavailable`."""
    consumer = Consumer(reader_config(settings))
    try:
        return _partitions(consumer, topic, settings)
    finally:
        consumer.close()


def _partitions(client: Consumer | AdminClient, topic: str, settings: Settings) -> list[int]:
    try:
        found = client.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
    except KafkaException as error:
        raise no_answer(client, settings, error) from error
    if found.error is not None:
        raise BrokerUnavailable(f"there is no topic {topic}: run `mailonce topics create`")
    return sorted(found.partitions)
