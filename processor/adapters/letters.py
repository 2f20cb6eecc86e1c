"""Which records have their dead letter already: the dead-letter topic says so, not anybody's memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from processor.adapters.followed import followed_letters
from processor.core.evidence import SesEvent
from processor.core.kept import Kept
from schemas.kafka.reading import Record
from schemas.runtime.ending import in_thread
from schemas.runtime.settings import Settings

__all__ = ["EventLetters", "Letters"]


class Letters:
    """See `processor.ports.Letters`. Read only when somebody asks, and then what came since."""

    def __init__(self, settings: Settings, kept: Kept, now_ms: Callable[[], int]) -> None:
        self._kept = kept
        self._now_ms = now_ms
        self._letters = followed_letters(settings)
        self._told: set[tuple[int, int, int]] = set()
        """partition, offset and timestamp: a topic that was made anew has other records at the same places"""

    async def told(self, records: Sequence[Record]) -> set[tuple[int, int]]:
        await in_thread(self._read)
        return {(r.partition, r.offset) for r in records if self._is_told(r, self._now_ms())}

    def _is_told(self, record: Record, now_ms: int) -> bool:
        if self._kept.letter_is_gone(record.timestamp_ms, now_ms):
            return True  # it lies where a letter would be gone: one that was written is not to be written again
        return (record.partition, record.offset, record.timestamp_ms) in self._told

    def _read(self) -> None:
        for _, letter in self._letters.news():
            source = letter.source
            self._told.add((source.partition, source.offset, source.timestamp_ms))


class EventLetters:
    """Which of SES's events have their dead letter already. Read only when somebody asks, and then what came since."""

    def __init__(self, settings: Settings) -> None:
        self._letters = followed_letters(settings)
        self._told: set[tuple[str, str]] = set()
        """attempt and reason: an attempt made one message"""

    async def told(self, events: Sequence[SesEvent]) -> set[SesEvent]:
        """Those among these events that cause a letter and have it. Raises `BrokerUnavailable`."""
        causes = [event for event in events if event.reason]
        if causes:
            await in_thread(self._read)
        return {event for event in causes if (event.attempt, event.reason) in self._told}

    def _read(self) -> None:
        self._told.update((letter.attempt, letter.reason) for _, letter in self._letters.news() if letter.attempt)
