"""Records written to topics by those who are no consumers of jobs: operators' commands, policies, evidence."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processor.adapters.months import Spread
from processor.ports import BY_KEY, Produced
from schemas.kafka.asking import error_text
from schemas.kafka.clients import producer_config, transactional_config
from schemas.kafka.writing import flush
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings

__all__ = ["TransactionalWriter", "write_placed", "write_record", "write_records"]

INIT_TIMEOUT_S = 30.0
COMMIT_TIMEOUT_S = 20.0
ABORT_TIMEOUT_S = 5.0
FLUSH_TIMEOUT_S = 30.0


def write_record(settings: Settings, topic: str, key: bytes, value: bytes | None) -> None:
    """Writes one record; it is acknowledged when this returns. Raises `BrokerUnavailable`."""
    write_records(settings, [Produced(topic, BY_KEY, key, value)])


def write_records(settings: Settings, records: Sequence[Produced]) -> list[int]:
    """Writes records and waits until all are acknowledged; returns their offsets. Raises `BrokerUnavailable`."""
    return [offset for _, offset in write_placed(settings, records)]


def write_placed(settings: Settings, records: Sequence[Produced]) -> list[tuple[int, int]]:
    """As `write_records`; returns the places, partition and offset."""
    errors: list[str] = []
    places = [(-1, -1)] * len(records)

    def delivered(number: int, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            errors.append(error.str())
        else:
            places[number] = message.partition() or 0, message.offset() or 0

    spread = Spread(settings)
    partitions = [spread.partition(record) for record in records]
    producer = Producer(producer_config(settings))
    for number, (record, partition) in enumerate(zip(records, partitions, strict=True)):
        while True:
            try:
                producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    partition,
                    headers=list(record.headers),
                    timestamp=record.timestamp_ms,
                    on_delivery=partial(delivered, number),
                )
                break
            except BufferError:
                producer.poll(0.5)
        producer.poll(0)
    if flush(producer, FLUSH_TIMEOUT_S) or errors:
        raise BrokerUnavailable(f"Kafka did not take the record: {errors[0] if errors else 'no answer'}")
    return places


class TransactionalWriter:
    """Writes records together, each to its key's partition; its producer is thrown away when a transaction fails."""

    def __init__(self, settings: Settings, instance: str) -> None:
        self._spread = Spread(settings)
        self._config = transactional_config(settings, instance)
        self._producer: Producer | None = None

    def write(self, records: Sequence[Produced]) -> None:
        """One transaction. Raises `BrokerUnavailable`: whether it took place is unknown then, so do the same again."""
        places = [self._spread.partition(record) for record in records]
        try:
            if self._producer is None:
                self._producer = Producer(self._config)
                self._producer.init_transactions(INIT_TIMEOUT_S)
            self._producer.begin_transaction()
            for record, partition in zip(records, places, strict=True):
                self._producer.produce(record.topic, record.value, record.key, partition, headers=list(record.headers))
            self._producer.commit_transaction(COMMIT_TIMEOUT_S)
        except (KafkaException, BufferError) as error:
            self._give_up()
            raise BrokerUnavailable(
                f"Kafka did not take the records: {error_text(error)}; the same again does no harm"
            ) from error

    def _give_up(self) -> None:
        """Not in the middle of a transaction if it can be helped: librdkafka ends the process then."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaException):
                producer.abort_transaction(ABORT_TIMEOUT_S)
