"""The dedup set and the group's pace in Redis or Valkey: one Lua script a change, nobody writes a state by hand.

Layout, all under one hash tag so that a cluster keeps it in one slot and a script can take every key:

- ``{mailonce:PREFIX}:whole``: the marker, a hash: whose set it is, under which lineage it is whole, and on which server
  (run id and replication id). When it is missing, or names another (a restart, a failover), the set cannot be trusted.
- ``{mailonce:PREFIX}:YYYY-MM:BBBB``: 65,536 buckets a month, hashes of user id to claim. Small hashes are packed, which
  costs a fifth of a key each. Nothing here expires by itself but what says so.
- ``{mailonce:PREFIX}:floor``: ``YYYY-MM``. Months before it are closed for good, and their buckets dropped.
- ``{mailonce:PREFIX}:lasting``: stands once whatever 0.1 lets expire was made to stay.
- ``{mailonce:PREFIX}:places:YYYY-MM:BBBB``: for few keys, hashes of user id to the places up to which its records count
  no more (`supersede`); a place stands there whatever becomes of the claim.
- ``{mailonce:PREFIX}:telling:PARTITION:OFFSET``: who writes the letter about a record whose key is not barred; it
  expires after a lifetime.
- ``{mailonce:PREFIX}:pace``: the budget of rate and quota; ``{mailonce:PREFIX}:spent``: what was sent of the quota, by
  the time of day. ``{mailonce:PREFIX}:rebuild``: the rebuild's lock.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis.asyncio

from processor.adapters.redis.client import Scripts
from processor.adapters.redis.scope import NOBODYS_SET, Under
from processor.core.states import Claim, parse_claim, short_id
from processor.ports import Item
from schemas.identity import Key

__all__ = ["RedisSet", "escaped", "flat"]

BUCKETS = 65_536


class RedisSet:
    """The set's names, and how a script is called on it; what it is for stands in the classes that extend it."""

    def __init__(self, client: redis.asyncio.Redis, prefix: str, lifetime_s: float) -> None:
        self._run = Scripts(client).run
        self._client = client
        self._base = f"{{mailonce:{prefix}}}"
        self._lifetime_ms = int(lifetime_s * 1000)
        self.under: Callable[[], Under] = lambda: NOBODYS_SET
        """Whose set it must be, and the newest lineage; without a control topic: nobody's."""
        self._granted = Under()
        """the lineage that was last granted under, and how many grants it has seen"""

    @property
    def marker(self) -> str:
        return f"{self._base}:whole"

    @property
    def floor(self) -> str:
        return f"{self._base}:floor"

    @property
    def lasting(self) -> str:
        return f"{self._base}:lasting"

    @property
    def lock(self) -> str:
        return f"{self._base}:rebuild"

    def _bucket(self, key: Key) -> str:
        return f"{self._base}:{key.month}:{zlib.crc32(key.user_id.encode()) % BUCKETS:04x}"

    def _places(self, key: Key) -> str:
        return f"{self._base}:places:{key.month}:{zlib.crc32(key.user_id.encode()) % BUCKETS:04x}"

    async def _read(
        self,
        name: str,
        items: Sequence[Item],
        per_item: Callable[[Item], tuple[Any, ...]],
        *kept: str,
        places: bool = False,
    ) -> list[Claim]:
        keys, under = [self.marker, *kept], self._seen()
        for item in items:
            keys += [self._bucket(item.key), self._places(item.key)] if places else [self._bucket(item.key)]
        values = await self._run(name, keys, [self._lifetime_ms, *flat(items, per_item), under.to_argument()])
        if len(values) > len(items):
            self._granted = under._replace(granted=int(values.pop()))
        return [parse_claim(value) for value in values]

    def _seen(self) -> Under:
        """The newest lineage, with the highest number of grants that anybody has seen."""
        return self.under().at_least(self._granted)

    @property
    def granted(self) -> int:
        """How many grants of the newest lineage this process knows of: for others to know as well."""
        return self._seen().granted

    async def _write(self, name: str, items: Sequence[Item], per_item: Callable[[Item], tuple[Any, ...]]) -> Any:
        if not items:
            return []
        return await self._run(name, [self._bucket(item.key) for item in items], flat(items, per_item))

    async def _lower(self, name: str, items: Sequence[Item], per_item: Callable[[Item], tuple[Any, ...]]) -> Any:
        """What frees or lowers: only in a set that is whole. Raises `NotWhole`."""
        if not items:
            return []
        keys = [self.marker, *(self._bucket(item.key) for item in items)]
        return await self._run(name, keys, [*flat(items, per_item), self._seen().to_argument()])

    async def _fact(self, name: str, items: Sequence[Item], text: Callable[[Item], str]) -> Any:
        return await self._write(
            name, items, lambda i: (i.key.user_id, short_id(i.message_id), i.attempt, text(i), i.message_id)
        )


def escaped(text: str) -> str:
    """`text` as a literal in a Redis pattern."""
    return "".join(f"\\{char}" if char in "*?[]\\^-" else char for char in text)


def flat(items: Iterable[Item], per_item: Callable[[Item], tuple[Any, ...]]) -> list[Any]:
    return [value for item in items for value in per_item(item)]
