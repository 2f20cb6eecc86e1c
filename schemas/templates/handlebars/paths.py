"""Paths: where a template looks for a value."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["ID", "SEGMENT", "Path", "path_of", "segments"]

ID = r"[^\s!\"#%-,./;->@\[-^`{-~]+"
SEGMENT = rf"(?:{ID}|\[[\w .:#$&+,;!?%@*/-]+\])"
_BEGINNING = re.compile(
    r"(?P<at>@(?:root\b[./]?)?)?(?P<climbs>(?:\.\./)*(?:\.\.(?=$))?)(?P<scope>(?:\./|this(?:[./]|$))+|\.$)?"
)


@dataclass(frozen=True, slots=True)
class Path:
    """A path, taken apart."""

    written: str
    climbs: int
    """how many scopes it leaves"""
    names: tuple[str, ...]
    """from the scope inwards; none: the scope itself"""
    tail: str
    """the names as they are written"""
    data: str = ""
    """of ``@…``: root, index, key, first or last"""
    scoped: bool = False
    """whether it begins with ``this`` or ``./``, so that it is no block parameter"""


def path_of(written: str) -> Path:
    found = _BEGINNING.match(written)
    assert found is not None, "every part of it may be empty"
    tail, data = written[found.end() :], ""
    if found["at"]:
        data, tail = ("root", tail) if found["at"] != "@" else (tail, "")
    return Path(
        written,
        found["climbs"].count(".."),
        tuple(name.strip("[]") for name in segments(tail)),
        tail,
        data,
        bool(found["scope"]),
    )


def segments(tail: str) -> list[str]:
    return re.findall(SEGMENT, tail)
