"""The real clock."""

from __future__ import annotations

import asyncio
import random
import time

__all__ = ["SystemClock", "boot_s"]

# CLOCK_MONOTONIC stands still while a Linux machine sleeps; CLOCK_BOOTTIME does not. Elsewhere the monotonic clock is
# the best there is (macOS's runs on in sleep).
_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_s() -> float:
    """Seconds on a clock that also runs while the process is stopped and the machine sleeps."""
    return time.clock_gettime(_BOOT)


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def boot_s(self) -> float:
        return boot_s()

    def random(self) -> float:
        return random.random()  # noqa: S311 - jitter, not a secret

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
