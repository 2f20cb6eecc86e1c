"""How much is read, intended and recorded at once, so that little is in doubt after a crash and nobody waits long."""

from __future__ import annotations

from processor.core.engine import Engine
from processor.core.pace import batch_size
from processor.ports import Clock
from processor.shell.deliver import Deliverer
from processor.shell.transactions import Transactions

__all__ = ["BackPressure"]

COMMIT_EVERY_S = 0.2
"""Outcomes wait at most this long for their transaction while the batch is not used up."""
ENDED_MAX = 500
"""So many outcomes do not wait."""
WAITING_MAX = 5_000
"""Attempts in back-off, behind another one or of paused months; beyond that nothing new is read."""
OVERSHOOT_MAX = 100


class BackPressure:
    """Looks at the engine, changes nothing."""

    def __init__(
        self, engine: Engine, deliverer: Deliverer, transactions: Transactions, clock: Clock, calls_at_once: int
    ) -> None:
        self._engine = engine
        self._deliverer = deliverer
        self._transactions = transactions
        self._clock = clock
        self._calls_at_once = calls_at_once

    @property
    def batch_max(self) -> int:
        """How many intents may be open."""
        if self._suspended:
            return 0
        return batch_size(self._deliverer.rate, self._transactions.rate, self._calls_at_once)

    @property
    def _suspended(self) -> bool:
        """Whether nothing is to be intended: no call may be made, or the dedup set is being made whole."""
        return self._engine.starts.tenure is None or self._deliverer.rebuilding

    @property
    def room(self) -> int:
        """How many more records may be read now."""
        if self._engine.due.later + self._engine.batches.parked >= WAITING_MAX:
            return -OVERSHOOT_MAX
        return 2 * self.batch_max - self._engine.batches.fresh - self._engine.due.ready

    @property
    def blocked(self) -> frozenset[int]:
        """Partitions that are not to be read now."""
        assigned = self._engine.assigned
        return assigned.partitions if self.room <= -OVERSHOOT_MAX else assigned.full | self._engine.newest.unread

    @property
    def commit_due(self) -> bool:
        """Whether a transaction is worth its while now."""
        batches = self._engine.batches
        if batches.renounced or batches.facts:
            return True
        if batches.fresh and not self._suspended and self._engine.due.ready <= self.batch_max // 2:
            return True
        if self._clock.boot_s() - self._transactions.last_s < COMMIT_EVERY_S:
            return batches.ended >= ENDED_MAX
        return batches.ended > 0 or self._engine.assigned.dirty
