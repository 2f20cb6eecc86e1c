"""A processor without I/O: records go in, attempts to be made and transactions to be committed come out.

It owns everything that a processor knows of its partitions and their records. Whoever drives it does the rest: reads,
commits, asks Redis and SES, looks at the clock. The asyncio shell drives it, and so do the simulator and the explorer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from processor.core.assignments import Assignments
from processor.core.batch import Batch, Batches
from processor.core.control import NO_TENURE
from processor.core.decide import Skip
from processor.core.due import DueQueue
from processor.core.key_order import KeyOrder
from processor.core.newest import Newest
from processor.core.starts import Starts
from processor.core.ticket import Attempt, Finished, Ticket

__all__ = ["Engine"]


class Engine:
    """The way of a record: `accept`, `next` and `committed`, `take` and `end`, `next` and `committed`."""

    def __init__(self) -> None:
        self.assigned = Assignments()
        self.batches = Batches(self.assigned)
        self.due = DueQueue()
        self.newest = Newest()
        self._order = KeyOrder()
        self._leaving: Batch | None = None
        """What partitions that leave are waiting for."""
        self.starts = Starts(self.due, self.batches, self._order, self.newest)

    # ---- reading ----

    def holds(self, key: bytes | None) -> bool:
        """Whether a record of the key is on its way to an outcome."""
        return key in self._order

    def accept(self, ticket: Ticket) -> None:
        """Takes a record as it was read; it starts when it is its turn."""
        if self._order.arrive(ticket):
            self._route(ticket)

    def _route(self, ticket: Ticket) -> None:
        if ticket.needs_call:
            self.batches.add_fresh(ticket)
        else:
            self.due.submit([Attempt(ticket)])

    def _start_next(self, ended: Ticket) -> None:
        """Starts the next record of the key, if there is one."""
        if follower := self._order.end(ended):
            self._route(follower)

    # ---- transactions ----

    def next(self, open_max: int, new_attempt: Callable[[], str]) -> Batch:
        """Outcomes of all that has ended, and as many intents as leave at most `open_max` waiting for a call."""
        tenure = self.starts.tenure
        count = max(0, open_max - self.due.ready) if tenure is not None else 0
        return self.batches.next(count, new_attempt, tenure or NO_TENURE)

    def last(self, withdrawn: Iterable[Attempt]) -> Batch:
        """The end: outcomes, and what was intended and is never called for."""
        return self.batches.last(withdrawn)

    def committed(self, batch: Batch) -> None:
        """What it intended may be called for; what was to leave has left."""
        self.batches.committed(batch)
        self.due.submit(attempt for attempt in batch.intended if not attempt.due_s)
        for attempt in batch.intended:
            if attempt.due_s:
                self.due.put_off(attempt, attempt.due_s)
        if batch.leaving:
            self._forget(batch.leaving, batch.withdrawn)

    def aborted(self, batch: Batch) -> None:
        """Nothing of it is visible."""
        self.batches.aborted(batch)

    # ---- partitions ----

    def assign(self, committed: Mapping[int, tuple[int, str]]) -> None:
        """Partitions came, with committed offset and metadata. Nothing of them is taken until they are known."""
        self.assigned.assign(committed)
        self.newest.assign({partition: offset for partition, (offset, _) in committed.items()})

    def leave(self, partitions: frozenset[int], withdrawn: Iterable[Attempt]) -> Batch:
        """Partitions are to go, and nothing of theirs is in flight: what is to be committed before they do."""
        self._leaving = self.batches.last(withdrawn, partitions)
        return self._leaving

    def left(self) -> Batch:
        """What `leave` returned has committed, or held nothing."""
        assert self._leaving is not None
        batch, self._leaving = self._leaving, None
        self.committed(batch)
        return batch

    def lost(self, partitions: frozenset[int]) -> list[Attempt]:
        """Partitions are gone. Calls in flight go on; returns the attempts that were not started, and never are.

        What they accept is a fact (`Batches.facts`), and the record is settled by whoever reads it next.
        """
        leaving, self._leaving = self._leaving, None
        self._forget(partitions, leaving.withdrawn if leaving else ())
        dropped = self.due.drop(lambda ticket: ticket.window.closed)
        for attempt in dropped:
            self._start_next(attempt.ticket)
        return dropped

    def _forget(self, partitions: frozenset[int], dropped: Iterable[Attempt]) -> None:
        """Partitions have left, and with them what was `dropped` and never started; others' turn may have come."""
        self.assigned.forget(partitions)
        self.newest.forget(partitions)
        self._order.forget_closed()
        gone = [attempt.ticket for attempt in dropped if attempt.ticket.window.closed]
        for ticket in [*gone, *self.batches.forget_closed()]:
            self._start_next(ticket)

    # ---- attempts ----

    def take(self, count: int) -> list[Attempt]:
        """Up to `count` to be claimed and called for; ends those among them that need no call any more."""
        taken, passed_over = self.starts.take(count)
        for finished in passed_over:
            self.end(finished)
        return taken

    def end(self, finished: Finished) -> None:
        """An attempt has its outcome: it is recorded, and the next record of its key starts."""
        if isinstance(finished.result, Skip) and finished.result.uncalled:
            self.starts.freed([finished.attempt])
        self.batches.add_ended(finished)
        self._start_next(finished.attempt.ticket)

    def correct(self, better: Iterable[Finished]) -> None:
        """Recorded outcomes are to be recorded anew: evidence knew better."""
        for finished in better:
            self.batches.add_ended(finished)

    @property
    def others_wait(self) -> bool:
        """Whether records wait for a call that was not put off."""
        return bool(self.due.ready or self.batches.fresh)

    @property
    def waits_for_resume(self) -> bool:
        """Whether records of paused months wait, and nothing else does."""
        return self.batches.parked > 0 and self.idle

    @property
    def idle(self) -> bool:
        """Whether nothing waits for a call or a transaction, but for what is paused; calls in flight are the driver's
        to know."""
        return not (self.batches.fresh or self.batches.ended or self.batches.facts) and self.due.empty
