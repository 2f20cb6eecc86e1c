"""*Settle the last, intend the next*: what goes into a transaction, and what its end means.

committed
    The outcomes are recorded; the intended works may be called for; the partitions that were to leave have left.
aborted
    Nothing of it is visible: its intended works are fresh again, its outcomes wait for the next transaction.
unknown
    Nobody knows. Every partition is forgotten and read again from what is committed, and the works with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from processor.core.assignments import Assignments
from processor.core.work import Work

__all__ = ["Batch", "Batches"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction holds."""

    finished: tuple[Work, ...]
    """Their outcomes are recorded."""
    offsets: Mapping[int, tuple[int, str]]
    """partition: (offset to commit, metadata)"""
    intended: tuple[Work, ...] = ()
    """They may be called for once it has committed."""
    withdrawn: tuple[Work, ...] = ()
    """They were intended and are never called for."""
    leaving: frozenset[int] = frozenset()
    """Partitions that leave once it has committed."""


class Batches:
    """Works on both sides of a transaction: `fresh` ones want to be intended, `ended` ones to be recorded."""

    def __init__(self, assigned: Assignments) -> None:
        self._assigned = assigned
        self._fresh: list[Work] = []
        self._ended: list[Work] = []

    @property
    def fresh(self) -> int:
        """Works that need a call and are not intended."""
        return len(self._fresh)

    @property
    def ended(self) -> int:
        """Works with an outcome that is not recorded."""
        return len(self._ended)

    def add_fresh(self, work: Work) -> None:
        self._fresh.append(work)

    def add_ended(self, work: Work) -> None:
        self._ended.append(work)

    def next(self, count: int, new_attempt: Callable[[], str]) -> Batch:
        """Everything that has ended, and up to `count` fresh works under attempts of their own."""
        chosen, self._fresh = self._fresh[:count], self._fresh[count:]
        intended = tuple(work for work in chosen if self._assigned.owns(work))
        for work in intended:
            work.attempt = new_attempt()
        finished = self._finish()
        return Batch(finished, self._assigned.to_commit(), intended)

    def last(self, withdrawn: Iterable[Work], leaving: frozenset[int] = frozenset()) -> Batch:
        """Everything that has ended; nothing more is intended, and what was and never started is withdrawn."""
        finished = self._finish()
        return Batch(finished, self._assigned.to_commit(), withdrawn=tuple(withdrawn), leaving=leaving)

    def committed(self, batch: Batch) -> None:
        """What ended meanwhile waits for the next one."""
        del self._ended[: len(batch.finished)]
        self._assigned.committed(batch.offsets)

    def aborted(self, batch: Batch) -> None:
        """What was intended comes first the next time, under other attempts."""
        self._fresh[:0] = batch.intended

    def forget_closed(self) -> list[Work]:
        """Partitions have left: returns their fresh works, which never start here."""
        gone = [work for work in self._fresh if not self._assigned.owns(work)]
        self._fresh = [work for work in self._fresh if self._assigned.owns(work)]
        return gone

    def _finish(self) -> tuple[Work, ...]:
        """Settles what has ended. What its partition took along is recorded by whoever reads it next."""
        self._ended = [work for work in self._ended if self._assigned.owns(work)]
        for work in self._ended:
            work.window.settle(work.record.offset)
        return tuple(self._ended)
