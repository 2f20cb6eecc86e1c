"""What Redis is told once the ledger holds an outcome, while the work goes on.

Losing one of these loses no promise, only memory and time: the ledger is the truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable

from processor.core.decide import Settle, after_doubt
from processor.core.work import Work
from processor.ports import Clock, Dedup, Item, NotWhole
from schemas.errors import RedisUnavailable
from schemas.logs import Event, get_log
from schemas.records import Outcome

__all__ = ["AfterCommit"]

log = get_log()

REDIS_RETRY_S = 0.5


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
        """Waits for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    def _start(self, marks: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(marks)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _mark(self, finished: list[Work]) -> None:
        await self._tell(self._dedup.record_sent, _items(finished, Outcome.SENT))
        await self._tell(self._dedup.record_doubt, _items(finished, Outcome.UNCERTAIN))
        # A cancelled key needs nothing: the cancel script closed it already.
        await self._tell(self._dedup.close, _items(finished, Outcome.DEAD, Outcome.SUPPRESSED))
        if doubtful := [work for work in finished if work.key and _outcome(work) is Outcome.UNCERTAIN]:
            await self._correct(doubtful)

    async def _correct(self, doubtful: list[Work]) -> None:
        """Evidence may have come while `uncertain` was being committed: then the ledger is told the better outcome."""
        try:
            claims = await self._dedup.look([Item(work.key) for work in doubtful if work.key])
        except (RedisUnavailable, NotWhole):
            return  # the next look at the key, by a replay or a verification, finds it
        for work, claim in zip(doubtful, claims, strict=True):
            if better := after_doubt(claim, work.attempt):
                work.result = better
                self._corrected(work)

    async def _tell(self, step: Callable[[list[Item]], Awaitable[object]], items: list[Item]) -> None:
        while items:
            try:
                await step(items)
                break
            except RedisUnavailable as error:
                log.warning(Event.REDIS_UNAVAILABLE, error=str(error))
                await self._clock.sleep(REDIS_RETRY_S)


def _outcome(work: Work) -> Outcome | None:
    return work.result.outcome if isinstance(work.result, Settle) else None


def _items(finished: list[Work], *outcomes: Outcome) -> list[Item]:
    found = []
    for work in finished:
        if work.key is not None and isinstance(work.result, Settle) and work.result.outcome in outcomes:
            attempt, record = work.result.attempt or work.attempt, work.record
            found.append(Item(work.key, attempt, record.partition, record.offset, fingerprint=work.fingerprint))
    return found
