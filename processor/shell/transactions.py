"""*Settle the last, intend the next*: a batch of the engine as a Kafka transaction, and what its end means."""

from __future__ import annotations

from processor.core.batch import Batch
from processor.core.engine import Engine
from processor.core.pace import Throughput
from processor.core.ticket import Finished
from processor.ports import Clock, JobLog, Letters, Transaction
from processor.shell.after_commit import AfterCommit
from processor.shell.ahead import LookAhead
from processor.shell.ledger import Scribe
from processor.telemetry.meter import Meter
from schemas.runtime.errors import MailonceError, TransactionAborted

__all__ = ["Transactions"]


class Transactions:
    """Commits batches, and counts what they settled."""

    def __init__(
        self,
        engine: Engine,
        job_log: JobLog,
        scribe: Scribe,
        after_commit: AfterCommit,
        ahead: LookAhead,
        letters: Letters,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._engine = engine
        self._log = job_log
        self._scribe = scribe
        self._after_commit = after_commit
        self._ahead = ahead
        self._letters = letters
        self._clock = clock
        self._meter = meter
        self._throughput = Throughput()
        self.last_s = 0.0
        """boot clock of the last commit"""
        self.settled = 0
        """Records that have their outcome, those that were passed over included."""

    @property
    def rate(self) -> float:
        """Mails a second that were settled lately."""
        return self._throughput.rate

    def pass_over(self, count: int) -> None:
        """So many records were settled without being taken in."""
        self.settled += count
        self._meter.passed_over(count)

    async def commit(self, batch: Batch) -> None:
        """Outcomes, intents and offsets in one transaction; nothing when there is nothing to say.

        Raises `TransactionAborted`, `TransactionUnknown` and what the job log raises.
        """
        transaction = await self.written(batch)
        if transaction is None:
            return
        began_s = self._clock.boot_s()
        try:
            await self._log.commit(transaction)
        except MailonceError as error:
            aborted = isinstance(error, TransactionAborted)
            if aborted:
                self._engine.aborted(batch)
            self._meter.transaction("aborted" if aborted else "unknown", self._clock.boot_s() - began_s)
            raise
        self._meter.transaction("committed", self._clock.boot_s() - began_s)
        self._engine.committed(batch)
        self.note(batch)

    async def tell(self) -> None:
        """Writes what SES accepted of partitions that have gone, without offsets: whoever has them now settles the
        records, and a set that is lost before that is put back with `sent`.

        Raises as `commit`; what is not known to be written is written again.
        """
        if facts := self._engine.batches.facts:
            await self._log.commit(Transaction([self._scribe.fact(one) for one in facts], {}, facts=True))
            self._engine.batches.told(facts)
            self._after_commit.recorded(facts)

    async def written(self, batch: Batch) -> Transaction | None:
        """A batch as records; ``None`` when there is nothing to say. What has its letter is not told again."""
        told = await self._told([finished for finished in batch.finished if finished.only_told])
        outcomes = [
            record for finished in batch.finished if finished not in told for record in self._scribe.outcome(finished)
        ]
        intents = [self._scribe.intent(attempt) for attempt in batch.intended]
        withdrawals = [self._scribe.withdrawal(attempt) for attempt in batch.withdrawn if attempt.id]
        # The key's newest intent comes last: compaction keeps that one.
        records = [*outcomes, *withdrawals, *intents]
        return Transaction(records, dict(batch.offsets)) if records or batch.offsets else None

    async def _told(self, finished: list[Finished]) -> set[Finished]:
        """Those of which the dead-letter topic tells already: after a replay, or once the group's offsets were lost."""
        if not finished:
            return set()
        records = {entry: entry.attempt.ticket.record for entry in finished}
        places = await self._letters.told(list(records.values()))
        return {entry for entry, record in records.items() if (record.partition, record.offset) in places}

    def note(self, batch: Batch) -> None:
        """It has committed."""
        self.last_s = self._clock.boot_s()
        self._meter.settled(finished.result for finished in batch.finished)
        self.settled += len(batch.finished)
        self._ahead.note(finished.result for finished in batch.finished)
        self._throughput.note(len(batch.finished), self.last_s)
        if batch.finished:
            self._after_commit.recorded(batch.finished)
