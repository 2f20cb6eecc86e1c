"""One record of a key at a time, in the order of the topic, and the latest counts.

Two records of a key attempted side by side would wait for each other's claim, or send what a newer one corrects.
A key's records stand in two partitions when partitions were added while its month ran, and one may leave alone.
"""

from __future__ import annotations

from processor.core.work import Work

__all__ = ["KeyOrder"]


class KeyOrder:
    """The line of each key's works: the first is on its way to an outcome, the others wait for its end.

    Whether a work's partition is still ours its window says (`Window.closed`). A work that waits in a partition that
    left never starts here; the first one stays in its line, because its call may still be in flight.
    """

    def __init__(self) -> None:
        self._first: dict[bytes, Work] = {}
        self._waiting: dict[bytes, list[Work]] = {}
        """Of few keys: most have one record."""

    def __contains__(self, key: bytes | None) -> bool:
        """Whether a work of the key has not ended."""
        return key in self._first

    def arrive(self, work: Work) -> bool:
        """Takes a record as it was read; whether it may start now. One without a key waits for nobody."""
        key = work.record.key
        if key is None:
            return True
        first = self._first.setdefault(key, work)
        if first is work:
            return True
        line = self._waiting.setdefault(key, [])
        if work.refusal is None:
            # Compaction would have removed the older records: the latest one counts, unless it is no job.
            for older in (first, *line):
                older.superseded = True
        line.append(work)
        return False

    def end(self, work: Work) -> Work | None:
        """`work` has ended, or will never start: returns the next of its key, which starts now."""
        key = work.record.key
        if key is None or self._first.get(key) is not work:
            return None
        line = self._waiting.get(key)
        while line:
            following = line.pop(0)
            if not following.window.closed:
                self._first[key] = following
                return following
        self._waiting.pop(key, None)
        del self._first[key]
        return None

    def forget_closed(self) -> None:
        """Partitions have left: what waits in them is somebody else's, and so is a key with nothing else here."""
        for key, first in list(self._first.items()):
            ours = [work for work in self._waiting.pop(key, ()) if not work.window.closed]
            if ours:
                self._waiting[key] = ours
            elif first.window.closed:
                # Read again after the partition has come back, the record shall not wait for a call of its former life.
                del self._first[key]
