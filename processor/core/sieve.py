"""Which keys may have come before, in a few bytes a key.

One bit a key, so another key can have set it: `again` may say so of a key that is new, and never fails to say so of one
that came before. Whoever asks looks at those records more carefully; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Sieve"]

BITS_A_KEY = 32
"""A full layer takes one new key in thirty-two for an old one."""
KEYS_MIN = 256
KEYS_MAX = 1 << 24
"""64 MiB at once; more keys get further layers."""


class Sieve:
    """Grows with its keys: each layer is four times as large as the one before."""

    def __init__(self, expected: int = 0, hashing: Callable[[bytes], int] = hash) -> None:
        """
        Args:
            expected: how many keys will come, where that is known.
            hashing: any number for a key, the same for the same one.
        """
        self._hashing = hashing
        self._full: list[bytearray] = []
        self._bits = bytearray()
        self._mask = 0
        self._left = 0
        """How many keys the last layer still takes."""
        self._grow(expected)

    def again(self, key: bytes) -> bool:
        """Notes a key; whether it, or one that is like it here, was noted before."""
        number = self._hashing(key)
        bits, place, bit = self._bits, number >> 3 & self._mask, 1 << (number & 7)
        if bits[place] & bit:
            return True
        bits[place] |= bit
        self._left -= 1
        if self._left > 0 and not self._full:
            return False
        # A layer's size is a power of two, and its mask follows from it.
        known = any(layer[number >> 3 & len(layer) - 1] & bit for layer in self._full)
        if self._left <= 0:
            self._grow(0)
        return known

    @property
    def used(self) -> bool:
        """Whether a key was noted."""
        return bool(self._full) or self._left < len(self._bits) * 8 // BITS_A_KEY

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._bits) + sum(map(len, self._full))

    def _grow(self, expected: int) -> None:
        wanted = max(KEYS_MIN, min(expected, KEYS_MAX), len(self._bits) * 32 // BITS_A_KEY)
        if self._bits:
            self._full.append(self._bits)
        self._bits = bytearray(1 << (min(wanted, KEYS_MAX) * BITS_A_KEY // 8 - 1).bit_length())
        self._mask = len(self._bits) - 1
        self._left = len(self._bits) * 8 // BITS_A_KEY
