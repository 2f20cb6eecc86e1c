"""The durable record of accepted messages: one JSON line each, written before the answer."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from infra.ses_sandbox.model import AcceptedMail, user_key

__all__ = ["Record", "read_record_file"]


class Record:
    """Appends, finds and counts. Reopening a folder continues its record."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "accepted.jsonl"
        self._encode = msgspec.json.Encoder().encode
        self._places: list[int] = []
        self._heads: list[str] = []
        self._per_key: Counter[tuple[str, str, str]] = Counter()
        self._end = 0
        for mail, length in _lines(self.path):
            self._index(mail, length)
        self._file = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        # A torn last line belongs to a message that was never answered for: it was not accepted.
        os.truncate(self._file, self._end)

    def __len__(self) -> int:
        return len(self._places)

    def append(self, mail: AcceptedMail) -> None:
        line = self._encode(mail) + b"\n"
        os.write(self._file, line)
        self._index(mail, len(line))

    def _index(self, mail: AcceptedMail, length: int) -> None:
        self._places.append(self._end)
        self._end += length
        self._heads.append(f"{' '.join(mail.to)} {mail.subject}".lower())
        if key := user_key(mail.tags):
            self._per_key[key] += 1

    def get(self, n: int) -> AcceptedMail | None:
        if not 0 <= n < len(self._places):
            return None
        end = self._places[n + 1] if n + 1 < len(self._places) else self._end
        return msgspec.json.decode(os.pread(self._file, end - self._places[n], self._places[n]), type=AcceptedMail)

    def search(self, words: str, skip: int, count: int) -> tuple[list[AcceptedMail], int]:
        """Newest first, those whose address or subject holds `words`: (a page, how many in all)."""
        wanted = words.lower().strip()
        hits = [n for n in reversed(range(len(self._heads))) if wanted in self._heads[n]]
        return [mail for n in hits[skip : skip + count] if (mail := self.get(n))], len(hits)

    def summary(self) -> dict[str, Any]:
        """Accepted, distinct (user, month) and duplicates: accepted more than once."""
        twice = {key: count for key, count in self._per_key.items() if count > 1}
        return {
            "accepted": len(self._places),
            "keys": len(self._per_key),
            "duplicates": sum(twice.values()) - len(twice),
            "duplicate_keys": [
                {"user": k[0], "encoding": k[1], "month": k[2], "accepted": c} for k, c in twice.items()
            ],
        }

    def clear(self) -> None:
        os.truncate(self._file, 0)
        self._places, self._heads, self._end = [], [], 0
        self._per_key.clear()

    def times_ms(self) -> Iterator[int]:
        return (mail.at_ms for mail in read_record_file(self.path))


def read_record_file(path: Path) -> Iterator[AcceptedMail]:
    """The accepted messages in a record file, oldest first."""
    return (mail for mail, _ in _lines(path))


def _lines(path: Path) -> Iterator[tuple[AcceptedMail, int]]:
    decode = msgspec.json.Decoder(AcceptedMail).decode
    if path.exists():
        with path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield decode(line), len(line)
