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
from processor.core.resume import Committed, Log, Resume, resume, tagged
from schemas.kafka.asking import asked_again, error_text
from schemas.kafka.clients import reader_config
from schemas.kafka.ends import Tail, log_tails
from schemas.kafka.reading import take
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["READ_TIMEOUT_S", "Places", "asking", "epoch_before"]

log = get_log()
T = TypeVar("T")

READ_TIMEOUT_S = 10.0
LOOK_BACK = 1_000
"""How far before a committed offset a record is looked for, in offsets: compaction may have left none."""
SURE_AFTER_S = 1.0
"""A leader that was deposed just now may tell an older end: so much later the new one is asked."""


class Places:
    """Committed offsets, and the leader epochs that go with them."""

    def __init__(self, settings: Settings, admin: AdminClient, identity: TopicIdentity) -> None:
        self._settings = settings
        self._admin = admin
        self._topic = settings.topics.jobs
        self._identity = identity
        self._epochs: dict[int, int] = {}
        """partition: leader epoch of what was read last; missing where it has none"""

    def note(self, message: Message) -> None:
        """A record was read."""
        self._know(message.partition() or 0, message.leader_epoch())

    def to_commit(self, offsets: Mapping[int, tuple[int, str]]) -> list[TopicPartition]:
        """With the leader epoch, and the topic's id beside the metadata."""
        topic_id = self._identity.id
        return [
            TopicPartition(self._topic, p, offset, tagged(text, topic_id), self._epochs.get(p, -1))
            for p, (offset, text) in offsets.items()
        ]

    def committed(self, consumer: Consumer, partitions: Collection[int]) -> dict[int, tuple[int, str]]:
        """Where each partition is read on, and what is settled beyond; where no commit counts, the first there is.

        Raises `BrokerUnavailable`.
        """

        def ask() -> dict[int, tuple[TopicPartition, Resume, Log]]:
            return asking(lambda: self._resumed(consumer, partitions, READ_TIMEOUT_S), self._settings.patience_s)

        resumed = ask()
        if any(found.void for _, found, _ in resumed.values()):
            time.sleep(SURE_AFTER_S)
            resumed = ask()
        begins = {}
        for partition, (place, found, seen) in resumed.items():
            if found.offset is not None:
                self._know(partition, place.leader_epoch)
                begins[partition] = (found.offset, found.metadata)
                continue
            begins[partition] = (self.begin_anew(consumer, partition), "")
            if found.void:
                where = {"topic": self._topic, "partition": partition, "committed": place.offset, "end": seen.end}
                log.warning(Event.BEGINS_ANEW, **where, begin=begins[partition][0], why=found.void)
        return begins

    def begin_anew(self, consumer: Consumer, partition: int) -> int:
        """The first offset there is; what was read before is no more. Raises `BrokerUnavailable`."""
        self._know(partition, None)
        place = TopicPartition(self._topic, partition)
        first, _ = asking(lambda: consumer.get_watermark_offsets(place, READ_TIMEOUT_S), self._settings.patience_s)
        return first

    def behind(self, consumer: Consumer, targets: Mapping[int, int], partitions: Collection[int]) -> bool:
        """Whether one of these, which others hold, is not certainly committed up to its target."""
        try:
            resumed = self._resumed(consumer, partitions, 1.0)
        except KafkaException:
            # Not stable while somebody's transaction is open: certainly not known to be settled.
            return True
        for partition, (_, found, _) in resumed.items():
            offset = self.begin_anew(consumer, partition) if found.offset is None else found.offset
            if offset < targets[partition]:
                return True
        return False

    def _resumed(
        self, consumer: Consumer, partitions: Collection[int], timeout_s: float
    ) -> dict[int, tuple[TopicPartition, Resume, Log]]:
        """What was committed for each, what that is worth, and the log that says so."""
        if not partitions:
            return {}
        places = consumer.committed([TopicPartition(self._topic, partition) for partition in partitions], timeout_s)
        # Asked for afterwards: an end that is older than the commit might lie before it.
        tails = log_tails(self._admin, self._topic, [place.partition for place in places if place.offset >= 0])
        found = {}
        for place in places:
            tail = tails.get(place.partition, Tail(0, None))
            epoch = -1 if place.leader_epoch is None else place.leader_epoch
            # Under the same leader nothing can have been cut.
            moved = tail.epoch is not None and 0 <= epoch < tail.epoch and place.offset <= tail.offset
            committed = Committed(place.offset, place.metadata or "", epoch)
            before = epoch_before(self._settings, self._topic, place.partition, committed.reach) if moved else -1
            log_now = Log(tail.offset, self._identity.id, before)
            found[place.partition] = place, resume(committed, log_now), log_now
        return found

    def _know(self, partition: int, epoch: int | None) -> None:
        if epoch is None:
            self._epochs.pop(partition, None)
        else:
            self._epochs[partition] = epoch


def epoch_before(settings: Settings, topic: str, partition: int, end: int) -> int:
    """The leader epoch of the last record before this offset, not too far back; -1 when there is none."""
    epoch, deadline = -1, time.monotonic() + READ_TIMEOUT_S
    reader = Consumer(reader_config(settings))
    try:
        reader.assign([TopicPartition(topic, partition, max(0, end - LOOK_BACK))])
        while time.monotonic() < deadline:
            for message in take(reader, LOOK_BACK, 0.5):
                if message.error() is not None or (message.offset() or 0) >= end:
                    return epoch
                epoch = -1 if message.leader_epoch() is None else message.leader_epoch() or 0
        return epoch
    finally:
        reader.close()


def asking(question: Callable[[], T], patience_s: float) -> T:
    """Asks until there is an answer: leaders move, and a dead processor's open transaction keeps offsets unstable.

    Raises `BrokerUnavailable`.
    """
    try:
        return asked_again(question, patience_s)
    except KafkaException as error:
        raise BrokerUnavailable(f"Kafka does not answer: {error_text(error)}") from error
