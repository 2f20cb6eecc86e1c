"""A source's data by its shapes: which values are empty, numbers, one line or several. One job of each tells of all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from schemas.records import Job
from schemas.templates.data import opened

__all__ = ["distinct_shapes", "shape_of"]

_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")


def distinct_shapes(jobs: Iterable[Job]) -> Iterator[Job]:
    """The first job of each shape, in order."""
    seen = set()
    for job in jobs:
        shape = shape_of(job.data)
        if shape not in seen:
            seen.add(shape)
            yield job


def shape_of(value: Any) -> Any:
    """What a template can tell apart without comparing texts; hashable."""
    match value:
        case dict():
            return tuple((name, shape_of(inner)) for name, inner in sorted(value.items()))
        case list():
            return ("list", frozenset(map(shape_of, value)))
        case str():
            if (inside := opened(value)) is not value:
                return "json", shape_of(inside)
            if not value:
                return "empty"
            if _NUMBER.fullmatch(value):
                return "number"
            return "text" if value.isprintable() else "lines"
        case _:
            return type(value).__name__ if value else repr(value)
