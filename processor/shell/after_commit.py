"""What Redis is told once the ledger holds an outcome, while the work goes on.

Losing one of these loses no promise, only memory and time: the ledger is the truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import TypeVar

import msgspec

from processor.core.decide import Settle, after_note, after_uncertain
from processor.core.gates import REDIS_RETRY_S
from processor.core.states import Claim
from processor.core.ticket import Attempt, Finished
from processor.ports import Clock, Dedup, Item, NotWhole
from processor.shell.patience import until_redis_answers
from schemas.records import Outcome
from schemas.runtime.ending import end

__all__ = ["AfterCommit"]

T = TypeVar("T")

FREEING_S = 0.5
"""How long an end waits for claims to be given back, in seconds: their lifetime ends by itself."""


class AfterCommit:
    """Tells the dedup set in the background; `take` has what evidence has bettered meanwhile."""

    def __init__(self, dedup: Dedup, clock: Clock) -> None:
        self._dedup = dedup
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._freeing: set[asyncio.Task[None]] = set()
        self._better: list[Finished] = []

    @property
    def busy(self) -> bool:
        """Whether something is being told, or was not taken. What is to be freed may wait for a set that nobody makes
        whole before there is something to claim."""
        return bool(self._tasks or self._better)

    def take(self) -> list[Finished]:
        """Recorded outcomes that are to be recorded anew."""
        better, self._better = self._better, []
        return better

    def recorded(self, finished: Sequence[Finished]) -> None:
        """The ledger holds the outcomes of these."""
        self._start(self._record_all(finished), self._tasks)

    def give_back(self, dropped: Iterable[Attempt]) -> None:
        """These have no outcome, and were not called for, or certainly not sent: frees their bars, and what a rebuild
        may have put back as their claims."""
        held = [Item.of(attempt) for attempt in dropped if attempt.ticket.key]
        if items := [item for item in held if item.attempt]:
            self._start(self._when_whole(lambda: self._free(items)), self._freeing)

    async def end(self, timeout_s: float) -> None:
        """Waits for what is under way, and breaks it off then; what is to be freed may wait for a set that nobody makes
        whole, and no stop waits for that."""
        tasks, freeing = set(self._tasks), set(self._freeing)
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        if freeing:
            await asyncio.wait(freeing, timeout=min(timeout_s, FREEING_S))
        await end(*tasks, *freeing)

    def _start(self, step: Coroutine[None, None, None], among: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(step)
        among.add(task)
        task.add_done_callback(among.discard)

    async def _free(self, items: list[Item]) -> None:
        await until_redis_answers(self._clock, lambda: self._dedup.release(items))

    async def _when_whole(self, step: Callable[[], Awaitable[None]]) -> None:
        """In a set that is whole: a rebuild under way may put back what the step takes away."""
        while True:
            try:
                return await step()
            except NotWhole:
                await self._clock.sleep(REDIS_RETRY_S)

    async def _at_once_or_when_whole(self, step: Callable[[], Awaitable[None]]) -> None:
        """What waits for a set that is whole holds up no end."""
        try:
            await step()
        except NotWhole:
            self._start(self._when_whole(step), self._freeing)

    async def _record_all(self, finished: Sequence[Finished]) -> None:
        sent, uncertain = _with(finished, Outcome.SENT), _with(finished, Outcome.UNCERTAIN)
        ended = _with(finished, Outcome.DEAD, Outcome.SUPPRESSED, Outcome.CANCELLED)
        closed = _items([one for one in ended if not one[1].message_id])
        await self._record(self._dedup.record_sent, sent, _dropped)
        await self._tell(self._dedup.record_drop, _items([one for one in ended if one[1].message_id]))
        await self._at_once_or_when_whole(lambda: self._record(self._dedup.record_uncertain, uncertain, _proven))
        await self._at_once_or_when_whole(lambda: self._tell(self._dedup.close, closed))

    async def _record(
        self,
        step: Callable[[list[Item]], Awaitable[list[Claim]]],
        settled: list[Settled],
        better: Callable[[Settled, Claim], Settle | None],
    ) -> None:
        """Evidence may have come while the outcome was being committed: then the ledger is told the better one."""
        claims = await self._tell(step, _items(settled)) or []
        for one, claim in zip(settled, claims, strict=True):
            if settle := better(one, claim):
                self._better.append(Finished(one[0], settle))

    async def _tell(self, step: Callable[[list[Item]], Awaitable[T]], items: list[Item]) -> T | None:
        return await until_redis_answers(self._clock, lambda: step(items)) if items else None


Settled = tuple[Attempt, Settle]


def _with(finished: Sequence[Finished], *outcomes: Outcome) -> list[Settled]:
    return [
        (one.attempt, one.result)
        for one in finished
        if one.attempt.ticket.key is not None and isinstance(one.result, Settle) and one.result.outcome in outcomes
    ]


def _items(settled: list[Settled]) -> list[Item]:
    found = []
    for attempt, settle in settled:
        item = Item.of(attempt, settle.message_id or "")
        if settle.attempt and settle.attempt != attempt.id:
            # The outcome is another attempt's, which overrode nothing that this record names.
            item = msgspec.structs.replace(item, attempt=settle.attempt, overrides="")
        if settle.fingerprint is not None:
            item = msgspec.structs.replace(item, fingerprint=settle.fingerprint)
        found.append(item)
    return found


def _dropped(settled: Settled, claim: Claim) -> Settle | None:
    attempt, settle = settled
    if not settle.message_id:
        return None
    return after_note(claim, message_id=settle.message_id, attempt=settle.attempt or attempt.id)


def _proven(settled: Settled, claim: Claim) -> Settle | None:
    return after_uncertain(claim, settled[0].id)
