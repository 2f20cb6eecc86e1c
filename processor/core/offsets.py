"""Which offset of a partition may be committed while jobs finish out of order.

The committed offset is the end of the settled prefix. What is settled beyond it travels in the commit's metadata (a
bitmap), so that whoever takes over neither repeats nor forgets it: a record has its outcome exactly once, also after
a crash. Kafka keeps at most 4,096 bytes of metadata (`offset.metadata.max.bytes`), which bounds the window.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections import deque

__all__ = ["SPAN_MAX", "Window", "decode_settled", "encode_settled"]

SPAN_MAX = 16_000
"""Offsets between the prefix and the farthest record in work: 16,000 bits are 2,667 characters of base64."""

_FORMAT = "m1:"


class Window:
    """A partition's records in work, from the settled prefix on.

    Offsets arrive in rising order, with gaps (compaction, transaction markers): a gap has nothing to settle.
    """

    def __init__(self, committed: int, metadata: str = "") -> None:
        """Starts at the committed offset (the next to read) and what its metadata says of later ones."""
        self._committed = committed
        self._pending: deque[int] = deque()
        self._settled: set[int] = set(decode_settled(metadata, committed))
        self._next = committed
        self._changed = False
        self.closed = False
        """True once the partition has left this processor: nothing of it may be started any more."""

    def add(self, offset: int) -> bool:
        """Notes a record that was read; false when it was settled before, or was seen already."""
        if offset < self._next:
            return False
        self._next = offset + 1
        self._pending.append(offset)
        if offset in self._settled:
            self._trim()
            return False
        return True

    def settle(self, offset: int) -> None:
        """The record at `offset` has its outcome; telling so again changes nothing."""
        if offset < self.prefix:
            return
        self._settled.add(offset)
        self._changed = True
        self._trim()

    def reach_end(self, offset: int) -> None:
        """The reader is at the partition's end: nothing but markers lies between its last record and `offset`."""
        if offset > self._next:
            self._next = offset
            self._changed = True

    def _trim(self) -> None:
        while self._pending and self._pending[0] in self._settled:
            self._settled.discard(self._pending.popleft())

    @property
    def prefix(self) -> int:
        """The offset to commit: everything before it is settled."""
        return self._pending[0] if self._pending else max(self._next, self._committed)

    @property
    def size(self) -> int:
        """Records read from the prefix on."""
        return len(self._pending)

    @property
    def idle(self) -> bool:
        """Whether every record that was read is settled."""
        return not self._pending

    @property
    def full(self) -> bool:
        """Whether reading on would put more between prefix and end than the metadata can tell of."""
        return self._next - self.prefix >= SPAN_MAX

    @property
    def dirty(self) -> bool:
        """Whether there is something to commit that was not committed yet."""
        return self._changed or self.prefix > self._committed

    def to_commit(self) -> tuple[int, str]:
        """Offset and metadata for the next commit."""
        return self.prefix, encode_settled(self._settled, self.prefix)

    def committed(self, offset: int) -> None:
        """A transaction that held `offset` for this partition has committed."""
        self._committed = offset
        self._changed = False


def encode_settled(settled: set[int], prefix: int) -> str:
    """The settled offsets beyond `prefix` as commit metadata; empty when there are none."""
    beyond = [offset - prefix for offset in settled if offset >= prefix]
    if not beyond:
        return ""
    bits = bytearray(max(beyond) // 8 + 1)
    for index in beyond:
        bits[index >> 3] |= 1 << (index & 7)
    raw = bytes(bits)
    packed = zlib.compress(raw, 9)
    flag, body = ("z", packed) if len(packed) < len(raw) else ("r", raw)
    return f"{_FORMAT}{flag}{base64.b64encode(body).decode()}"


def decode_settled(metadata: str | None, prefix: int) -> list[int]:
    """The settled offsets that `metadata` tells of; an unreadable one tells of none.

    Not knowing is safe: a record would merely be looked at again, and its claim decides.
    """
    if not metadata or not metadata.startswith(_FORMAT):
        return []
    flag, text = metadata[len(_FORMAT) : len(_FORMAT) + 1], metadata[len(_FORMAT) + 1 :]
    try:
        packed = base64.b64decode(text, validate=True)
        bits = zlib.decompress(packed) if flag == "z" else packed
    except (binascii.Error, zlib.error, ValueError):
        return []
    return [prefix + index for index in range(len(bits) * 8) if bits[index >> 3] >> (index & 7) & 1]
