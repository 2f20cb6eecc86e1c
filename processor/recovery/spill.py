"""Rows put aside by ranges of their keys' hashes: what is too much for memory goes to a temporary file, range by range.

So all rows of a key come together, whatever partitions they were read from, and only one range is in memory at a time.
"""

from __future__ import annotations

import tempfile
from typing import IO, Generic, TypeVar
from zlib import crc32

import msgspec

__all__ = ["RANGES", "SpillingRows"]

T = TypeVar("T")
RANGES = 256
"""A range of twelve million keys is 47,000 of them."""
ROWS_MAX = 50_000


class SpillingRows(Generic[T]):
    """Rows of a key, a partition and what was read there; at most `rows_max` are in memory while they are added.

    Args:
        kind: what is read, a `msgspec` type.
        rows_max: how many rows are kept in memory.
    """

    def __init__(self, kind: type[T], rows_max: int = ROWS_MAX) -> None:
        self._rows_max = rows_max
        self._recent: list[list[tuple[bytes, int, T | None]]] = [[] for _ in range(RANGES)]
        self._count = 0
        self._file: IO[bytes] | None = None
        self._segments: list[list[tuple[int, int]]] = [[] for _ in range(RANGES)]
        """Where each range's rows stand in the file: offset and length, in the order of writing."""
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(list[tuple[bytes, int, kind | None]]).decode  # type: ignore[valid-type]

    def add(self, key: bytes, partition: int, item: T | None) -> None:
        """One more row, behind all others of its key."""
        self._recent[crc32(key) % RANGES].append((key, partition, item))
        self._count += 1
        if self._count >= self._rows_max:
            self._spill()

    def of_range(self, number: int) -> dict[bytes, list[tuple[int, T | None]]]:
        """The rows of a range by key, each key's in the order in which they were added."""
        rows: dict[bytes, list[tuple[int, T | None]]] = {}
        for offset, length in self._segments[number]:
            assert self._file is not None
            self._file.seek(offset)
            for key, partition, item in self._decode(self._file.read(length)):
                rows.setdefault(key, []).append((partition, item))
        for key, partition, item in self._recent[number]:
            rows.setdefault(key, []).append((partition, item))
        return rows

    def _spill(self) -> None:
        if self._file is None:
            # Without a name: the system removes it, also after a crash.
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `close` ends it
        at = self._file.seek(0, 2)
        for rows, segments in zip(self._recent, self._segments, strict=True):
            if rows:
                length = self._file.write(self._encode(rows))
                segments.append((at, length))
                at += length
                rows.clear()
        self._count = 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
