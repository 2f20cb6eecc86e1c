"""The control topic on confluent-kafka: followed by everybody, and changed by one at a time.

Heartbeats are plain writes. Whatever all must agree on (installation, month, lineage, floor, brake) is written in a
transaction under one transactional id: init, read to the end, decide, commit. A rival's init fences it, so of two that
decide on the same reading only one is written: compaction would keep the second.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from processor.adapters.clock import boot_s
from processor.core.control import Control
from processor.ports import Change
from schemas.codec import encode
from schemas.control import ControlRecord, Heartbeat, control_key, decode_control
from schemas.kafka.asking import error_text
from schemas.kafka.clients import FOLLOWS, producer_config, reader_config, transactional_config
from schemas.kafka.reading import read_topic, take
from schemas.runtime.ending import Thread, in_thread, within
from schemas.runtime.errors import BadRecord, BrokerUnavailable
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = [
    "KafkaControl",
    "change_control",
    "end_transaction",
    "kafka_clock_ms",
    "read_control",
    "write_change",
]

log = get_log()

RECORDS_MAX = 1000
CLOCK_KEY = b"clock"
"""of a record that says nothing but when it was written"""
CLOSE_S = 2.0
INIT_S = 10.0
COMMIT_S = 12.0
"""Longer than the transaction's own time-out: past both, the next look tells how it ended."""
TRANSACTION_MS = 10_000
AGAIN_S = 0.1


def read_control(settings: Settings, topic_id: str = "") -> Control:
    """What the control topic says now. Raises `BrokerUnavailable`, also when there is no such topic."""
    control = Control(topic_id)
    for record in read_topic(settings, settings.topics.control):
        if decoded := _decoded(record.offset, record.key, record.value):
            control.take(decoded, boot_s())
    return control


def change_control(settings: Settings, decide: Change) -> Control:
    """As `write_change`; returns what the topic says afterwards."""
    return write_change(settings, decide) or read_control(settings)


def write_change(settings: Settings, decide: Change) -> Control | None:
    """Reads to the end, writes what is decided on that, all or nothing; returns what was read if nothing is written.

    `decide` is asked again when a rival was quicker. Raises what it raises, and `BrokerUnavailable`.
    """
    deadline_s = time.monotonic() + settings.patience_s
    while True:
        producer = Producer(_change_config(settings))
        try:
            producer.init_transactions(min(INIT_S, settings.patience_s))
            control = read_control(settings)
            if not (records := decide(control)):
                return control
            producer.begin_transaction()
            for key, content in records:
                producer.produce(settings.topics.control, encode(content) if content else None, key, 0)
            producer.commit_transaction(COMMIT_S)
        except KafkaException as error:
            # Nobody knows how it ended, or a rival was quicker: the next reading tells.
            if time.monotonic() > deadline_s:
                raise BrokerUnavailable(
                    f"Kafka did not take the change of {settings.topics.control}: {error_text(error)}"
                ) from error
            time.sleep(AGAIN_S)
        else:
            return None


def kafka_clock_ms(settings: Settings) -> int:
    """What the brokers' clock says now: the time that the control topic gives to a record written just now.

    Raises `BrokerUnavailable`, also where the topic takes its writers' word for the time.
    """
    told: list[tuple[int, int]] = []
    error: list[KafkaError] = []

    def delivered(failed: KafkaError | None, message: Message) -> None:
        error.append(failed) if failed else told.append(message.timestamp())

    producer = Producer(producer_config(settings))
    # Readers pass over kinds that they do not know, and compaction keeps one of them.
    producer.produce(settings.topics.control, b"{}", CLOCK_KEY, 0, on_delivery=delivered)
    producer.flush(settings.patience_s)
    kind, at_ms = told[0] if told else (TIMESTAMP_NOT_AVAILABLE, 0)
    if kind != TIMESTAMP_LOG_APPEND_TIME:
        why = error[0].str() if error else "the topic must have message.timestamp.type=LogAppendTime"
        raise BrokerUnavailable(f"Kafka did not tell its time by {settings.topics.control}: {why}")
    return at_ms


def end_transaction(settings: Settings, transactional_id: str) -> None:
    """Ends a transaction that hangs under this id, and fences whoever held it. Raises `BrokerUnavailable`."""
    producer = Producer(transactional_config(settings, "") | {"transactional.id": transactional_id})
    try:
        producer.init_transactions(INIT_S)
    except KafkaException as error:
        raise BrokerUnavailable(f"the transaction of {transactional_id} was not ended: {error_text(error)}") from error


def _change_config(settings: Settings) -> dict[str, object]:
    config = transactional_config(settings, "")
    return config | {"transactional.id": settings.topics.control, "transaction.timeout.ms": TRANSACTION_MS}


def _decoded(offset: int, key: bytes | None, value: bytes | None) -> ControlRecord | None:
    try:
        return decode_control(offset, key, value)
    except BadRecord as bad:
        log.warning(Event.UNREADABLE, error=bad.detail, place=f"0:{offset}")
        return None


class KafkaControl:
    """See `processor.ports.ControlLog` for the laws."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topics.control
        self._thread = Thread("control")
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None

    # ---- following ----

    async def read(self, timeout_s: float) -> list[ControlRecord]:
        return await self._thread(self._read, timeout_s)

    def _read(self, timeout_s: float) -> list[ControlRecord]:
        if self._consumer is None:
            consumer = Consumer(reader_config(self._settings) | FOLLOWS | {"auto.offset.reset": "error"})
            # It counts once it has a place to read from: a leader that is not there yet is asked again.
            consumer.assign([TopicPartition(self._topic, 0, self._first(consumer))])
            self._consumer = consumer
        return list(self._records(take(self._consumer, RECORDS_MAX, timeout_s)))

    def _first(self, consumer: Consumer) -> int:
        try:
            first: int = consumer.get_watermark_offsets(TopicPartition(self._topic, 0), INIT_S)[0]
        except KafkaException as error:
            raise BrokerUnavailable(f"topic {self._topic} cannot be read: {error_text(error)}") from error
        return first

    def _records(self, messages: Sequence[Message]) -> Iterable[ControlRecord]:
        for message in messages:
            if (error := message.error()) is None:
                key, value = message.key(), message.value()
                assert not isinstance(key, str)
                assert not isinstance(value, str)
                if decoded := _decoded(message.offset() or 0, key, value):
                    yield decoded
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                yield ControlRecord(-1, "lost", error.str(), None)

    # ---- heartbeats ----

    def beat(self, heartbeat: Heartbeat) -> None:
        self._put(control_key(heartbeat), encode(heartbeat))

    def remove(self, process: str) -> None:
        self._put(f"process:{process}".encode(), None)

    def _put(self, key: bytes, value: bytes | None) -> None:
        if self._producer is None:
            # In order, and without a word of those that came to nothing: the next one tells the same and more.
            self._producer = Producer(
                producer_config(self._settings)
                | {"linger.ms": 0, "enable.idempotence": False, "max.in.flight": 1, "message.timeout.ms": 10_000}
            )
        with contextlib.suppress(BufferError):
            self._producer.produce(self._topic, value, key, 0)
        self._producer.poll(0)

    # ---- what all must agree on ----

    async def change(self, decide: Change) -> None:
        await in_thread(write_change, self._settings, decide)

    async def release(self) -> None:
        await in_thread(end_transaction, self._settings, self._topic)

    async def end_transactions(self, transactional_ids: Sequence[str]) -> None:
        for transactional_id in transactional_ids:
            with contextlib.suppress(BrokerUnavailable):
                await in_thread(end_transaction, self._settings, transactional_id)

    # ---- the end ----

    async def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # stopped before
            await within(CLOSE_S, self._thread(self._close))
        self._thread.close()

    def _close(self) -> None:
        if self._producer is not None:
            self._producer.flush(CLOSE_S / 2)
        if self._consumer is not None:
            self._consumer.close()
