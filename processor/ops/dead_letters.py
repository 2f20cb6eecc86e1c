"""Looking at the dead-letter topic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.codec import DEAD_LETTER_HEADER, decode_dead_letter
from schemas.errors import BadRecord, UsageError
from schemas.reading import Record, read_record, read_topic
from schemas.records import DeadLetter
from schemas.settings import Settings

__all__ = ["Entry", "get_entry", "list_entries", "parse_place"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A dead letter at its place, with the record's original bytes."""

    record: Record
    letter: DeadLetter

    @property
    def place(self) -> str:
        return f"{self.record.partition}:{self.record.offset}"

    @property
    def headers(self) -> list[tuple[str, bytes | None]]:
        """The original record's own."""
        return [(name, value) for name, value in self.record.headers if name != DEAD_LETTER_HEADER]

    def to_dict(self, *, whole: bool = False) -> dict[str, Any]:
        about: dict[str, Any] = {
            "place": self.place,
            "key": _shown(self.record.key),
            **msgspec.to_builtins(self.letter),
        }
        if whole:
            about["value"] = _shown(self.record.value)
            about["headers"] = [{"name": name, "value": _shown(value)} for name, value in self.headers]
        return about


def _shown(raw: bytes | None) -> str | None:
    """Text where it is text, otherwise hex behind ``0x``."""
    if raw is None:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return f"0x{raw.hex()}"
    return text if text.isprintable() or text.replace("\n", "").replace("\t", "").isprintable() else f"0x{raw.hex()}"


def list_entries(settings: Settings, *, month: str | None = None, reason: str | None = None) -> Iterator[Entry]:
    """Dead letters, by month and reason if given. Raises `BrokerUnavailable`."""
    suffix = f":{month}".encode() if month else b""
    for record in read_topic(settings, settings.topics.dead_letters):
        if not (record.key or b"").endswith(suffix):
            continue
        try:
            letter = decode_dead_letter(record.headers)
        except BadRecord:
            continue
        if reason is None or letter.reason == reason:
            yield Entry(record, letter)


def parse_place(text: str) -> tuple[int, int]:
    """``P:N`` as partition and offset; raises `UsageError`."""
    partition, colon, offset = text.partition(":")
    if not colon or not partition.isdigit() or not offset.isdigit():
        raise UsageError(f"{text!r} is not a place: write partition:offset, for example 3:17")
    return int(partition), int(offset)


def get_entry(settings: Settings, place: str) -> Entry:
    """The dead letter at a place; raises `UsageError` when there is none."""
    record = read_record(settings, settings.topics.dead_letters, *parse_place(place))
    if record is None:
        raise UsageError(f"there is no dead letter at {place}: `mailonce dead-letters list` shows their places")
    return Entry(record, decode_dead_letter(record.headers))
