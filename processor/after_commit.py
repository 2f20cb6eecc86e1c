"""What Redis is told once the ledger holds an outcome, while the work goes on.

Losing one of these loses no promise, only memory and time: the ledger is the truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TypeVar

from processor.core.decide import Settle, after_doubt, after_mark
from processor.core.states import Claim
from processor.core.work import Work
from processor.patience import until_redis_answers
from processor.ports import Clock, Dedup, Item
from schemas.ending import end
from schemas.records import Outcome

__all__ = ["AfterCommit"]

T = TypeVar("T")


class AfterCommit:
    """Marks in the background; `corrected` is called with a work whose outcome evidence has bettered meanwhile."""

    def __init__(self, dedup: Dedup, clock: Clock, corrected: Callable[[Work], None]) -> None:
        self._dedup = dedup
        self._clock = clock
        self._corrected = corrected
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    def recorded(self, finished: list[Work]) -> None:
        """The ledger holds the outcomes of these."""
        self._start(self._mark(finished))

    def give_back(self, dropped: Iterable[Work]) -> None:
        """These were never called for: frees what a rebuild may have put back as their claims."""
        if items := [Item(work.key, work.attempt) for work in dropped if work.key and work.attempt]:
            self._start(self._tell(self._dedup.release, items))

    async def end(self, timeout_s: float) -> None:
        """Waits for what is under way, and breaks it off then."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
            await end(*self._tasks)

    def _start(self, marks: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(marks)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _mark(self, finished: list[Work]) -> None:
        sent, doubtful = _with(finished, Outcome.SENT), _with(finished, Outcome.UNCERTAIN)
        await self._record(self._dedup.record_sent, sent, _dropped)
        await self._record(self._dedup.record_doubt, doubtful, _proven)
        # A cancelled key needs nothing: the cancel script closed it already.
        await self._tell(self._dedup.close, _items(_with(finished, Outcome.DEAD, Outcome.SUPPRESSED)))

    async def _record(
        self,
        step: Callable[[list[Item]], Awaitable[list[Claim]]],
        works: list[Work],
        better: Callable[[Work, Claim], Settle | None],
    ) -> None:
        """Evidence may have come while the outcome was being committed: then the ledger is told the better one."""
        claims = await self._tell(step, _items(works)) or []
        for work, claim in zip(works, claims, strict=True):
            if settle := better(work, claim):
                work.result = settle
                self._corrected(work)

    async def _tell(self, step: Callable[[list[Item]], Awaitable[T]], items: list[Item]) -> T | None:
        return await until_redis_answers(self._clock, lambda: step(items)) if items else None


def _with(finished: list[Work], *outcomes: Outcome) -> list[Work]:
    return [
        work
        for work in finished
        if work.key is not None and isinstance(work.result, Settle) and work.result.outcome in outcomes
    ]


def _items(works: list[Work]) -> list[Item]:
    found = []
    for work in works:
        assert work.key is not None
        attempt = (work.result.attempt if isinstance(work.result, Settle) else None) or work.attempt
        overrides = work.resend.overrides if work.resend and attempt == work.attempt else ""
        place = work.place
        found.append(
            Item(work.key, attempt, place.partition, place.offset, fingerprint=work.fingerprint, overrides=overrides)
        )
    return found


def _dropped(work: Work, claim: Claim) -> Settle | None:
    assert isinstance(work.result, Settle)
    attempt, message_id = work.result.attempt or work.attempt, work.result.message_id
    return after_mark(claim, message_id=message_id, attempt=attempt) if message_id else None


def _proven(work: Work, claim: Claim) -> Settle | None:
    return after_doubt(claim, work.attempt)
