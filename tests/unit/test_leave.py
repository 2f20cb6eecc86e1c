"""The graceful end: a last transaction, again when it aborted, and once more for what Redis knew better."""

from __future__ import annotations

from typing import Any, cast

from processor.core.batch import Batch
from processor.core.decide import Settle
from processor.core.engine import Engine
from processor.core.ticket import Attempt, Finished
from processor.shell.leave import COMMITS_MAX, leave
from schemas.records import Outcome
from schemas.runtime.errors import TransactionAborted
from tests.support.parts import Made, attempt


class Log:
    """Heartbeats while it waits."""

    def __init__(self) -> None:
        self.polls = 0

    async def poll(self, *_about: object) -> None:
        self.polls += 1


class Commits:
    """Transactions of which the first ones abort."""

    def __init__(self, engine: Engine, aborts: int) -> None:
        self._engine = engine
        self._aborts = aborts
        self.batches: list[Batch] = []

    async def commit(self, batch: Batch) -> None:
        self.batches.append(batch)
        if len(self.batches) <= self._aborts:
            raise TransactionAborted("the test says so")
        self._engine.committed(batch)

    async def tell(self) -> None:
        """No partition was lost."""


class Marks:
    """What evidence knows better after each commit."""

    def __init__(self, *better: Finished) -> None:
        self._better = [[], *([one] for one in better)]
        self.given_back: list[Attempt] = []

    def give_back(self, dropped: list[Attempt]) -> None:
        self.given_back += dropped

    def take(self) -> list[Finished]:
        return self._better.pop(0) if self._better else []

    async def end(self, timeout_s: float) -> None: ...


async def left(aborts: int, *better: Settle) -> tuple[list[Batch], Marks, int]:
    made = Made()
    made.engine.assign({0: (0, "")})
    one = attempt(window=made.engine.assigned.get(0))
    made.submit([one])
    log, commits = Log(), Commits(made.engine, aborts)
    marks = Marks(*(Finished(one, result) for result in better))
    await leave(made.engine, cast(Any, log), made.deliverer, cast(Any, commits), cast(Any, marks))
    assert [given.id for given in marks.given_back] == [one.id]
    return commits.batches, marks, log.polls


async def test_what_was_never_called_for_is_withdrawn_once() -> None:
    """G4: an open intent would be doubt."""
    batches, _, polls = await left(0)
    assert ([len(batch.withdrawn) for batch in batches], polls) == ([1], 0)


async def test_a_last_transaction_that_aborts_is_made_again() -> None:
    """While the partitions are still ours, which a poll keeps them."""
    batches, _, polls = await left(1)
    assert ([len(batch.withdrawn) for batch in batches], polls) == ([1, 1], 1)
    batches, _, polls = await left(COMMITS_MAX)
    assert (len(batches), polls) == (COMMITS_MAX, COMMITS_MAX), "not for ever"


async def test_what_evidence_knew_better_is_recorded_before_the_end() -> None:
    """G6: and what was withdrawn is not withdrawn again."""
    batches, _, _ = await left(0, Settle(Outcome.SENT, attempt=attempt().id))
    assert [(len(batch.finished), len(batch.withdrawn)) for batch in batches] == [(0, 1), (1, 0)]
