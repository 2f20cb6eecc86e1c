"""Reads our partitions beside their ordinary reader, keys alone, to know early which records a newer one has replaced.

A partition that came is read to an end asked for since, before anything of it is claimed; then the reading follows what
is written. The dedup set's places bar whatever a command closed before it was read here.
"""

from __future__ import annotations

from collections.abc import Callable

from processor.core.engine import Engine
from processor.core.newest import Look
from processor.ports import Clock, JobLog
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.logs import Event, get_log

__all__ = ["Scan"]

log = get_log()

WAIT_S = 0.3
"""For news, and after Kafka has not answered."""
REST_S = 0.05
"""While there is nothing to read: partitions that come are not kept waiting."""


class Scan:
    """Turns until it is cancelled; what it finds, the engine knows."""

    def __init__(self, engine: Engine, job_log: JobLog, clock: Clock, known: Callable[[], None]) -> None:
        """
        Args:
            known: called when more may be claimed.
        """
        self._engine = engine
        self._log = job_log
        self._clock = clock
        self._known = known
        self._silent = False

    async def run(self) -> None:
        """Goes on while Kafka does not answer: nothing is claimed then where an end was not reached."""
        while True:
            try:
                await self._turn()
                self._silent = False
            except BrokerUnavailable as error:
                if not self._silent:
                    log.warning(Event.SCAN_WAITS, error=str(error), follows="unread partitions send nothing")
                self._silent = True
                await self._clock.sleep(WAIT_S)

    async def _turn(self) -> None:
        newest = self._engine.newest
        if asked := newest.endless():
            self._tell(known=newest.aim(asked, await self._log.ends()))
        readings = newest.readings()
        if not readings:
            await self._clock.sleep(REST_S)
            return
        looks = {partition: Look(reading.position, reading.sieve) for partition, reading in readings.items()}
        scanned = await self._log.scan(looks, WAIT_S)
        self._tell(known=newest.take(readings, scanned.records, scanned.positions))
        newest.settle(self._engine.assigned.prefixes)

    def _tell(self, *, known: bool) -> None:
        if known:
            self._engine.known()
            self._known()
