"""The loop: reads jobs, commits *settle the last, intend the next*, and handles rebalances and the end.

All state lives on the event loop; only the `JobLog` adapter has a thread (Kafka's client wants one).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Container
from dataclasses import dataclass

from processor.after_commit import AfterCommit
from processor.ahead import RECORDS_MAX, LookAhead
from processor.core.assignments import Assignments
from processor.core.breaker import Breaker
from processor.core.decide import Settle
from processor.core.key_order import KeyOrder
from processor.core.offsets import Window
from processor.core.pace import Throughput, batch_size
from processor.core.work import Work, examine, refused
from processor.deliver import Deliverer
from processor.ledger import Scribe
from processor.meter import Meter
from processor.ports import Clock, Dedup, JobLog, Produced, Templates, Transaction
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
        self._fresh: list[Work] = []
        self._done: list[Work] = []
        self._finished: list[Work] = []
        """Settled in their windows, their outcomes not committed yet."""
        self._leaving: frozenset[int] = frozenset()
        self._dropped: list[Work] = []
        """Never started, of the partitions that leave."""
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
                await self._commit()
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
    def _batch(self) -> int:
        return batch_size(self._deliverer.rate, self._throughput.rate, self._config.calls_at_once)

    def _room(self) -> int:
        """How many more records may be read now."""
        if self._deliverer.waiting >= WAITING_MAX:
            return -OVERSHOOT_MAX
        return 2 * self._batch - len(self._fresh) - self._deliverer.backlog

    @property
    def _idle(self) -> bool:
        return not (self._fresh or self._done or self._finished or self._deliverer.busy)

    def _due(self) -> bool:
        """Whether a transaction is worth its while now."""
        if self._fresh and self._deliverer.backlog <= self._batch // 2:
            return True
        if self._clock.boot_s() - self._last_commit_s < COMMIT_EVERY_S:
            return len(self._done) >= 500
        return bool(self._done or self._finished) or self._assigned.dirty

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
            self._fresh.append(work)
        else:
            self._deliverer.submit([work])

    def _start_next(self, ended: Work) -> None:
        """Starts the next record of the key, if there is one."""
        if follower := self._order.end(ended):
            self._route(follower)

    def _on_done(self, work: Work) -> None:
        self._done.append(work)
        self._ahead.note(work.result)
        self._start_next(work)
        if isinstance(work.result, Settle) and self._assigned.owns(work):
            bad = work.result.outcome in {Outcome.DEAD, Outcome.UNCERTAIN}
            if reason := self._breaker.note(bad=bad):
                self._deliverer.halt(Halted("breaker", f"{reason}: see `mailonce dead-letters list`, then start again"))
        self._wake.set()

    def _corrected(self, work: Work) -> None:
        """A recorded outcome is to be recorded anew."""
        self._done.append(work)
        self._wake.set()

    # ---- the transaction ----

    async def _commit(self, withdrawn: list[Work] | None = None) -> None:
        """Settle the last, intend the next: outcomes, intents and offsets in one transaction."""
        intended = self._intend() if withdrawn is None else []
        intents = [self._scribe.intent(work) for work in intended]
        transaction = self._settling(intents, withdrawn or [])
        if transaction is None:
            return
        began_s = self._clock.boot_s()
        try:
            await self._log.commit(transaction)
        except MailonceError as error:
            aborted = isinstance(error, TransactionAborted)
            if aborted:
                self._fresh[:0] = intended
            self._meter.transaction("aborted" if aborted else "unknown", self._clock.boot_s() - began_s)
            raise
        self._meter.transaction("committed", self._clock.boot_s() - began_s)
        await self.settled(transaction)
        self._deliverer.submit(intended)

    def _settling(self, intents: list[Produced], withdrawn: list[Work]) -> Transaction | None:
        """The transaction that records every finished work, or ``None`` when there is nothing to say."""
        self._finished += self._done
        self._done = []
        self._finished = [work for work in self._finished if self._assigned.owns(work)]
        outcomes: list[Produced] = []
        for work in self._finished:
            work.window.settle(work.record.offset)
            outcomes += self._scribe.outcome(work)
        withdrawals = [self._scribe.withdrawal(work) for work in withdrawn if work.attempt]
        offsets = self._assigned.to_commit()
        records = [*outcomes, *intents, *withdrawals]
        return Transaction(records, offsets) if records or offsets else None

    def _intend(self) -> list[Work]:
        count = max(0, self._batch - self._deliverer.backlog)
        chosen, self._fresh = self._fresh[:count], self._fresh[count:]
        works = [work for work in chosen if self._assigned.owns(work)]
        for work in works:
            work.attempt = new_attempt_id()
        return works

    async def settled(self, transaction: Transaction) -> None:
        """The transaction has committed."""
        self._last_commit_s = self._clock.boot_s()
        finished, self._finished = self._finished, []
        self._meter.settled(work.result for work in finished)
        self.settled_count += len(finished)
        self._throughput.note(len(finished), self._last_commit_s)
        self._assigned.committed(transaction.offsets)
        if finished:
            self._after_commit.recorded(finished)
        self._forget(self._leaving)

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
        self._leaving, self._dropped = partitions, dropped
        transaction = self._settling([], dropped)
        if transaction is None:
            self._forget(partitions)
        return transaction

    async def lost(self, partitions: frozenset[int]) -> None:
        if partitions:
            log.warning(Event.PARTITIONS_LOST, partitions=sorted(partitions))
            self._meter.rebalanced("lost")
        self._forget(partitions)
        # Calls in flight go on: their marks are facts. Their outcomes are recorded by whoever comes next.
        dropped = self._deliverer.drop(lambda work: work.window.closed)
        self._after_commit.give_back(dropped)
        for work in dropped:
            self._start_next(work)

    def _forget(self, partitions: frozenset[int]) -> None:
        if not partitions:
            return
        self._leaving -= partitions
        self._assigned.forget(partitions)
        gone = [*self._dropped, *(work for work in self._fresh if not self._assigned.owns(work))]
        self._dropped = []
        self._fresh = [work for work in self._fresh if self._assigned.owns(work)]
        self._order.forget_closed()
        for work in gone:
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
                await self._commit(withdrawn=dropped)
                await self._after_commit.end(timeout_s=MARKS_S)
                if not self._done:
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
