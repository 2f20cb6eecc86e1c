"""The worker's loop on twins in memory: what a rebalance does to records that wait behind another one of their key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from processor.adapters.clock import SystemClock
from processor.assembly import Parts, Ports, assemble
from processor.core.answers import Accepted, Answer
from processor.core.pace import Account
from processor.core.ticket import Ticket
from processor.intake import IntakeConfig
from processor.ledger import Scribe
from processor.meter import Meter
from processor.ports import Pace, Poll, Transaction
from processor.templates import SesTemplates
from schemas.codec import encode
from schemas.errors import TransactionAborted
from schemas.reading import Record
from schemas.settings import load_settings
from schemas.template import Needs
from schemas.topics import Topics
from tests.simulation.dedup import MemoryDedup
from tests.simulation.log import MemoryJobLog, MemoryKafka
from tests.support.world import MONTH, job


class LosingLog(MemoryJobLog):
    """Aborts the first transaction; then another member comes and takes partition 0 away."""

    def __init__(self, kafka: MemoryKafka) -> None:
        super().__init__(kafka, "one")
        self._memory = kafka
        self._aborted = False

    async def commit(self, transaction: Transaction) -> None:
        if not self._aborted:
            self._aborted = True
            raise TransactionAborted("the test says so")
        await super().commit(transaction)

    async def poll(self, records_max: int, timeout_s: float, paused: frozenset[int]) -> Poll:
        if self._aborted and self in self._memory.members and len(self._memory.members) == 1:
            # It comes first in the order of members, so partition 0 is its own from now on.
            self._memory.members.insert(0, MemoryJobLog(self._memory, "two"))
        poll = await super().poll(records_max, timeout_s, paused)
        await asyncio.sleep(0.001)
        return poll


class Ses:
    """Accepts everything."""

    def __init__(self) -> None:
        self.taken: list[Ticket] = []

    async def send(self, request: Mapping[str, Any], start_by_s: float) -> Answer:
        self.taken.append(request["ticket"])
        return Accepted(f"m{len(self.taken)}")

    async def account(self) -> Account:
        return Account()

    async def template_needs(self, name: str) -> Needs:
        return Needs()


class NoPace:
    async def leased(self) -> int:
        return 0


async def test_a_record_behind_one_whose_partition_leaves_is_attempted() -> None:
    """G2: a key's records stand in two partitions after partitions were added. The later one must not wait for ever."""
    kafka = MemoryKafka(2)
    for partition in (0, 1):
        key = f"u1:{MONTH}".encode()
        kafka.jobs[partition].append(Record(partition, 0, key, encode(job("u1", n=partition)), [], partition))
    dedup = MemoryDedup(30.0, lambda: 0)
    dedup.marker = dedup.run
    ses, clock = Ses(), SystemClock()
    worker = assemble(
        load_settings(breaker_consecutive=0, breaker_share=0),
        Ports(LosingLog(kafka), dedup, ses, cast(Pace, NoPace()), clock),
        Parts(
            intake=IntakeConfig(13),
            templates=SesTemplates(ses),
            compose=lambda attempt: {"ticket": attempt.ticket},
            make_whole=lambda: asyncio.sleep(0),
            scribe=Scribe(Topics("t-"), "one", "1", clock.now_ms),
            this_month=lambda: MONTH,
            meter=Meter(),
        ),
    )
    running = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(60):
            while kafka.partitions[1].committed[0] < 1:
                await asyncio.sleep(0.01)
    finally:
        worker.stop()
        await running
    assert [ticket.record.partition for ticket in ses.taken] == [1]
