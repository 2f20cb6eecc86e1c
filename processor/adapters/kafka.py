"""The job log on confluent-kafka: one thread polls, transacts and answers rebalances.

What is done there has a file each: `kafka_member` (the consumer), `kafka_places` (where it stands), `kafka_rebalances`,
`kafka_transactions`; `kafka_scan` reads beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.admin import AdminClient

from processor.adapters.kafka_member import Member
from processor.adapters.kafka_places import READ_TIMEOUT_S, Places, asking
from processor.adapters.kafka_rebalances import KafkaRebalances, Room
from processor.adapters.kafka_scan import KafkaScan
from processor.adapters.kafka_transactions import KafkaTransactions
from processor.adapters.silence import Silence
from processor.adapters.topic_identity import TopicIdentity
from processor.adapters.topic_limits import LIMITS_DEFAULT, TopicLimits, refuse_lowered
from processor.adapters.unreadable import Unreadable
from processor.core.newest import Look
from processor.ports import Listener, Poll, Scanned, Transaction
from schemas.kafka.clients import admin_config, jobs_consumer_config, transactional_config
from schemas.kafka.ends import end_offsets
from schemas.kafka.reading import record_of, take
from schemas.kafka.unreadable import UNREADABLE
from schemas.runtime.ending import Thread, within
from schemas.runtime.errors import BrokerUnavailable, Fenced
from schemas.runtime.logs import Event, get_log
from schemas.runtime.secrets import told_by_librdkafka
from schemas.runtime.settings import Settings

__all__ = ["KafkaJobLog"]

log = get_log()

CLOSE_S = 10.0


class KafkaJobLog:
    """See `processor.ports.JobLog` for the laws."""

    def __init__(self, settings: Settings, instance: str, limits: TopicLimits = LIMITS_DEFAULT) -> None:
        self._topic = settings.topics.jobs
        self._patience_s = settings.patience_s
        # The consumer's own list_topics must not be called inside its callbacks: confluent-kafka forgets the outer call
        # then, and the next callback aborts the process (`CallState_get: Assertion cs != NULL`).
        self._admin = admin = AdminClient(admin_config(settings))
        self._identity = TopicIdentity(admin, self._topic)
        self._silence = Silence(self._identity.ask, settings.patience_s)
        self._places = Places(settings, admin, self._identity)
        self._member = Member(self._topic, {**jobs_consumer_config(settings, instance), "error_cb": _on_error})
        # Records of a partition travel together, and the topics' limits are for all of them.
        batch = {"batch.size": limits.batch_bytes, "error_cb": _on_error}
        self._transactions = KafkaTransactions(
            transactional_config(settings, instance) | batch,
            instance,
            settings.patience_s,
            self._member,
            self._places,
            partial(refuse_lowered, settings, limits),
        )
        self._rebalances = KafkaRebalances(
            self._member, self._places, self._transactions, self._identity, Room(settings, admin), self._silence
        )
        self._unreadable = Unreadable(settings)
        self._scan = KafkaScan(settings)
        self._thread = Thread("kafka")

    # ---- on the event loop ----

    async def start(self, listener: Listener) -> None:
        self._rebalances.listen(listener, asyncio.get_running_loop())
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
        self._rebalances.give_up()
        self._thread.close()

    # ---- in the thread ----

    def _open(self) -> None:
        self._member.open()
        self._transactions.begin_anew()
        self._identity.check()
        self._member.subscribe(self._rebalances.on_assign, self._rebalances.on_revoke, self._rebalances.on_lost)

    def _poll(self, records_max: int, timeout_s: float, paused: frozenset[int]) -> Poll:
        self._member.pause(paused)
        messages = take(self._member.consumer, records_max, timeout_s)
        self._rebalances.raise_failure()
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
            error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
            if error is None:
                records.append(record_of(message))
                self._places.note(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ends[partition] = offset
            elif error.code() in UNREADABLE:
                if (go_on := self._unreadable.met(partition, offset, error.str())) is None:
                    unreadable[partition] = offset
                else:
                    self._member.go_to(partition, go_on)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                cut[partition] = error.str()
            else:
                self._look_at(error)
        for partition, why in cut.items():
            self._rebalances.begin_anew(partition, self._topic, why)
        # What came of a cut log belongs to a life that has ended: it is read again, where it still is.
        kept = [record for record in records if record.partition not in cut] if cut else records
        standing = [{place: at for place, at in found.items() if place not in cut} for found in (ends, unreadable)]
        return Poll(kept, *standing)

    def _look_at(self, error: KafkaError) -> None:
        """An error that is about no place. Raises `Fenced` and `BrokerUnavailable`."""
        if error.fatal():
            raise Fenced(f"Kafka ended this consumer: {error.str()}")
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise BrokerUnavailable(f"there is no topic {self._topic}: run `mailonce topics create`")
        log.warning(Event.KAFKA, error=error.str())

    def _commit(self, transaction: Transaction) -> None:
        self._transactions.commit(transaction)
        self._silence.heard()

    def _renew(self) -> dict[int, tuple[int, str]]:
        self._transactions.begin_anew()
        committed = self._places.committed(self._member.consumer, self._member.owned())
        for partition, (offset, _) in committed.items():
            self._member.go_to(partition, offset)
        return committed

    def _ends(self) -> dict[int, int]:
        asked = asking(lambda: self._admin.list_topics(self._topic, READ_TIMEOUT_S), self._patience_s)
        metadata = asked.topics[self._topic]
        if metadata.error is not None:
            raise BrokerUnavailable(f"there is no topic {self._topic}: run `mailonce topics create`")
        return end_offsets(self._admin, self._topic, metadata.partitions)

    def _unsettled(self, targets: Mapping[int, int], mine: frozenset[int]) -> bool:
        return self._places.behind(self._member.consumer, targets, targets.keys() - mine)

    def _close(self) -> None:
        self._rebalances.close()
        self._member.consumer.close()


def _on_error(error: KafkaError) -> None:
    # Fatal ones come back from the calls themselves; these tell of lost connections, which heal.
    log.debug(Event.KAFKA, error=told_by_librdkafka(error.str()))


def _is_word_of_kafka(message: Message) -> bool:
    """Whether it came from a broker, and is no error of this client's own."""
    error = message.error()
    return error is None or error.code() == KafkaError._PARTITION_EOF
