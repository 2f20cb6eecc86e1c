"""Looking at the dead-letter topic, and at what people did about its letters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from processor.adapters.months import read_month, read_months
from schemas.codec import DEAD_LETTER_HEADER, MOVED_HEADER, decode_dead_letter, decode_mark
from schemas.kafka.reading import Record, read_record, read_topic
from schemas.records import DeadLetter, Mark
from schemas.runtime.errors import BadRecord, UsageError
from schemas.runtime.settings import Settings

__all__ = ["OPEN", "Entry", "Wanted", "get_entries", "list_entries", "parse_place", "read_marks"]

OPEN = "open"


@dataclass(frozen=True, slots=True)
class Entry:
    """A dead letter at its place, with the record's original bytes."""

    record: Record
    letter: DeadLetter
    mark: Mark | None = None
    """What a person did about it."""

    @property
    def state(self) -> str:
        return self.mark.what.value if self.mark else OPEN

    @property
    def place(self) -> str:
        return f"{self.record.partition}:{self.record.offset}"

    @property
    def headers(self) -> list[tuple[str, bytes | None]]:
        """The original record's own."""
        return [(name, value) for name, value in self.record.headers if name not in {DEAD_LETTER_HEADER, MOVED_HEADER}]

    def to_dict(self, *, whole: bool = False) -> dict[str, Any]:
        about: dict[str, Any] = {
            "place": self.place,
            "key": _shown(self.record.key),
            "state": self.state,
            **msgspec.to_builtins(self.letter),
        }
        if self.mark is not None:
            about["mark"] = msgspec.to_builtins(self.mark)
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters; what is not given does not matter."""

    month: str | None = None
    reason: str | None = None
    user: str | None = None
    since_ms: int | None = None
    state: str | None = None
    """``open``, ``requeued`` or ``discarded``"""


def read_marks(settings: Settings) -> dict[str, Mark]:
    """What people did about dead letters, by their places. Raises `BrokerUnavailable`."""
    marks = {}
    for record in read_topic(settings, settings.topics.dead_letter_marks):
        if record.key is not None and record.value is not None:
            with contextlib.suppress(BadRecord):
                marks[record.key.decode(errors="replace")] = decode_mark(record.value)
    return marks


def list_entries(settings: Settings, wanted: Wanted = Wanted()) -> Iterator[Entry]:
    """Dead letters in the order of their places. Raises `BrokerUnavailable`."""
    marks = read_marks(settings)
    prefix = f"{wanted.user}:".encode() if wanted.user else b""
    for record in read_month(settings, read_months(settings), settings.topics.dead_letters, wanted.month):
        if not (record.key or b"").startswith(prefix):
            continue
        try:
            letter = decode_dead_letter(record.headers)
        except BadRecord:
            continue
        entry = Entry(record, letter, marks.get(f"{record.partition}:{record.offset}"))
        if (
            wanted.reason in {None, letter.reason}
            and wanted.state in {None, entry.state}
            and letter.at_ms >= (wanted.since_ms or 0)
        ):
            yield entry


def parse_place(text: str) -> tuple[int, int]:
    """``P:N`` as partition and offset; raises `UsageError`."""
    partition, colon, offset = text.partition(":")
    if not colon or not partition.isdigit() or not offset.isdigit():
        raise UsageError(f"{text!r} is not a place: write partition:offset, for example 3:17")
    return int(partition), int(offset)


def get_entries(settings: Settings, places: Iterable[str]) -> list[Entry]:
    """The dead letters at these places; raises `UsageError` where there is none, and `BrokerUnavailable`."""
    found = [(place, _letter_at(settings, place)) for place in places]
    marks = read_marks(settings)
    return [Entry(record, decode_dead_letter(record.headers), marks.get(place)) for place, record in found]


def _letter_at(settings: Settings, place: str) -> Record:
    record = read_record(settings, settings.topics.dead_letters, *parse_place(place))
    if record is None:
        raise UsageError(f"there is no dead letter at {place}: `mailonce dead-letters list` shows their places")
    return record
