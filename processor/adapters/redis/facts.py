"""What evidence writes and keeps: SES's word is a fact in Redis first."""

from __future__ import annotations

from collections.abc import Sequence

from processor.adapters.redis.bucket import RedisSet
from processor.adapters.redis.client import asking
from processor.core.states import Claim, parse_claim, short_id
from processor.ports import Item

__all__ = ["EvidenceScripts"]


class EvidenceScripts(RedisSet):
    """The part of the set that is about SES's events."""

    async def prove(self, items: Sequence[Item]) -> list[Claim]:
        """SES's event proves acceptance: writes the fact over anything that knows less; returns what stood there."""
        return [parse_claim(before) for before, _ in await self._fact("sent", items, lambda i: i.fingerprint)]

    async def drop(self, items: Sequence[Item]) -> list[Claim]:
        """SES's event says that it accepted and dropped the attempt's message; returns what stood there."""
        before = await self._fact("drop", items, lambda i: f":{short_id(i.message_id)}")
        return [parse_claim(value) for value in before]

    async def record_drop(self, items: Sequence[Item]) -> None:
        await self._fact("drop", items, lambda _: "")

    async def noted(self, notes: Sequence[tuple[str, str]]) -> list[bool]:
        """Which of these (month, event) were noted before."""
        async with self._client.pipeline(transaction=False) as pipe:
            for month, note in notes:
                pipe.sismember(f"{self._base}:noted:{month}", note)
            return [bool(found) for found in await asking(pipe.execute())] if notes else []

    async def note(self, notes: Sequence[tuple[str, str]]) -> None:
        """Notes events that Kafka holds, so that their repetitions are known."""
        async with self._client.pipeline(transaction=False) as pipe:
            for month, note in notes:
                pipe.sadd(f"{self._base}:noted:{month}", note)
            if notes:
                await asking(pipe.execute())

    async def feed_alive_ms(self, seen_ms: int = 0) -> int:
        """The latest sending time (ms) of which the event feed has told, `seen_ms` included."""
        return int(await self._run("feed", [f"{self._base}:feed"], [seen_ms]))
