"""A month's first mails go, the rest waits: each process asks before it starts one, and looks while it waits."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from processor.core import canary
from processor.core.canary import Rule
from processor.core.engine import Engine
from processor.core.outcomes import MonthCounts
from processor.core.ticket import Attempt, Ticket
from processor.ports import Change, Clock, Pace
from processor.shell.control import Permission
from schemas.control import Canary, CanaryState
from schemas.runtime.ending import in_thread
from schemas.runtime.errors import BrokerUnavailable, RedisUnavailable
from schemas.runtime.logs import Event, get_log

__all__ = ["CanaryGate", "Looks"]

log = get_log()

LOOK_EVERY_S = 2.0


class Looks:
    """What a waiting process asks of the world."""

    def __init__(
        self,
        month: Callable[[str], MonthCounts],
        feed_alive_ms: Callable[[], Awaitable[int]],
        change: Callable[[Change], Awaitable[None]],
    ) -> None:
        """
        Args:
            month: how far a month's mails came; it blocks.
            feed_alive_ms: when the latest mail was sent of which an event came; 0: none ever.
            change: of the control topic.
        """
        self.month = month
        self.feed_alive_ms = feed_alive_ms
        self.change = change


class CanaryGate:
    """Lets so many mails of a month through; `waiting` are the months of which no more are."""

    def __init__(self, rule: Rule, pace: Pace, presence: Permission, looks: Looks, clock: Clock, who: str) -> None:
        self._rule = rule
        self._pace = pace
        self.presence = presence
        self._looks = looks
        self._clock = clock
        self._who = who
        self._held: set[Ticket] = set()
        """those that have their place among the first"""
        self.waiting: frozenset[str] = frozenset()

    async def take(self, engine: Engine, count: int) -> list[Attempt]:
        """Up to `count` of the engine's attempts that need not wait for the month's first mails; the others go back,
        and wait without an intent. Raises `RedisUnavailable`: then all have gone back."""
        taken = engine.take(count)
        try:
            admitted, back = await self.admit(taken)
        except BaseException:
            engine.due.put_back(taken)
            raise
        if back:
            engine.due.put_back(back)
            engine.starts.pause(engine.starts.paused | self.waiting)
        return admitted

    async def admit(self, attempts: Sequence[Attempt]) -> tuple[list[Attempt], list[Attempt]]:
        """(those that may start, those that wait). Raises `RedisUnavailable`: then none has taken a place."""
        if not self._rule.count:
            return list(attempts), []
        asking = Counter(_month(a) for a in attempts if a.ticket not in self._held and not self._is_over(_month(a)))
        left = {month: await self._places(month, wanted) for month, wanted in asking.items()}
        admitted, back = [], []
        for attempt in attempts:
            month = _month(attempt)
            if month in left and attempt.ticket not in self._held:
                if not left[month]:
                    back.append(attempt)
                    continue
                left[month] -= 1
                self._held.add(attempt.ticket)
            admitted.append(attempt)
        self.waiting |= {_month(attempt) for attempt in back}
        return admitted, back

    async def unused(self, attempts: Sequence[Attempt]) -> None:
        """No call followed for these: their places are others'; one that Redis does not hear of is lost."""
        for month, count in Counter(_month(a) for a in attempts if a.ticket in self._held).items():
            with contextlib.suppress(RedisUnavailable):
                await self._pace.give_back_first(month, count)
        self._held -= {attempt.ticket for attempt in attempts}

    def ended(self, attempt: Attempt) -> None:
        """It was called for, and has its outcome."""
        self._held.discard(attempt.ticket)

    async def _places(self, month: str, wanted: int) -> int:
        if self._begun(month) is not None:  # it waits already, whatever Redis has forgotten
            return 0
        return await self._pace.take_first(month, wanted, self._rule.count)

    def _begun(self, month: str) -> Canary | None:
        return self.presence.control.canaries.get(month)

    def _is_over(self, month: str) -> bool:
        begun = self._begun(month)
        return begun is not None and begun.state is not CanaryState.WAITING

    # ---- while it waits ----

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            for month in sorted(self.waiting):
                try:
                    await self._look(month)
                except (BrokerUnavailable, RedisUnavailable) as error:
                    log.warning(Event.CANARY, month=month, error=str(error), follows="it is looked again in a moment")

    async def _look(self, month: str) -> None:
        begun, rule = self._begun(month), self._rule
        if begun is None:
            await self._looks.change(
                lambda control: canary.beginning(control, month, rule, self._who, self._clock.now_ms())
            )
            follows = f"the rest waits until {rule.share:.0%} of them are delivered, for {rule.wait_s:g} s at most"
            log.warning(Event.CANARY, month=month, mails=rule.count, follows=follows)
            return
        if begun.state is not CanaryState.WAITING:
            self.waiting -= {month}
            say = log.info if begun.state is CanaryState.PASSED else log.error
            say(Event.CANARY, month=month, state=begun.state.value, why=begun.why)
            return
        counts = await in_thread(self._looks.month, month)
        waited_s = (self._clock.now_ms() - begun.since_ms) / 1000
        alive = await self._looks.feed_alive_ms() > 0
        verdict = canary.judge(rule, counts, waited_s, feed_alive=alive)
        if verdict is not None:
            await self._looks.change(lambda control: canary.ruling(control, month, verdict, self._clock.now_ms()))


def _month(attempt: Attempt) -> str:
    key = attempt.ticket.key
    assert key is not None, "what has no key is never called for"
    return key.month
