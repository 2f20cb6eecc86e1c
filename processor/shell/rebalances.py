"""Partitions come and go: the listener of the job log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from processor.core.engine import Engine
from processor.core.ticket import Finished
from processor.ports import Transaction
from processor.shell.after_commit import AfterCommit
from processor.shell.ahead import LookAhead
from processor.shell.deliver import Deliverer
from processor.shell.transactions import Transactions
from processor.telemetry.meter import Meter
from schemas.runtime.logs import Event, get_log

__all__ = ["Rebalances"]

log = get_log()


class Rebalances:
    """See `processor.ports.Listener`."""

    def __init__(
        self,
        engine: Engine,
        deliverer: Deliverer,
        transactions: Transactions,
        after_commit: AfterCommit,
        ahead: LookAhead,
        meter: Meter,
    ) -> None:
        self._engine = engine
        self._deliverer = deliverer
        self._transactions = transactions
        self._after_commit = after_commit
        self._ahead = ahead
        self._meter = meter

    async def assigned(self, committed: dict[int, tuple[int, str]]) -> None:
        log.info(Event.PARTITIONS_ASSIGNED, partitions=sorted(committed))
        self._meter.rebalanced("assigned")
        self._ahead.wake()
        self._engine.assign(committed)

    async def revoked(self, partitions: frozenset[int]) -> Transaction | None:
        log.info(Event.PARTITIONS_REVOKED, partitions=sorted(partitions))
        self._meter.rebalanced("revoked")
        dropped = await self._deliverer.quiesce(
            lambda ticket: ticket.record.partition in partitions and not ticket.window.closed
        )
        self._after_commit.give_back(dropped)
        self._engine.correct(self._after_commit.take())
        transaction = await self._transactions.written(self._engine.leave(partitions, dropped))
        if transaction is None:
            self._engine.left()
            self._deliverer.wake()
        return transaction

    async def settled(self, transaction: Transaction) -> None:  # noqa: ARG002 - the one that `revoked` returned
        self._transactions.note(self._engine.left())
        self._deliverer.wake()

    async def lost(self, partitions: frozenset[int]) -> None:
        if partitions:
            log.warning(Event.PARTITIONS_LOST, partitions=sorted(partitions))
            self._meter.rebalanced("lost")
        self._after_commit.give_back(self._engine.lost(partitions))
        self._free(self._engine.batches.forget_ended())
        self._deliverer.wake()

    async def start_over(self, renew: Callable[[], Awaitable[dict[int, tuple[int, str]]]]) -> None:
        """Nobody knows how the last transaction ended: forgets everything, and reads again from what is committed.

        Whether the outcomes that it held, and those that came since, are recorded is told by the committed offsets;
        whatever is not recorded by then never will be by its attempt.
        """
        ended = self._engine.batches.take_ended()
        await self.lost(self._engine.assigned.partitions)
        await self.assigned(await renew())
        recorded = [finished for finished in ended if self._engine.assigned.is_settled(finished.attempt.ticket.record)]
        self._after_commit.recorded(recorded)
        others = [finished for finished in ended if finished not in recorded]
        self._engine.batches.keep_facts(others)
        self._free(others)

    def _free(self, ended: Iterable[Finished]) -> None:
        """Outcomes that nobody records: their keys are free, but for what SES took or may have taken."""
        self._after_commit.give_back(finished.attempt for finished in ended if finished.not_sent)
