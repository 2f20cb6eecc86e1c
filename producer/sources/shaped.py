"""A source seen through what the operator asked for: only some rows, only so many."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from producer.sources import Asked, Row, Source, open_source
from schemas.runtime.errors import UsageError

__all__ = ["Condition", "Shape", "Shaped", "open_shaped", "parse_conditions", "parse_renames", "parse_shape"]

Condition = tuple[str, bool, str]
"""column, whether it must equal, value"""

_CONDITION = re.compile(r"([^=!]+)(!?=)(.*)", re.DOTALL)


def parse_conditions(texts: Sequence[str]) -> list[Condition]:
    """``NAME=VALUE`` or ``NAME!=VALUE`` each; raises `UsageError`."""
    found = []
    for text in texts:
        parts = _CONDITION.fullmatch(text)
        if parts is None:
            raise UsageError(f"--where: {text!r} is not NAME=VALUE or NAME!=VALUE; for more, use duckdb:///query.sql")
        found.append((parts[1].strip(), parts[2] == "=", parts[3]))
    return found


def parse_renames(texts: Sequence[str]) -> dict[str, str]:
    """``OURS=THEIRS`` each, as {theirs: ours}; raises `UsageError`."""
    renames = {}
    for text in texts:
        ours, equals, theirs = text.partition("=")
        if not equals or not ours or not theirs:
            raise UsageError(f"--map: {text!r} is not NAME=COLUMN, for example user_id=customer_number")
        renames[theirs] = ours
    return renames


@dataclass(frozen=True, slots=True)
class Shape:
    """Which rows of a source, and by which names."""

    renames: Mapping[str, str] = field(default_factory=dict)
    conditions: Sequence[Condition] = ()
    limit: int | None = None


def parse_shape(
    renames: Sequence[str] | None, conditions: Sequence[str] | None = None, limit: int | None = None
) -> Shape:
    """The shape as its texts ask for it; raises `UsageError`."""
    return Shape(parse_renames(renames or []), parse_conditions(conditions or []), limit)


def open_shaped(uri: str, month: str, shape: Shape, say: Callable[[str], None]) -> Source:
    """The source seen so; `say` is told how a slow one comes along. Raises `SourceError`."""
    source = open_source(uri, Asked(month, shape.renames, say))
    if shape.conditions or shape.limit is not None:
        return Shaped(source, shape.conditions, shape.limit)
    return source


class Shaped:
    """Rows that meet every condition, at most `limit`. Rows that cannot be read stay in: they are to be told of."""

    def __init__(self, source: Source, conditions: Sequence[Condition], limit: int | None) -> None:
        self._source = source
        self._conditions = conditions
        self._limit = limit
        self.name = source.name
        self.snapshot = source.snapshot

    def rows(self) -> Iterator[Row]:
        return islice((row for row in self._source.rows() if self._wanted(row)), self._limit)

    def user_ids(self) -> Iterator[tuple[int, str]]:
        for row in self.rows():
            yield row.place, "" if row.problem else row.values.get("user_id", "")

    def _wanted(self, row: Row) -> bool:
        if row.problem:
            return True
        for column, equal, value in self._conditions:
            if column not in row.values:
                raise UsageError(f"--where: there is no column {column}; there are {', '.join(row.values)}")
            if (row.values[column] == value) is not equal:
                return False
        return True
