"""The dedup set put back from the ledger and the intents, under a lock: `lineage` says when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from processor.adapters.redis import RedisDedup
from processor.core.adoption import is_nowhere
from processor.core.claims import Intent, Restored, folded
from processor.core.standing import Entry
from processor.ports import RebuildLost
from processor.recovery.spill import RANGES, SpillingRows
from schemas.codec import decode_attempt, decode_delivery
from schemas.identity import Key
from schemas.kafka.reading import Record, partition_numbers, read_topic
from schemas.runtime.ending import end, in_thread
from schemas.runtime.errors import BadRecord
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = ["Progress", "Tell", "claims_from_topics", "restore_all", "silent", "take_chunk"]

log = get_log()
T = TypeVar("T")

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


async def restore_all(settings: Settings, dedup: RedisDedup, token: str, tell: Tell = silent, floor: str = "") -> int:
    """Restores chunk after chunk under the lock `token`; returns the number of entries.

    Nothing is granted for months before `floor`, so nothing of them is put back. Raises `RebuildLost` when it
    cannot vouch for all.
    """
    count = 0
    source = claims_from_topics(settings, tell)
    reading = asyncio.create_task(in_thread(take_chunk, source))
    try:
        while chunk := await _read(reading, dedup, token):
            # The next chunk is read while Redis takes this one.
            reading = asyncio.create_task(in_thread(take_chunk, source))
            chunk = [known for known in chunk if known.key.month >= floor]
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
    """What each key's claim must be, by the ledger and the intents: each key once, whatever partitions it stands in."""
    with closing(SpillingRows(Entry)) as entries, closing(SpillingRows(Intent)) as intents:
        partitions = partition_numbers(settings, settings.topics.deliveries)
        for done, partition in enumerate(partitions):
            tell(Progress(done, len(partitions), 0))
            _put_aside(settings, partition, entries, intents)
        count = 0
        for number in range(RANGES):
            said, opened = entries.of_range(number), intents.of_range(number)
            for raw in dict.fromkeys((*said, *opened)):
                found = folded(said.get(raw, ()), opened.get(raw, ()))
                if found is not None and (key := _key(raw)):
                    if is_nowhere(found.claim):
                        found = found._replace(claim="")
                    count += bool(found.claim)
                    yield Restored(key, *found)
            tell(Progress(len(partitions), len(partitions), count))


def _put_aside(settings: Settings, partition: int, entries: SpillingRows[Entry], intents: SpillingRows[Intent]) -> None:
    """Reads one partition of the ledger and of the intents."""
    topics = settings.topics
    for record in read_topic(settings, topics.deliveries, [partition]):
        _add(entries, record, lambda raw: Entry.of(decode_delivery(raw), partition))
    for record in read_topic(settings, topics.attempts, [partition]):
        _add(intents, record, lambda raw: Intent.of(decode_attempt(raw)))


def _add(rows: SpillingRows[T], record: Record, read: Callable[[bytes], T]) -> None:
    if record.key is None:
        return
    try:
        rows.add(record.key, record.partition, None if record.value is None else read(record.value))
    except BadRecord as bad:
        _say_unreadable(record, bad)


def _say_unreadable(record: Record, bad: BadRecord) -> None:
    log.warning(Event.UNREADABLE, error=bad.detail, place=f"{record.partition}:{record.offset}")


def _key(raw: bytes) -> Key | None:
    try:
        return Key.from_bytes(raw)
    except BadRecord:
        return None
