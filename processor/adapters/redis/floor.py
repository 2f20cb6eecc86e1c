"""The set's floor: months that are closed for good, and what 0.1 let expire."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from processor.adapters.redis.bucket import RedisSet, escaped
from processor.adapters.redis.client import asking

__all__ = ["FloorScripts"]

_MONTH = re.compile(r":\d{4}-\d{2}(:[0-9a-f]{4})?$")
"""ends the name of what is kept of a month"""


class FloorScripts(RedisSet):
    """The part of the set that is about the floor."""

    async def raise_floor(self, month: str = "") -> str:
        """From now on nothing is granted for months before this one. Returns the set's floor, which may be higher."""
        return str(await self._run("floor", [self.floor], [month]))

    async def drop_below_floor(self) -> None:
        """Gives back the memory of months before the set's floor. Broken off, it may be done again."""
        async for names in self._named():
            await self._run("floor", [self.floor, *names], [""])

    async def prepare(self, floor: str) -> str:
        """Before a rebuild: what stands here stays but for a floor's act. Returns the set's floor, as `raise_floor`."""
        await self.keep_all()
        return await self.raise_floor(floor)

    async def keep_all(self) -> None:
        """What 0.1 lets expire stays from now on: once for all in a set's life."""
        if await asking(self._client.exists(self.lasting)):
            return
        async for names in self._named():
            async with self._client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.persist(name)
                await asking(pipe.execute())
        await asking(self._client.set(self.lasting, 1))

    async def _named(self) -> AsyncIterator[list[str]]:
        """Names of months' entries, some hundreds at once."""
        cursor = 0
        while True:
            cursor, names = await asking(self._client.scan(cursor, match=f"{escaped(self._base)}:*", count=1000))
            if ours := [str(name) for name in names if _MONTH.search(str(name))]:
                yield ours
            if not cursor:
                return
