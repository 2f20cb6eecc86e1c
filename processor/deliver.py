"""The protocol on one screen: intend -> claim -> send -> record.

The worker commits the intents and hands the works over (`submit`); here each is claimed just before its call, called
for once, and marked right after the answer; then it goes back to the worker (`on_done`), whose next transaction
records the outcome. Nothing here knows of Kafka.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from processor.allowance import Allowance
from processor.core import decide
from processor.core.answers import NotWritten, RefusedForNow, RetryClass, Verdict, classify
from processor.core.due import DueQueue
from processor.core.retry import delay_s
from processor.core.states import Claim
from processor.core.work import Work
from processor.meter import Meter
from processor.patience import HURRY_S, REDIS_RETRY_S, until_redis_answers
from processor.ports import Clock, Dedup, Item, NotWhole, Sender
from processor.together import Together
from schemas.errors import Halted, RedisUnavailable
from schemas.logs import Event, get_log
from schemas.records import Outcome
from schemas.settings import RetryTable

__all__ = ["Deliverer", "DeliveryConfig"]

log = get_log()

LOOK_AGAIN_S = 1.0
"""How often a key that another attempt holds is looked at again."""
LOOKS_AT_ONCE = 500
"""Works settled without a call in one round trip to Redis."""
_STAYS = "its claim stays until its lifetime has passed"


@dataclass(frozen=True, slots=True)
class DeliveryConfig:
    calls_at_once: int
    start_window_s: float
    retry: RetryTable

    @property
    def tries_max(self) -> dict[RetryClass, int]:
        return {name: getattr(self.retry, name).max_attempts for name in RetryClass}


class Deliverer:
    """Takes works whose intents are committed to their outcomes, `calls_at_once` at a time."""

    def __init__(
        self,
        config: DeliveryConfig,
        dedup: Dedup,
        sender: Sender,
        allowance: Allowance,
        clock: Clock,
        compose: Callable[[Work], Mapping[str, Any]],
        make_whole: Callable[[], Awaitable[object]],
        on_done: Callable[[Work], None],
        meter: Meter,
    ) -> None:
        self._config = config
        self._dedup = dedup
        self._mark_sent = Together(dedup.mark_sent)
        self._sender = sender
        self._allowance = allowance
        self._clock = clock
        self._compose = compose
        self._make_whole = make_whole
        self._on_done = on_done
        self._meter = meter
        self._tries_max = config.tries_max
        self._due = DueQueue()
        self._active: dict[Work, asyncio.Task[None] | None] = {}
        self._calling = 0
        self._changed = asyncio.Event()
        self._in_flight = 0
        self._redis_until_s = inf
        self.halted: Halted | None = None

    # ---- what the worker sees ----

    @property
    def backlog(self) -> int:
        """Works that may be started and were not: what a crash would leave merely intended."""
        return self._due.ready

    @property
    def waiting(self) -> int:
        """Works in back-off or behind another attempt."""
        return self._due.later

    @property
    def busy(self) -> bool:
        return not self._due.empty or bool(self._active)

    @property
    def rate(self) -> float:
        """Mails a second that the group may send; 0 without limit."""
        return self._allowance.rate

    @property
    def calling(self) -> bool:
        """Whether SES is being called: what no stop may break off."""
        return self._in_flight > 0

    def hurry(self) -> None:
        """The process is to end: what Redis is to be told is tried a little longer, not until it answers."""
        self._redis_until_s = min(self._redis_until_s, self._clock.boot_s() + HURRY_S)

    def submit(self, works: Iterable[Work]) -> None:
        """Takes works that may be attempted: their intents have committed, or they need none."""
        self._due.submit(works)
        self._changed.set()

    async def quiesce(self, gone: Callable[[Work], bool]) -> list[Work]:
        """Starts no more of the works that are `gone`, waits for their calls to end; returns those never started."""
        dropped: list[Work] = []
        while True:
            dropped += self._due.drop(gone)
            active = {work: task for work, task in self._active.items() if gone(work)}
            if not active:
                return dropped
            if tasks := [task for task in active.values() if task is not None]:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            else:
                await self._clock.sleep(0.005)

    def drop(self, gone: Callable[[Work], bool]) -> list[Work]:
        """Forgets works that were not started and are `gone`; returns them. Calls in flight go on."""
        return self._due.drop(gone)

    # ---- the loop ----

    async def run(self) -> None:
        """Starts calls until it is cancelled; a halt stops the starting and stays visible in `halted`."""
        await until_redis_answers(self._clock, self._allowance.refresh)
        self._stop_if_paused()
        while True:
            await self._wait_for_work()
            await self._refresh_if_old()
            if self.halted:
                await asyncio.Event().wait()
            if self._due.aside:
                await self._guard(self._settle_without_call)
            self._due.promote(self._clock.boot_s())
            if free := self._may_start:
                await self._guard(lambda count=free: self._start(count))  # type: ignore[misc]

    async def _guard(self, step: Callable[[], Awaitable[None]]) -> None:
        """Redis away or not whole: nobody sends until it is back."""
        try:
            await step()
        except NotWhole:
            log.warning(Event.DEDUP_NOT_WHOLE, follows="nothing is sent until it is rebuilt from the ledger")
            self._meter.rebuilds.inc()
            await until_redis_answers(self._clock, self._make_whole)
        except RedisUnavailable as error:
            log.warning(Event.REDIS_UNAVAILABLE, error=str(error), follows="nothing is sent until it answers")
            await self._clock.sleep(REDIS_RETRY_S)

    async def _wait_for_work(self) -> None:
        self._due.promote(self._clock.boot_s())
        while not self.halted and not self._due.aside and not self._may_start:
            self._changed.clear()
            next_s = min(self._allowance.ask_at_s, self._due.next_s)
            timeout = max(0.0, next_s - self._clock.boot_s())
            # Not `wait_for`: in Python 3.11 that swallows a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(timeout, 5.0)):
                    await self._changed.wait()
            await self._refresh_if_old()
            self._due.promote(self._clock.boot_s())

    @property
    def _may_start(self) -> int:
        """How many calls may start now."""
        if not self._allowance.open:
            return 0
        return min(self._config.calls_at_once - self._calling, self._due.ready)

    # ---- claim ----

    async def _start(self, count: int) -> None:
        """Claims up to `count` works in one round trip and starts a call for each that is granted."""
        count = await self._allowance.lease(count)
        self._stop_if_paused()
        works = []
        for work in self._due.take(count):
            skip = decide.before_claim(left=work.window.closed, superseded=work.superseded)
            if skip is None:
                works.append(work)
            else:
                self._done(work, skip)
        if not works:
            return
        start_by_s = self._clock.boot_s() + self._config.start_window_s
        self._active.update(dict.fromkeys(works))
        self._calling += len(works)
        try:
            claims = await self._dedup.claim([_item(work) for work in works])
        except BaseException:
            # A cancellation too: a work that was neither called for nor given back would be waited for in vain.
            for work in works:
                self._leave(work)
            self._due.put_back(works)
            raise
        follows = [_after_claim(work, claim) for work, claim in zip(works, claims, strict=True)]
        self._meter.claimed(follows)
        self._meter.in_flight.set(self._calling)
        for work, step in zip(works, follows, strict=True):
            if isinstance(step, decide.Call):
                self._active[work] = asyncio.create_task(self._call(work, start_by_s))
            else:
                self._leave(work)
                self._apply(work, step)

    def _apply(self, work: Work, follows: decide.AfterClaim) -> None:
        match follows:
            case decide.WaitForOther(attempt):
                if not work.waited:
                    log.info(Event.WAITING_FOR_CLAIM, key=str(work.key), attempt=attempt)
                    work.waited = True
                self._put_off(work, LOOK_AGAIN_S)
            case decide.Settle() | decide.Skip() as result:
                if work.waited and isinstance(result, decide.Settle) and result.outcome is Outcome.UNCERTAIN:
                    self._meter.takeovers.inc()
                self._done(work, result)
            case decide.Call():
                raise AssertionError("a call is started, not applied")

    async def _settle_without_call(self) -> None:
        """Tombstones and records that must not reach SES: one look at the dedup set, no call."""
        batch = self._due.take_aside(LOOKS_AT_ONCE)
        cancels = [work for work in batch if work.is_tombstone and not work.refusal]
        looks = [work for work in batch if work.refusal and work.key]
        try:
            cancelled = await self._dedup.cancel([_item(work) for work in cancels]) if cancels else []
            looked = await self._dedup.look([_item(work) for work in looks]) if looks else []
        except (NotWhole, RedisUnavailable):
            self._due.put_back(batch)
            raise
        for work, claim in zip(cancels, cancelled, strict=True):
            place = work.record.partition, work.record.offset
            self._apply(work, decide.after_cancel(claim, partition=place[0], offset=place[1]))
        for work, claim in zip(looks, looked, strict=True):
            assert work.refusal is not None
            place = work.record.partition, work.record.offset
            self._apply(work, decide.after_look(claim, work.refusal, partition=place[0], offset=place[1]))
        for work in batch:
            if work.refusal and not work.key:
                self._done(work, work.refusal)

    # ---- send ----

    async def _call(self, work: Work, start_by_s: float) -> None:
        """The one call under a claim, and what its answer proves."""
        try:
            try:
                request = self._compose(work)
            except ValueError as error:
                verdict = classify(NotWritten("parameters", str(error)))
            else:
                verdict = await self._ask_ses(request, start_by_s)
            tries = 0
            if isinstance(verdict, RefusedForNow):
                tries = work.tries[verdict.retry] = work.tries.get(verdict.retry, 0) + 1
            follows = decide.after_answer(verdict, attempt=work.attempt, tries=tries, tries_max=self._tries_max)
            await self._record(work, follows)
        except RedisUnavailable as error:
            log.warning(Event.REDIS_UNAVAILABLE, error=str(error), key=str(work.key), follows=_STAYS)
        except Exception as error:  # noqa: BLE001 - a defect here must be loud: its job would hang without an outcome
            self.halt(Halted("defect", f"{work.key}: {error!r}; {_STAYS}"))
        finally:
            self._leave(work)

    async def _ask_ses(self, request: Mapping[str, Any], start_by_s: float) -> Verdict:
        began_s = self._clock.boot_s()
        self._in_flight += 1
        try:
            verdict = classify(await self._sender.send(request, start_by_s))
        finally:
            self._in_flight -= 1
        self._meter.answered(verdict, self._clock.boot_s() - began_s)
        return verdict

    # ---- record ----

    async def _record(self, work: Work, follows: decide.AfterAnswer) -> None:
        """Tells the dedup set first, then the worker: a mark that is missing would be doubt."""
        match follows:
            case decide.Finish(mark, settle):
                try:
                    await self._retrying(lambda: self._mark(work, mark))
                except RedisUnavailable as error:
                    # The process ends. What SES said is a fact: the ledger holds it, and a rebuild takes it from there.
                    log.warning(Event.REDIS_UNAVAILABLE, error=str(error), key=str(work.key), follows=_STAYS)
                self._done(work, work.better or settle)
            case decide.RetryLater(retry, detail):
                await self._retrying(lambda: self._dedup.release([_item(work)]))
                if retry is RetryClass.THROTTLED:
                    await self._retrying(self._allowance.throttled)
                self._meter.retried(retry)
                delay = delay_s(getattr(self._config.retry, retry), work.tries[retry], self._clock.random())
                log.info(Event.RETRYING, key=str(work.key), error_class=retry, detail=detail, delay_s=round(delay, 3))
                self._put_off(work, delay)
            case decide.Pause(detail):
                await self._retrying(lambda: self._dedup.release([_item(work)]))
                await self._retrying(lambda: self._allowance.quota_ended(detail))
                self._due.put_back([work])
            case decide.GiveUp(reason, detail):
                await self._retrying(lambda: self._dedup.release([_item(work)]))
                self._due.put_back([work])
                self.halt(Halted(reason, detail))

    async def _mark(self, work: Work, mark: decide.Mark) -> None:
        match mark:
            case decide.MarkSent(message_id):
                claim = await self._mark_sent(_item(work, message_id))
                work.better = decide.after_mark(claim, message_id=message_id, attempt=work.attempt)
                if work.better is None and claim.message_id != message_id:
                    self._meter.duplicates.inc()
                    log.error(Event.DUPLICATE_SEEN, key=str(work.key), message_id=message_id)
            case decide.MarkReleased():
                await self._dedup.release([_item(work)])
            case decide.MarkDoubt():
                (claim,) = await self._dedup.mark_doubt([_item(work)])
                work.better = decide.after_doubt(claim, work.attempt)

    async def _retrying(self, step: Callable[[], Awaitable[object]]) -> None:
        """A call's step on Redis. Raises `RedisUnavailable` at the process's end."""
        await until_redis_answers(self._clock, step, lambda: self._redis_until_s)

    # ---- small change ----

    async def _refresh_if_old(self) -> None:
        if self._clock.boot_s() >= self._allowance.ask_at_s:
            await self._guard(self._allowance.refresh)
            self._stop_if_paused()

    def _stop_if_paused(self) -> None:
        if self._allowance.paused:
            self.halt(Halted("sending-paused", "SES says that sending is disabled for this account"))

    def halt(self, halted: Halted) -> None:
        if self.halted is None:
            self.halted = halted
            self._meter.halted.set(1)
            self.hurry()
            log.error(Event.HALTED, reason=halted.reason, detail=str(halted))
        self._changed.set()

    def _put_off(self, work: Work, seconds: float) -> None:
        self._due.put_off(work, self._clock.boot_s() + seconds)
        self._changed.set()

    def _leave(self, work: Work) -> None:
        del self._active[work]
        self._calling -= 1
        self._changed.set()

    def _done(self, work: Work, result: decide.Settle | decide.Skip) -> None:
        work.result = result
        self._on_done(work)


def _after_claim(work: Work, claim: Claim) -> decide.AfterClaim:
    place = work.record.partition, work.record.offset
    return decide.after_claim(
        claim, mine=work.attempt, fingerprint=work.fingerprint, partition=place[0], offset=place[1]
    )


def _item(work: Work, message_id: str = "") -> Item:
    assert work.key is not None
    place, overrides = work.place, work.resend.overrides if work.resend else ""
    return Item(work.key, work.attempt, place.partition, place.offset, message_id, work.fingerprint, overrides)
