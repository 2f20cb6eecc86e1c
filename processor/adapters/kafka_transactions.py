"""The job log's transactions: records and offsets together, and what is known of each one's end.

Used by the job log's one thread. Facts that shape it: librdkafka has no KIP-890, so a transaction whose end is unknown
is never retried on the same producer; the coordinator checks member and generation but not who owns a partition, so
ownership is checked at the moment of the commit (KIP-447); a flush before `send_offsets_to_transaction` saves a 100 ms
retry.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from processor.adapters.kafka_member import Member
from processor.adapters.kafka_places import Places
from processor.ports import Transaction
from schemas.kafka.asking import error_text
from schemas.runtime.errors import BrokerUnavailable, Fenced, TransactionAborted, TransactionUnknown

__all__ = ["KafkaTransactions"]

COMMIT_TIMEOUT_S = 20.0
"""Longer than the transaction's own time-out (15 s): past both, the end is unknown."""
OFFSETS_TIMEOUT_S = 10.0
ABORT_TIMEOUT_S = 5.0
"""A new producer's start ends the old transaction as well: not worth a long wait."""

_FENCED = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
}


_REFUSED_HERE = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._INVALID_ARG,
}
"""The client itself did not take a record: nobody asked for a commit, so the transaction can only be aborted.

To throw its producer away instead would end the process where others of its records are on their way
(`rdkafka_txnmgr.c: Assertion txn_req_cnt`)."""


_REFUSED_THERE = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
}
"""A broker may not have taken a batch. librdkafka often names a consequence of that alone ("skipped sequence numbers"):
the cause goes to delivery callbacks, and confluent-kafka breaks where one comes right after a fatal error."""


class KafkaTransactions:
    """One producer at a time, under one transactional id; after an unknown end only another one helps.

    Args:
        config: the producer's.
        instance: whose transactional id it is.
        patience_s: how long a new producer may take.
        member: whose offsets are committed.
        places: what goes with an offset.
        refused: called where a broker may not have taken a batch; raises what is to be said then.
    """

    def __init__(
        self,
        config: dict[str, Any],
        instance: str,
        patience_s: float,
        member: Member,
        places: Places,
        refused: Callable[[], None],
    ) -> None:
        self._config = config
        self._instance = instance
        self._patience_s = patience_s
        self._member = member
        self._places = places
        self._refused = refused
        self._producer: Producer | None = None
        self._unknown = False
        self._began_s = 0.0
        self._longest_s = float(config["transaction.timeout.ms"]) / 1000

    def begin_anew(self) -> None:
        """Another producer, which ends what the last one left open. Raises `BrokerUnavailable`."""
        if self._producer is not None:
            with contextlib.suppress(KafkaException):
                self._producer.purge()
        self._producer = Producer(self._config)
        try:
            self._producer.init_transactions(self._patience_s)
        except KafkaException as error:
            raise BrokerUnavailable(f"Kafka gave no transactional producer: {error_text(error)}") from error
        self._unknown = False

    def commit(self, transaction: Transaction) -> None:
        """See `processor.ports.JobLog.commit`."""
        if self._unknown:
            raise TransactionUnknown("an earlier transaction's end is unknown")
        touched = {record.partition for record in transaction.records} | set(transaction.offsets)
        metadata = b"" if transaction.facts else self._member.metadata(touched)
        assert self._producer is not None
        self._began_s = time.monotonic()
        try:
            self._producer.begin_transaction()
            _produce(self._producer, transaction)
            if transaction.offsets:
                self._send_offsets(self._producer, transaction, metadata)
            self._producer.commit_transaction(COMMIT_TIMEOUT_S)
        except (KafkaException, BufferError) as error:
            self._ended_badly(self._producer, error)

    def _send_offsets(self, producer: Producer, transaction: Transaction, metadata: bytes) -> None:
        """Offsets into the transaction, in a time that is really bounded.

        librdkafka's call ignores its time-out when the group's coordinator went away under it and came back
        (confluentinc/librdkafka#5511): it may never return. Then its thread and its producer are given up.
        """
        places = self._places.to_commit(transaction.offsets)
        raised: list[BaseException] = []

        def send() -> None:
            try:
                producer.send_offsets_to_transaction(places, metadata, OFFSETS_TIMEOUT_S)
            except BaseException as error:  # noqa: BLE001 - raised again by who waits
                raised.append(error)

        sending = threading.Thread(target=send, name="offsets", daemon=True)
        sending.start()
        sending.join(OFFSETS_TIMEOUT_S + 1)
        if sending.is_alive():
            self._unknown = True
            raise TransactionUnknown("the group's coordinator did not take the offsets in time")
        if raised:
            raise raised[0]

    def _ended_badly(self, producer: Producer, error: KafkaException | BufferError) -> None:
        """Raises what is known of a failed transaction: aborted, unknown, or taken over by another instance."""
        cause = error.args[0] if error.args and isinstance(error.args[0], KafkaError) else None
        fenced = cause is not None and (cause.code() in _FENCED or cause.fatal())
        if fenced and time.monotonic() - self._began_s >= self._longest_s:
            # The coordinator itself ended a transaction that took too long, and that looks just like another instance.
            self._unknown = True
            raise TransactionUnknown(f"the transaction's time was up: {error_text(error)}") from error
        if fenced:
            raise Fenced(
                f"another processor runs as instance {self._instance!r}, or this one was stopped for too long: "
                f"{error_text(error)}"
            ) from error
        if cause is None or cause.txn_requires_abort() or cause.code() in _REFUSED_HERE:
            try:
                producer.abort_transaction(ABORT_TIMEOUT_S)
            except KafkaException as second:
                if second.args[0].fatal():
                    return self._ended_badly(producer, second)
                self._unknown = True
                raise TransactionUnknown(f"neither committed nor aborted: {error_text(second)}") from second
            if cause is not None and cause.txn_requires_abort() and cause.code() in _REFUSED_THERE:
                self._refused()
            raise TransactionAborted(error_text(error)) from error
        self._unknown = True
        raise TransactionUnknown(error_text(error)) from error


def _produce(producer: Producer, transaction: Transaction) -> None:
    for record in transaction.records:
        put = partial(
            producer.produce, record.topic, record.value, record.key, record.partition, headers=list(record.headers)
        )
        try:
            put()
        except BufferError:
            # A batch of letters may be more than librdkafka keeps at once.
            producer.flush(COMMIT_TIMEOUT_S)
            put()
    if transaction.records:
        producer.flush(COMMIT_TIMEOUT_S)
