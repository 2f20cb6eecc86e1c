"""The first reason to leave: it stands, and is told once."""

from __future__ import annotations

from processor.core.gates import Gates
from processor.ports import Clock
from processor.telemetry.meter import Meter
from schemas.runtime.errors import Halted
from schemas.runtime.logs import Event, get_log

__all__ = ["halt"]

log = get_log()


def halt(gates: Gates, halted: Halted, clock: Clock, meter: Meter) -> None:
    """Nothing is started any more; what Redis is to be told is tried a little longer."""
    if gates.halt(halted, clock.boot_s()):
        meter.halted.set(1)
        log.error(Event.HALTED, reason=halted.reason, detail=str(halted))
