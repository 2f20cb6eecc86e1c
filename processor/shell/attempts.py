"""Attempts under way: claimed just before the call, called for once, and their end given to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import assert_never

from processor.core import decide
from processor.core.engine import Engine
from processor.core.gates import Gates
from processor.core.states import Claim
from processor.core.ticket import Attempt, End, Finished, GivenBack, PutOff, Stays, Ticket
from processor.ports import Clock, Dedup, Item, NotWhole
from processor.shell.bars import Bars
from processor.shell.calls import STAYS, Calls
from processor.shell.canary import CanaryGate
from processor.shell.halt import halt
from processor.shell.past import Past
from processor.telemetry.meter import Meter
from schemas.records import Outcome
from schemas.runtime.errors import Halted, RedisUnavailable
from schemas.runtime.logs import Event, get_log

__all__ = ["Attempts"]

log = get_log()

LOOK_AGAIN_S = 1.0
"""How often a key that another attempt holds is looked at again."""
LOOKS_AT_ONCE = 500
"""Attempts settled without a call in one round trip to Redis."""


class Attempts:
    """Takes attempts from the engine to their ends."""

    def __init__(
        self,
        engine: Engine,
        gates: Gates,
        calls: Calls,
        dedup: Dedup,
        bars: Bars,
        past: Past,
        canary: CanaryGate,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._engine = engine
        self._gates = gates
        self._calls = calls
        self._dedup = dedup
        self._bars = bars
        self._past = past
        self._canary = canary
        self._clock = clock
        self._meter = meter
        self._active: dict[Attempt, asyncio.Task[None] | None] = {}
        """Claimed or about to be, and their calls."""
        self.changed = asyncio.Event()
        """Set when there may be more to start."""
        self.ended = asyncio.Event()
        """Set when there may be more to record."""

    @property
    def active(self) -> int:
        return len(self._active)

    @property
    def calling(self) -> bool:
        """Whether SES is being called: what no stop may break off."""
        return self._calls.in_flight > 0

    async def quiesce(self, gone: Callable[[Ticket], bool]) -> list[Attempt]:
        """Starts nothing more of what is `gone`, waits for its calls to end; returns what never started."""
        dropped: list[Attempt] = []
        while True:
            dropped += self._engine.due.drop(gone)
            active = {attempt: task for attempt, task in self._active.items() if gone(attempt.ticket)}
            if not active:
                return dropped
            if tasks := [task for task in active.values() if task is not None]:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            else:
                await self._clock.sleep(0.005)

    async def start(self, count: int) -> None:
        """Claims up to `count` attempts in one round trip and starts a call for each that is granted."""
        attempts = await self._canary.take(self._engine, count)
        if not attempts:
            return
        start_by_s = self._clock.boot_s() + self._calls.start_window_s
        self._active.update(dict.fromkeys(attempts))
        try:
            follows = await self._bars.tell_once(attempts, await _claimed(self._engine, self._dedup, attempts))
        except BaseException:
            # A cancellation or a defect too: what was neither called for nor given back would be waited for in vain.
            for attempt in attempts:
                self._leave(attempt)
            self._engine.due.put_back(attempts)
            raise
        self._meter.claimed(follows)
        self._meter.in_flight.set(len(self._active))
        for attempt, step in zip(attempts, follows, strict=True):
            if isinstance(step, decide.Call):
                self._active[attempt] = asyncio.create_task(self._call(attempt, start_by_s))
            else:
                self._leave(attempt)
                self._apply(attempt, step)
        await self._canary.unused([one for one in attempts if one not in self._active])
        await self._bars.look_up(attempts, follows)

    async def settle_without_call(self) -> None:
        """Tombstones and records that must not reach SES: one look at the dedup set, no call."""
        attempts = [self._bars.name(attempt) for attempt in self._engine.due.take_aside(LOOKS_AT_ONCE)]
        try:
            follows = await _looked_at(self._dedup, self._past, attempts)
            steps = await self._bars.tell_once([a for a, _ in follows], [step for _, step in follows])
        except (NotWhole, RedisUnavailable):
            self._engine.due.put_back(attempts)
            raise
        for (attempt, _), step in zip(follows, steps, strict=True):
            self._apply(attempt, step)
        await self._bars.look_up([attempt for attempt, _ in follows], steps)

    async def _call(self, attempt: Attempt, start_by_s: float) -> None:
        try:
            self._take(await self._calls.attempt(attempt, start_by_s))
        except Exception as error:  # noqa: BLE001 - a defect here must be loud: its job would hang without an outcome
            self._halt_if(Halted("defect", f"{attempt.ticket.key}: {error!r}; {STAYS}"))
        finally:
            self._leave(attempt)

    # ---- what follows ----

    def _take(self, end: End) -> None:
        """A call has ended."""
        match end:
            case Finished():
                self._canary.ended(end.attempt)
                self._end(end)
            case PutOff(attempt, delay_s):
                self._put_off(attempt, delay_s)
            case GivenBack(attempt, halted):
                self._engine.due.put_back([attempt])
                self._halt_if(halted)
            case Stays():
                pass
            case _ as never:
                assert_never(never)

    def _apply(self, attempt: Attempt, follows: decide.AfterClaim) -> None:
        """The dedup set has spoken, and there is no call."""
        assert not isinstance(follows, decide.Call), "a call is started, not applied"
        if isinstance(follows, decide.WaitForOther | decide.AskLetters):
            if not attempt.waited:
                log.info(Event.WAITING_FOR_CLAIM, key=str(attempt.ticket.key), attempt=follows.attempt)
            return self._put_off(attempt.waiting(), LOOK_AGAIN_S)
        if isinstance(follows, decide.Renounce):
            return self._engine.starts.renounce_one(attempt)
        if attempt.waited and isinstance(follows, decide.Settle) and follows.outcome is Outcome.UNCERTAIN:
            self._meter.takeovers.inc()
        return self._end(Finished(attempt, follows))

    def _end(self, finished: Finished) -> None:
        self._engine.end(finished)
        self._halt_if(self._gates.note(finished))
        self.changed.set()
        self.ended.set()

    def _put_off(self, attempt: Attempt, seconds: float) -> None:
        self._engine.due.put_off(attempt, self._clock.boot_s() + seconds)
        self.changed.set()

    def _halt_if(self, halted: Halted | None) -> None:
        if halted is not None:
            halt(self._gates, halted, self._clock, self._meter)
            self.ended.set()

    def _leave(self, attempt: Attempt) -> None:
        del self._active[attempt]
        self.changed.set()


async def _claimed(engine: Engine, dedup: Dedup, attempts: Sequence[Attempt]) -> list[decide.AfterClaim]:
    with engine.starts.claiming():
        claims = await dedup.claim([Item.of(attempt) for attempt in attempts])
    return [_after_claim(attempt, claim) for attempt, claim in zip(attempts, claims, strict=True)]


async def _looked_at(dedup: Dedup, past: Past, everyone: Sequence[Attempt]) -> list[tuple[Attempt, decide.AfterClaim]]:
    """What follows for each tombstone, and for each record that must not reach SES. Raises as `Dedup` does."""
    follows = await past.look_up(everyone)
    passed_over = {attempt for attempt, _ in follows}
    attempts = [attempt for attempt in everyone if attempt not in passed_over]
    cancels = [attempt for attempt in attempts if attempt.ticket.refusal is None]
    bad = [attempt for attempt in attempts if attempt.ticket.refusal is not None and attempt.ticket.key]
    cancelled = await dedup.cancel([Item.of(attempt) for attempt in cancels]) if cancels else []
    refused = await dedup.refuse([Item.of(attempt) for attempt in bad]) if bad else []
    follows += [(a, decide.after_cancel(claim, bar=a.holder)) for a, claim in zip(cancels, cancelled, strict=True)]
    follows += [(attempt, _after_refuse(attempt, claim)) for attempt, claim in zip(bad, refused, strict=True)]
    nameless = [attempt for attempt in attempts if attempt.ticket.key is None]
    return follows + [(attempt, attempt.ticket.refusal) for attempt in nameless if attempt.ticket.refusal is not None]


def _after_refuse(attempt: Attempt, claim: Claim) -> decide.AfterClaim:
    ticket = attempt.ticket
    assert ticket.refusal is not None
    return decide.after_refuse(
        claim,
        ticket.refusal,
        bar=attempt.holder,
        fingerprint=ticket.fingerprint,
        partition=ticket.record.partition,
        offset=ticket.record.offset,
    )


def _after_claim(attempt: Attempt, claim: Claim) -> decide.AfterClaim:
    ticket = attempt.ticket
    record = ticket.record
    return decide.after_claim(
        claim, mine=attempt.id, fingerprint=ticket.fingerprint, partition=record.partition, offset=record.offset
    )
