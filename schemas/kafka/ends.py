"""Where a topic's partitions begin and end, by the brokers' word."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import msgspec
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from schemas.kafka.asking import TIMEOUT_S, answer, asked_again, error_code, error_text
from schemas.runtime.errors import BrokerUnavailable

__all__ = ["Tail", "begin_offsets", "end_offsets", "log_tails"]

_REFUSED = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}


class Tail(msgspec.Struct, frozen=True):
    """The end of a partition, and the epoch of the leader that wrote last where a broker tells it."""

    offset: int
    epoch: int | None


def end_offsets(admin: AdminClient, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """Where each partition ends, records of open transactions included. Raises `BrokerUnavailable`."""
    return {number: tail.offset for number, tail in log_tails(admin, topic, partitions).items()}


def log_tails(admin: AdminClient, topic: str, partitions: Iterable[int]) -> dict[int, Tail]:
    """Each partition's end, records of open transactions included. Raises `BrokerUnavailable`.

    A consumer of committed records is told another end: the first open transaction's beginning (librdkafka 1.7.1).
    """
    return _tails(admin, topic, partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]


def begin_offsets(admin: AdminClient, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """Where each partition begins: behind 0 where its head was removed, by age or by hand.

    Raises `BrokerUnavailable`.
    """
    begins = _tails(admin, topic, partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    return {number: begin.offset for number, begin in begins.items()}


def _tails(admin: AdminClient, topic: str, partitions: Iterable[int], which: OffsetSpec) -> dict[int, Tail]:
    places = {TopicPartition(topic, number): which for number in partitions}
    if not places:
        return {}

    def ask() -> dict[int, Tail]:
        try:
            asked = admin.list_offsets(places, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=5)
            told = {place.partition: answer(future) for place, future in asked.items()}
        except KafkaException:
            # A new topic has no leader: librdkafka asks the one it knows until its metadata is renewed.
            with contextlib.suppress(KafkaException):
                admin.list_topics(topic, timeout=5)
            raise
        return {number: Tail(end.offset, end.leader_epoch) for number, end in told.items()}

    try:
        return asked_again(ask, TIMEOUT_S, lambda error: error_code(error) not in _REFUSED)
    except KafkaException as error:
        raise BrokerUnavailable(f"asking where {topic} ends: {error_text(error)}") from error
