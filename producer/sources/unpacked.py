"""Compressed text, piece by piece: gzip, bzip2 and Zstandard, of as many members as there are.

Memory stays flat whatever is in them. The end is looked at: a file that is cut off, damaged, or followed by something
else is refused as a whole, before anything of it is published.
"""

from __future__ import annotations

import bz2
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from schemas.runtime.errors import SourceError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["UNPACKED_WITH", "unpacked"]

_PIECE = 1 << 18
UNPACKED_WITH = {"gzip": "gzip", "bzip2": "bzip2", "zstd": "zstd"}
"""The program that knows each compression."""


class _Member(Protocol):
    """One compressed text as the standard library's decompressors have it."""

    def decompress(self, data: bytes, max_length: int) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


class _Gzip:
    """A member of a gzip file; checksum and length are checked at its end."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._full = False

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self._full = len(out) == max_length
        return out

    @property
    def needs_input(self) -> bool:
        return not self._full and not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


_MEMBERS: dict[str, Callable[[], _Member]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "zstd": zstd.ZstdDecompressor,
}


def unpacked(pieces: Iterator[bytes], compression: str, name: str) -> Iterator[bytes]:
    """The text within, some at once. Raises `SourceError` when it is not whole."""
    member: _Member | None = None
    members = 0
    for piece in pieces:
        rest = piece
        while rest:
            if member is None:
                # Tapes and some devices fill a gzip file up with zeros.
                if members and compression == "gzip" and not (rest := rest.lstrip(b"\0")):
                    break
                member = _MEMBERS[compression]()
            try:
                yield from _some(member, rest)
            except (zlib.error, OSError, zstd.ZstdError) as error:
                raise _damaged(name, compression, members, error) from None
            rest = b""
            if member.eof:
                rest, member, members = member.unused_data, None, members + 1
    if member is not None:
        raise SourceError(
            f"{name} is cut off: its {compression} text has no end. Fetch it again, or look where it ends with "
            f"`{UNPACKED_WITH[compression]} -t`"
        )


def _some(member: _Member, data: bytes) -> Iterator[bytes]:
    """What a piece holds, never much at once: a small one may hold gigabytes."""
    while True:
        if out := member.decompress(data, _PIECE):
            yield out
        if member.eof or member.needs_input:
            return
        data = b""


def _damaged(name: str, compression: str, members: int, error: Exception) -> SourceError:
    if members:
        return SourceError(
            f"{name}: something that is no {compression} follows the end of its {compression} text, or a later part of "
            f"it is damaged ({error}): fetch it again"
        )
    return SourceError(f"{name} is damaged: its {compression} text cannot be unpacked ({error}): fetch it again")
