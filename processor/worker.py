"""The loop: reads jobs, commits *settle the last, intend the next*, and handles rebalances and the end.

All state lives on the event loop; only the `JobLog` adapter has a thread (Kafka's client wants one).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from processor.after_commit import AfterCommit
from processor.ahead import RECORDS_MAX, LookAhead
from processor.core.assignments import Assignments
from processor.core.batch import Batch, Batches
from processor.core.breaker import Breaker
from processor.core.decide import Settle
from processor.core.key_order import KeyOrder
from processor.core.offsets import Window
from processor.core.pace import Throughput, batch_size
from processor.core.work import Work, examine, refused
from processor.deliver import Deliverer
from processor.ledger import Scribe
from processor.meter import Meter
from processor.ports import Clock, Dedup, JobLog, Templates, Transaction
from schemas.ending import end
from schemas.errors import BadRecord, Halted, MailonceError, TransactionAborted, TransactionUnknown
from schemas.identity import new_attempt_id
from schemas.logs import Event, get_log
from schemas.reading import Record
from schemas.records import Outcome

__all__ = ["Worker", "WorkerConfig"]

log = get_log()

COMMIT_EVERY_S = 0.2
"""Outcomes wait at most this long for their transaction while the batch is not used up."""
ENDED_MAX = 500
"""So many outcomes do not wait."""
WAITING_MAX = 5_000
"""Works in back-off or behind another attempt; beyond that nothing new is read."""
OVERSHOOT_MAX = 100
PROGRESS_EVERY_S = 10.0
POLL_BUSY_S = 0.005
POLL_IDLE_S = 0.2
MARKS_S = 2.0
"""How long the last marks may take at the end."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    retention_months: int
    calls_at_once: int
    drain: bool = False
    month: str = ""
    """Only records of this month are looked at; the others are passed over. Empty: all."""


class Worker:
    """One processor. `run` returns when it was stopped or drained, and raises when it must leave."""

    def __init__(
        self,
        config: WorkerConfig,
        job_log: JobLog,
        dedup: Dedup,
        templates: Templates,
        clock: Clock,
        scribe: Scribe,
        breaker: Breaker,
        make_deliverer: Callable[[Callable[[Work], None]], Deliverer],
        this_month: Callable[[], str],
        suppressed: Container[str] = frozenset(),
        meter: Meter | None = None,
        told_before: Container[tuple[int, int]] = frozenset(),
    ) -> None:
        """
        Args:
            told_before: places of records without a readable key that have their dead letter already.
        """
        self._config = config
        self._month = f":{config.month}".encode() if config.month else b""
        self._meter = meter or Meter()
        self._told_before = told_before
        self._log = job_log
        self._templates = templates
        self._clock = clock
        self._scribe = scribe
        self._breaker = breaker
        self._deliverer = make_deliverer(self._on_done)
        self._this_month = this_month
        self._suppressed = suppressed
        self._assigned = Assignments()
        self._order = KeyOrder()
        self._batches = Batches(self._assigned)
        self._revoking: Batch | None = None
        """What partitions that leave are waiting for."""
        self._ahead = LookAhead(dedup)
        self._after_commit = AfterCommit(dedup, clock, self._corrected)
        self._wake = asyncio.Event()
        self._stopping = False
        self._last_commit_s = 0.0
        self._said_s = clock.boot_s()
        self._said_count = 0
        self._drain_looked_s = 0.0
        self._throughput = Throughput()
        self.settled_count = 0
        self._passed_over = 0
        self.turned_s = clock.boot_s()
        """boot clock of the last turn of the loop"""

    def stop(self) -> None:
        """Asks for a graceful end: no new calls, those in flight end, everything is settled."""
        if not self._stopping:
            log.info(Event.STOPPING)
        self._stopping = True
        self._deliverer.hurry()
        self._wake.set()

    def halt(self, halted: Halted) -> None:
        """Asks for an end for a reason that is everybody's: calls in flight end, nothing is dead-lettered."""
        self._deliverer.halt(halted)
        self._wake.set()

    @property
    def calling(self) -> bool:
        """Whether a call to SES is in flight: it ends by SES's own time-outs."""
        return self._deliverer.calling

    async def run(self) -> None:
        await self._log.start(self)
        if self._config.drain:
            self._assigned.aim(await self._log.ends())
        sending = asyncio.create_task(self._deliverer.run())
        try:
            while not self._stopping and not self._deliverer.halted:
                await self._turn()
                if sending.done():
                    sending.result()
                if self._config.drain and await self._drained():
                    log.info(Event.DRAINED)
                    break
            await self._leave()
        finally:
            self._deliverer.hurry()
            await end(sending)
            # Empty after a graceful end. Else: what SES accepts is marked, what was not called for is given back.
            self._after_commit.give_back(await self._deliverer.quiesce(lambda _work: True))
            await self._log.stop()
            self._gauge()
            await self._after_commit.end(timeout_s=MARKS_S)
        if self._deliverer.halted:
            raise self._deliverer.halted

    # ---- one turn ----

    async def _turn(self) -> None:
        self._say_progress()
        self._gauge()
        room = self._room()
        if room <= 0 and not self._due():
            await self._rest(0.05)
        blocked = self._assigned.partitions if room <= -OVERSHOOT_MAX else self._assigned.full
        patience = POLL_IDLE_S if self._idle else POLL_BUSY_S
        count = RECORDS_MAX if self._ahead.active and room > 0 else max(room, 1)
        poll = await self._log.poll(count, patience if room > 0 and not self._due() else 0, blocked)
        await self._accept(poll.records)
        self._assigned.reach_ends(poll.ends)
        if self._due():
            try:
                await self._commit(self._next())
            except TransactionAborted as error:
                log.warning(Event.TRANSACTION_ABORTED, error=str(error))
                await self._clock.sleep(0.1)
            except TransactionUnknown as error:
                log.warning(Event.TRANSACTION_UNKNOWN, error=str(error))
                await self._start_over()

    def _say_progress(self) -> None:
        """A line now and then while there is something to tell."""
        if (now := self._clock.boot_s()) - self._said_s < PROGRESS_EVERY_S or self.settled_count == self._said_count:
            return
        rate = (self.settled_count - self._said_count) / (now - self._said_s)
        log.info(Event.PROGRESS, settled=self.settled_count, per_second=round(rate, 1), waiting=self._deliverer.waiting)
        self._said_s, self._said_count = now, self.settled_count

    def _gauge(self) -> None:
        """What a scrape would want to know, and that the loop is alive."""
        self.turned_s = self._clock.boot_s()
        self._meter.passed_over(self._passed_over)
        self._passed_over = 0
        self._meter.partitions.set(len(self._assigned.partitions))
        self._meter.waiting.set(self._deliverer.waiting)
        self._meter.read_ahead.set(self._assigned.read_ahead)

    @property
    def joined(self) -> bool:
        """Whether partitions are assigned."""
        return bool(self._assigned.partitions)

    def prefixes(self) -> dict[int, int]:
        """The end of each assigned partition's settled prefix."""
        return self._assigned.prefixes

    async def _rest(self, seconds: float) -> None:
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    @property
    def _batch_max(self) -> int:
        """How many intents may be open."""
        return batch_size(self._deliverer.rate, self._throughput.rate, self._config.calls_at_once)

    def _room(self) -> int:
        """How many more records may be read now."""
        if self._deliverer.waiting >= WAITING_MAX:
            return -OVERSHOOT_MAX
        return 2 * self._batch_max - self._batches.fresh - self._deliverer.backlog

    @property
    def _idle(self) -> bool:
        return not (self._batches.fresh or self._batches.ended or self._deliverer.busy)

    def _due(self) -> bool:
        """Whether a transaction is worth its while now."""
        if self._batches.fresh and self._deliverer.backlog <= self._batch_max // 2:
            return True
        if self._clock.boot_s() - self._last_commit_s < COMMIT_EVERY_S:
            return self._batches.ended >= ENDED_MAX
        return self._batches.ended > 0 or self._assigned.dirty

    async def _accept(self, records: list[Record]) -> None:
        """Takes in what was read: each record becomes work, behind earlier work of its key, or is passed over."""
        sent = await self._ahead.sent(records)
        for record, was_sent in zip(records, sent, strict=True):
            window = self._assigned.get(record.partition)
            if window is None or not window.add(record.offset):
                continue
            if (was_sent and record.key not in self._order) or not self._concerns(record):
                self._pass_over(window, record)
                continue
            work = examine(
                record,
                window,
                this_month=self._this_month(),
                retention_months=self._config.retention_months,
                suppressed=self._suppressed,
            )
            if work.key is None and (record.partition, record.offset) in self._told_before:
                self._pass_over(window, record)
                continue
            if work.job is not None and work.refusal is None:
                try:
                    await self._templates.check(work.job)
                except BadRecord as bad:
                    work.refusal = refused(bad)
                except Halted as halted:
                    self._deliverer.halt(halted)
            if self._order.arrive(work):
                self._route(work)

    def _concerns(self, record: Record) -> bool:
        return not self._month or (record.key or b"").endswith(self._month)

    def _pass_over(self, window: Window, record: Record) -> None:
        window.settle(record.offset)
        self.settled_count += 1
        self._passed_over += 1

    def _route(self, work: Work) -> None:
        if work.needs_call:
            self._batches.add_fresh(work)
        else:
            self._deliverer.submit([work])

    def _start_next(self, ended: Work) -> None:
        """Starts the next record of the key, if there is one."""
        if follower := self._order.end(ended):
            self._route(follower)

    def _on_done(self, work: Work) -> None:
        self._batches.add_ended(work)
        self._ahead.note(work.result)
        self._start_next(work)
        if isinstance(work.result, Settle) and self._assigned.owns(work):
            bad = work.result.outcome in {Outcome.DEAD, Outcome.UNCERTAIN}
            if reason := self._breaker.note(bad=bad):
                self._deliverer.halt(Halted("breaker", f"{reason}: see `mailonce dead-letters list`, then start again"))
        self._wake.set()

    def _corrected(self, work: Work) -> None:
        """A recorded outcome is to be recorded anew."""
        self._batches.add_ended(work)
        self._wake.set()

    # ---- the transaction ----

    async def _commit(self, batch: Batch) -> None:
        """Outcomes, intents and offsets in one transaction; nothing when there is nothing to say."""
        transaction = self._transaction(batch)
        if transaction is None:
            return
        began_s = self._clock.boot_s()
        try:
            await self._log.commit(transaction)
        except MailonceError as error:
            aborted = isinstance(error, TransactionAborted)
            if aborted:
                self._batches.aborted(batch)
            self._meter.transaction("aborted" if aborted else "unknown", self._clock.boot_s() - began_s)
            raise
        self._meter.transaction("committed", self._clock.boot_s() - began_s)
        self._committed(batch)
        self._deliverer.submit(batch.intended)

    def _next(self) -> Batch:
        return self._batches.next(max(0, self._batch_max - self._deliverer.backlog), new_attempt_id)

    def _transaction(self, batch: Batch) -> Transaction | None:
        """A batch as records; ``None`` when there is nothing to say."""
        outcomes = [record for work in batch.finished for record in self._scribe.outcome(work)]
        intents = [self._scribe.intent(work) for work in batch.intended]
        withdrawals = [self._scribe.withdrawal(work) for work in batch.withdrawn if work.attempt]
        records = [*outcomes, *intents, *withdrawals]
        return Transaction(records, dict(batch.offsets)) if records or batch.offsets else None

    def _committed(self, batch: Batch) -> None:
        self._batches.committed(batch)
        self._last_commit_s = self._clock.boot_s()
        self._meter.settled(work.result for work in batch.finished)
        self.settled_count += len(batch.finished)
        self._throughput.note(len(batch.finished), self._last_commit_s)
        if batch.finished:
            self._after_commit.recorded(list(batch.finished))
        if batch.leaving:
            self._forget(batch.leaving, batch.withdrawn)

    async def _start_over(self) -> None:
        """Nobody knows how the last transaction ended: forget, and read again from what is committed."""
        await self.lost(self._assigned.partitions)
        await self.assigned(await self._log.renew())

    # ---- rebalances (the Listener of the job log) ----

    async def assigned(self, committed: dict[int, tuple[int, str]]) -> None:
        log.info(Event.PARTITIONS_ASSIGNED, partitions=sorted(committed))
        self._meter.rebalanced("assigned")
        self._ahead.wake()
        self._assigned.assign(committed)

    async def revoked(self, partitions: frozenset[int]) -> Transaction | None:
        log.info(Event.PARTITIONS_REVOKED, partitions=sorted(partitions))
        self._meter.rebalanced("revoked")
        dropped = await self._deliverer.quiesce(
            lambda work: work.record.partition in partitions and self._assigned.owns(work)
        )
        self._after_commit.give_back(dropped)
        batch = self._batches.last(dropped, partitions)
        transaction = self._transaction(batch)
        if transaction is None:
            self._forget(partitions, dropped)
        else:
            self._revoking = batch
        return transaction

    async def settled(self, transaction: Transaction) -> None:  # noqa: ARG002 - the one that `revoked` returned
        assert self._revoking is not None
        batch, self._revoking = self._revoking, None
        self._committed(batch)

    async def lost(self, partitions: frozenset[int]) -> None:
        if partitions:
            log.warning(Event.PARTITIONS_LOST, partitions=sorted(partitions))
            self._meter.rebalanced("lost")
        revoking, self._revoking = self._revoking, None
        self._forget(partitions, revoking.withdrawn if revoking else ())
        # Calls in flight go on: their marks are facts. Their outcomes are recorded by whoever comes next.
        dropped = self._deliverer.drop(lambda work: work.window.closed)
        self._after_commit.give_back(dropped)
        for work in dropped:
            self._start_next(work)

    def _forget(self, partitions: frozenset[int], dropped: Iterable[Work]) -> None:
        """Partitions have left, and with them the works `dropped`, which never started; others' turn may have come."""
        self._assigned.forget(partitions)
        self._order.forget_closed()
        for work in [*dropped, *self._batches.forget_closed()]:
            self._start_next(work)

    # ---- the end ----

    async def _drained(self) -> bool:
        """Whether every job published before the drain began is settled, in the whole group."""
        if not self._idle or self._after_commit.busy or self._clock.boot_s() - self._drain_looked_s < 0.2:
            return False
        if not self._assigned.reached:
            return False
        self._drain_looked_s = self._clock.boot_s()
        return not await self._log.unsettled(self._assigned.targets, self._assigned.partitions)

    async def _leave(self) -> None:
        """Ends calls, settles, and withdraws the intents that were never used."""
        dropped = await self._deliverer.quiesce(lambda _work: True)
        self._after_commit.give_back(dropped)
        for _ in range(3):
            try:
                await self._commit(self._batches.last(dropped))
                await self._after_commit.end(timeout_s=MARKS_S)
                if not self._batches.ended:
                    break
                dropped = []
            except TransactionAborted as error:
                log.warning(Event.TRANSACTION_ABORTED, error=str(error))
                await self._log.poll(1, 0.1, self._assigned.partitions)
            except TransactionUnknown as error:
                # Safe to leave as it is: whoever takes over reads from what is committed.
                log.warning(Event.TRANSACTION_UNKNOWN, error=str(error))
                break
        await self._after_commit.end(timeout_s=MARKS_S)
