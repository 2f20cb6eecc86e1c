"""The first line of CSV text: which character separates cells, what the columns are called, and what of it is nothing.

The separator is not guessed: it is the one that makes `user_id` and `email` names of columns, or what ``sep=`` says.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from producer.rows import NEEDED, REJECT_COLUMNS
from producer.sources.encodings import not_utf8
from producer.sources.names import check_columns, header_of
from schemas.addresses import address_problem
from schemas.runtime.errors import SourceError

__all__ = ["SEPARATORS", "Header", "header_line", "separator_of"]

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_SAYS = re.compile(rb'"?sep=(.)"?[;,\t|]*[\r\n]*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Header:
    """What a file's header says of its rows."""

    columns: Sequence[str]
    """the file's own names"""
    separator: str
    skip: int = 0
    """cells before them that are no part of a row: a file of rejects has some"""
    surplus: int = 0
    """cells behind them that have no name: they must be empty"""

    @property
    def width(self) -> int:
        """Cells of a row, without the surplus."""
        return self.skip + len(self.columns)

    def fit(self, cells: list[str]) -> list[str]:
        """A row without its surplus, where that is empty."""
        if self.surplus and self.width < len(cells) <= self.width + self.surplus and not any(cells[self.width :]):
            return cells[: self.width]
        return cells

    def misfit(self, cells: Sequence[str]) -> str | None:
        """Why so many cells are no row."""
        if len(cells) == self.width:
            return None
        if self.surplus and self.width < len(cells) <= self.width + self.surplus:
            return f"a value in column {self.width + 1} or later, which has no name in the header"
        return f"{len(cells)} fields, the header has {self.width}"


def separator_of(lines: Sequence[bytes], renames: Mapping[str, str], name: str) -> tuple[str, bool]:
    """The separator of a text that begins with these lines, and whether the first one only says so (``sep=;``).

    Raises `SourceError` for one that nobody uses.
    """
    if said := _SAYS.fullmatch(lines[0]):
        separator = said[1].decode("utf-8", "replace")
        if separator not in SEPARATORS:
            raise SourceError(
                f"{name}: line 1 says {separator!r} separates cells: comma, semicolon, tab and | are known"
            )
        return separator, True
    found = {separator: _names(lines, separator) for separator in SEPARATORS}
    for separator, names in found.items():
        if {renames.get(own, own) for own in names}.issuperset(NEEDED):
            return separator, False
    # None: the one with most cells, so that the refusal names the columns that there are.
    return max(SEPARATORS, key=lambda separator: len(found[separator])), False


def _names(lines: Sequence[bytes], separator: str) -> list[str]:
    texts = (line.decode("utf-8", "replace") for line in lines)
    try:
        return [cell.strip() for cell in next(csv.reader(texts, delimiter=separator), [])]
    except csv.Error:
        return []


def header_line(name: str, line: int, cells: Sequence[str], separator: str, renames: Mapping[str, str]) -> Header:
    """Raises `SourceError` for a header that cannot be one."""
    where = f"{name}: line {line}"
    whole = separator.join(cells)
    if any("\udc80" <= char <= "\udcff" for char in whole):
        raise not_utf8(name, line, whole)
    own = header_of(where, cells)
    named = len(own)
    while named and not own[named - 1]:
        named -= 1
    surplus, own = len(own) - named, own[:named]
    # A file of rejects that was mended is a source like the one they are from.
    skip = len(REJECT_COLUMNS) if tuple(own[: len(REJECT_COLUMNS)]) == REJECT_COLUMNS else 0
    columns = own[skip:]
    names = [renames.get(column, column) for column in columns]
    if not set(NEEDED) <= set(names) and any("@" in cell and address_problem(cell) is None for cell in own):
        raise SourceError(
            f"{where} is a row already (it holds an address), and no header. Put one before it: "
            f"`(echo user_id{separator}email{separator}…; cat {name}) | mailonce sources check -`"
        )
    if not own:
        raise SourceError(f"{where} is empty, and should be the header: user_id, email and the template's data")
    check_columns(where, names)
    return Header(columns, separator, skip, surplus)
