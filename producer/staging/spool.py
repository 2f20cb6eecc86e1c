"""Rows on their way into the staging: a text file that DuckDB reads at its own speed, and that no content can upset.

A line is a row. Its cells stand between unit separators (U+001F); what would be taken for an end of cell or line is
escaped by a substitute character (U+001A) and a letter. A row that cannot be read is a line of its own kind.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

__all__ = ["ESCAPE", "ESCAPES", "FIRST_LINE", "REFUSED", "SEPARATOR", "Folder", "Part", "Unread", "readable"]

SEPARATOR, ESCAPE = "\x1f", "\x1a"
ESCAPES = {SEPARATOR: "s", "\n": "n", "\r": "r", ESCAPE: "e"}
"""The escape itself last: it is put back last"""
REFUSED = f"{ESCAPE}!"
FIRST_LINE = f"{ESCAPE}#"
"""DuckDB takes a byte order mark off a file's beginning: no row may stand there."""

_ESCAPED = str.maketrans({char: f"{ESCAPE}{letter}" for char, letter in ESCAPES.items()})
_CELL, _CELL_BYTES = SEPARATOR.join, b"\x1f"
_encode = msgspec.json.Encoder().encode


class Folder:
    """A folder for what a source writes down, gone with this object or at the end of the process."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="mailonce-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class Unread(msgspec.Struct, frozen=True):
    """A row that cannot be read."""

    problem: str
    raw: list[str]


def readable(cells: Sequence[str]) -> list[str]:
    """Cells as text that can be written down anywhere: bytes that were no UTF-8 as ``\\xNN``."""
    return [cell.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for cell in cells]


@dataclass(slots=True)
class Part:
    """One file's rows. `columns` are its own names; rows come as its cells, or (`ready`) as id, address, data."""

    name: str
    columns: Sequence[str]
    out: IO[bytes]
    first: int = 1
    """the number of its first row in the whole source"""
    ready: bool = False
    skip: int = 0
    """cells at a row's beginning that are no part of it"""
    names: Sequence[str] = ()
    """the columns' names as they are asked for; with `ready` those that were seen"""
    count: int = 0
    places: array[int] = field(default_factory=lambda: array("q"))
    """pairs: the number of a row from which on its line is its number and so much"""
    _shift: int | None = None

    def block(self, rows: bytes, separator: bytes, count: int, line: int) -> None:
        """`count` whole lines, one a row, without quotes and characters that have to be escaped."""
        self._place(line)
        self.out.write(rows.replace(separator, _CELL_BYTES))
        self.count += count

    def row(self, line: int, cells: Sequence[str]) -> None:
        """A row of as many cells as there are columns."""
        self._place(line)
        text = _CELL(cells)
        if text.count(SEPARATOR) >= len(cells) or ESCAPE in text or "\n" in text or "\r" in text:
            text = _CELL([cell.translate(_ESCAPED) for cell in cells])
        self.out.write(text.encode() + b"\n")
        self.count += 1

    def refuse(self, line: int, problem: str, raw: Sequence[str]) -> None:
        """A row that cannot be read, and why."""
        self._place(line)
        self.out.write(REFUSED.encode() + _encode(Unread(problem, readable(raw[self.skip :]))) + b"\n")
        self.count += 1

    def _place(self, line: int) -> None:
        number = self.first + self.count
        if line - number != self._shift:
            self._shift = line - number
            self.places.extend((number, self._shift))
