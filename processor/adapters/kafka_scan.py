"""Partitions of the jobs topic read beside their ordinary reader: a second consumer, which joins no group.

It has a thread of its own: the other one must poll in time, and a scan may wait for an open transaction's end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from processor.core.newest import Look
from processor.ports import Scanned
from schemas.kafka.asking import error_text
from schemas.kafka.clients import FOLLOWS, reader_config
from schemas.kafka.reading import Record, record_of, take
from schemas.kafka.unreadable import UNREADABLE, next_readable
from schemas.runtime.ending import Thread, within
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings

__all__ = ["KafkaScan"]

RECORDS_MAX = 5_000
"""Messages at once: what is made of them holds up the event loop for some milliseconds."""
FETCHES = FOLLOWS | {"fetch.message.max.bytes": 1_048_576, "queued.min.messages": 50_000}
"""Larger than a command's: every job of a month passes here, and what waits unread stays bounded in bytes."""
CLOSE_S = 5.0
PATIENCE = 50
"""Scans in which the others come first: to find out where an unreadable batch ends takes a while."""
_PASSING = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT}


class KafkaScan:
    """See `processor.ports.JobLog.scan` for the laws."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topics.jobs
        self._thread = Thread("kafka scan")
        self._consumer: Consumer | None = None
        self._positions: dict[int, int] = {}
        self._unreadable: dict[int, int] = {}
        """Partitions that stand before a batch that cannot be read, and where; they are read no more for now."""
        self._busy = 0
        """So many scans in a row had something to read."""

    async def scan(self, looks: Mapping[int, Look], timeout_s: float) -> Scanned:
        return await self._thread(self._scan, looks, timeout_s)

    async def stop(self) -> None:
        with contextlib.suppress(KafkaException, RuntimeError):
            await within(CLOSE_S, self._thread(self._close))
        self._thread.close()

    # ---- in the thread ----

    def _scan(self, looks: Mapping[int, Look], timeout_s: float) -> Scanned:
        try:
            if self._consumer is None:
                self._consumer = Consumer(reader_config(self._settings) | FETCHES)
            self._assign(self._consumer, looks)
            messages = take(self._consumer, RECORDS_MAX, timeout_s)
            records = self._read(self._consumer, looks, messages)
            self._busy = self._busy + 1 if messages else 0
            if self._unreadable and self._busy % PATIENCE == 0:
                self._pass_over(self._consumer)
        except KafkaException as error:
            raise BrokerUnavailable(f"reading {self._topic}: {error_text(error)}") from error
        return Scanned(records, {partition: self._positions[partition] for partition in looks})

    def _assign(self, consumer: Consumer, looks: Mapping[int, Look]) -> None:
        """What is read on where it stands is left alone."""
        wrong = [p for p in self._positions if p not in looks or looks[p].begin != self._positions[p]]
        self._unassign(consumer, [partition for partition in wrong if partition not in self._unreadable])
        for partition in wrong:
            del self._positions[partition]
            self._unreadable.pop(partition, None)
        if came := {p: look.begin for p, look in looks.items() if p not in self._positions}:
            consumer.incremental_assign([TopicPartition(self._topic, p, begin) for p, begin in came.items()])
            self._positions |= came

    def _unassign(self, consumer: Consumer, partitions: list[int]) -> None:
        if partitions:
            consumer.incremental_unassign([TopicPartition(self._topic, partition) for partition in partitions])

    def _read(self, consumer: Consumer, looks: Mapping[int, Look], messages: list[Message]) -> list[Record]:
        """Millions pass here: nothing is done for each but what must be."""
        found, positions = [], self._positions
        again = {partition: look.sieve.again for partition, look in looks.items()}
        for message in messages:
            partition = message.partition()
            if message.error() is not None:
                self._note(consumer, message)
            elif partition in again:
                positions[partition] = message.offset() + 1  # type: ignore[operator]
                key = message.key()
                if key is not None and again[partition](key):
                    found.append(record_of(message))
        return found

    def _note(self, consumer: Consumer, message: Message) -> None:
        """Anything but a record. Raises `BrokerUnavailable`."""
        error, partition, offset = message.error(), message.partition(), message.offset()
        assert error is not None
        if error.code() in _PASSING:
            return
        if partition not in self._positions:
            if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise BrokerUnavailable(f"there is no topic {self._topic}: run `mailonce topics create`")
            return
        if error.code() == KafkaError._PARTITION_EOF:
            self._positions[partition] = max(self._positions[partition], offset or 0)
        elif error.code() in UNREADABLE:
            if partition not in self._unreadable:
                self._unassign(consumer, [partition])
                self._unreadable[partition] = offset or 0
        else:
            raise BrokerUnavailable(f"reading {self._topic}: {error.str()}")

    def _pass_over(self, consumer: Consumer) -> None:
        """Goes on behind one unreadable batch: the ordinary reader stands before it, aloud, until somebody decides."""
        partition, offset = next(iter(self._unreadable.items()))
        go_on = next_readable(self._settings, self._topic, partition, offset)
        consumer.incremental_assign([TopicPartition(self._topic, partition, go_on)])
        self._positions[partition] = go_on
        del self._unreadable[partition]

    def _close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
