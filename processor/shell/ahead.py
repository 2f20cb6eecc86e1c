"""Looks ahead of the intents: what the ledger holds as sent needs none, so a replay costs reads only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from processor.core.decide import Skip, after_claim
from processor.core.states import Claim, State
from processor.ports import Dedup
from schemas.codec import fingerprint_of
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.runtime.errors import BadRecord, RedisUnavailable

__all__ = ["RECORDS_MAX", "LookAhead"]

RECORDS_MAX = 2_000
"""Records of one look: a round trip to Redis is nothing to them, and a sending processor's work is not held up."""


class LookAhead:
    """Worth its while only where mails were sent before: it rests after a look that found none of them."""

    def __init__(self, dedup: Dedup) -> None:
        self._dedup = dedup
        self.active = False

    def wake(self) -> None:
        """Partitions came, perhaps to be read from an old place."""
        self.active = True

    def note(self, results: Iterable[object]) -> None:
        """Claims may have found what a look would have found."""
        self.active = self.active or _ALREADY in results

    async def sent(self, records: Sequence[Record]) -> list[bool]:
        """For each record whether its very mail was sent and the ledger says so.

        That is when `decide.after_claim` would skip it without a word. When Redis does not answer nothing is known:
        the claims will wait for it.
        """
        found = [False] * len(records)
        if not self.active:
            return found
        asked = [(n, key) for n, record in enumerate(records) if (key := _key_of(record)) is not None]
        if not asked:
            return found
        try:
            claims = await self._dedup.recorded([key for _, key in asked])
        except RedisUnavailable:
            return found
        for (n, key), claim in zip(asked, claims, strict=True):
            if claim is not None:
                found[n] = _is_same(records[n], key, claim)
        self.active = any(claim is not None for claim in claims)
        return found


_ALREADY = Skip("already sent")


def _key_of(record: Record) -> Key | None:
    if record.value is None:
        return None
    try:
        return Key.from_bytes(record.key)
    except BadRecord:
        return None


def _is_same(record: Record, key: Key, claim: Claim) -> bool:
    assert claim.state is State.SENT_RECORDED
    assert record.value is not None
    content = fingerprint_of(record.value, key)
    if content is None:
        return False
    follows = after_claim(claim, mine="", fingerprint=content, partition=record.partition, offset=record.offset)
    return follows == _ALREADY
