"""The job log's consumer as a member of its group: what it holds, what of that is paused, as whom it commits.

Used by the job log's one thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.kafka.asking import error_text
from schemas.runtime.errors import BrokerUnavailable, TransactionAborted
from schemas.runtime.logs import Event, get_log

__all__ = ["Member", "names_a_member"]

log = get_log()

Told = Callable[[Consumer, list[TopicPartition]], None]
"""What librdkafka calls when partitions come or go"""


class Member:
    """A consumer of the jobs topic, subscribed once it is opened."""

    def __init__(self, topic: str, config: dict[str, Any]) -> None:
        self._topic = topic
        self._config = config
        self._paused: frozenset[int] = frozenset()
        self.consumer: Consumer

    def open(self) -> None:
        self.consumer = Consumer(self._config)

    def subscribe(self, on_assign: Told, on_revoke: Told, on_lost: Told) -> None:
        self.consumer.subscribe([self._topic], on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost)

    def owned(self) -> set[int]:
        """The partitions that are assigned now."""
        return {assigned.partition for assigned in self.consumer.assignment()}

    def metadata(self, touched: Collection[int]) -> bytes:
        """As whom the offsets of a transaction over these partitions are committed.

        Raises `TransactionAborted` where the transaction is not this member's.
        """
        if not_ours := set(touched) - self.owned():
            raise TransactionAborted(f"partitions {sorted(not_ours)} are no longer assigned")
        metadata: bytes = self.consumer.consumer_group_metadata()
        if not names_a_member(metadata):
            raise TransactionAborted("this processor is not a member of its group any more")
        return metadata

    def begin(self, places: Collection[tuple[int, int]]) -> None:
        """Reads (partition, offset) from here on."""
        self.consumer.incremental_assign([TopicPartition(self._topic, p, offset) for p, offset in places])

    def go_to(self, partition: int, offset: int) -> None:
        """Reads on there. A partition whose log does not hold what was to be read next cannot seek, only start anew."""
        try:
            self.consumer.seek(TopicPartition(self._topic, partition, offset))
        except KafkaException as error:
            log.debug(Event.KAFKA, error=error_text(error))
            self.let_go({partition})
            self.begin([(partition, offset)])

    def pause(self, wanted: frozenset[int]) -> None:
        """Of what is assigned these are paused, and no others."""
        if wanted == self._paused:
            return
        if hold := (wanted & self.owned()) - self._paused:
            self.consumer.pause(self._places(hold))
        if free := self._paused - wanted:
            self.consumer.resume(self._places(free))
        self._paused = self._paused - free | hold

    def let_go(self, partitions: Collection[int]) -> None:
        """Lets partitions go, none of them paused.

        A pause outlives the assignment in librdkafka (confluentinc/librdkafka#1849): a partition that left paused would
        bring nothing when it comes back. And it must be lifted now: a resume beside the start of the next assignment
        can be taken for newer than that start, which is then dropped (#2190, #5591).
        """
        if held := self._paused & set(partitions):
            self.consumer.resume(self._places(held))
        self._paused -= held
        self.consumer.incremental_unassign(self._places(partitions))

    def _places(self, partitions: Collection[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]


def names_a_member(group_metadata: bytes) -> bool:
    """Whether a consumer's group metadata holds a member id and a generation.

    librdkafka forgets both as soon as the coordinator has told it that it is out, before the application hears of it;
    and Kafka accepts a transaction's offsets unchecked when the member id is empty (KAFKA-9365, for old clients). So a
    zombie in just that moment would pass. The bytes are librdkafka's `rd_kafka_consumer_group_metadata_write`: a magic,
    the generation (int32), group id, member id.
    """
    magic, rest = group_metadata[:7], group_metadata[7:]
    if magic != b"CGMDv2:":
        raise BrokerUnavailable(f"this librdkafka writes group metadata in an unknown form ({magic!r})")
    generation = int.from_bytes(rest[:4], sys.byteorder, signed=True)
    return generation >= 0 and rest[4:].split(b"\0")[1] != b""
