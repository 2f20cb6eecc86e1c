"""Columns' names: what of them is ours to trim, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence

from producer.rows import NEEDED
from schemas.invisible import invisible
from schemas.runtime.errors import SourceError

__all__ = ["EmptySource", "check_columns", "header_of"]


class EmptySource(SourceError):
    """A file without anything in it: one of many is passed over."""

    def __init__(self, name: str, what: str = "is empty: is whoever writes it done?") -> None:
        super().__init__(f"{name} {what}")


def header_of(where: str, cells: Sequence[str]) -> list[str]:
    """A header's names without the spaces around them. Raises `SourceError` for a name with an invisible character."""
    names = [cell.strip() for cell in cells]
    for number, name in enumerate(names, 1):
        if found := invisible(name):
            raise SourceError(f"{where}: the name of column {number}, {name!r}, holds {found}: take it out")
    return names


def check_columns(where: str, columns: Sequence[str]) -> None:
    """Raises `SourceError` for columns without a user or an address, or with a name that stands there twice."""
    if missing := [name for name in NEEDED if name not in columns]:
        raise SourceError(
            f"{where} lacks the column {', '.join(missing)}; user_id, email and the template's data are needed (it has "
            f"{', '.join(columns) or 'none'}; --map user_id=NAME renames one)"
        )
    if repeated := {name for name in columns if list(columns).count(name) > 1}:
        raise SourceError(f"{where} names a column twice: {', '.join(sorted(repeated))}")
