"""A processor without I/O: records go in, attempts to be made and transactions to be committed come out.

It owns everything that a processor knows of its partitions and their records. Whoever drives it does the rest: reads,
commits, asks Redis and SES, looks at the clock. The asyncio shell drives it, and so do the simulator and the explorer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from processor.core.assignments import Assignments
from processor.core.batch import Batch, Batches
from processor.core.control import NO_TENURE, Tenure
from processor.core.decide import Skip, before_claim
from processor.core.due import DueQueue
from processor.core.key_order import KeyOrder
from processor.core.newest import Newest
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
        self._never_called: list[Attempt] = []
        self.tenure: Tenure | None = NO_TENURE
        """Under what this process may intend, claim and call now; ``None``: under nothing."""

    def hold(self, tenure: Tenure | None) -> bool:
        """The process may now intend, claim and call under this; returns whether that is new.

        Whatever was intended before is never called for: somebody may have been told meanwhile that it is not.
        """
        if tenure == self.tenure:
            return False
        self.tenure = tenure
        self.freed(self.renounce())
        self.scan_anew()
        return True

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
        count = max(0, open_max - self.due.ready) if self.tenure is not None else 0
        return self.batches.next(count, new_attempt, self.tenure or NO_TENURE)

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
        """Partitions came, with committed offset and metadata. Nothing of them is taken until `known` says so."""
        self.assigned.assign(committed)
        self.newest.assign({partition: offset for partition, (offset, _) in committed.items()})

    def known(self) -> None:
        """Partitions were read to the ends that were asked for: what was held for them may be taken."""
        self.due.let_go(self.newest.unread)

    def scan_anew(self) -> None:
        """Nothing more is taken until every partition of ours was read to an end that is asked for after this call.

        For whoever learns that newer records, or the dedup set's places, may have been missed: after a lapse of the
        process, and under a new lineage of the set. A new assignment does the same by itself. Calls under way go on;
        what was taken and not claimed is for the caller to give back; attempts that wait here stay, and are held.
        """
        self.newest.anew()

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

        What they accept is a fact, and its outcome is recorded by whoever comes next.
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
        """Up to `count` to be claimed and called for; ends those among them that need no call any more, and holds those
        of partitions that are not known far enough."""
        taken: list[Attempt] = []
        unread = self.newest.unread
        for attempt in self.due.take(count):
            ticket = attempt.ticket
            if attempt.tenure != self.tenure:
                self.renounce_one(attempt)
                continue
            newer = self._order.superseded(ticket) or self.newest.superseded(ticket.record)
            skip = before_claim(left=ticket.window.closed, superseded=newer)
            if skip is not None:
                self.end(Finished(attempt, skip))
            elif ticket.record.partition in unread:
                self.due.hold(attempt)
            else:
                taken.append(attempt)
        return taken

    def renounce(self) -> list[Attempt]:
        """Takes back every intent that was not called for, or certainly not sent, and intends its ticket anew.

        To be done whenever claims made for them may stand in a set that others made, or may never have been made: the
        dedup set was lost, or this processor was not current for a while. The next transaction withdraws them. Their
        claims are to be freed (`freed`) once nobody can put them back any more: whoever rebuilds the set after that
        transaction finds them withdrawn.
        """
        taken = self.due.take_intended()
        self.batches.renounce(taken)
        return [attempt for attempt, _ in taken]

    def renounce_one(self, attempt: Attempt) -> None:
        """The same of one that was taken: its key is held for several attempts, and this one was not called for."""
        self.batches.renounce([(attempt, 0.0)])
        self.freed([attempt])

    def freed(self, renounced: Iterable[Attempt]) -> None:
        """The claims of these are to be given back now."""
        self._never_called += renounced

    def never_called(self) -> list[Attempt]:
        """What has ended uncalled, or was freed, since this was last asked. Its claim is to be given back: a rebuild
        made it, or a request whose answer was lost."""
        attempts, self._never_called = self._never_called, []
        return attempts

    def end(self, finished: Finished) -> None:
        """An attempt has its outcome: it is recorded, and the next record of its key starts."""
        if isinstance(finished.result, Skip) and finished.result.uncalled:
            self._never_called.append(finished.attempt)
        self.batches.add_ended(finished)
        self._start_next(finished.attempt.ticket)

    def correct(self, better: Iterable[Finished]) -> None:
        """Recorded outcomes are to be recorded anew: evidence knew better."""
        for finished in better:
            self.batches.add_ended(finished)

    @property
    def idle(self) -> bool:
        """Whether nothing waits for a call or a transaction; calls in flight are the driver's to know."""
        return not (self.batches.fresh or self.batches.ended) and self.due.empty
