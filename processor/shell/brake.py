"""Paused months, looked at once a turn of the loop: what a person, SES's events or a month's canary have stopped."""

from __future__ import annotations

from collections.abc import Mapping

from processor.core.brake import ALL, is_paused
from processor.core.engine import Engine
from processor.ports import Clock
from processor.shell.canary import CanaryGate
from processor.shell.control import Permission
from processor.telemetry.meter import Meter
from schemas.runtime.errors import Halted
from schemas.runtime.logs import Event, get_log

__all__ = ["BrakeLever"]

log = get_log()

DRAIN_WAITS_S = 5.0
"""A drain with nothing left but paused months waits so long for other records, and then ends."""


class BrakeLever:
    """Holds the engine to the control topic's brake."""

    def __init__(self, engine: Engine, presence: Permission, canary: CanaryGate, clock: Clock, meter: Meter) -> None:
        self._engine = engine
        self._presence = presence
        self._canary = canary
        self._clock = clock
        self._meter = meter
        self._told: Mapping[str, str] = {}
        self._waits_since_s: float | None = None

    def look(self) -> None:
        """Pauses what is to be paused, and lets go what is not; a change is told."""
        paused = dict(self._presence.control.brake.paused)
        self._engine.starts.pause(frozenset({*paused, *self._canary.waiting}))
        if paused == self._told:
            return
        for month, why in paused.items():
            if month not in self._told:
                log.error(Event.MONTH_PAUSED, month=month, why=why, follows=_follows(month))
        for month in self._told.keys() - paused.keys():
            log.info(Event.MONTH_RESUMED, month=month)
        self._meter.paused(self._told.keys() - paused.keys(), paused.keys())
        self._told = paused

    def ends_drain(self) -> Halted | None:
        """Why a drain can come to no better end: nothing is left but what is paused. Asked of an idle processor."""
        months = self._engine.batches.parked_months
        paused = self._presence.control.brake.paused
        now_s = self._clock.boot_s()
        if not self._engine.waits_for_resume or not all(is_paused(paused, month) for month in months):
            self._waits_since_s = None
            return None
        if self._waits_since_s is None:
            self._waits_since_s = now_s
        if now_s - self._waits_since_s < DRAIN_WAITS_S:
            return None
        first = min(months)
        why = paused.get(first) or paused[ALL]
        return Halted("paused", f"month {first} is paused: {why}; {_follows(first)}")


def _follows(month: str) -> str:
    which = "" if month == ALL else f" --month {month}"
    return f"its mails wait; mend the cause, then `mailonce resume{which}`"
