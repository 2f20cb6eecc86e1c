"""The end of a drain: every job that was published before it began is settled, in the whole group."""

from __future__ import annotations

from processor.core.engine import Engine
from processor.ports import Clock, JobLog
from processor.shell.after_commit import AfterCommit
from processor.shell.brake import BrakeLever
from schemas.runtime.errors import BrokerUnavailable, Halted

__all__ = ["Drain"]

LOOK_EVERY_S = 0.2


class Drain:
    """Looks now and then how far the group has come."""

    def __init__(
        self, engine: Engine, job_log: JobLog, after_commit: AfterCommit, brake: BrakeLever, clock: Clock
    ) -> None:
        self._engine = engine
        self._log = job_log
        self._after_commit = after_commit
        self._brake = brake
        self._clock = clock
        self._looked_s = 0.0

    async def begin(self) -> None:
        self._engine.assigned.aim(await self._log.ends())

    def halted(self) -> Halted | None:
        """Why it ends without having come to its end, if so; asked of an idle processor."""
        return self._brake.ends_drain()

    async def look(self) -> bool:
        """Whether it has come to its end, as far as was looked; asked of an idle processor.

        Raises `BrokerUnavailable` when only what cannot be read is left.
        """
        now_s, assigned = self._clock.boot_s(), self._engine.assigned
        if assigned.stuck:
            places = ", ".join(f"{partition}:{offset}" for partition, offset in sorted(assigned.unreadable.items()))
            raise BrokerUnavailable(f"jobs cannot be read at {places}: see the log, or `mailonce topics skip P:N`")
        if self._after_commit.busy or now_s - self._looked_s < LOOK_EVERY_S or not assigned.reached:
            return False
        self._looked_s = now_s
        return not await self._log.unsettled(assigned.targets, assigned.partitions)
