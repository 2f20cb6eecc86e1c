"""The port `JobLog` over the simulated Kafka: what librdkafka and `processor.adapters.kafka` do between them.

Each request to the broker takes time and may be lost; rebalances are served inside `poll`, the listener is told on the
loop while the poll waits, and a commit is checked against what this client believes it owns at that moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from processor.core.newest import Look
from processor.core.resume import Committed, Log, replaced, resume, tagged
from processor.ports import Listener, Poll, Scanned, Transaction
from schemas.kafka.reading import Record
from schemas.runtime.errors import BrokerUnavailable, Fenced, TopicReplaced, TransactionAborted, TransactionUnknown
from tests.simulation.group import NoMember
from tests.simulation.kafka import Kafka, ProducerFenced, Refused
from tests.simulation.loop import OWNER
from tests.simulation.net import Lost

__all__ = ["SimJobLog"]

REQUEST_S = 0.004
TIMEOUT_S = 2.0
PATIENCE_S = 10.0
IDLE_S = 0.25
LOOK_EVERY_S = 2.0


class SimJobLog:
    """See `processor.ports.JobLog` for the laws."""

    def __init__(self, kafka: Kafka, group: str, instance: str, topic: str) -> None:
        self._kafka = kafka
        self._net = kafka.net
        self._group = kafka.group(group)
        self._instance = instance
        self._topic = topic
        self._owner = OWNER.get()
        self._member = ""
        self._generation = -1
        self._mine: frozenset[int] = frozenset()
        self._positions: dict[int, int] = {}
        self._epoch = 0
        self._polled_s = 0.0
        self._look_s = 0.0
        self._topic_id = ""
        self.unknown = False
        self._failure: Exception | None = None

    # ---- the port ----

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        self._topic_id = self._kafka.topic_id(self._topic)
        self._epoch = await self._ask("kafka.init", lambda: self._kafka.init(self._instance))
        self._member = await self._ask("kafka.join", lambda: self._group.join(self._owner))
        self._polled_s = self._net.now_s()
        self._net.later(self._group.poll_interval_s, self._watch_polls, self._member)

    async def poll(self, records_max: int, timeout_s: float, paused: frozenset[int]) -> Poll:
        self._polled_s = self._net.now_s()
        self._look_at_the_topic()
        await self._serve_group()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        wait_s = self._net.latency_s(0.003)
        await self._begin_anew()
        records, ends = self._fetch(records_max, paused)
        if not records:
            wait_s = max(wait_s, self._net.rng.uniform(0.02, IDLE_S) if timeout_s else 0.02)
        await asyncio.sleep(wait_s)
        return Poll(records, ends)

    async def commit(self, transaction: Transaction) -> None:
        if self.unknown:
            raise TransactionUnknown("an earlier transaction's end is unknown")
        touched = {record.partition for record in transaction.records} | set(transaction.offsets)
        if not transaction.facts and (foreign := touched - self._mine):
            raise TransactionAborted(f"partitions {sorted(foreign)} are no longer assigned")
        if not transaction.facts and not self._member:
            raise TransactionAborted("this processor is not a member of its group any more")
        began_s = self._net.now_s()
        try:
            await self._transact(transaction)
        except ProducerFenced as error:
            if self._net.now_s() - began_s >= self._kafka.transaction_s:
                self.unknown = True
                raise TransactionUnknown(f"the transaction's time was up: {error}") from error
            raise Fenced(f"another processor runs as instance {self._instance!r}: {error}") from error
        except (NoMember, Refused) as error:
            await self._abort(error)
        except Lost as error:
            self.unknown = True
            raise TransactionUnknown(f"no answer: {error}") from error

    async def renew(self) -> dict[int, tuple[int, str]]:
        self._epoch = await self._ask("kafka.init", lambda: self._kafka.init(self._instance))
        self.unknown = False
        committed = await self._committed(self._mine)
        self._positions |= {partition: offset for partition, (offset, _) in committed.items()}
        return committed

    async def unsettled(self, targets: Mapping[int, int], mine: frozenset[int]) -> bool:
        others = frozenset(targets) - mine
        if not others:
            return False
        return bool(await self._ask("kafka.committed", lambda: self._behind(targets, others)))

    def _behind(self, targets: Mapping[int, int], others: frozenset[int]) -> bool:
        if self._group.unstable(others):
            return True
        return any(self._resumed(partition)[0] < targets[partition] for partition in others)

    async def ends(self) -> dict[int, int]:
        return dict(await self._ask("kafka.ends", lambda: {p.number: p.end for p in self._kafka.topic(self._topic)}))

    async def scan(self, looks: Mapping[int, Look], timeout_s: float) -> Scanned:
        """A fetch brings the rest of each partition, or the client's patience ends."""
        if all(self._kafka.stable_end(self._topic, p) <= look.begin for p, look in looks.items()):
            await asyncio.sleep(timeout_s)
        return Scanned(*await self._ask("kafka.scan", lambda: self._scanned(looks)))  # type: ignore[misc]

    def _scanned(self, looks: Mapping[int, Look]) -> tuple[list[Record], dict[int, int]]:
        records: list[Record] = []
        positions = {}
        for partition, look in looks.items():
            found, positions[partition] = self._kafka.read(self._topic, partition, look.begin)
            records += [record for record in found if record.key is not None and look.sieve.again(record.key)]
        return records, positions

    async def stop(self) -> None:
        if self._member:
            await self._revoke(self._mine)
            member, self._member = self._member, ""
            await asyncio.sleep(self._net.latency_s(REQUEST_S))
            self._group.leave(member)

    # ---- requests ----

    async def _ask(self, what: str, call: Callable[[], Any]) -> Any:
        """A request that may be repeated: librdkafka does so until it has an answer."""
        deadline = self._net.now_s() + PATIENCE_S
        while True:
            try:
                return await self._net.ask(what, call, usual_s=REQUEST_S, timeout_s=TIMEOUT_S)
            except Lost:
                if self._net.now_s() > deadline:
                    raise BrokerUnavailable(f"Kafka does not answer: {what}") from None

    async def _transact(self, transaction: Transaction) -> None:
        kafka, generation, member = self._kafka, self._generation, self._member
        ask, epoch, instance = self._net.ask, self._epoch, self._instance
        offsets = {p: (o, tagged(text, self._topic_id)) for p, (o, text) in transaction.offsets.items()}
        if transaction.records:
            # Idempotent: a lost answer only makes the client ask again, and the broker knows the sequence number.
            await ask(
                "kafka.produce",
                lambda: kafka.add(instance, epoch, transaction.records),
                usual_s=REQUEST_S,
                timeout_s=TIMEOUT_S,
            )
        if transaction.offsets:
            await ask(
                "kafka.offsets",
                lambda: kafka.add_offsets(instance, epoch, self._group.name, member, generation, offsets),
                usual_s=REQUEST_S,
                timeout_s=TIMEOUT_S,
            )
        await ask(
            "kafka.commit",
            lambda: kafka.end(instance, epoch, commit=True),
            usual_s=REQUEST_S,
            timeout_s=TIMEOUT_S,
        )

    async def _abort(self, error: Exception) -> None:
        try:
            await self._net.ask(
                "kafka.abort",
                lambda: self._kafka.end(self._instance, self._epoch, commit=False),
                usual_s=REQUEST_S,
                timeout_s=TIMEOUT_S,
            )
        except Lost:
            self.unknown = True
            raise TransactionUnknown(f"neither committed nor aborted: {error}") from error
        except ProducerFenced as second:
            raise Fenced(str(second)) from error
        raise TransactionAborted(str(error)) from error

    async def _committed(self, partitions: frozenset[int]) -> dict[int, tuple[int, str]]:
        """Committed offset and metadata; where nothing is committed, the first there is. Waits for open transactions."""
        deadline = self._net.now_s() + PATIENCE_S
        while partitions:
            found = await self._ask("kafka.committed", lambda: self._look(partitions))
            if found is not None:
                return dict(found)
            if self._net.now_s() > deadline:
                raise BrokerUnavailable("Kafka does not answer: offsets are not stable")
            await asyncio.sleep(0.2)
        return {}

    def _look(self, partitions: frozenset[int]) -> dict[int, tuple[int, str]] | None:
        if self._group.unstable(partitions):
            return None
        return {p: self._resumed(p) for p in sorted(partitions)}

    def _resumed(self, partition: int) -> tuple[int, str]:
        log, committed = self._kafka.topic(self._topic)[partition], self._group.offsets.get(partition, (-1, ""))
        found = resume(Committed(*committed), Log(log.end, self._topic_id))
        if found.void:
            self._net.history.note(self._instance, "begins anew", partition, found.void)
        return log.start if found.offset is None else found.offset, found.metadata

    def _look_at_the_topic(self) -> None:
        """The answer is not waited for, so it costs no time. Raises `TopicReplaced`."""
        if self._net.now_s() >= self._look_s:
            self._look_s = self._net.now_s() + LOOK_EVERY_S
            self._check()

    def _check(self) -> None:
        if replaced(self._topic_id, self._kafka.topic_id(self._topic)):
            raise TopicReplaced(self._topic)

    async def _begin_anew(self) -> None:
        """Where the log no longer holds what was to be read next."""
        for partition in sorted(self._mine):
            log = self._kafka.topic(self._topic)[partition]
            if not log.start <= self._positions[partition] <= log.end:
                self._check()
                await self._listener.lost(frozenset({partition}))
                self._positions[partition] = log.start
                await self._listener.assigned({partition: (log.start, "")})

    def _fetch(self, records_max: int, paused: frozenset[int]) -> tuple[list[Record], dict[int, int]]:
        found: list[Record] = []
        ends: dict[int, int] = {}
        # A fetch brings what it brings: now one record, now all there are.
        count = min(records_max, self._net.rng.choice((1, 2, 5, 100)))
        order = sorted(self._mine - paused)
        self._net.rng.shuffle(order)
        for partition in order:
            taken, position = self._kafka.read(self._topic, partition, self._positions[partition], count - len(found))
            found += taken
            self._positions[partition] = position
            if position == self._kafka.stable_end(self._topic, partition):
                ends[partition] = position
        return found, ends

    # ---- the group ----

    def _watch_polls(self, member: str) -> None:
        """librdkafka's own watch: an application that does not poll leaves the group."""
        if member != self._member or (self._owner is not None and self._owner.dead):
            return
        idle_s = self._net.now_s() - self._polled_s
        if idle_s >= self._group.poll_interval_s:
            self._group.leave(member, "exceeded max.poll.interval")
        else:
            self._net.later(max(0.01, self._group.poll_interval_s - idle_s), self._watch_polls, member)

    async def _serve_group(self) -> None:
        group = self._group
        if self._member not in group.members:
            gone, self._mine, self._member, self._generation = self._mine, frozenset(), "", -1
            if gone:
                await self._listener.lost(gone)
            self._member = await self._ask("kafka.join", lambda: group.join(self._owner))
            self._net.later(group.poll_interval_s, self._watch_polls, self._member)
            return
        member = group.members[self._member]
        if group.preparing and not member.joined:
            await asyncio.sleep(self._net.latency_s(REQUEST_S))
            if self._member in group.members:
                group.rejoin(self._member, self._mine)
        if not group.preparing and group.generation != self._generation and self._member in group.members:
            self._generation = group.generation
            await self._take(member.assignment)

    async def _take(self, assignment: frozenset[int]) -> None:
        gone, came = self._mine - assignment, assignment - self._mine
        if gone:
            await self._revoke(gone)
            self._group.rebalance(f"{self._instance} gave up {sorted(gone)}")
        if came:
            try:
                committed = await self._committed(came)
            except BrokerUnavailable as error:
                self._failure = error
                return
            await self._listener.assigned(committed)
            self._mine |= came
            self._positions |= {partition: offset for partition, (offset, _) in committed.items()}

    async def _revoke(self, gone: frozenset[int]) -> None:
        transaction = await self._listener.revoked(gone)
        if transaction is not None:
            try:
                await self.commit(transaction)
                await self._listener.settled(transaction)
            except (TransactionAborted, TransactionUnknown):
                await self._listener.lost(gone)
            except Fenced as error:
                self._failure = error
                await self._listener.lost(gone)
        self._mine -= gone
