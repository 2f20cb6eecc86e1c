"""Rows from CSV text: a header, RFC 4180 quoting held to strictly. It is read once, front to back.

A stretch of lines without quotes and oddities is passed on as it is; the others are read record by record. What follows
a quote that is out of place is not read at all: nobody can tell where the next row begins there.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from typing import IO

from producer.sources.csv_header import SEPARATORS, Header, header_line, separator_of
from producer.sources.names import EmptySource
from producer.staging.spool import ESCAPE, SEPARATOR, Part
from producer.staging.sql import CELL_CHARS_MAX
from producer.staging.store import Staging
from schemas.addresses import address_problem
from schemas.runtime.errors import SourceError

__all__ = ["stage_csv"]

_BLOCK = 1 << 20
_LINE_BYTES_MAX = 16 * _BLOCK
_RECORD_CHARS_MAX = 1_000_000
"""Of a whole record: SES takes 262,144 bytes of data for a mail"""
_ODD = (b'"', b"\0", ESCAPE.encode(), SEPARATOR.encode(), b"\n\n")
"""What a block may not hold that is passed on as it is"""
_HEAD_LINES = 100
_SHOWN = 65_536
"""Characters of what is not read, in its reject"""


class _TooLong(Exception):
    pass


class _Blocks:
    """The text in whole lines, some at once; its digest."""

    def __init__(self, text: IO[bytes]) -> None:
        self._text = text
        self._rest = b""
        self._hash = hashlib.sha256()
        self.size = 0

    def next(self) -> bytes:
        """Whole lines, the last of the text perhaps without its end; nothing at its end."""
        pieces = [self._rest]
        while piece := self._text.read(_BLOCK):
            self._hash.update(piece)
            self.size += len(piece)
            cut = max(piece.rfind(b"\n"), piece.rfind(b"\r", 0, -1)) + 1
            # A line feed that begins the next piece belongs to the carriage return that ends this one.
            if cut:
                pieces.append(piece[:cut])
                self._rest = piece[cut:]
                return b"".join(pieces)
            pieces.append(piece)
            if len(pieces) * _BLOCK > _LINE_BYTES_MAX:
                raise SourceError(f"a line of more than {_LINE_BYTES_MAX:,} bytes: this is no CSV file")
        self._rest = b""
        return b"".join(pieces)

    def digest(self) -> str:
        """Of all that was read, to its end."""
        while piece := self._text.read(_BLOCK):
            self._hash.update(piece)
            self.size += len(piece)
        return f"sha256:{self._hash.hexdigest()[:32]}"


class _Lines:
    """The lines of one block after the other, for a reader that may need more than one block for a record."""

    def __init__(self, blocks: _Blocks) -> None:
        self._blocks = blocks
        self._left: list[bytes] = []
        self._at = 0
        self.line = 1
        """of the next line"""
        self.record: list[str] = []
        """the lines of the present record"""
        self._chars = 0

    def take(self, block: bytes) -> None:
        self._left, self._at = block.splitlines(keepends=True), 0

    def head(self) -> list[bytes]:
        """The next lines, not taken: enough for a header."""
        return self._left[:_HEAD_LINES]

    @property
    def in_block(self) -> bool:
        return self._at < len(self._left)

    def begin(self) -> None:
        """A record begins."""
        self.record, self._chars = [], 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self.in_block:
            self.take(self._blocks.next())
            if not self.in_block:
                raise StopIteration
        # Bytes that are not UTF-8 survive as surrogates, so that only their row is refused.
        line = self._left[self._at].decode("utf-8", "surrogateescape")
        self._at += 1
        self.line += 1
        self._chars += len(line)
        self.record.append(line)
        if self._chars > _RECORD_CHARS_MAX:
            raise _TooLong
        return line

    def rest(self) -> int:
        """Goes to the end; returns how many lines there are up to there."""
        count = len(self._left) - self._at
        while block := self._blocks.next():
            count += len(block.splitlines())
        self._left, self._at = [], 0
        return count


def stage_csv(into: Staging, text: IO[bytes], name: str, *, separator: str = "") -> tuple[str, int]:
    """Reads `text`, UTF-8 without a mark, into the staging; returns its digest and its size in bytes.

    Without a `separator` the header tells it. Raises `SourceError` when the file as a whole is unusable.
    """
    csv.field_size_limit(2 * _RECORD_CHARS_MAX)
    blocks = _Blocks(text)
    lines = _Lines(blocks)
    lines.take(blocks.next())
    if not lines.in_block:
        raise EmptySource(name)
    if not separator:
        separator, told = separator_of(lines.head(), into.renames, name)
        if told:
            next(lines)
    reader = csv.reader(lines, strict=True, delimiter=separator)
    header = _header(reader, name, lines, separator, into)
    into.tell(name, separator=SEPARATORS.get(separator, separator))
    with into.part(name, header.columns, skip=header.skip) as part:
        _rows(part, lines, blocks, reader, header)
    return blocks.digest(), blocks.size


def _header(reader: Iterator[list[str]], name: str, lines: _Lines, separator: str, into: Staging) -> Header:
    line = lines.line
    try:
        cells = next(reader, [])
    except (csv.Error, _TooLong) as error:
        raise SourceError(f"{name}: line {line} is no CSV header: {error or 'it does not end'}") from None
    return header_line(name, line, cells, separator, into.renames)


def _rows(part: Part, lines: _Lines, blocks: _Blocks, reader: Iterator[list[str]], header: Header) -> None:
    comma = header.separator.encode()
    while True:
        while lines.in_block:
            if not _record(part, lines, reader, header):
                return
        block = blocks.next()
        if not block:
            return
        if plain := _plain(block, header):
            count = plain.count(b"\n")
            part.block(plain, comma, count, lines.line)
            lines.line += count
        else:
            lines.take(block)


def _plain(block: bytes, header: Header) -> bytes:
    """The block with its lines ended alike, if each is a row; otherwise nothing."""
    if header.surplus or len(block) > 4 * _BLOCK or any(odd in block for odd in _ODD) or block[:1] in b"\r\n":
        return b""
    if b"\r" in block:
        if block.count(b"\r") != block.count(b"\r\n"):
            return b""
        block = block.replace(b"\r\n", b"\n")
        if b"\n\n" in block:
            return b""
    try:
        if not block.isascii():
            block.decode()
    except UnicodeDecodeError:
        return b""
    block = block if block.endswith(b"\n") else block + b"\n"
    empty = header.separator.encode() * (header.width - 1) + b"\n"
    return b"" if block.startswith(empty) or b"\n" + empty in block else block


def _record(part: Part, lines: _Lines, reader: Iterator[list[str]], header: Header) -> bool:
    """The next record; whether there may be more."""
    first = lines.line
    lines.begin()
    try:
        cells = next(reader)
    except StopIteration:
        return False
    except (csv.Error, _TooLong) as error:
        _refuse_rest(part, lines, first, error, header)
        return False
    cells = header.fit(cells)
    # Spreadsheets write rows without a value as separators alone: they are no more than an empty line.
    if any(cells) or (cells and len(cells) != header.width):
        last = lines.line - 1
        problem = _problem(part, lines, cells, first, last, header)
        if problem:
            part.refuse(first, problem, cells)
        else:
            part.row(first, cells)
    return True


def _refuse_rest(part: Part, lines: _Lines, first: int, error: Exception, header: Header) -> None:
    raw, failed = "".join(lines.record), lines.line - 1
    last = failed + lines.rest()
    if isinstance(error, _TooLong):
        what = f"a row of more than {_RECORD_CHARS_MAX:,} characters (is a quote left open?)"
    elif "unexpected end of data" in str(error):
        what = "the file ends inside a quoted cell (is a quote left open? is the file cut off?)"
    else:
        what = f"not readable as CSV: {error} in line {failed} (is a quote left open, or not doubled inside a cell?)"
    lost = f"; lines {first} to {last} are not read: nobody can tell where the next row begins" if last > first else ""
    # As it stands there, in as many cells as a row has: the last takes what is left.
    line, end, more = raw[:_SHOWN].rstrip("\r\n").partition("\n")
    cells = line.split(header.separator, header.width - 1)
    part.refuse(first, what + lost, [*cells[:-1], cells[-1] + end + more])


def _problem(part: Part, lines: _Lines, cells: Sequence[str], first: int, last: int, header: Header) -> str | None:
    if problem := header.misfit(cells):
        if last > first:
            problem += f" (the row goes on to line {last}: is a quote left open?)"
        return problem
    if last > first and (swallowed := _swallowed(part, lines.record[1:], header.separator)):
        return (
            f"lines {first} to {last} are one row by their quotes, and would swallow {swallowed} that look like rows "
            f"of their own: is a quote left open in line {first}?"
        )
    text = "".join(cells)
    if not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text):
        return "not UTF-8"
    if (longest := max(map(len, cells))) > CELL_CHARS_MAX:
        return f"a cell of {longest} characters: at most {CELL_CHARS_MAX} are read"
    return "holds a NUL character" if "\0" in text else None


def _swallowed(part: Part, lines: Sequence[str], separator: str) -> int:
    """How many of a record's further lines are rows, if all are; the last may end in another way."""
    columns = part.skip + len(part.names)
    user_id, email = (part.skip + list(part.names).index(name) for name in ("user_id", "email"))

    def like_a_row(line: str) -> bool:
        cells = line.rstrip("\r\n").split(separator)
        if len(cells) != columns:
            return False
        return bool(cells[user_id].strip(' "')) and address_problem(cells[email].strip(' "')) is None

    inner = lines[:-1] or lines
    return len(lines) - (0 if like_a_row(lines[-1]) else 1) if all(map(like_a_row, inner)) else 0
