"""Which records of closed months have their outcome: the ledger says so, for the dedup set has forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from processor.adapters.followed import Followed
from processor.core.kept import Kept
from processor.core.months import month_of_key
from processor.core.standing import Entry, stands
from processor.core.states import State
from schemas.codec import decode_delivery
from schemas.kafka.reading import Record
from schemas.runtime.ending import in_thread
from schemas.runtime.settings import Settings

__all__ = ["Outcomes"]

_SENT = Entry(-1, State.SENT_RECORDED.value, "", 0, (-1, -1, -1))
"""Stands for every `sent`: of millions one is kept, and whatever follows it in the ledger is an outcome, too. And for
what may have been there, where the ledger has forgotten: nobody can tell of that anew."""


class Outcomes:
    """See `processor.ports.Outcomes`. Read only when somebody asks, and then what came since."""

    def __init__(self, settings: Settings, kept: Kept, now_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._kept = kept
        self._now_ms = now_ms
        self._newest_month = ""
        """What is known is of months up to this one."""
        self._ledger = _ledger(settings)
        self._known: dict[bytes, Entry] = {}

    async def of(self, records: Sequence[Record]) -> list[Entry | None]:
        if (newest := max((month_of_key(record.key) for record in records), default="")) > self._newest_month:
            self._newest_month, self._known = newest, {}
            self._ledger = _ledger(self._settings)
        # What bars its key keeps doing so: the topic is asked only for what may have its outcome since.
        if any(self._may_change(record) for record in records):
            await in_thread(self._read)
        return [self._entry(record, self._now_ms()) for record in records]

    def _entry(self, record: Record, now_ms: int) -> Entry | None:
        entry = self._known.get(record.key or b"")
        return _SENT if entry is None and self._kept.outcome_is_gone(record.timestamp_ms, now_ms) else entry

    def _may_change(self, record: Record) -> bool:
        entry = self._known.get(record.key or b"")
        return entry is None or entry.state is State.CLOSED

    def _read(self) -> None:
        for record, entry in self._ledger.news():
            key = record.key
            if key is None or not "" < month_of_key(key) <= self._newest_month:
                continue
            if entry is None:
                self._known.pop(key, None)
            elif self._known.get(key) is not _SENT and stands(entry, self._known.get(key)):
                self._known[key] = _SENT if entry.state is State.SENT_RECORDED else entry


def _ledger(settings: Settings) -> Followed[Entry | None]:
    """Its entries, none for a tombstone; of one that cannot be read the rebuild tells."""
    return Followed(settings, settings.topics.deliveries, _entry)


def _entry(record: Record) -> Entry | None:
    return None if record.value is None else Entry.of(decode_delivery(record.value), record.partition)
