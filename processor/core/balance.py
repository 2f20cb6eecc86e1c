"""Jobs held against outcomes: which that a drain was to settle have none. Pure: whoever reads brings the records.

It trusts no offset. What was published after the drain began, or has a newer record that was, is not owed yet; a
tombstone owes no more than that the key has any outcome; a user who was forgotten has none.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

import msgspec

from processor.core.standing import Entry, stands
from processor.core.states import State
from schemas.codec import decode_delivery
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.records import Delivery, Outcome
from schemas.runtime.errors import BadRecord

__all__ = ["Balance", "Lowered"]

MONTH_BYTES = 7


class _Newest(msgspec.Struct, frozen=True, gc=False):
    """A key's newest record in the jobs topic."""

    partition: int
    offset: int
    at_ms: int
    tombstone: bool

    def settled_by(self, entry: Entry) -> bool:
        """Whether the ledger's entry is this record's outcome, or leaves nothing to do for it."""
        if self.tombstone or entry.state is not State.CLOSED:
            return True
        partition, offset, at_ms = entry.job
        return offset >= self.offset if partition == self.partition else at_ms >= self.at_ms


class Lowered:
    """A fold over the ledger: where something that is not SES's own word follows `sent`.

    Whoever committed that could not know of the mail; compaction would keep it in the place of `sent`.
    """

    def __init__(self) -> None:
        self._sent: dict[bytes, Record | None] = {}
        self._keys: set[bytes] = set()

    def add(self, key: bytes, delivery: Delivery | None, record: Record | None = None) -> None:
        """One more entry; `record` is kept with a `sent`. No delivery: the user was forgotten."""
        if delivery is not None and not delivery.by_ses:
            if key in self._sent:
                self._keys.add(key)
            return
        self._keys.discard(key)
        self._sent.pop(key, None)
        if delivery is not None and delivery.outcome is Outcome.SENT:
            self._sent[key] = record

    def found(self) -> dict[bytes, Record | None]:
        """Each such key after the last entry, and what was kept with its last `sent`."""
        return {key: self._sent[key] for key in sorted(self._keys)}


class Balance:
    """First every job, then every entry of the ledger, then `missing`.

    Args:
        targets: each partition's end when the drain began.
        oldest: the first month that counts, ``YYYY-MM``; older ones are closed.
        month: the only one that counts; empty: all from `oldest` on.
        only: these keys count; ``None``: all.
    """

    def __init__(
        self, targets: Mapping[int, int], oldest: str, month: str = "", only: Container[bytes] | None = None
    ) -> None:
        self._targets = targets
        self._oldest = oldest.encode()
        self._month = month.encode()
        self.only = only
        self._owed: dict[bytes, _Newest] = {}
        self._stands: dict[bytes, Entry] = {}
        """What the ledger says of the others: `uncertain` may resolve, and an older record's end settles nothing."""
        self._lowered = Lowered()
        self.jobs = 0
        """keys with a job"""

    def job(self, record: Record) -> None:
        """The next record of the jobs topic. A tombstone for a key without a job is no job."""
        key = record.key
        if key is None or not self._counts(key):
            return
        before = self._owed.get(key)
        if before is None:
            if record.value is None:
                return
            self.jobs += 1
        elif before.partition != record.partition and record.timestamp_ms < before.at_ms:
            return
        self._owed[key] = _Newest(record.partition, record.offset, record.timestamp_ms, record.value is None)

    def outcome(self, record: Record) -> None:
        """The next entry of the ledger; a tombstone there: the user was forgotten."""
        key = record.key
        if key is None or not self._counts(key):
            return
        if record.value is None:
            self._owed.pop(key, None)
            self._lowered.add(key, None)
            return
        try:
            delivery = decode_delivery(record.value)
        except BadRecord:
            return  # the rebuild tells of it
        self._lowered.add(key, delivery)
        if (newest := self._owed.get(key)) is None:
            return
        entry = Entry.of(delivery, record.partition)
        if entry.state in {State.SENT_RECORDED, State.CLOSED} and newest.settled_by(entry):
            del self._owed[key]
        elif stands(entry, self._stands.get(key)):
            self._stands[key] = entry

    @property
    def lowered(self) -> set[bytes]:
        """Keys whose `sent` something followed that is not SES's word."""
        return set(self._lowered.found())

    def missing(self) -> list[bytes]:
        """Keys of jobs that were to be settled and have no outcome."""
        return sorted(key for key, newest in self._owed.items() if self._is_owed(key, newest) and _is_key(key))

    def _is_owed(self, key: bytes, newest: _Newest) -> bool:
        if newest.offset >= self._targets.get(newest.partition, 0):
            return False
        entry = self._stands.get(key)
        return entry is None or not newest.settled_by(entry)

    def _counts(self, key: bytes) -> bool:
        month = key[-MONTH_BYTES:]
        wanted = month == self._month if self._month else month >= self._oldest
        return wanted and (self.only is None or key in self.only)


def _is_key(raw: bytes) -> bool:
    """Of one that cannot be read the dead letter is the outcome."""
    try:
        Key.from_bytes(raw)
    except BadRecord:
        return False
    return True
