"""Claims: what a processor changes of a key, one script a change."""

from __future__ import annotations

from collections.abc import Sequence

from processor.adapters.redis.bucket import RedisSet
from processor.core.states import Claim, parse_claim
from processor.ports import Item
from schemas.identity import Key

__all__ = ["ClaimScripts"]


class ClaimScripts(RedisSet):
    """See `processor.ports.Dedup` for the laws."""

    async def claim(self, items: Sequence[Item]) -> list[Claim]:
        return await self._read(
            "claim",
            items,
            lambda i: (i.key.user_id, i.attempt, i.partition, i.offset, i.overrides),
            self.floor,
            places=True,
        )

    async def supersede(self, items: Sequence[Item]) -> list[Claim]:
        return await self._read("supersede", items, lambda i: (i.key.user_id, i.partition, i.offset), places=True)

    async def cancel(self, items: Sequence[Item]) -> list[Claim]:
        return await self._read("cancel", items, lambda i: (i.key.user_id, i.attempt, i.partition, i.offset))

    async def refuse(self, items: Sequence[Item]) -> list[Claim]:
        return await self._read("refuse", items, lambda i: (i.key.user_id, i.attempt, i.partition, i.offset))

    async def tell(self, places: Sequence[tuple[int, int]], who: str) -> list[bool]:
        notes = [f"{self._base}:telling:{partition}:{offset}" for partition, offset in places]
        told = await self._run("tell", [self.marker, *notes], [who, self._lifetime_ms, self._seen().to_argument()])
        return [bool(mine) for mine in told]

    async def recorded(self, keys: Sequence[Key]) -> list[Claim | None]:
        values = await self._run("recorded", [self._bucket(key) for key in keys], [key.user_id for key in keys])
        return [parse_claim(value) if value else None for value in values]

    async def note_sent(self, items: Sequence[Item]) -> list[Claim]:
        return [parse_claim(after) for _, after in await self._fact("sent", items, lambda i: i.fingerprint)]

    async def release(self, items: Sequence[Item]) -> None:
        await self._lower("release", items, lambda i: (i.key.user_id, i.attempt, i.overrides))

    async def note_refused(self, items: Sequence[Item]) -> None:
        await self._lower("note_refused", items, lambda i: (i.key.user_id, i.attempt))

    async def note_uncertain(self, items: Sequence[Item]) -> list[Claim]:
        after = await self._lower("note_uncertain", items, lambda i: (i.key.user_id, i.attempt))
        return [parse_claim(value) for value in after]

    async def record_sent(self, items: Sequence[Item]) -> list[Claim]:
        # After a resend the attempt stays as well: a late word of SES's about the earlier one must not be taken for it.
        def about(i: Item) -> tuple[str, str, str]:
            return i.key.user_id, f"{i.fingerprint}:{i.attempt}" if i.overrides else i.fingerprint, i.attempt

        return [parse_claim(value) for value in await self._write("record", items, about)]

    async def record_uncertain(self, items: Sequence[Item]) -> list[Claim]:
        values = await self._lower("record_uncertain", items, lambda i: (i.key.user_id, i.attempt))
        return [parse_claim(value) for value in values]

    async def close(self, items: Sequence[Item]) -> None:
        await self._lower("close", items, lambda i: (i.key.user_id, i.partition, i.offset, i.attempt))
