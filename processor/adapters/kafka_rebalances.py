"""Partitions come and go: librdkafka's callbacks, inside `consume` and `close`, turned into words for the listener.

Used by the job log's one thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ParamSpec, TypeVar

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from processor.adapters.kafka_member import Member
from processor.adapters.kafka_places import READ_TIMEOUT_S, Places, asking
from processor.adapters.kafka_transactions import KafkaTransactions
from processor.adapters.silence import Silence
from processor.adapters.topic_identity import TopicIdentity
from processor.adapters.topics import too_few
from processor.ports import Listener, Transaction
from schemas.runtime.errors import (
    BrokerUnavailable,
    Fenced,
    TopicReplaced,
    TransactionAborted,
    TransactionUnknown,
    UsageError,
)
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["KafkaRebalances", "Room"]

log = get_log()
T = TypeVar("T")
P = ParamSpec("P")


class Room:
    """Whether each topic beside the jobs has their partitions: somebody may be adding some just now."""

    def __init__(self, settings: Settings, admin: AdminClient) -> None:
        self._jobs = settings.topics.jobs
        self._beside = settings.topics.beside_jobs
        self._patience_s = settings.patience_s
        self._admin = admin
        self._counts: dict[str, int] = {}

    def wait_for(self, partition: int) -> None:
        """Waits until each has this partition. Raises `BrokerUnavailable` at the end of the patience."""
        deadline = time.monotonic() + self._patience_s
        for name in self._beside:
            while self._counts.get(name, 0) <= partition:
                asked = partial(self._admin.list_topics, name, READ_TIMEOUT_S)
                self._counts[name] = len(asking(asked, self._patience_s).topics[name].partitions)
                if self._counts[name] > partition:
                    break
                problem = too_few(name, self._counts[name], self._jobs, partition + 1)
                if time.monotonic() > deadline:
                    raise BrokerUnavailable(problem)
                log.warning(Event.KAFKA, error=problem)
                time.sleep(1.0)


class KafkaRebalances:
    """What the group gives and takes, told to the listener on its event loop while librdkafka waits."""

    def __init__(
        self,
        member: Member,
        places: Places,
        transactions: KafkaTransactions,
        identity: TopicIdentity,
        room: Room,
        silence: Silence,
    ) -> None:
        self._member = member
        self._places = places
        self._transactions = transactions
        self._identity = identity
        self._room = room
        self._silence = silence
        self._listener: Listener
        self._loop: asyncio.AbstractEventLoop
        self._closing = False
        self._given_up = False
        self._failure: BaseException | None = None

    def listen(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        """From now on this one is told, on this loop."""
        self._listener, self._loop = listener, loop

    def close(self) -> None:
        """The consumer is about to be closed: partitions that come now go at once."""
        self._closing = True

    def give_up(self) -> None:
        """Nobody listens any more; the event loop may be closed."""
        self._given_up = True

    def raise_failure(self) -> None:
        """Raises what went wrong in a callback since the last time: what is raised inside one is lost."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        if self._closing:
            return  # they go at once; and a group that is being left does not tell its places: librdkafka waits in vain
        numbers = [place.partition for place in partitions]
        try:
            self._identity.check()
            self._room.wait_for(max(numbers, default=-1))
            committed = self._places.committed(self._member.consumer, numbers)
        except (BrokerUnavailable, TopicReplaced) as error:
            self._failure = error
            return
        self._silence.heard()
        self._tell(self._listener.assigned, committed)
        self._member.begin([(partition, offset) for partition, (offset, _) in committed.items()])

    def on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = frozenset(place.partition for place in partitions)
        transaction = self._tell(self._listener.revoked, numbers)
        if transaction is not None:
            self._settle(transaction, numbers)
        self._member.let_go(numbers)

    def on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = frozenset(place.partition for place in partitions)
        self._tell(self._listener.lost, numbers)
        self._member.let_go(numbers)

    def begin_anew(self, partition: int, topic: str, why: str) -> None:
        """The log no longer holds the place that was to be read next: everything of it is forgotten and read again.

        Raises `TopicReplaced` where it is not the log that was cut but the topic that is another.
        """
        self._identity.check()
        if partition not in self._member.owned():
            return
        self._tell(self._listener.lost, frozenset({partition}))
        self._member.let_go({partition})
        begin = self._places.begin_anew(self._member.consumer, partition)
        log.warning(Event.BEGINS_ANEW, topic=topic, partition=partition, begin=begin, why=why)
        self._tell(self._listener.assigned, {partition: (begin, "")})
        self._member.begin([(partition, begin)])

    def _settle(self, transaction: Transaction, leaving: frozenset[int]) -> None:
        """Commits what partitions leave behind; what is not settled here is read again by whoever comes next."""
        try:
            self._transactions.commit(transaction)
        except (TransactionAborted, TransactionUnknown) as error:
            log.warning(Event.TRANSACTION_ABORTED, error=str(error))
            self._tell(self._listener.lost, leaving)
        except (Fenced, UsageError) as error:
            self._failure = error
            self._tell(self._listener.lost, leaving)
        else:
            self._silence.heard()
            self._tell(self._listener.settled, transaction)

    def _tell(self, told: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Tells the listener on the event loop and waits for its answer.

        Raises:
            BrokerUnavailable: the job log's `stop` did not wait for this thread any more, and the loop may be closed.
        """
        if self._given_up:
            raise BrokerUnavailable("the consumer was closed too late: nobody listens any more")
        telling = _call(told, *args, **kwargs)
        try:
            return asyncio.run_coroutine_threadsafe(telling, self._loop).result()
        finally:
            telling.close()


async def _call(told: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    return await told(*args, **kwargs)
