"""Records written to topics and acknowledged: what operators' commands and policies publish."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processor.ports import Produced
from schemas.errors import BrokerUnavailable
from schemas.reading import error_text
from schemas.settings import Settings
from schemas.wire import producer_config, transactional_config

__all__ = ["write_record", "write_records", "write_together"]

TIMEOUT_S = 30.0


def write_record(settings: Settings, topic: str, key: bytes, value: bytes | None) -> None:
    """Writes one record; it is acknowledged when this returns. Raises `BrokerUnavailable`."""
    write_records(settings, [Produced(topic, -1, key, value)])


def write_records(settings: Settings, records: Sequence[Produced]) -> None:
    """Writes records, each to its key's partition, and waits until all are acknowledged. Raises `BrokerUnavailable`."""
    errors: list[str] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            errors.append(error.str())

    producer = Producer(producer_config(settings))
    for record in records:
        while True:
            try:
                producer.produce(
                    record.topic, record.value, record.key, headers=list(record.headers), on_delivery=delivered
                )
                break
            except BufferError:
                producer.poll(0.5)
        producer.poll(0)
    if producer.flush(TIMEOUT_S) or errors:
        raise BrokerUnavailable(f"Kafka did not take the record: {errors[0] if errors else 'no answer'}")


def write_together(settings: Settings, instance: str, records: Sequence[Produced]) -> None:
    """Writes records in one transaction, each to its key's partition. Raises `BrokerUnavailable`."""
    try:
        producer = Producer(transactional_config(settings, instance))
        producer.init_transactions(TIMEOUT_S)
        producer.begin_transaction()
        for record in records:
            producer.produce(record.topic, record.value, record.key, headers=list(record.headers))
        producer.commit_transaction(TIMEOUT_S)
    except (KafkaException, BufferError) as error:
        raise BrokerUnavailable(
            f"Kafka did not take the records: {error_text(error)}; run the command again"
        ) from error
