"""What happened in one simulated world, in order: kept as values, made readable only when somebody asks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from processor.core.states import Claim
from processor.ports import Item
from schemas.identity import Key

__all__ = ["Entry", "History"]


class Entry(NamedTuple):
    at_s: float
    who: str
    what: str
    about: tuple[Any, ...]

    def line(self) -> str:
        text = " ".join(shown(value) for value in self.about)
        return f"{self.at_s:9.3f}  {self.who:<12} {self.what:<22} {text}".rstrip()


class History:
    """Who did what when."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self.entries: list[Entry] = []

    def note(self, who: str, what: str, *about: Any) -> None:
        """`about` must not change afterwards."""
        self.entries.append(Entry(self._now_s(), who, what, about))

    def lines(self) -> list[str]:
        return [entry.line() for entry in self.entries]

    def digest(self) -> str:
        """The same for the same history, to the last byte."""
        return hashlib.sha256("\n".join(self.lines()).encode()).hexdigest()


def shown(value: Any) -> str:
    match value:
        case str():
            return value
        case bytes():
            return value.decode(errors="backslashreplace")
        case Claim():
            return value.to_text() or "-"
        case Item():
            return f"{value.key.user_id}/{value.attempt or '-'}" + (
                f"@{value.partition}:{value.offset}" if value.offset >= 0 else ""
            )
        case Key():
            return str(value)
        case float():
            return f"{value:.3f}"
        case msgspec.Struct():
            return repr(value)
        case dict():
            return "{" + ", ".join(f"{shown(name)}: {shown(value[name])}" for name in value) + "}"
        case set() | frozenset():
            return "{" + ", ".join(sorted(shown(part) for part in value)) + "}"
        case list() | tuple():
            return "[" + ", ".join(shown(part) for part in value) + "]"
        case _:
            return str(value)
