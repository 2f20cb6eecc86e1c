"""From a file's bytes to UTF-8, piece by piece. An encoding is known by a mark, or asked for; it is never guessed.

A file without a mark is UTF-8. A row that is not is refused alone where other rows show that the file is UTF-8; where
none does, the whole file is in another encoding, and refused with the option to add.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator

from schemas.runtime.errors import SourceError, UsageError

__all__ = ["UTF_8", "Stream", "as_utf8", "check_encoding", "mark_of", "not_utf8", "watched", "without_mark"]

UTF_8 = "utf-8"
_MARKS = (
    (codecs.BOM_UTF8, UTF_8),
    # Before UTF-16, whose mark begins alike.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARK_BYTES_MAX = 4
_NO_TEXT_OF_USERS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
_BAD = re.compile("[\udc80-\udcff]")
_GOOD = re.compile("[^\x00-\x7f\udc80-\udcff]")
_CONTROL = re.compile("[\x80-\x9f]")
_SHOWN = 60


def check_encoding(given: str) -> str:
    """The encoding under Python's own name for it; empty for none. Raises `UsageError` for one that there is not."""
    if not given:
        return ""
    try:
        found = codecs.lookup(given)
        codecs.getincrementaldecoder(given)
        "".encode(given)  # what is no text (base64, rot13) is refused by this
        known = found.name.replace("_", "-") not in _NO_TEXT_OF_USERS
    except (LookupError, UnicodeError):
        known = False
    if not known:
        raise UsageError(f"--encoding: {given!r} is not known: utf-8, utf-16, cp1252, latin-1, cp850 and the like are")
    return UTF_8 if found.name == "utf-8-sig" else found.name


def mark_of(head: bytes) -> str:
    """The encoding that a file's first bytes tell of; empty where there is no mark."""
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "")


def without_mark(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes without a byte order mark."""
    first = next(pieces, b"")
    while len(first) < _MARK_BYTES_MAX and (more := next(pieces, b"")):
        first += more
    for mark, _ in _MARKS:
        if first.startswith(mark):
            first = first[len(mark) :]
            break
    if first:
        yield first
    yield from pieces


def as_utf8(pieces: Iterator[bytes], encoding: str, name: str) -> Iterator[bytes]:
    """Text of another encoding as UTF-8. Raises `SourceError` for what is no letter there, and for what is UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()
    utf8: codecs.IncrementalDecoder | None = None if encoding.startswith("utf") else _utf8()
    line, other = 1, False
    for piece in pieces:
        if utf8 is not None:
            utf8, other = _still_utf8(utf8, piece), other or not piece.isascii()
        try:
            text = decoder.decode(piece)
        except UnicodeDecodeError as error:
            line += piece.count(b"\n", 0, error.start)
            raise SourceError(
                f"{name}: around line {line}: byte 0x{error.object[error.start]:02x} is no letter in {encoding} "
                f"({error.reason}): is it --encoding cp1252, latin-1 or cp850?"
            ) from None
        _check_controls(text, encoding, name, line)
        line += text.count("\n")
        yield text.encode()
    try:
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        raise SourceError(f"{name} ends inside a letter of {encoding}: is it cut off?") from None
    if other and utf8 is not None and _still_utf8(utf8, b"", final=True) is not None:
        raise SourceError(f"{name} is UTF-8 from beginning to end, not {encoding}: leave --encoding out")


def _utf8() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder(UTF_8)()


def _still_utf8(
    decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool = False
) -> codecs.IncrementalDecoder | None:
    """The decoder, as long as everything was UTF-8."""
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError:
        return None
    return decoder


def _check_controls(text: str, encoding: str, name: str, line: int) -> None:
    """ISO 8859 has control characters where Windows has the euro and its quotes."""
    if encoding.startswith("iso8859") and (found := _CONTROL.search(text)):
        line += text.count("\n", 0, found.start())
        raise SourceError(
            f"{name}: line {line}: byte 0x{ord(found[0]):02x} is no letter in {encoding}: it is in Windows' cousin of "
            f"it, --encoding cp1252"
        )


def watched(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The same bytes. Raises `SourceError` at their end when some are not UTF-8 and no letter shows others that are."""
    decoder = codecs.getincrementaldecoder(UTF_8)("surrogateescape")
    bad: tuple[int, str] | None = None
    line = 1
    for piece in pieces:
        yield piece
        if piece.isascii() and not decoder.getstate()[0]:
            line += piece.count(b"\n")
            continue
        text = decoder.decode(piece)
        if _GOOD.search(text):
            yield from pieces
            return
        if bad is None and (found := _BAD.search(text)):
            begin = text.rfind("\n", 0, found.start()) + 1
            bad = line + text.count("\n", 0, begin), text[begin:].partition("\n")[0].rstrip("\r")
        line += text.count("\n")
    if bad is None and (text := decoder.decode(b"", True)):
        bad = line, text
    if bad is not None:
        raise not_utf8(name, *bad)


def not_utf8(name: str, line: int, text: str) -> SourceError:
    """What to do with a file in another encoding; `text` is a line of it, its strange bytes as surrogates."""
    found = _BAD.search(text)
    begin = max(0, found.start() - _SHOWN // 2) if found else 0
    part = text[begin : begin + _SHOWN].encode(UTF_8, "surrogateescape")
    reads = part.decode("cp1252", "replace")
    return SourceError(
        f"{name}: line {line} is not UTF-8, and no other line shows that the file is: add --encoding cp1252 if this "
        f"reads well: {reads!r}; otherwise the encoding that it was saved in (latin-1, cp850, utf-16)"
    )


class Stream(io.RawIOBase):
    """Pieces as a file that is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        into = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(into), len(self._rest))
        into[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
