"""The dedup set put back from the ledger and the intents, under a lock: `lineage` says when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from processor.adapters.ends import ends_of
from processor.adapters.redis import RedisDedup
from processor.core.adoption import is_nowhere
from processor.core.checkpoint import NO_ENDS, NOTHING, Checkpoint, Cut, Ends, folded_on, held, why_void
from processor.core.claims import Intent, Restored, folded
from processor.core.standing import Entry
from processor.core.states import ABSENT, Claim
from processor.ports import RebuildLost
from processor.recovery.spill import RANGES, SpillingRows
from schemas.codec import decode_attempt, decode_delivery
from schemas.identity import Key
from schemas.kafka.reading import Record, partition_numbers, read_topic
from schemas.runtime.ending import end, in_thread
from schemas.runtime.errors import BadRecord
from schemas.runtime.logs import Event, get_log
from schemas.runtime.settings import Settings

__all__ = [
    "Progress",
    "Rebuilt",
    "Rows",
    "Tell",
    "Walk",
    "claims_from_topics",
    "entry_of",
    "intent_of",
    "left_of",
    "restore_all",
    "silent",
    "take_chunk",
]

log = get_log()
T = TypeVar("T")

LOCK_TTL_S = 10.0
"""Whoever dies in a rebuild holds up the next for so long: no longer than his last heartbeat does."""
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


class Rebuilt(NamedTuple):
    """What a rebuild did."""

    entries: int = 0
    """of the set that ledger and intents tell of, as far as they were read"""
    records: int = 0
    """that were read"""
    checkpoint: Checkpoint = NOTHING
    """up to where both topics are in the set now"""
    since: Checkpoint = NOTHING
    """from where they were read"""


class Rows(NamedTuple):
    """What was read of one key, in order within each partition."""

    key: Key
    entries: list[tuple[int, Entry | None]]
    intents: list[tuple[int, Intent | None]]


async def restore_all(
    settings: Settings,
    dedup: RedisDedup,
    token: str,
    since: Checkpoint = NOTHING,
    tell: Tell = silent,
    floor: str = "",
) -> Rebuilt:
    """Restores chunk after chunk under the lock `token`, by what came since the checkpoint.

    Nothing is granted for months before `floor`, so nothing of them is put back. Raises `RebuildLost` when it
    cannot vouch for all.
    """
    ends = await in_thread(ends_of, settings, since)
    if why := why_void(since, ends):
        log.warning(Event.BEGINS_ANEW, topic=settings.topics.deliveries, why=why)
        since = NOTHING
    walk, count = Walk(settings, ends, since, tell, floor), 0
    source = walk.by_key()
    reading = asyncio.create_task(in_thread(walk.chunk, source))
    try:
        while chunk := await _read(reading, dedup, token):
            # The next chunk is read while Redis takes this one.
            reading = asyncio.create_task(in_thread(walk.chunk, source))
            chunk = [one for one in chunk if one.key.month >= floor]
            known = [one for one in chunk if isinstance(one, Restored)]
            if rows := [one for one in chunk if isinstance(one, Rows)]:
                claims = await dedup.peek_all([one.key for one in rows])
                known += [found for pair in zip(rows, claims, strict=True) if (found := walk.fold(*pair))]
            await dedup.restore(known, token, LOCK_TTL_S)
            count += sum(bool(one.claim) for one in known)
    finally:
        await end(reading)
    return Rebuilt(count, walk.records, walk.cut.checkpoint(), since)


async def _read(reading: asyncio.Task[list[Restored | Rows]], dedup: RedisDedup, token: str) -> list[Restored | Rows]:
    """The chunk, once it is read; keeps the lock meanwhile: a large partition takes long to its first."""
    while not reading.done():
        await asyncio.wait({reading}, timeout=LOCK_TTL_S / 3)
        if not reading.done() and not await dedup.extend_lock(token, LOCK_TTL_S):
            raise RebuildLost("the rebuild has lost its lock")
    return reading.result()


def take_chunk(source: Iterator[T]) -> list[T]:
    """The next ones, as many as one script takes; empty at the end."""
    return [one for _, one in zip(range(CHUNK), source, strict=False)]


def claims_from_topics(settings: Settings, tell: Tell = silent) -> Iterator[Restored]:
    """What each key's claim must be, by the ledger and the intents: each key once, whatever partitions it stands in."""
    walk = Walk(settings, None, NOTHING, tell)
    for rows in walk.by_key():
        if (found := walk.fold(rows)) is not None:
            yield found


class Walk:
    """Reads ledger and intents, from a checkpoint to their ends as of now, and brings each key's rows together.

    Args:
        settings: which topics.
        ends: as asked before; a checkpoint may be taken up to there. None: nobody wants one.
        since: where it begins.
        tell: is told how far it is.
        floor: months before it hold no checkpoint back.
    """

    def __init__(
        self, settings: Settings, ends: Ends | None, since: Checkpoint, tell: Tell = silent, floor: str = ""
    ) -> None:
        self._settings = settings
        self._since = since
        self._tell = tell
        self._floor = floor
        self._whole = since == NOTHING
        self._wants_cut = ends is not None
        self._count = 0
        self.records = 0
        self.cut = Cut(ends or NO_ENDS)

    def by_key(self) -> Iterator[Rows]:
        """Each key that the topics tell of since then."""
        with closing(SpillingRows(Entry)) as entries, closing(SpillingRows(Intent)) as intents:
            partitions = partition_numbers(self._settings, self._settings.topics.deliveries)
            for done, some in enumerate([[one] for one in partitions] if self._whole else [partitions]):
                self._tell(Progress(done, len(partitions), 0))
                self._put_aside(some, entries, intents)
            for number in range(RANGES):
                said, opened = entries.of_range(number), intents.of_range(number)
                for raw in dict.fromkeys((*said, *opened)):
                    if key := _key(raw):
                        yield Rows(key, said.get(raw, []), opened.get(raw, []))
                self._tell(Progress(len(partitions), len(partitions), self._count))

    def chunk(self, source: Iterator[Rows]) -> list[Restored | Rows]:
        """The next keys, folded already where nothing of before has to be asked of the set; empty at the end."""
        found: list[Restored | Rows] = []
        while not found and (rows := take_chunk(source)):
            found += [one for one in map(self.fold, rows) if one is not None] if self._whole else rows
        return found

    def fold(self, rows: Rows, claim: Claim = ABSENT) -> Restored | None:
        """What the set is told of a key of which it says `claim`; ``None``: nothing."""
        found = folded(rows.entries, rows.intents) if self._whole else folded_on(claim, rows.entries, rows.intents)
        if self._wants_cut and rows.key.month >= self._floor:
            self.cut.ended(rows.entries, rows.intents)
            opened = found.opened if found else ()
            self.cut.hold(opened if self._whole else held(claim, rows.entries, rows.intents))
        if found is None:
            return None
        if is_nowhere(found.claim):
            found = found._replace(claim="")
        self._count += bool(found.claim)
        return Restored(rows.key, *found)

    def _put_aside(self, partitions: list[int], entries: SpillingRows[Entry], intents: SpillingRows[Intent]) -> None:
        """Reads partitions of the ledger and of the intents: a ledger's entry never before its intent can be read."""
        topics, since = self._settings.topics, self._since
        for record in self._counted(read_topic(self._settings, topics.deliveries, partitions, since.ledger.starts)):
            _add(entries, record, entry_of)
        for record in self._counted(read_topic(self._settings, topics.attempts, partitions, since.attempts.starts)):
            _add(intents, record, intent_of)

    def _counted(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            self.records += 1
            yield record


def entry_of(record: Record, value: bytes) -> Entry:
    """Raises `BadRecord`."""
    return Entry.of(decode_delivery(value), record.partition, record.offset)


def intent_of(record: Record, value: bytes) -> Intent:
    """Raises `BadRecord`."""
    return Intent.of(decode_attempt(value), (record.partition, record.offset))


def left_of(record: Record, value: bytes) -> Intent:
    """As `intent_of`, with whose it is. Raises `BadRecord`."""
    attempt = decode_attempt(value)
    return Intent.of(attempt, (record.partition, record.offset), attempt.process)


def _add(rows: SpillingRows[T], record: Record, read: Callable[[Record, bytes], T]) -> None:
    if record.key is None:
        return
    try:
        rows.add(record.key, record.partition, None if record.value is None else read(record, record.value))
    except BadRecord as bad:
        _say_unreadable(record, bad)


def _say_unreadable(record: Record, bad: BadRecord) -> None:
    log.warning(Event.UNREADABLE, error=bad.detail, place=f"{record.partition}:{record.offset}")


def _key(raw: bytes) -> Key | None:
    try:
        return Key.from_bytes(raw)
    except BadRecord:
        return None
