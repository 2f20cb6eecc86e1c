"""A mapping that stays small in memory: what is too much for it goes to a temporary file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

__all__ = ["SpillingMap"]

ENTRIES_MAX = 50_000


class SpillingMap:
    """Bytes to text, like a dict; at most `entries_max` entries are in memory."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._recent: dict[bytes, str | None] = {}
        """``None`` marks what was removed since the last spill."""
        self._file: sqlite3.Connection | None = None

    def get(self, key: bytes) -> str | None:
        if key in self._recent:
            return self._recent[key]
        if self._file is None:
            return None
        row = self._file.execute("select text from entry where key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set(self, key: bytes, text: str | None) -> None:
        """Puts `text` there; ``None`` removes the entry."""
        self._recent[key] = text
        if len(self._recent) >= self._entries_max:
            self._spill()

    def items(self) -> Iterator[tuple[bytes, str]]:
        if self._file is None:
            yield from ((key, text) for key, text in self._recent.items() if text is not None)
            return
        self._spill()
        yield from self._file.execute("select key, text from entry where text is not null")

    def _spill(self) -> None:
        if self._file is None:
            # An empty name is a file that SQLite removes itself; nobody needs it after a crash.
            self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._file.execute("pragma journal_mode = off")
            self._file.execute("pragma cache_size = -8192")
            self._file.execute("create table entry (key blob primary key, text text) without rowid")
        self._file.execute("begin")
        self._file.executemany("insert or replace into entry values (?, ?)", sorted(self._recent.items()))
        self._file.execute("commit")
        self._recent.clear()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
