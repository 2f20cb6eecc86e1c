"""Which attempts may start now, which wait until more is known, and which never start: the gate before every claim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from processor.core.batch import Batches
from processor.core.brake import is_paused
from processor.core.control import NO_TENURE, Tenure
from processor.core.decide import before_claim
from processor.core.due import DueQueue
from processor.core.key_order import KeyOrder
from processor.core.newest import Newest
from processor.core.ticket import Attempt, Finished

__all__ = ["Starts"]


class Starts:
    """Takes attempts from the due queue, or their intents back."""

    def __init__(self, due: DueQueue, batches: Batches, order: KeyOrder, newest: Newest) -> None:
        self._due = due
        self._batches = batches
        self._order = order
        self._newest = newest
        self._never_called: list[Attempt] = []
        self._claiming: Mapping[int, int] | None = None
        """up to where each partition was known when the claim under way was begun"""
        self.tenure: Tenure | None = NO_TENURE
        """Under what this process may intend, claim and call now; ``None``: under nothing."""
        self.floor = ""
        """The dedup set grants nothing for months before this one, as far as it was heard of by a claim."""
        self.paused: frozenset[str] = frozenset()
        """Of these months nothing is intended, claimed or called."""

    # ---- may this process call ----

    def hold(self, tenure: Tenure | None) -> None:
        """The process may now intend, claim and call under this.

        Where that is new, whatever was intended before is never called for: others may have been told meanwhile that
        it is not, and newer records may have been missed.
        """
        if tenure == self.tenure:
            return
        self.tenure = tenure
        self.freed(self.renounce())
        self.scan_anew()

    def pause(self, months: frozenset[str]) -> None:
        """Of these months nothing starts from now on; of those that were paused before, everything goes on.

        What was intended for one is withdrawn when its turn comes, and waits without an intent.
        """
        if months != self.paused:
            self.paused = months
            self._batches.pause(months)

    def scan_anew(self) -> None:
        """Nothing more is taken until every partition of ours was read to an end that is asked for after this call.

        For whoever learns that newer records, or the dedup set's places, may have been missed: after a lapse of the
        process, and under a new lineage of the set. A new assignment does the same by itself. Calls under way go on;
        what was taken and not claimed is for the caller to give back; attempts that wait here stay, and are held.
        """
        self._newest.anew()

    def known(self) -> None:
        """Partitions were read to the ends that were asked for: what was held for them may be taken."""
        self._due.let_go(self._newest.unread)

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """What was taken just now is being claimed: until that is answered no more is known than was before."""
        self._claiming = self._newest.positions
        try:
            yield
        finally:
            self._claiming = None

    def known_to(self) -> Mapping[int, int]:
        """Up to where each partition is known: for what is replaced there no claim comes any more."""
        return self._newest.positions if self._claiming is None else self._claiming

    # ---- attempts ----

    def take(self, count: int) -> tuple[list[Attempt], list[Finished]]:
        """Up to `count` to be claimed and called for, and those among them that have ended without; holds those of
        partitions that are not known far enough."""
        taken: list[Attempt] = []
        passed_over: list[Finished] = []
        unread = self._newest.unread
        for attempt in self._due.take(count):
            ticket = attempt.ticket
            newer = self._order.superseded(ticket) or self._newest.superseded(ticket.record)
            skip = before_claim(left=ticket.window.closed, superseded=newer)
            if skip is not None:
                passed_over.append(Finished(attempt, skip))
            elif ticket.key is not None and ticket.key.month < self.floor:
                self._close(attempt)
            elif attempt.tenure != self.tenure or (ticket.key and is_paused(self.paused, ticket.key.month)):
                self.renounce_one(attempt)
            elif ticket.record.partition in unread:
                self._due.hold(attempt)
            else:
                taken.append(attempt)
        return taken, passed_over

    def below(self, floor: str) -> None:
        """The dedup set has forgotten the months before this one. What was taken is for the caller to put back."""
        self.floor = max(self.floor, floor)

    def _close(self, attempt: Attempt) -> None:
        """It was intended before its month was closed: its intent is withdrawn, and the ledger says what follows."""
        closed = attempt.ticket.below(self.floor)
        self._order.exchange(attempt.ticket, closed)
        self._batches.withdraw(attempt)
        self.freed([attempt])
        self._due.submit([Attempt(closed)])

    def renounce(self) -> list[Attempt]:
        """Takes back every intent that was not called for, or certainly not sent, and intends its ticket anew.

        To be done whenever claims made for them may stand in a set that others made, or may never have been made: the
        dedup set was lost, or this processor was not current for a while. The next transaction withdraws them. Their
        claims are to be freed (`freed`) once nobody can put them back any more: whoever rebuilds the set after that
        transaction finds them withdrawn.
        """
        taken = self._due.take_intended()
        self._batches.renounce(taken)
        return [attempt for attempt, _ in taken]

    def renounce_one(self, attempt: Attempt) -> None:
        """The same of one that was taken: its key is held for several attempts, and this one was not called for."""
        self._batches.renounce([(attempt, 0.0)])
        self.freed([attempt])

    def freed(self, renounced: Iterable[Attempt]) -> None:
        """The claims of these are to be given back now."""
        self._never_called += renounced

    def never_called(self) -> list[Attempt]:
        """What has ended uncalled, or was freed, since this was last asked. Its claim is to be given back: a rebuild
        made it, or a request whose answer was lost."""
        attempts, self._never_called = self._never_called, []
        return attempts
