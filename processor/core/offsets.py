"""Which offset of a partition may be committed while jobs finish out of order.

The committed offset is the end of the settled prefix. What is settled beyond it travels in the commit's metadata, so
that whoever takes over neither repeats nor forgets it: a record has its outcome exactly once, also after a crash.

Kafka refuses a commit with more than 4,096 bytes of metadata (`offset.metadata.max.bytes`). So a window that has read
as much as the metadata can tell of reads no further, and where one fetch brought more all the same, the lowest settled
offsets are told and the others are left out: whoever takes over looks at those records again, and their claims decide.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections import deque

__all__ = ["METADATA_BYTES_MAX", "ROOM_MAX", "SPAN_MAX", "Window", "decode_settled", "encode_settled"]

METADATA_BYTES_MAX = 4_096
"""The broker's default; a commit above it is refused, and so would be each one after it."""
SPAN_MAX = 16_000
"""Offsets between the prefix and the farthest record in work: 16,000 bits are 2,667 characters of base64."""

STEP_BYTES_MAX = 5
"""A record's share of the metadata where the gaps are so wide that a bitmap is not worth its while, deflated."""
_PACKED_BYTES_MAX = 2_900
"""So many are 3,868 characters of base64; the rest is deflate's own."""
ROOM_MAX = _PACKED_BYTES_MAX // STEP_BYTES_MAX
"""How many records a window without any may take in at once."""

_BITMAP = "m1:"
"""Then ``z`` or ``r`` for a bitmap that is deflated or not."""
_STEPS = "m2:"
"""Then the steps from one settled offset to the next, deflated: shorter where compaction left wide gaps. A mailonce
that does not know this form takes it for nobody's and looks at the records again."""
_UNPACKED_BYTES_MAX = 1 << 20
"""Metadata that unpacks to more was not written here."""


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

    def before(self, offset: int) -> bool:
        """Whether the reader has not come past `offset`."""
        return self._next <= offset

    def is_settled(self, offset: int) -> bool:
        """Whether the record at `offset` has its outcome, as far as commits and this window tell."""
        return offset < self.prefix or offset in self._settled

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
    def room(self) -> int:
        """How many more records may be read at once, however wide the gaps between them, so that all can be told of."""
        told_bytes = min(self._next - self.prefix, SPAN_MAX) // 8
        return max(1, (_PACKED_BYTES_MAX - told_bytes) // STEP_BYTES_MAX)

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
    """The settled offsets beyond `prefix` as metadata of at most `METADATA_BYTES_MAX`; empty when there are none.

    Where not all fit, the lowest are told: they are what a successor reads first.
    """
    beyond = sorted(offset - prefix for offset in settled if offset >= prefix)
    text = _encode(beyond)
    if len(text) <= METADATA_BYTES_MAX:
        return text
    # More offsets do not always mean more bytes, so what was found to fit is kept, never what ought to fit.
    fits, too_many, best = 0, len(beyond), ""
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        text = _encode(beyond[:middle])
        if len(text) <= METADATA_BYTES_MAX:
            fits, best = middle, text
        else:
            too_many = middle
    return best


def _encode(beyond: list[int]) -> str:
    """Rising distances from the prefix, in the shortest form."""
    if not beyond:
        return ""
    forms = [_form(_STEPS, zlib.compress(_steps(beyond), 9))]
    # A bitmap as long as its span would be built for nothing where the gaps are wide.
    if beyond[-1] < _UNPACKED_BYTES_MAX:
        bits = _bitmap(beyond)
        forms += [_form(f"{_BITMAP}z", zlib.compress(bits, 9)), _form(f"{_BITMAP}r", bits)]
    return min(forms, key=len)


def _form(name: str, body: bytes) -> str:
    return f"{name}{base64.b64encode(body).decode()}"


def _bitmap(beyond: list[int]) -> bytes:
    bits = bytearray(beyond[-1] // 8 + 1)
    for index in beyond:
        bits[index >> 3] |= 1 << (index & 7)
    return bytes(bits)


def _steps(beyond: list[int]) -> bytes:
    """Seven bits a byte, the lowest first; the highest bit says that more follow."""
    told = bytearray()
    for before, index in zip([0, *beyond], beyond, strict=False):
        step = index - before
        while step > 0x7F:
            told.append(step & 0x7F | 0x80)
            step >>= 7
        told.append(step)
    return bytes(told)


def decode_settled(metadata: str | None, prefix: int) -> list[int]:
    """The settled offsets that `metadata` tells of; an unreadable one tells of none.

    Not knowing is safe: a record would merely be looked at again, and its claim decides.
    """
    name, text = (metadata or "")[: len(_BITMAP)], (metadata or "")[len(_BITMAP) :]
    try:
        if name == _STEPS:
            return [prefix + index for index in _read_steps(_inflate(base64.b64decode(text, validate=True)))]
        if name == _BITMAP and text[:1] in {"z", "r"}:
            packed = base64.b64decode(text[1:], validate=True)
            bits = _inflate(packed) if text[0] == "z" else packed
            return [prefix + index for index in range(len(bits) * 8) if bits[index >> 3] >> (index & 7) & 1]
    except (binascii.Error, zlib.error, ValueError):
        pass
    return []


def _inflate(packed: bytes) -> bytes:
    """Raises ``ValueError`` for what is cut off or too large: half of a step would be another offset."""
    unpacking = zlib.decompressobj()
    raw = unpacking.decompress(packed, _UNPACKED_BYTES_MAX)
    if not unpacking.eof:
        raise ValueError("cut off, or larger than anything written here")
    return raw


def _read_steps(told: bytes) -> list[int]:
    found, index, step, shift = [], 0, 0, 0
    for byte in told:
        step |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            index += step
            found.append(index)
            step = shift = 0
    if shift:
        raise ValueError("the last step is cut off")
    return found
