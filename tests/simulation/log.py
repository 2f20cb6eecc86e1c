"""The job log's twin in memory: a partition as its group sees it, and Kafka's transactions over many of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from processor.core.newest import Look
from processor.core.resume import Committed, Log, resume
from processor.ports import Listener, Poll, Produced, Scanned, Transaction
from schemas.kafka.clients import MESSAGE_BYTES_MAX
from schemas.kafka.reading import Record
from schemas.runtime.errors import Fenced, TransactionAborted, TransactionUnknown

__all__ = ["MemoryJobLog", "MemoryKafka", "Partition"]


class Partition(NamedTuple):
    """What the group knows of a partition: how far it is settled, and who alone may settle more."""

    committed: tuple[int, str] = (0, "")
    owner: int = -1
    generation: int = 0

    def assigned(self, member: int) -> Partition:
        return self._replace(owner=member, generation=self.generation + 1)

    def left(self) -> Partition:
        return self._replace(owner=-1)

    def admits(self, member: int, generation: int) -> bool:
        """Whether a transaction of that member, from that generation of its own, may commit here."""
        return self.owner == member and self.generation == generation

    def settled(self, committed: tuple[int, str]) -> Partition:
        return self._replace(committed=committed)


class MemoryKafka:
    """Jobs, the group, and what committed transactions made visible."""

    def __init__(self, partitions: int) -> None:
        self.jobs: list[list[Record]] = [[] for _ in range(partitions)]
        self.partitions = [Partition() for _ in range(partitions)]
        self.visible: list[Produced] = []
        self.members: list[MemoryJobLog] = []
        self.epochs: dict[str, int] = {}

    def new_epoch(self, instance: str) -> int:
        self.epochs[instance] = self.epochs.get(instance, 0) + 1
        return self.epochs[instance]

    def resumed(self, partition: int) -> tuple[int, str]:
        """Where a partition is read on."""
        found = resume(Committed(*self.partitions[partition].committed), Log(len(self.jobs[partition])))
        return found.offset or 0, found.metadata

    def share_of(self, member: MemoryJobLog) -> set[int]:
        """The partitions that ought to be this member's, as even as can be."""
        if member not in self.members:
            return set()
        return set(range(self.members.index(member), len(self.partitions), len(self.members)))


class MemoryJobLog:
    """See `processor.ports.JobLog` for the laws."""

    def __init__(self, kafka: MemoryKafka, instance: str) -> None:
        self._kafka = kafka
        self._instance = instance
        self._number = -1
        self._mine: dict[int, int] = {}
        """partition: the generation in which it came"""
        self._positions: dict[int, int] = {}
        self.unknown = False
        """A transaction's end is unknown."""

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        self._epoch = self._kafka.new_epoch(self._instance)
        self._number = len(self._kafka.members)
        self._kafka.members.append(self)

    async def poll(self, records_max: int, timeout_s: float, paused: frozenset[int]) -> Poll:
        await self._rebalance()
        await asyncio.sleep(0)
        found, ends = [], {}
        for partition in sorted(self._mine.keys() - paused):
            log, position = self._kafka.jobs[partition], self._positions[partition]
            taken = log[position : position + records_max - len(found)]
            found += taken
            self._positions[partition] += len(taken)
            if self._positions[partition] == len(log):
                ends[partition] = len(log)
        return Poll(found, ends)

    async def _rebalance(self) -> None:
        partitions, share = self._kafka.partitions, self._kafka.share_of(self)
        if gone := frozenset(self._mine) - share:
            transaction = await self._listener.revoked(gone)
            if transaction is not None:
                await self.commit(transaction)
                await self._listener.settled(transaction)
            for partition in gone:
                partitions[partition] = partitions[partition].left()
                del self._mine[partition]
        if came := {p for p in share - self._mine.keys() if partitions[p].owner < 0}:
            for partition in came:
                partitions[partition] = partitions[partition].assigned(self._number)
                self._mine[partition] = partitions[partition].generation
            committed = {partition: self._kafka.resumed(partition) for partition in came}
            self._positions |= {partition: offset for partition, (offset, _) in committed.items()}
            await self._listener.assigned(committed)

    async def commit(self, transaction: Transaction) -> None:
        if self.unknown:
            raise TransactionUnknown("an earlier transaction's end is unknown")
        if self._kafka.epochs[self._instance] != self._epoch:
            raise Fenced(f"another processor runs as instance {self._instance!r}")
        touched = {record.partition for record in transaction.records} | set(transaction.offsets)
        if not transaction.facts and (foreign := touched - self._mine.keys()):
            raise TransactionAborted(f"partitions {sorted(foreign)} are no longer assigned")
        partitions = self._kafka.partitions
        if not transaction.facts and not all(partitions[p].admits(self._number, self._mine[p]) for p in touched):
            raise TransactionAborted("Unknown member")
        if any(len(record.value or b"") > MESSAGE_BYTES_MAX for record in transaction.records):
            raise TransactionAborted("Message size too large")
        self._kafka.visible += transaction.records
        for partition, committed in transaction.offsets.items():
            partitions[partition] = partitions[partition].settled(committed)

    async def renew(self) -> dict[int, tuple[int, str]]:
        self._epoch = self._kafka.new_epoch(self._instance)
        self.unknown = False
        committed = {p: self._kafka.resumed(p) for p in self._mine}
        self._positions |= {p: offset for p, (offset, _) in committed.items()}
        return committed

    async def unsettled(self, targets: Mapping[int, int], mine: frozenset[int]) -> bool:
        return any(self._kafka.resumed(p)[0] < end for p, end in targets.items() if p not in mine)

    async def ends(self) -> dict[int, int]:
        return {partition: len(log) for partition, log in enumerate(self._kafka.jobs)}

    async def scan(self, looks: Mapping[int, Look], timeout_s: float) -> Scanned:
        records = [record for partition, look in looks.items() for record in self._kafka.jobs[partition][look.begin :]]
        positions = {partition: len(self._kafka.jobs[partition]) for partition in looks}
        await asyncio.sleep(0 if records else min(timeout_s, 0.01))
        return Scanned([one for one in records if one.key and looks[one.partition].sieve.again(one.key)], positions)

    async def stop(self) -> None:
        if self in self._kafka.members:
            self._kafka.members.remove(self)
        for partition in self._mine:
            self._kafka.partitions[partition] = self._kafka.partitions[partition].left()
        self._mine.clear()
