"""Time, randomness and waiting."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """Time, randomness and waiting: passed in, so that a seed replays a failure."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970."""
        ...

    def boot_s(self) -> float:
        """Seconds on a clock that also runs while the process is stopped and the machine sleeps."""
        ...

    def random(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...
