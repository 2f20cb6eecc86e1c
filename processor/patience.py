"""Repeating a step on Redis until it is done: the laws of the port `Dedup` make that safe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from processor.ports import Clock
from schemas.errors import RedisUnavailable
from schemas.logs import Event, get_log

__all__ = ["REDIS_RETRY_S", "until_redis_answers"]

log = get_log()
T = TypeVar("T")

REDIS_RETRY_S = 0.5
HURRY_S = 3.0
"""How much longer Redis is waited for when the process is to end."""


async def until_redis_answers(
    clock: Clock, step: Callable[[], Awaitable[T]], hurried: Callable[[], bool] = lambda: False
) -> T:
    """What the step returns, once Redis answers. Raises `RedisUnavailable` only when `hurried` for `HURRY_S`."""
    gives_up_s = None
    while True:
        try:
            return await step()
        except RedisUnavailable as error:
            log.warning(Event.REDIS_UNAVAILABLE, error=str(error))
            if hurried():
                gives_up_s = gives_up_s or clock.boot_s() + HURRY_S
                if clock.boot_s() >= gives_up_s:
                    raise
            await clock.sleep(REDIS_RETRY_S)
