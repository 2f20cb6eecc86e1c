"""The group's budget of rate and quota in Redis.

- ``{mailonce:PREFIX}:pace``: the budget; ``{mailonce:PREFIX}:spent``: what was sent of the quota, by the time of day.
- ``{mailonce:PREFIX}:first:MONTH``: places that were taken among the month's first mails.
"""

from __future__ import annotations

from math import inf

import redis.asyncio

from processor.adapters.redis.client import Scripts, asking
from processor.core.pace import WINDOW_STEPS, window_opens_ms
from processor.ports import Lease

__all__ = ["RedisPace"]

BURST_S = 0.1
"""That much sending may come at once: SES allows short bursts, not sustained ones."""
RECOVERY_PER_S = 0.02
"""After a throttle the rate comes back by this share of itself a second: 25 s for a half."""
ONE_MOMENT_MS = 1000
UNCOUNTED_MS = 2000
"""Mails leased so lately may still be on their way: SES's count may lack them."""
SHARE_MIN = 0.05
_NO_QUOTA, _NOT_TOLD = -1, -2


class RedisPace:
    """One budget for the whole group; see `processor.ports.Pace`."""

    def __init__(self, client: redis.asyncio.Redis, prefix: str, window_s: float) -> None:
        self._client = client
        self._run = Scripts(client).run
        self._key = f"{{mailonce:{prefix}}}:pace"
        self._first = f"{{mailonce:{prefix}}}:first:"
        self._spent = f"{{mailonce:{prefix}}}:spent"
        self._step_ms = max(1, int(window_s * 1000 / WINDOW_STEPS))

    async def lease(self, wanted: int, rate: float, *, quota: bool) -> Lease:
        arguments: list[str | int | float | bytes] = [rate, BURST_S, wanted, RECOVERY_PER_S, int(quota), self._step_ms]
        arguments.append(UNCOUNTED_MS)
        granted, wait_ms, room = map(int, await self._run("lease", [self._key, self._spent], arguments))
        left = {_NO_QUOTA: inf, _NOT_TOLD: None}.get(room, float(room))
        return Lease(granted, min(0.25, wait_ms / 1000), left)

    async def leased(self) -> int:
        return int(await self._run("leased", [self._key], [UNCOUNTED_MS]))

    async def set_room(self, left: float, leased_before: int) -> None:
        await self._run("room", [self._key], [int(left), leased_before])

    async def quota_opens_s(self) -> float | None:
        seconds, micros = await asking(self._client.time())
        spent = await asking(self._client.hgetall(self._spent))
        steps = {int(step): int(mails) for step, mails in spent.items()}
        opens_ms = window_opens_ms(steps, seconds * 1000 + micros // 1000, self._step_ms)
        return None if opens_ms is None else opens_ms / 1000

    async def throttled(self) -> float:
        return int(await self._run("throttled", [self._key], [ONE_MOMENT_MS, SHARE_MIN])) / 1000

    async def take_first(self, month: str, wanted: int, most: int) -> int:
        return int(await self._run("first", [self._first + month], [wanted, most]))

    async def give_back_first(self, month: str, count: int) -> None:
        await self._run("first", [self._first + month], [-count, 0])
