"""The job log on confluent-kafka: one thread polls, transacts and answers rebalances.

Facts that shape it: librdkafka has no KIP-890, so a transaction whose end is unknown is never retried on the same
producer; the coordinator checks member and generation but not who owns a partition, so ownership is checked here at
the moment of the commit (KIP-447); a flush before `send_offsets_to_transaction` saves a 100 ms retry.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import ParamSpec, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from processor.adapters.kafka_places import READ_TIMEOUT_S, Places, asking
from processor.adapters.kafka_scan import KafkaScan
from processor.adapters.silence import Silence
from processor.adapters.topic_identity import TopicIdentity
from processor.adapters.topics import too_few
from processor.adapters.unreadable import Unreadable
from processor.core.newest import Look
from processor.ports import Listener, Poll, Scanned, Transaction
from schemas.kafka.asking import error_text
from schemas.kafka.clients import admin_config, jobs_consumer_config, transactional_config
from schemas.kafka.reading import end_offsets, record_of, take
from schemas.kafka.unreadable import UNREADABLE
from schemas.runtime.ending import Thread, within
from schemas.runtime.errors import BrokerUnavailable, Fenced, TopicReplaced, TransactionAborted, TransactionUnknown
from schemas.runtime.logs import Event, get_log
from schemas.runtime.secrets import told_by_librdkafka
from schemas.runtime.settings import Settings

__all__ = ["KafkaJobLog", "names_a_member"]

log = get_log()
T = TypeVar("T")
P = ParamSpec("P")

COMMIT_TIMEOUT_S = 20.0
"""Longer than the transaction's own time-out (15 s): past both, the end is unknown."""
OFFSETS_TIMEOUT_S = 10.0
BATCH_BYTES_MAX = 1_000_000
"""librdkafka's default; a single record that is larger travels alone."""
CLOSE_S = 10.0
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


class KafkaJobLog:
    """See `processor.ports.JobLog` for the laws."""

    def __init__(self, settings: Settings, instance: str, letter_bytes_max: int = BATCH_BYTES_MAX) -> None:
        self._topic = settings.topics.jobs
        self._beside = settings.topics.beside_jobs
        self._counts: dict[str, int] = {}
        # The consumer's own list_topics must not be called inside its callbacks: confluent-kafka forgets the outer call
        # then, and the next callback aborts the process (`CallState_get: Assertion cs != NULL`).
        self._admin = AdminClient(admin_config(settings))
        self._silence = Silence(
            lambda wait_s: self._admin.describe_cluster(request_timeout=wait_s), settings.patience_s
        )
        self._identity = TopicIdentity(self._admin, self._topic)
        self._places = Places(settings, self._admin, self._identity)
        self._consumer_config = jobs_consumer_config(settings, instance)
        # Letters of a partition travel together, and the topic's limit is for all of them.
        batch = {"batch.size": min(letter_bytes_max, BATCH_BYTES_MAX)}
        self._producer_config = transactional_config(settings, instance) | batch
        self._unreadable = Unreadable(settings)
        self._scan = KafkaScan(settings)
        self._instance = instance
        self._patience_s = settings.patience_s
        self._thread = Thread("kafka")
        self._consumer: Consumer
        self._producer: Producer | None = None
        self._listener: Listener
        self._loop: asyncio.AbstractEventLoop
        self._paused: frozenset[int] = frozenset()
        self._unknown = False
        self._closing = False
        self._given_up = False
        self._began_s = 0.0
        self._transaction_s = float(self._producer_config["transaction.timeout.ms"]) / 1000
        self._failure: BaseException | None = None

    # ---- on the event loop ----

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        await self._thread(self._open)

    async def poll(self, records_max: int, timeout_s: float, paused: frozenset[int]) -> Poll:
        return await self._thread(self._poll, records_max, timeout_s, paused)

    async def commit(self, transaction: Transaction) -> None:
        await self._thread(self._commit, transaction)

    async def renew(self) -> dict[int, tuple[int, str]]:
        return await self._thread(self._renew)

    async def unsettled(self, targets: Mapping[int, int], mine: frozenset[int]) -> bool:
        return await self._thread(self._unsettled, targets, mine)

    async def ends(self) -> dict[int, int]:
        return await self._thread(self._ends)

    async def scan(self, looks: Mapping[int, Look], timeout_s: float) -> Scanned:
        return await self._scan.scan(looks, timeout_s)

    async def stop(self) -> None:
        await self._scan.stop()
        with contextlib.suppress(KafkaException, RuntimeError):
            await within(CLOSE_S, self._thread(self._close))
        self._given_up = True
        self._thread.close()

    # ---- in the thread ----

    def _open(self) -> None:
        self._consumer = Consumer({**self._consumer_config, "error_cb": self._on_error})
        self._new_producer()
        self._identity.check()
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _new_producer(self) -> None:
        if self._producer is not None:
            with contextlib.suppress(KafkaException):
                self._producer.purge()
        self._producer = Producer({**self._producer_config, "error_cb": self._on_error})
        try:
            self._producer.init_transactions(self._patience_s)
        except KafkaException as error:
            raise BrokerUnavailable(f"Kafka gave no transactional producer: {error_text(error)}") from error

    def _on_error(self, error: KafkaError) -> None:
        # Fatal ones come back from the calls themselves; these tell of lost connections, which heal.
        log.debug(Event.KAFKA, error=told_by_librdkafka(error.str()))

    def _poll(self, records_max: int, timeout_s: float, paused: frozenset[int]) -> Poll:
        self._pause(paused)
        messages = take(self._consumer, records_max, timeout_s)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if any(_is_word_of_kafka(message) for message in messages):
            self._silence.heard()
        else:
            self._silence.look()
        self._identity.look()
        return self._sorted(messages)

    def _sorted(self, messages: list[Message]) -> Poll:
        """Records, ends and errors, each as what they are."""
        records, ends, unreadable, cut = [], {}, {}, {}
        for message in messages:
            error, partition = message.error(), message.partition() or 0
            if error is None:
                records.append(record_of(message))
                self._places.note(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ends[partition] = message.offset() or 0
            elif error.code() in UNREADABLE:
                offset = message.offset() or 0
                if (go_on := self._unreadable.met(partition, offset, error.str())) is None:
                    unreadable[partition] = offset
                else:
                    self._consumer.seek(TopicPartition(self._topic, partition, go_on))
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                cut[partition] = error.str()
            elif error.fatal():
                raise Fenced(f"Kafka ended this consumer: {error.str()}")
            elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise BrokerUnavailable(f"there is no topic {self._topic}: run `mailonce topics create`")
            else:
                log.warning(Event.KAFKA, error=error.str())
        for partition, why in cut.items():
            self._begin_anew(partition, why)
        # What came of a cut log belongs to a life that has ended: it is read again, where it still is.
        kept = [record for record in records if record.partition not in cut] if cut else records
        standing = [{place: at for place, at in found.items() if place not in cut} for found in (ends, unreadable)]
        return Poll(kept, *standing)

    def _begin_anew(self, partition: int, why: str) -> None:
        """The log no longer holds the place that was to be read next: everything of it is forgotten and read again.

        Raises `TopicReplaced` where it is not the log that was cut but the topic that is another.
        """
        self._identity.check()
        if partition not in self._owned():
            return
        self._tell(self._listener.lost, frozenset({partition}))
        self._unassign(self._consumer, [TopicPartition(self._topic, partition)])
        begin = self._places.begin_anew(self._consumer, partition)
        log.warning(Event.BEGINS_ANEW, topic=self._topic, partition=partition, begin=begin, why=why)
        self._tell(self._listener.assigned, {partition: (begin, "")})
        self._consumer.incremental_assign([TopicPartition(self._topic, partition, begin)])

    def _owned(self) -> set[int]:
        return {assigned.partition for assigned in self._consumer.assignment()}

    def _pause(self, wanted: frozenset[int]) -> None:
        if wanted == self._paused:
            return
        owned = self._owned()
        if hold := (wanted & owned) - self._paused:
            self._consumer.pause([TopicPartition(self._topic, p) for p in hold])
        if free := self._paused - wanted:
            self._consumer.resume([TopicPartition(self._topic, p) for p in free])
        self._paused = self._paused - free | hold

    def _commit(self, transaction: Transaction) -> None:
        if self._unknown:
            raise TransactionUnknown("an earlier transaction's end is unknown")
        membership = b"" if transaction.facts else self._membership(transaction)
        assert self._producer is not None
        self._began_s = time.monotonic()
        try:
            self._producer.begin_transaction()
            self._produce(self._producer, transaction)
            if transaction.offsets:
                self._send_offsets(self._producer, transaction, membership)
            self._producer.commit_transaction(COMMIT_TIMEOUT_S)
            self._silence.heard()
        except (KafkaException, BufferError) as error:
            self._ended_badly(error)

    def _membership(self, transaction: Transaction) -> bytes:
        """As whom offsets are committed. Raises `TransactionAborted` where the transaction is not this member's."""
        owned = self._owned()
        touched = {record.partition for record in transaction.records} | set(transaction.offsets)
        if not touched <= owned:
            raise TransactionAborted(f"partitions {sorted(touched - owned)} are no longer assigned")
        membership: bytes = self._consumer.consumer_group_metadata()
        if not names_a_member(membership):
            raise TransactionAborted("this processor is not a member of its group any more")
        return membership

    def _produce(self, producer: Producer, transaction: Transaction) -> None:
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

    def _send_offsets(self, producer: Producer, transaction: Transaction, membership: bytes) -> None:
        """Offsets into the transaction, in a time that is really bounded.

        librdkafka's call ignores its time-out when the group's coordinator went away under it and came back
        (confluentinc/librdkafka#5511): it may never return. Then its thread and its producer are given up.
        """
        places = self._places.to_commit(transaction.offsets)
        raised: list[BaseException] = []

        def send() -> None:
            try:
                producer.send_offsets_to_transaction(places, membership, OFFSETS_TIMEOUT_S)
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

    def _ended_badly(self, error: KafkaException | BufferError) -> None:
        """Raises what is known of a failed transaction: aborted, unknown, or taken over by another instance."""
        assert self._producer is not None
        cause = error.args[0] if error.args and isinstance(error.args[0], KafkaError) else None
        fenced = cause is not None and (cause.code() in _FENCED or cause.fatal())
        if fenced and time.monotonic() - self._began_s >= self._transaction_s:
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
                self._producer.abort_transaction(ABORT_TIMEOUT_S)
            except KafkaException as second:
                if second.args[0].fatal():
                    return self._ended_badly(second)
                self._unknown = True
                raise TransactionUnknown(f"neither committed nor aborted: {error_text(second)}") from second
            raise TransactionAborted(error_text(error)) from error
        self._unknown = True
        raise TransactionUnknown(error_text(error)) from error

    def _renew(self) -> dict[int, tuple[int, str]]:
        self._new_producer()
        self._unknown = False
        committed = self._committed(self._consumer.assignment())
        for partition, (offset, _) in committed.items():
            self._go_to(TopicPartition(self._topic, partition, offset))
        return committed

    def _go_to(self, place: TopicPartition) -> None:
        """Reads on there. A partition whose log does not hold what was to be read next cannot seek, only start anew."""
        try:
            self._consumer.seek(place)
        except KafkaException as error:
            log.debug(Event.KAFKA, error=error_text(error))
            self._unassign(self._consumer, [place])
            self._consumer.incremental_assign([place])

    def _committed(self, places: list[TopicPartition]) -> dict[int, tuple[int, str]]:
        return self._places.committed(self._consumer, [place.partition for place in places])

    def _asking(self, question: Callable[[], T]) -> T:
        return asking(question, self._patience_s)

    def _await_room(self, partition: int) -> None:
        """Waits until every topic beside the jobs has this partition: somebody may be adding partitions just now."""
        deadline = time.monotonic() + self._patience_s
        for name in self._beside:
            while self._counts.get(name, 0) <= partition:
                found = self._asking(partial(self._admin.list_topics, name, READ_TIMEOUT_S)).topics[name]
                self._counts[name] = len(found.partitions)
                if self._counts[name] > partition:
                    break
                problem = too_few(name, self._counts[name], self._topic, partition + 1)
                if time.monotonic() > deadline:
                    raise BrokerUnavailable(problem)
                log.warning(Event.KAFKA, error=problem)
                time.sleep(1.0)

    def _ends(self) -> dict[int, int]:
        metadata = self._asking(lambda: self._admin.list_topics(self._topic, READ_TIMEOUT_S)).topics[self._topic]
        if metadata.error is not None:
            raise BrokerUnavailable(f"there is no topic {self._topic}: run `mailonce topics create`")
        return end_offsets(self._admin, self._topic, metadata.partitions)

    def _unsettled(self, targets: Mapping[int, int], mine: frozenset[int]) -> bool:
        return self._places.behind(self._consumer, targets, targets.keys() - mine)

    def _close(self) -> None:
        self._closing = True
        self._consumer.close()

    # ---- rebalances: called inside consume() and close(), in the thread ----

    def _tell(self, told: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Tells the listener on the event loop and waits for its answer.

        Raises:
            BrokerUnavailable: `stop` did not wait for this thread any more, and the loop may be closed.
        """
        if self._given_up:
            raise BrokerUnavailable("the consumer was closed too late: nobody listens any more")
        telling = _call(told, *args, **kwargs)
        try:
            return asyncio.run_coroutine_threadsafe(telling, self._loop).result()
        finally:
            telling.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._closing:
            return  # they go at once; and a group that is being left does not tell its places: librdkafka waits in vain
        try:
            self._identity.check()
            self._await_room(max((place.partition for place in partitions), default=-1))
            committed = self._committed(partitions)
        except (BrokerUnavailable, TopicReplaced) as error:
            self._failure = error
            return
        self._silence.heard()
        self._tell(self._listener.assigned, committed)
        consumer.incremental_assign([TopicPartition(self._topic, p, offset) for p, (offset, _) in committed.items()])

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = frozenset(place.partition for place in partitions)
        transaction = self._tell(self._listener.revoked, numbers)
        if transaction is not None:
            try:
                self._commit(transaction)
                self._tell(self._listener.settled, transaction)
            except (TransactionAborted, TransactionUnknown) as error:
                # What was not settled here is read again by whoever comes next.
                log.warning(Event.TRANSACTION_ABORTED, error=str(error))
                self._tell(self._listener.lost, numbers)
            except Fenced as error:
                self._failure = error
                self._tell(self._listener.lost, numbers)
        self._unassign(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._tell(self._listener.lost, frozenset(place.partition for place in partitions))
        self._unassign(consumer, partitions)

    def _unassign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Lets partitions go, none of them paused.

        A pause outlives the assignment in librdkafka (confluentinc/librdkafka#1849): a partition that left paused would
        bring nothing when it comes back. And it must be lifted now: a resume beside the start of the next assignment
        can be taken for newer than that start, which is then dropped (#2190, #5591).
        """
        if held := [place for place in partitions if place.partition in self._paused]:
            consumer.resume(held)
        self._paused -= {place.partition for place in partitions}
        consumer.incremental_unassign(partitions)


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


def _is_word_of_kafka(message: Message) -> bool:
    """Whether it came from a broker, and is no error of this client's own."""
    error = message.error()
    return error is None or error.code() == KafkaError._PARTITION_EOF


async def _call(told: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    return await told(*args, **kwargs)
