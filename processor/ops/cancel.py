"""Cancelling one mail that was not sent yet: a tombstone for its key."""

from __future__ import annotations

from confluent_kafka import KafkaError, Message, Producer

from schemas.errors import BrokerUnavailable
from schemas.identity import Key
from schemas.settings import Settings
from schemas.wire import producer_config

__all__ = ["cancel"]

FLUSH_S = 30.0


def cancel(settings: Settings, key: Key) -> None:
    """Publishes the tombstone; the processor decides whether it came in time. Raises `BrokerUnavailable`."""
    errors: list[str] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            errors.append(error.str())

    producer = Producer(producer_config(settings))
    producer.produce(settings.topics.jobs, None, key.to_bytes(), on_delivery=delivered)
    if producer.flush(FLUSH_S) or errors:
        raise BrokerUnavailable(f"Kafka did not take the cancellation: {errors[0] if errors else 'no answer'}")
