"""The set's rebuild: its lock, what is put back, and the marker that says that it is whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from processor.adapters.redis.bucket import escaped
from processor.adapters.redis.checkpoint import CheckpointScripts
from processor.adapters.redis.client import asking, nameless
from processor.adapters.redis.scope import NO_ID
from processor.core.checkpoint import NOTHING, Checkpoint
from processor.core.claims import Restored
from processor.core.states import Claim, parse_claim
from processor.ports import ServerSeen
from schemas.identity import Key

__all__ = ["RebuildScripts"]


class RebuildScripts(CheckpointScripts):
    """The part of the set that is about its being whole."""

    async def time_ms(self) -> int:
        """The server's clock."""
        seconds, micros = await asking(self._client.time())
        return int(seconds) * 1000 + int(micros) // 1000

    async def restore(self, claims: Sequence[Restored], token: str, ttl_s: float) -> None:
        """Puts claims back, sending since now; lowers none that is there, but frees those whose attempts have ended.

        Keeps the lock as well. Raises `RebuildLost` and changes nothing when that is no longer the token's.
        """
        keys = [self.lock, *(self._bucket(known.key) for known in claims)]
        items = [[k.key.user_id, k.claim, *k.place, k.ended] for k in claims]
        await self._run("restore", keys, [token, int(ttl_s * 1000), msgspec.msgpack.encode(items)])

    async def peek(self, key: Key) -> Claim | None:
        """A key's claim as it stands, for people; ``None`` when the set is not whole."""
        return (await self.peek_all([key]))[0] if await self.is_whole() else None

    async def peek_all(self, keys: Sequence[Key]) -> list[Claim]:
        """Claims as they stand, whole or not, changing nothing."""
        async with self._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hget(self._bucket(key), key.user_id)
            return [parse_claim(str(value or "")) for value in await asking(pipe.execute())]

    async def forget(self, keys: Sequence[Key]) -> None:
        """Takes the keys' entries out: only for keys without a job that anybody could still claim for."""
        async with self._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hdel(self._bucket(key), key.user_id)
                pipe.hdel(self._places(key), key.user_id)
            if keys:
                await asking(pipe.execute())

    async def entries(self) -> AsyncIterator[tuple[Key, Claim]]:
        """Every entry of the set, bucket after bucket."""
        async for name in self._client.scan_iter(match=f"{escaped(self._base)}:2*", count=1000):
            month = str(name).split(":")[-2]
            for user_id, value in (await asking(self._client.hgetall(name))).items():
                yield Key(user_id, month), parse_claim(value)

    async def server(self) -> ServerSeen:
        """Who the server is, and what its set is worth. Raises `RedisUntrusted` when it does not tell its ids."""
        under = self._seen()
        told = await self._run("whole", [self.marker], [under.lineage or NO_ID, under.granted])
        run, installation, lineage = (str(name).removeprefix(NO_ID) for name in told[:3])
        if not run:
            raise nameless()
        return ServerSeen(run, installation, lineage, whole=bool(told[3]))

    async def is_whole(self) -> bool:
        """Whether claims may be granted under the newest lineage."""
        seen, under = await self.server(), self.under()
        return seen.whole and (seen.installation, seen.lineage) == (under.installation, under.lineage)

    async def set_whole(
        self, token: str, lineage: str = "", checkpoint: Checkpoint = NOTHING, since: Checkpoint = NOTHING
    ) -> bool:
        """Writes the marker: the set is whole under this lineage. Ends the lock; false when it is not the token's.

        Args:
            token: the lock's.
            lineage: the one that was begun.
            checkpoint: up to where ledger and attempts are in the set now.
            since: from where they were read; from the beginning, and the set is sealed anew.
        """
        under = self.under()
        marker = [under.installation or NO_ID, lineage or under.lineage or NO_ID]
        places = "" if checkpoint == NOTHING else checkpoint.to_text()
        return bool(
            await self._run("set_whole", self._checkpoint_keys(), [token, *marker, places, int(since == NOTHING)])
        )

    async def unset_whole(self) -> None:
        """Takes the marker away: nobody claims until the set was rebuilt."""
        await asking(self._client.delete(self.marker))

    async def lock_rebuild(self, token: str, ttl_s: float) -> bool:
        """Takes the lock for a rebuild under this token, on the server as it runs now."""
        return bool(await self._run("lock", [self.lock], [token, int(ttl_s * 1000), 1]))

    async def extend_lock(self, token: str, ttl_s: float) -> bool:
        """Keeps the lock; false when it is no longer the token's."""
        return bool(await self._run("lock", [self.lock], [token, int(ttl_s * 1000), 0]))

    async def unlock_rebuild(self, token: str) -> None:
        await self._run("unlock", [self.lock], [token])
