"""Where a group stands in the jobs topic's partitions: asked of Kafka, and held against the log as it is now.

Used by the job log's one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from processor.adapters.topic_identity import TopicIdentity
from processor.core.resume import Committed, Resume, resume, tagged
from schemas.kafka.reading import end_offsets, error_text
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.logs import Event, get_log

__all__ = ["READ_TIMEOUT_S", "Places", "asking"]

log = get_log()
T = TypeVar("T")

READ_TIMEOUT_S = 10.0
SURE_AFTER_S = 1.0
"""A leader that was deposed just now may tell an older end: so much later the new one is asked."""


class Places:
    """Committed offsets, and the leader epochs that go with them."""

    def __init__(self, admin: AdminClient, topic: str, identity: TopicIdentity, patience_s: float) -> None:
        self._admin = admin
        self._topic = topic
        self._identity = identity
        self._patience_s = patience_s
        self._epochs: dict[int, int] = {}
        """partition: leader epoch of what was read last; missing where it has none"""

    def note(self, message: Message) -> None:
        """A record was read."""
        self._know(message.partition() or 0, message.leader_epoch())

    def place(self, partition: int, offset: int) -> TopicPartition:
        """With the leader epoch: it ended before the offset in a log that was cut and has grown past it again."""
        return self._with_epoch(partition, offset, "")

    def to_commit(self, offsets: Mapping[int, tuple[int, str]]) -> list[TopicPartition]:
        """With the leader epoch, and the topic's id beside the metadata."""
        topic_id = self._identity.id
        return [self._with_epoch(p, offset, tagged(text, topic_id)) for p, (offset, text) in offsets.items()]

    def committed(self, consumer: Consumer, partitions: Collection[int]) -> dict[int, tuple[int, str]]:
        """Where each partition is read on, and what is settled beyond; where no commit counts, the first there is.

        Raises `BrokerUnavailable`.
        """

        def ask() -> dict[int, tuple[TopicPartition, Resume]]:
            return asking(lambda: self._resumed(consumer, partitions, READ_TIMEOUT_S), self._patience_s)

        resumed = ask()
        if any(found.void for _, found in resumed.values()):
            time.sleep(SURE_AFTER_S)
            resumed = ask()
        begins = {}
        for partition, (place, found) in resumed.items():
            if found.offset is not None:
                self._know(partition, place.leader_epoch)
                begins[partition] = (found.offset, found.metadata)
                continue
            begins[partition] = (self.begin_anew(consumer, partition), "")
            if found.void:
                where = {"topic": self._topic, "partition": partition, "committed": place.offset, "end": found.end}
                log.warning(Event.BEGINS_ANEW, **where, begin=begins[partition][0], why=found.void)
        return begins

    def begin_anew(self, consumer: Consumer, partition: int) -> int:
        """The first offset there is; what was read before is no more. Raises `BrokerUnavailable`."""
        self._know(partition, None)
        place = TopicPartition(self._topic, partition)
        first, _ = asking(lambda: consumer.get_watermark_offsets(place, READ_TIMEOUT_S), self._patience_s)
        return first

    def behind(self, consumer: Consumer, targets: Mapping[int, int], partitions: Collection[int]) -> bool:
        """Whether one of these, which others hold, is not certainly committed up to its target."""
        try:
            resumed = self._resumed(consumer, partitions, 1.0)
        except KafkaException:
            # Not stable while somebody's transaction is open: certainly not known to be settled.
            return True
        for partition, (_, found) in resumed.items():
            offset = self.begin_anew(consumer, partition) if found.offset is None else found.offset
            if offset < targets[partition]:
                return True
        return False

    def _resumed(
        self, consumer: Consumer, partitions: Collection[int], timeout_s: float
    ) -> dict[int, tuple[TopicPartition, Resume]]:
        """What was committed for each, and what that is worth in the log as it is now."""
        if not partitions:
            return {}
        places = consumer.committed([TopicPartition(self._topic, partition) for partition in partitions], timeout_s)
        # Asked for afterwards: an end that is older than the commit might lie before it.
        ends = end_offsets(self._admin, self._topic, [place.partition for place in places if place.offset >= 0])
        found = {}
        for place in places:
            committed = Committed(place.offset, place.metadata or "")
            found[place.partition] = place, resume(committed, ends.get(place.partition, 0), self._identity.id)
        return found

    def _know(self, partition: int, epoch: int | None) -> None:
        if epoch is None:
            self._epochs.pop(partition, None)
        else:
            self._epochs[partition] = epoch

    def _with_epoch(self, partition: int, offset: int, metadata: str) -> TopicPartition:
        epoch = self._epochs.get(partition)
        if epoch is None:
            return TopicPartition(self._topic, partition, offset, metadata)
        return TopicPartition(self._topic, partition, offset, metadata, epoch)


def asking(question: Callable[[], T], patience_s: float) -> T:
    """Repeats a read that failed: leaders move, and a dead processor's open transaction keeps offsets unstable."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return question()
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"Kafka does not answer: {error_text(error)}") from error
            time.sleep(0.2)
