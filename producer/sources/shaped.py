"""A source seen through what the operator asked for: only some rows, only so many."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from producer.rows import Condition
from producer.sources import Asked, open_source
from producer.sources.encodings import check_encoding
from producer.staging.staged import Staged
from schemas.runtime.errors import UsageError

__all__ = ["Shape", "open_shaped", "parse_conditions", "parse_renames", "parse_shape"]

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
    encoding: str = ""
    """of files of text; as their mark says, or UTF-8, where it is empty"""


def parse_shape(
    renames: Sequence[str] | None,
    conditions: Sequence[str] | None = None,
    limit: int | None = None,
    encoding: str | None = None,
) -> Shape:
    """The shape as its texts ask for it; raises `UsageError`."""
    return Shape(
        parse_renames(renames or []), parse_conditions(conditions or []), limit, check_encoding(encoding or "")
    )


def open_shaped(uri: str, month: str, shape: Shape, say: Callable[[str], None]) -> Staged:
    """The source seen so; `say` is told how a slow one comes along. Raises `SourceError`."""
    return open_source(uri, Asked(month, shape.renames, say, shape.encoding)).shaped(shape.conditions, shape.limit)
