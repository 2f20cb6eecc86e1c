"""*Settle the last, intend the next*: what goes into a transaction, and what its end means.

committed
    The outcomes are recorded; the intended attempts may be called for; the partitions that were to leave have left.
aborted
    Nothing of it is visible: its intended tickets are fresh again, its outcomes wait for the next transaction.
unknown
    Nobody knows. Every partition is forgotten and read again from what is committed, and the tickets with them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from processor.core.assignments import Assignments
from processor.core.control import NO_TENURE, Tenure
from processor.core.decide import Settle
from processor.core.fresh import Fresh
from processor.core.ticket import Attempt, Finished, Ticket
from schemas.records import Outcome

__all__ = ["Batch", "Batches"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction holds."""

    finished: tuple[Finished, ...]
    """Their outcomes are recorded."""
    offsets: Mapping[int, tuple[int, str]]
    """partition: (offset to commit, metadata)"""
    intended: tuple[Attempt, ...] = ()
    """They may be called for once it has committed."""
    withdrawn: tuple[Attempt, ...] = ()
    """They were intended and are never called for: not closed by an outcome, their intents would be taken for calls."""
    leaving: frozenset[int] = frozenset()
    """Partitions that leave once it has committed."""


class Batches:
    """Both sides of a transaction: `fresh` tickets want to be intended, `ended` attempts to be recorded, and what was
    `renounced` to be withdrawn."""

    def __init__(self, assigned: Assignments) -> None:
        self._assigned = assigned
        self._waiting = Fresh()
        self._ended: list[Finished] = []
        self._renounced: list[Attempt] = []
        self._facts: list[Finished] = []

    @property
    def fresh(self) -> int:
        """Tickets that need a call and are not intended."""
        return len(self._waiting.fresh)

    @property
    def parked(self) -> int:
        """Tickets that need a call, and whose months are paused."""
        return len(self._waiting.parked)

    @property
    def parked_months(self) -> frozenset[str]:
        return frozenset(attempt.ticket.key.month for attempt in self._waiting.parked if attempt.ticket.key)

    def pause(self, months: Container[str]) -> None:
        """Of these months nothing is intended from now on; what waited for others goes on before what came since."""
        self._waiting.pause(months)

    @property
    def ended(self) -> int:
        """Attempts with an outcome that is not recorded."""
        return len(self._ended)

    @property
    def renounced(self) -> int:
        """Attempts whose intents are to be withdrawn, and are not yet."""
        return len(self._renounced)

    @property
    def facts(self) -> tuple[Finished, ...]:
        """What SES accepted of partitions that have left: the ledger is to hold it, whoever has their offsets now."""
        return tuple(self._facts)

    def told(self, facts: Sequence[Finished]) -> None:
        """The ledger holds these."""
        self._facts = [finished for finished in self._facts if finished not in facts]

    def add_fresh(self, ticket: Ticket) -> None:
        self._waiting.add([Attempt(ticket)])

    def renounce(self, attempts: Sequence[tuple[Attempt, float]]) -> None:
        """These are withdrawn, and their tickets intended anew before all others.

        Args:
            attempts: each with the time before which its ticket is not attempted (boot clock; 0: at once).
        """
        self._renounced += [attempt for attempt, _ in attempts]
        self._waiting.add([attempt.again(due_s) for attempt, due_s in attempts], first=True)

    def withdraw(self, attempt: Attempt) -> None:
        """This one is withdrawn, and not intended anew."""
        self._renounced.append(attempt)

    def add_ended(self, finished: Finished) -> None:
        self._ended.append(finished)

    def next(self, count: int, new_attempt: Callable[[], str], tenure: Tenure = NO_TENURE) -> Batch:
        """Everything that has ended, and up to `count` fresh tickets under attempts of their own."""
        chosen = self._waiting.take(count)
        intended = tuple(
            msgspec.structs.replace(attempt, id=new_attempt(), tenure=tenure)
            for attempt in chosen
            if self._assigned.owns(attempt.ticket)
        )
        finished = self._finish()
        return Batch(finished, self._assigned.to_commit(), intended, self._withdraw(finished))

    def last(self, withdrawn: Iterable[Attempt], leaving: frozenset[int] = frozenset()) -> Batch:
        """Everything that has ended; nothing more is intended, and what was and never started is withdrawn."""
        finished = self._finish()
        gone = (*withdrawn, *self._withdraw(finished))
        return Batch(finished, self._assigned.to_commit(), withdrawn=gone, leaving=leaving)

    def committed(self, batch: Batch) -> None:
        """What ended meanwhile waits for the next one."""
        del self._ended[: len(batch.finished)]
        withdrawn = set(batch.withdrawn)
        self._renounced = [attempt for attempt in self._renounced if attempt not in withdrawn]
        self._assigned.committed(batch.offsets)

    def aborted(self, batch: Batch) -> None:
        """What was intended comes first the next time, under other attempts."""
        self._waiting.add([attempt.again(attempt.due_s) for attempt in batch.intended], first=True)

    def forget_closed(self) -> list[Ticket]:
        """Partitions have left: returns their fresh tickets, which never start here."""
        return self._waiting.drop(lambda ticket: not self._assigned.owns(ticket))

    def take_ended(self) -> list[Finished]:
        """What has ended and is not recorded as far as is known; nothing of it is recorded from now on."""
        ended, self._ended = self._ended, []
        return ended

    def forget_ended(self) -> list[Finished]:
        """Partitions have left: returns the outcomes of theirs, which are never recorded here."""
        gone = [finished for finished in self._ended if not self._assigned.owns(finished.attempt.ticket)]
        self._ended = [finished for finished in self._ended if self._assigned.owns(finished.attempt.ticket)]
        self.keep_facts(gone)
        return gone

    def keep_facts(self, gone: Iterable[Finished]) -> None:
        """Outcomes that are not recorded here: what SES accepted among them is told by itself, unless its partition is
        ours again, where it is read again."""
        away = [
            finished for finished in gone if finished.attempt.ticket.record.partition not in self._assigned.partitions
        ]
        self._facts += [f for f in away if isinstance(f.result, Settle) and f.result.outcome is Outcome.SENT]

    def _withdraw(self, finished: Iterable[Finished]) -> tuple[Attempt, ...]:
        """What was renounced, and what ended without a call: no offset passes an open intent."""
        self._renounced = [attempt for attempt in self._renounced if self._assigned.owns(attempt.ticket)]
        return (*self._renounced, *(one.attempt for one in finished if one.passed_over))

    def _finish(self) -> tuple[Finished, ...]:
        """Settles what has ended. What its partition took along is settled by whoever reads it next."""
        self.forget_ended()
        for finished in self._ended:
            ticket = finished.attempt.ticket
            ticket.window.settle(ticket.record.offset)
        return tuple(self._ended)
