"""A finding, and how checks are run so that one that breaks does not hide the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from schemas.runtime.errors import MailonceError

__all__ = ["Check", "Finding", "Level", "bad", "examine", "fine", "note"]


class Level(StrEnum):
    """How bad it is."""

    FINE = "fine"
    NOTE = "note"
    """Works, but a careful operator would change it."""
    BAD = "bad"
    """Mail would not go out, or the promise does not hold."""


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, what was found, and what to do about it."""

    area: str
    what: str
    level: Level
    found: str
    todo: str = ""


Check = Callable[[], Iterator[Finding]]


def fine(area: str, what: str, found: str) -> Finding:
    return Finding(area, what, Level.FINE, found)


def note(area: str, what: str, found: str, todo: str) -> Finding:
    return Finding(area, what, Level.NOTE, found, todo)


def bad(area: str, what: str, found: str, todo: str) -> Finding:
    return Finding(area, what, Level.BAD, found, todo)


def examine(area: str, check: Check) -> Iterator[Finding]:
    """Runs a check; what it raises is a finding too."""
    try:
        yield from check()
    except MailonceError as error:
        yield bad(area, "answers", str(error), "mend this first: nothing after it could be looked at")
