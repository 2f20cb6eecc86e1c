"""Repeating a step on Redis until it is done: the laws of the port `Dedup` make that safe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

from processor.core.gates import REDIS_RETRY_S
from processor.ports import Clock
from schemas.runtime.errors import RedisUnavailable, RedisUntrusted
from schemas.runtime.logs import Event, get_log

__all__ = ["until_redis_answers"]

log = get_log()
T = TypeVar("T")


async def until_redis_answers(
    clock: Clock, step: Callable[[], Awaitable[T]], until_s: Callable[[], float] = lambda: inf
) -> T:
    """What the step returns, once Redis answers. Raises `RedisUnavailable` after the boot clock's `until_s`,
    `RedisUntrusted` at once."""
    while True:
        try:
            return await step()
        except RedisUntrusted:
            raise  # waiting does not help: somebody has to act
        except RedisUnavailable as error:
            log.warning(Event.REDIS_UNAVAILABLE, error=str(error))
            if clock.boot_s() >= until_s():
                raise
            await clock.sleep(REDIS_RETRY_S)
