"""Where a record stands by its key: murmur2, as Java's clients, Faust and librdkafka's ``murmur2_random`` compute it.

librdkafka does not lend its own to Python, and counts the partitions that there are now. Which partition a month's key
belongs to was settled when the month was opened, whatever was added since.
"""

from __future__ import annotations

from struct import Struct

__all__ = ["murmur2", "partition_of"]

_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995
_32_BITS = 0xFFFFFFFF
_WORDS = tuple(Struct(f"<{count}I").unpack_from for count in range(160))
"""For keys of less than 640 bytes: none of ours is longer."""


def murmur2(data: bytes) -> int:
    """The 32-bit hash of a key, unsigned."""
    size = len(data)
    words = size >> 2
    unpack = _WORDS[words] if words < len(_WORDS) else Struct(f"<{words}I").unpack_from
    found = _SEED ^ size
    for word in unpack(data):
        mixed = word * _FACTOR & _32_BITS
        found = (found * _FACTOR & _32_BITS) ^ ((mixed ^ mixed >> 24) * _FACTOR & _32_BITS)
    if rest := size & 3:
        found = (found ^ int.from_bytes(data[size - rest :], "little")) * _FACTOR & _32_BITS
    found = (found ^ found >> 13) * _FACTOR & _32_BITS
    return found ^ found >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Which of so many partitions the key's records go to."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
