"""The loop: reads jobs, commits *settle the last, intend the next*, and comes to an end.

All state lives on the event loop; only the `JobLog` adapter has a thread (Kafka's client wants one). What a
record's way is the engine knows; here it is driven.
"""

from __future__ import annotations

import asyncio

from processor.core.engine import Engine
from processor.ports import Clock, JobLog
from processor.shell.after_commit import AfterCommit
from processor.shell.back_pressure import BackPressure
from processor.shell.deliver import Deliverer
from processor.shell.drain import Drain
from processor.shell.intake import Intake
from processor.shell.leave import MARKS_S, leave
from processor.shell.pulse import Pulse
from processor.shell.rebalances import Rebalances
from processor.shell.transactions import Transactions
from schemas.identity import new_attempt_id
from schemas.kafka.reading import Record
from schemas.runtime.ending import end
from schemas.runtime.errors import Halted, TransactionAborted, TransactionUnknown
from schemas.runtime.logs import Event, get_log

__all__ = ["Worker"]

log = get_log()

POLL_BUSY_S = 0.005
POLL_IDLE_S = 0.2
REST_S = 0.05


class Worker:
    """One processor. `run` returns when it was stopped or drained, and raises when it must leave."""

    def __init__(
        self,
        engine: Engine,
        job_log: JobLog,
        intake: Intake,
        deliverer: Deliverer,
        transactions: Transactions,
        after_commit: AfterCommit,
        rebalances: Rebalances,
        pressure: BackPressure,
        pulse: Pulse,
        clock: Clock,
        drain: Drain | None = None,
    ) -> None:
        self._engine = engine
        self._log = job_log
        self._intake = intake
        self._deliverer = deliverer
        self._transactions = transactions
        self._after_commit = after_commit
        self._rebalances = rebalances
        self._pressure = pressure
        self._pulse = pulse
        self._clock = clock
        self._drain = drain
        self._stopping = False

    # ---- what others see and ask ----

    def stop(self) -> None:
        """Asks for a graceful end: no new calls, those in flight end, everything is settled."""
        if not self._stopping:
            log.info(Event.STOPPING)
        self._stopping = True
        self._deliverer.hurry()

    def halt(self, halted: Halted) -> None:
        """Asks for an end for a reason that is everybody's: calls in flight end, nothing is dead-lettered."""
        self._deliverer.halt(halted)

    @property
    def calling(self) -> bool:
        """Whether a call to SES is in flight: it ends by SES's own time-outs."""
        return self._deliverer.calling

    @property
    def joined(self) -> bool:
        """Whether partitions are assigned."""
        return bool(self._engine.assigned.partitions)

    @property
    def settled_count(self) -> int:
        return self._transactions.settled

    @property
    def turned_s(self) -> float:
        """boot clock of the last turn of the loop"""
        return self._pulse.beaten_s

    def prefixes(self) -> dict[int, int]:
        """The end of each assigned partition's settled prefix."""
        return self._engine.assigned.prefixes

    @property
    def unreadable(self) -> dict[int, int]:
        """Partitions that stand still before a batch that cannot be read, and where."""
        return self._engine.assigned.unreadable

    def targets(self) -> dict[int, int]:
        """Each partition's end when the drain began."""
        return dict(self._engine.assigned.targets)

    async def run(self) -> None:
        await self._log.start(self._rebalances)
        if self._drain:
            await self._drain.begin()
        sending = asyncio.create_task(self._deliverer.run())
        scanning = asyncio.create_task(self._intake.scan.run())
        try:
            while not self._stopping and not self._deliverer.halted:
                await self._turn()
                for task in (sending, scanning):
                    if task.done():
                        task.result()
                if self._drain and self._idle and await self._drained(self._drain):
                    break
            await leave(self._engine, self._log, self._deliverer, self._transactions, self._after_commit)
        finally:
            self._deliverer.hurry()
            await end(sending, scanning)
            # Empty after a graceful end. Else: what SES accepts is noted, what was not called for is given back.
            dropped = await self._deliverer.quiesce(lambda _ticket: True)
            self._after_commit.give_back([*dropped, *self._engine.starts.never_called()])
            await self._log.stop()
            self._pulse.beat()
            await self._after_commit.end(timeout_s=MARKS_S)
        if self._deliverer.halted:
            raise self._deliverer.halted

    # ---- one turn ----

    async def _turn(self) -> None:
        self._pulse.beat()
        self._engine.correct(self._after_commit.take())
        self._after_commit.give_back(self._engine.starts.never_called())
        pressure, assigned = self._pressure, self._engine.assigned
        room = pressure.room
        if room <= 0 and not pressure.commit_due:
            await self._deliverer.rest(REST_S)
        patience = POLL_IDLE_S if self._idle else POLL_BUSY_S
        if room <= 0 or pressure.commit_due:
            patience = 0
        poll = await self._log.poll(self._intake.count(room), patience, pressure.blocked)
        await self._accept(poll.records)
        assigned.reach_ends(poll.ends)
        assigned.meet_unreadable(poll.unreadable)
        if pressure.commit_due:
            await self._commit()

    async def _drained(self, drain: Drain) -> bool:
        if (halted := drain.halted()) is not None:
            self._deliverer.halt(halted)
        return await drain.look()

    async def _accept(self, records: list[Record]) -> None:
        passed_over, halted = await self._intake.take(records)
        self._transactions.pass_over(passed_over)
        if halted is not None:
            self._deliverer.halt(halted)
        self._deliverer.wake()

    async def _commit(self) -> None:
        try:
            await self._transactions.commit(self._engine.next(self._pressure.batch_max, new_attempt_id))
            await self._transactions.tell()
        except TransactionAborted as error:
            log.warning(Event.TRANSACTION_ABORTED, error=str(error))
            await self._clock.sleep(0.1)
        except TransactionUnknown as error:
            log.warning(Event.TRANSACTION_UNKNOWN, error=str(error))
            await self._rebalances.start_over(self._log.renew)
        self._deliverer.wake()

    @property
    def _idle(self) -> bool:
        return self._engine.idle and not self._deliverer.busy
