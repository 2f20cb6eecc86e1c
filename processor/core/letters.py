"""A dead letter that always fits into its topic.

Whatever Kafka let into the jobs topic gets its letter: key, value and headers as they were, as long as all of it fits
beside the letter's own header. What does not is left out, and the letter tells its size and hash; the place in the
jobs topic, where the bytes still stand, is in every letter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from schemas.codec import dead_letter_headers
from schemas.records import Cut, DeadLetter

__all__ = ["LETTER_BYTES_DEFAULT", "LETTER_BYTES_MIN", "OVERHEAD_BYTES", "Original", "fitted"]

Headers = list[tuple[str, bytes | None]]

OVERHEAD_BYTES = 1_024
"""What Kafka adds to a record and its batch (under 100 bytes), and the header of a letter that is moved later."""
LETTER_BYTES_DEFAULT = 1_000_000 - OVERHEAD_BYTES
"""By the limits of clients and topics where nobody changed them, the smaller one."""
LETTER_BYTES_MIN = 16_384
"""The letter's own header alone needs some of them."""
_HEADER_BYTES = 10
"""The lengths of a header's name and value, at the most."""
_CUTS = ((), ("headers",), ("value",), ("headers", "value"), ("headers", "key"), ("headers", "key", "value"))
"""Which parts are left out, tried in this order: the value is what people want to see."""


class Original(msgspec.Struct, frozen=True, gc=False):
    """A record without its place: as it died, or as its letter holds it."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def fitted(original: Original, letter: DeadLetter, bytes_max: int) -> Original:
    """What the letter's record holds, `letter` among its headers; at most `bytes_max` bytes."""
    tried = (_without(original, letter, parts) for parts in _CUTS[:-1])
    fitting = (made for made in tried if _size(made) <= bytes_max)
    return next(fitting, None) or _without(original, letter, _CUTS[-1])


def _without(original: Original, letter: DeadLetter, parts: Iterable[str]) -> Original:
    cut = [_told(original, part) for part in parts]
    kept = msgspec.structs.replace(original, **{part: [] if part == "headers" else None for part in parts})
    told = msgspec.structs.replace(letter, cut=[entry for entry in cut if entry.size])
    return msgspec.structs.replace(kept, headers=dead_letter_headers(kept.headers, told))


def _told(original: Original, part: str) -> Cut:
    raw = _joined(original.headers) if part == "headers" else getattr(original, part) or b""
    return Cut(part, len(raw), hashlib.sha256(raw).hexdigest())


def _joined(headers: Headers) -> bytes:
    """Each name and value in its turn, a zero byte behind each."""
    return b"".join(b"%b\0%b\0" % (name.encode("utf-8", "surrogatepass"), value or b"") for name, value in headers)


def _size(record: Original) -> int:
    headers = sum(len(name.encode("utf-8", "surrogatepass")) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers + _HEADER_BYTES * len(record.headers)
