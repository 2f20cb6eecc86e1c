"""The dedup set put back from the ledger and the intents, under a lock: `lineage` says when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from processor.adapters.redis import RedisDedup
from processor.core.claims import Fold, Restored
from processor.ports import RebuildLost
from processor.recovery.spill import SpillingMap
from schemas.codec import decode_attempt, decode_delivery
from schemas.identity import Key
from schemas.kafka.reading import Record, partition_numbers, read_topic
from schemas.runtime.ending import end, in_thread
from schemas.runtime.errors import BadRecord
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["Progress", "Tell", "claims_from_topics", "restore_all", "silent", "take_chunk"]

log = get_log()

LOCK_TTL_S = 30.0
LOOK_EVERY_S = 0.5
CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a walk through ledger and intents is: partitions done, of how many, and entries."""

    done: int
    partitions: int
    entries: int


Tell = Callable[[Progress], None]


def silent(_progress: Progress) -> None:
    """Tells nobody."""


async def restore_all(settings: Settings, dedup: RedisDedup, token: str, tell: Tell = silent) -> int:
    """Restores chunk after chunk under the lock `token`; returns the number of entries.

    Raises `RebuildLost` when it cannot vouch for all.
    """
    count = 0
    source = claims_from_topics(settings, tell)
    reading = asyncio.create_task(in_thread(take_chunk, source))
    try:
        while chunk := await _read(reading, dedup, token):
            # The next chunk is read while Redis takes this one.
            reading = asyncio.create_task(in_thread(take_chunk, source))
            await dedup.restore(chunk, token, LOCK_TTL_S)
            count += sum(bool(known.claim) for known in chunk)
    finally:
        await end(reading)
    return count


async def _read(reading: asyncio.Task[list[Restored]], dedup: RedisDedup, token: str) -> list[Restored]:
    """The chunk, once it is read; keeps the lock meanwhile: a large partition takes long to its first."""
    while not reading.done():
        await asyncio.wait({reading}, timeout=LOCK_TTL_S / 3)
        if not reading.done() and not await dedup.extend_lock(token, LOCK_TTL_S):
            raise RebuildLost("the rebuild has lost its lock")
    return reading.result()


def take_chunk(source: Iterator[Restored]) -> list[Restored]:
    """The next claims, as many as one script takes; empty at the end."""
    return [claim for _, claim in zip(range(CHUNK), source, strict=False)]


def claims_from_topics(settings: Settings, tell: Tell = silent) -> Iterator[Restored]:
    """What each key's claim must be, by the ledger and the intents, one partition after the other."""
    partitions = partition_numbers(settings, settings.topics.deliveries)
    count = 0
    for done, partition in enumerate(partitions):
        tell(Progress(done, len(partitions), count))
        with closing(SpillingMap()) as recorded, closing(SpillingMap()) as opened:
            for raw, claim, ended in _fold(settings, partition, Fold(recorded, opened)).claims():
                if key := _key(raw):
                    count += bool(claim)
                    yield Restored(key, claim, partition, ended)
    tell(Progress(len(partitions), len(partitions), count))


def _fold(settings: Settings, partition: int, fold: Fold) -> Fold:
    topics = settings.topics
    _feed(
        read_topic(settings, topics.deliveries, [partition]),
        lambda key, raw: fold.outcome(key, decode_delivery(raw)),
        fold.no_outcome,
    )
    _feed(
        read_topic(settings, topics.attempts, [partition]),
        lambda key, raw: fold.intent(key, decode_attempt(raw)),
        fold.no_intent,
    )
    return fold


def _feed(records: Iterable[Record], take: Callable[[bytes, bytes], None], drop: Callable[[bytes], None]) -> None:
    for record in records:
        if record.key is None:
            continue
        if record.value is None:
            drop(record.key)
            continue
        try:
            take(record.key, record.value)
        except BadRecord as bad:
            _say_unreadable(record, bad)


def _say_unreadable(record: Record, bad: BadRecord) -> None:
    log.warning(Event.UNREADABLE, error=bad.detail, place=f"{record.partition}:{record.offset}")


def _key(raw: bytes) -> Key | None:
    try:
        return Key.from_bytes(raw)
    except BadRecord:
        return None
