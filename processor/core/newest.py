"""How far each of our partitions is known, and which keys have a newer record there than those in work.

A record counts only while no newer one of its key stands in its partition, however many records lie between. The
ordinary reader is only so far ahead of its work, so somebody reads on beside it, keys alone, and tells this.

Of most keys there is one record. So nothing is kept of a key but a bit (`Sieve`) until a record comes whose key may
have come before: then its key itself stands here, with its offset. Two keys that are alike to the sieve cost an entry
that nobody needs; what is decided is decided by the whole key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from processor.core.sieve import Sieve
from schemas.codec import decode_job
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.runtime.errors import BadRecord

__all__ = ["Look", "Newest", "Reading"]

AT_ONCE = 16
"""Partitions that are read for the first time side by side: enough to keep a broker busy."""
PRUNE_MIN = 1_000


class Look(NamedTuple):
    """Where a partition is to be read on beside its ordinary reader."""

    begin: int
    """offset of the next record"""
    sieve: Sieve
    """what came before `begin`, since the partition was assigned; whoever reads notes what comes"""


class Reading:
    """A partition in one life of it."""

    def __init__(self, partition: int, begin: int) -> None:
        self.partition = partition
        self.position = begin
        self.sieve = Sieve()
        self.newest: dict[bytes, int] = {}
        """of keys that came more than once: the newest record's offset"""
        self.end: int | None = None
        """asked for since; none until somebody has asked"""
        self.known = False
        """whether it was read up to that end"""
        self.asks = 0
        """how often an end was wanted: an answer to an earlier question is none to a later one"""
        self.stood = 0
        """when it last stood still, in turns"""
        self._prune_at = PRUNE_MIN

    def note(self, records: Sequence[Record]) -> None:
        """Records whose keys may have come before."""
        for record in records:
            if record.key is not None and _counts(record):
                self.newest[record.key] = record.offset

    def settle(self, prefix: int) -> None:
        """What lies before this offset is settled: nobody asks for it any more."""
        if prefix >= self.position:
            self.newest.clear()
            if self.known and self.sieve.used:
                self.sieve = Sieve()
        elif len(self.newest) >= self._prune_at:
            self.newest = {key: offset for key, offset in self.newest.items() if offset > prefix}
            self._prune_at = max(PRUNE_MIN, 2 * len(self.newest))


class Newest:
    """The partitions that are ours, a reading each. Moved by the engine, and by whoever reads for it."""

    def __init__(self) -> None:
        self._readings: dict[int, Reading] = {}
        self._turn = 0

    # ---- partitions ----

    def assign(self, begins: Mapping[int, int]) -> None:
        """Partitions came, to be read from these offsets on."""
        self._readings |= {partition: Reading(partition, begin) for partition, begin in begins.items()}

    def forget(self, partitions: frozenset[int]) -> None:
        """These have left."""
        for partition in partitions:
            self._readings.pop(partition, None)

    def anew(self) -> None:
        """Whatever is known may lack what was written lately: all are read to an end that is asked for from now on."""
        for reading in self._readings.values():
            reading.known, reading.end = False, None
            reading.asks += 1

    @property
    def unread(self) -> frozenset[int]:
        """Partitions in which nothing may be claimed yet."""
        return frozenset(partition for partition, reading in self._readings.items() if not reading.known)

    @property
    def positions(self) -> dict[int, int]:
        """Up to where each partition is known."""
        return {partition: reading.position for partition, reading in self._readings.items()}

    def superseded(self, record: Record) -> bool:
        """Whether a newer job or tombstone of its key stands in its partition, as far as that was read."""
        reading = self._readings.get(record.partition)
        return reading is not None and reading.newest.get(record.key or b"", -1) > record.offset

    # ---- reading ----

    def endless(self) -> list[tuple[Reading, int]]:
        """Those whose end is to be asked for, each with the number of its question."""
        return [(reading, reading.asks) for reading in self._readings.values() if reading.end is None]

    def aim(self, asked: Sequence[tuple[Reading, int]], ends: Mapping[int, int]) -> bool:
        """The ends, asked for after `endless`; returns whether a partition is known with that."""
        for reading, asks in asked:
            if asks == reading.asks and reading.end is None:
                reading.end = ends.get(reading.partition, reading.position)
                if not reading.sieve.used:
                    reading.sieve = Sieve(max(0, reading.end - reading.position))
        return self._reach([reading for reading, _ in asked])

    def readings(self) -> dict[int, Reading]:
        """What is to be read on now: all that are known, and a few others, those first that did not stand still."""
        self._turn += 1
        unread = sorted(
            (r for r in self._readings.values() if not r.known and r.end is not None), key=lambda r: r.stood
        )
        known = {partition: reading for partition, reading in self._readings.items() if reading.known}
        return known | {reading.partition: reading for reading in unread[:AT_ONCE]}

    def take(self, readings: Mapping[int, Reading], records: Sequence[Record], positions: Mapping[int, int]) -> bool:
        """What reading on has brought to `readings`; returns whether a partition is known with that."""
        by_partition: dict[int, list[Record]] = {}
        for record in records:
            by_partition.setdefault(record.partition, []).append(record)
        for partition, reading in readings.items():
            reading.note(by_partition.get(partition, ()))
            position = positions.get(partition, reading.position)
            if position <= reading.position:
                reading.stood = self._turn
            reading.position = max(position, reading.position)
        return self._reach(list(readings.values()))

    def settle(self, prefixes: Mapping[int, int]) -> None:
        """So far each partition is settled."""
        for partition, prefix in prefixes.items():
            if reading := self._readings.get(partition):
                reading.settle(prefix)

    def _reach(self, readings: Sequence[Reading]) -> bool:
        came = [r for r in readings if not r.known and r.end is not None and r.position >= r.end]
        for reading in came:
            reading.known = True
        return bool(came)


def _counts(record: Record) -> bool:
    """Whether it is a job or a tombstone. What is neither corrects nothing, whatever compaction makes of it."""
    try:
        Key.from_bytes(record.key)
        return record.value is None or decode_job(record.key, record.value) is not None
    except BadRecord:
        return False
