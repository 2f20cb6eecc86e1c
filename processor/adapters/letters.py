"""Which records have their dead letter already: the dead-letter topic says so, not anybody's memory."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.codec import decode_dead_letter
from schemas.kafka.reading import Follower, Record
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import BadRecord
from schemas.runtime.settings import Settings

__all__ = ["Letters"]


class Letters:
    """See `processor.ports.Letters`. Read only when somebody asks, and then what came since."""

    def __init__(self, settings: Settings) -> None:
        self._follower = Follower(settings, settings.topics.dead_letters)
        self._told: set[tuple[int, int, int]] = set()
        """partition, offset and timestamp: a topic that was made anew has other records at the same places"""

    async def told(self, records: Sequence[Record]) -> set[tuple[int, int]]:
        await in_thread(self._read)
        return {(r.partition, r.offset) for r in records if (r.partition, r.offset, r.timestamp_ms) in self._told}

    def _read(self) -> None:
        for record in self._follower.news():
            try:
                source = decode_dead_letter(record.headers).source
            except BadRecord:
                continue
            self._told.add((source.partition, source.offset, source.timestamp_ms))
