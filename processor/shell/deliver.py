"""The protocol on one screen: intend -> claim -> send -> record.

The worker commits the intents; here each attempt is claimed just before its call, called for once, and noted right
after the answer (`Attempts`, `Calls`); its end goes to the engine, whose next transaction records the outcome. Nothing
here knows of Kafka.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from processor.core.engine import Engine
from processor.core.gates import Gates
from processor.core.ticket import Attempt, Ticket
from processor.ports import BelowFloor, Clock, NotWhole
from processor.shell.allowance import Allowance
from processor.shell.attempts import Attempts
from processor.shell.halt import halt
from processor.shell.patience import until_redis_answers
from processor.telemetry.meter import Meter
from schemas.runtime.errors import Halted, RedisUnavailable
from schemas.runtime.logs import Event, get_log

__all__ = ["Deliverer"]

log = get_log()

WITHDRAWN_S = 10.0
"""How long the transaction that withdraws what was not called for is waited for before a rebuild."""
WAIT_MAX_S = 5.0
"""The clock that stops with the machine is not trusted for longer."""


class Deliverer:
    """Starts attempts, `calls_at_once` at a time, while the gates are open."""

    def __init__(
        self,
        engine: Engine,
        gates: Gates,
        attempts: Attempts,
        allowance: Allowance,
        make_whole: Callable[[], Awaitable[object]],
        clock: Clock,
        meter: Meter,
        calls_at_once: int,
    ) -> None:
        self._engine = engine
        self._gates = gates
        self._attempts = attempts
        self._allowance = allowance
        self._make_whole = make_whole
        self._clock = clock
        self._meter = meter
        self._calls_at_once = calls_at_once

    # ---- what the worker sees and asks ----

    @property
    def halted(self) -> Halted | None:
        return self._gates.halted

    @property
    def busy(self) -> bool:
        """Whether attempts are under way."""
        return self._attempts.active > 0

    @property
    def calling(self) -> bool:
        """Whether SES is being called: what no stop may break off."""
        return self._attempts.calling

    @property
    def rebuilding(self) -> bool:
        """Whether the dedup set is being made whole: nothing is intended meanwhile."""
        return self._gates.rebuilding

    @property
    def rate(self) -> float:
        """Mails a second that the group may send; 0 without limit."""
        return self._allowance.rate

    def hurry(self) -> None:
        """The process is to end: what Redis is to be told is tried a little longer, not until it answers."""
        self._gates.hurry(self._clock.boot_s())
        self._attempts.ended.set()

    def halt(self, halted: Halted) -> None:
        """Nothing is started any more; the worker leaves, too."""
        halt(self._gates, halted, self._clock, self._meter)
        self._attempts.changed.set()
        self._attempts.ended.set()

    def wake(self) -> None:
        """The engine may have more to attempt."""
        self._attempts.changed.set()

    async def rest(self, seconds: float) -> None:
        """Waits until there may be more to record, for so long at most."""
        self._attempts.ended.clear()
        await _set_within(self._attempts.ended, seconds)

    async def quiesce(self, gone: Callable[[Ticket], bool]) -> list[Attempt]:
        """Starts nothing more of what is `gone`, waits for its calls to end; returns what never started."""
        return await self._attempts.quiesce(gone)

    # ---- the loop ----

    async def run(self) -> None:
        """Starts calls until it is cancelled; a halt stops the starting and stays visible in `halted`."""
        await until_redis_answers(self._clock, self._allowance.refresh)
        self._stop_if_paused()
        while True:
            await self._turn(self._clock.boot_s())

    async def _turn(self, now_s: float) -> None:
        changed = self._attempts.changed
        changed.clear()
        self._engine.due.promote(now_s)
        if self._gates.shut(now_s):
            await _set_within(changed, self._gates.opens_s - now_s)
        elif now_s >= self._allowance.ask_at_s:
            await self._guard(self._allowance.refresh)
            self._stop_if_paused()
            await self._go_on(now_s)  # by the next turn it may be time to ask again
        elif self._engine.due.aside or self._may_start(now_s):
            await self._go_on(now_s)
        else:
            next_s = min(self._allowance.ask_at_s, self._engine.due.next_s)
            await _set_within(changed, self._gates.next_s(now_s, next_s) - now_s)

    async def _go_on(self, now_s: float) -> None:
        if self._engine.due.aside and not self._gates.shut(now_s):
            await self._guard(self._attempts.settle_without_call)
        if count := self._may_start(now_s):
            await self._guard(lambda: self._start(count))

    async def _guard(self, step: Callable[[], Awaitable[None]]) -> None:
        """Redis away or not whole: nobody sends until it is back."""
        try:
            await step()
        except BelowFloor as closed:
            # The control topic told of it before the set's floor rose, and has not been read so far yet.
            self._engine.starts.below(closed.floor)
        except NotWhole:
            log.warning(Event.DEDUP_NOT_WHOLE, follows="nothing is sent until it is rebuilt from the ledger")
            self._meter.rebuilds.inc()
            await self._rebuild()
            # Whatever a command closed while the set was not whole, or before it was lost, stands in the topic alone.
            self._engine.starts.scan_anew()
        except RedisUnavailable as error:
            log.warning(Event.REDIS_UNAVAILABLE, error=str(error), follows="nothing is sent until it answers")
            self._gates.redis_away(self._clock.boot_s())

    async def _rebuild(self) -> None:
        """Makes the set whole. What was not called for is withdrawn before, or the rebuild would take it for a call;
        what another's rebuild has put back all the same is freed after."""
        self._gates.rebuilding = True
        renounced = self._engine.starts.renounce()
        try:
            until_s = self._clock.boot_s() + WITHDRAWN_S
            while self._engine.batches.renounced and (now_s := self._clock.boot_s()) < until_s:
                self._attempts.changed.clear()
                self._attempts.ended.set()
                await _set_within(self._attempts.changed, until_s - now_s)
            await until_redis_answers(self._clock, self._make_whole)
        finally:
            self._engine.starts.freed(renounced)
            self._gates.rebuilding = False

    def _may_start(self, now_s: float) -> int:
        """How many calls may start now."""
        room = self._gates.room(now_s, self._calls_at_once, self._attempts.active)
        return min(room, self._engine.due.ready)

    async def _start(self, count: int) -> None:
        count = await self._allowance.lease(count)
        self._stop_if_paused()
        await self._attempts.start(count)

    def _stop_if_paused(self) -> None:
        if self._allowance.paused:
            self.halt(Halted("sending-paused", "SES says that sending is disabled for this account"))


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    # Not `wait_for`: in Python 3.11 that swallows a cancellation that comes together with the event.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(min(max(0.0, seconds), WAIT_MAX_S)):
            await event.wait()
