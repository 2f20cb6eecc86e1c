"""A row as the rules and the commands see it, whatever it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

__all__ = ["NEEDED", "REJECT_COLUMNS", "Condition", "Row", "Source"]

Condition = tuple[str, bool, str]
"""column, whether it must equal, value"""

REJECT_COLUMNS = ("line", "reason", "detail")
"""What stands before a rejected row in its file"""
NEEDED = ("user_id", "email")
"""The columns that every source has, under these names or others that ``--map`` gives."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row: its place in the source, its values, or why it cannot be read."""

    line: int
    values: dict[str, Any]
    """by column: text as written; what was an object or a list in the source is one here"""
    problem: str | None = None
    raw: tuple[str, ...] = ()
    """its cells as they were read, in the order of the source's columns"""
    file: str = ""
    """which of a source's files, when it has several"""
    number: int = 0
    """of the row in all files, when there are several: lines alone do not tell rows apart then"""

    @property
    def place(self) -> int:
        """What tells this row from every other of its source."""
        return self.number or self.line


class Source(Protocol):
    """Rows that stay the same for as long as the snapshot does.

    Laws: `rows` may be called again and gives the same rows in the same order; memory stays flat; a row that cannot be
    read is given with its problem and stops nothing.
    """

    @property
    def name(self) -> str: ...

    @property
    def snapshot(self) -> str:
        """Changes when the content does."""
        ...

    def rows(self) -> Iterator[Row]: ...

    def user_ids(self) -> Iterator[tuple[int, str]]:
        """Each row's place and user id, in order. The id of a row that cannot be read is empty."""
        ...
