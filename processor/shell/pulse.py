"""Once a turn of the loop: whether this process may still call, and what it tells of itself: that its loop turns, its
gauges, a line now and then."""

from __future__ import annotations

from processor.core.engine import Engine
from processor.ports import Clock
from processor.shell.brake import BrakeLever
from processor.shell.control import Permission
from processor.shell.transactions import Transactions
from processor.telemetry.meter import Meter
from schemas.runtime.logs import Event, get_log

__all__ = ["Pulse"]

log = get_log()

PROGRESS_EVERY_S = 10.0


class Pulse:
    """Beats once a turn of the worker's loop."""

    def __init__(
        self,
        engine: Engine,
        transactions: Transactions,
        presence: Permission,
        brake: BrakeLever,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._engine = engine
        self._presence = presence
        self._brake = brake
        self._transactions = transactions
        self._clock = clock
        self._meter = meter
        self._said_s = clock.boot_s()
        self._said_count = 0
        self.beaten_s = clock.boot_s()
        """boot clock of the last beat"""

    def beat(self) -> None:
        self._engine.starts.hold(self._presence.tenure())
        self._brake.look()
        now_s, settled = self._clock.boot_s(), self._transactions.settled
        self.beaten_s = now_s
        if now_s - self._said_s >= PROGRESS_EVERY_S and settled != self._said_count:
            rate = (settled - self._said_count) / (now_s - self._said_s)
            waiting = self._engine.due.later
            log.info(Event.PROGRESS, settled=settled, per_second=round(rate, 1), waiting=waiting)
            self._said_s, self._said_count = now_s, settled
        self._meter.partitions.set(len(self._engine.assigned.partitions))
        self._meter.waiting.set(self._engine.due.later)
        self._meter.read_ahead.set(self._engine.assigned.read_ahead)
