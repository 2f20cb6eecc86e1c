"""One call under a claim, and its end: composed, sent, and what its answer proves told to the dedup set.

Each `attempt` returns how it ended; what follows from that is its caller's to do. Nothing here knows of Kafka.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar, assert_never

from processor.core import answered, decide
from processor.core.answers import RefusedForNow, RetryClass, Verdict, classify
from processor.core.control import Tenure
from processor.core.gates import Gates
from processor.core.suspects import SUSPECT_S
from processor.core.ticket import Attempt, End, Finished, GivenBack, PutOff, Stays
from processor.ports import Clock, Dedup, Forbidden, Item, NotWhole, Sender
from processor.shell.allowance import Allowance
from processor.shell.judge import Judge
from processor.shell.making import Check, Compose, Making, passes
from processor.shell.patience import until_redis_answers
from processor.shell.together import Together
from processor.telemetry.meter import Meter
from schemas.runtime.errors import Halted, RedisUnavailable
from schemas.runtime.logs import Event, get_log

__all__ = ["STAYS", "Calls"]

log = get_log()
T = TypeVar("T")

OTHERS = "it is tried again once others were answered: is it this mail's own fault, or everybody's?"
LATE = "the claim grew too old before the request could leave"
STAYS = "its claim stays until its lifetime has passed"


class Calls:
    """Attempts at SES, any number at once."""

    def __init__(
        self,
        dedup: Dedup,
        sender: Sender,
        compose: Compose,
        judge: Judge,
        allowance: Allowance,
        gates: Gates,
        clock: Clock,
        meter: Meter,
        refusal: Callable[[Tenure], str] = lambda _tenure: "",
        check: Check = passes,
        start_window_s: float = 1.0,
    ) -> None:
        """`refusal`: why no request may leave under a claim that was made under a tenure; empty: it may.
        `start_window_s`: how long after its claim one may."""
        self._dedup = dedup
        self._note_sent = Together(dedup.note_sent)
        self._sender = sender
        self._judge = judge
        self._allowance = allowance
        self._gates = gates
        self._clock = clock
        self._meter = meter
        self._refusal = refusal
        self.start_window_s = start_window_s
        self._making = Making(compose, check)
        self.in_flight = 0
        """Requests that SES has not answered."""

    async def attempt(self, attempt: Attempt, start_by_s: float) -> End:
        """The one call under a claim; no request leaves after the boot clock's `start_by_s`, or under a past tenure."""

        def forbidden() -> str:
            late = self._clock.boot_s() > start_by_s
            return LATE if late else self._refusal(attempt.tenure)

        try:
            verdict = await self._verdict(attempt, forbidden)
            follows = self._judge.follows(verdict, attempt)
            if isinstance(verdict, RefusedForNow) and not isinstance(follows, answered.GiveBack):
                attempt = attempt.refused_for_now(verdict.retry)
            return await self._record(attempt, follows)
        except RedisUnavailable as error:
            _say_away(error, attempt)
            return Stays()

    # ---- send ----

    async def _verdict(self, attempt: Attempt, forbidden: Forbidden) -> Verdict:
        request = await self._making.request(attempt)
        if not isinstance(request, Mapping):
            if isinstance(request, RefusedForNow):
                self._judge.note(request, attempt, self._clock.boot_s())
            return request
        began_s = self._clock.boot_s()
        self.in_flight += 1
        try:
            verdict = classify(await self._sender.send(request, forbidden))
        finally:
            self.in_flight -= 1
        now_s = self._clock.boot_s()
        self._meter.answered(verdict, now_s - began_s)
        self._judge.note(verdict, attempt, now_s)
        return verdict

    # ---- record ----

    async def _record(self, attempt: Attempt, follows: answered.AfterAnswer) -> End:
        """Tells the dedup set before anybody else: what is not noted there would be uncertain."""
        match follows:
            case answered.Finish(note, settle):
                return Finished(attempt, await self._noted(attempt, note) or settle)
            case answered.RetryLater(retry, detail):
                await self._release(attempt)
                if retry is RetryClass.THROTTLED:
                    await self._retrying(self._allowance.throttled)
                self._meter.retried(retry)
                delay = self._judge.delay_s(retry, attempt.tries[retry])
                key = str(attempt.ticket.key)
                log.info(Event.RETRYING, key=key, error_class=retry, detail=detail, delay_s=round(delay, 3))
                return PutOff(attempt, delay)
            case answered.Pause(detail):
                await self._release(attempt)
                await self._retrying(lambda: self._allowance.quota_ended(detail))
                return GivenBack(attempt)
            case answered.GiveBack(detail):
                await self._release(attempt)
                log.info(Event.NOT_CALLED, key=str(attempt.ticket.key), detail=detail)
                return GivenBack(attempt)
            case answered.Suspect(detail):
                await self._release(attempt)
                log.warning(Event.SUSPECT, key=str(attempt.ticket.key), detail=detail, follows=OTHERS)
                return PutOff(self._judge.suspected(attempt), SUSPECT_S)
            case answered.Resign(detail):
                await self._release(attempt)
                log.warning(Event.SUSPECT, key=str(attempt.ticket.key), detail=detail, follows="it is signed anew")
                return PutOff(attempt.signing_anew(), SUSPECT_S)
            case answered.GiveUp(reason, detail):
                await self._release(attempt)
                return GivenBack(attempt, Halted(reason, detail))
            case _ as never:
                assert_never(never)

    async def _noted(self, attempt: Attempt, note: answered.Note) -> decide.Settle | None:
        """Notes it in the dedup set; returns the outcome that evidence knew before."""
        try:
            return await self._retrying(lambda: self._note(attempt, note))
        except RedisUnavailable as error:
            # The process ends. What SES said is a fact: the ledger holds it, and a rebuild takes it from there.
            _say_away(error, attempt)
            return None

    async def _note(self, attempt: Attempt, note: answered.Note) -> decide.Settle | None:
        match note:
            case answered.NoteSent(message_id):
                claim = await self._note_sent(Item.of(attempt, message_id))
                better = decide.after_note(claim, message_id=message_id, attempt=attempt.id)
                if better is None and claim.message_id != message_id:
                    self._meter.duplicates.inc()
                    log.error(Event.DUPLICATE_SEEN, key=str(attempt.ticket.key), message_id=message_id)
                return better
            case answered.NoteUncertain():
                # Where the set is not whole, a rebuild puts the claim back, until the ledger holds it as uncertain.
                with contextlib.suppress(NotWhole):
                    (claim,) = await self._dedup.note_uncertain([Item.of(attempt)])
                    return decide.after_uncertain(claim, attempt.id)
            case answered.NoteRefused() if not attempt.ticket.window.closed:
                with contextlib.suppress(NotWhole):
                    await self._dedup.note_refused([Item.of(attempt)])
            case _:
                # Its partition has gone: nobody here commits the dead letter.
                await self._free(attempt)
        return None

    async def _release(self, attempt: Attempt) -> None:
        await self._retrying(lambda: self._free(attempt))

    async def _free(self, attempt: Attempt) -> None:
        """Where the set is not whole a new lineage begins: the attempt is taken back under that, and freed then."""
        with contextlib.suppress(NotWhole):
            await self._dedup.release([Item.of(attempt)])

    async def _retrying(self, step: Callable[[], Awaitable[T]]) -> T:
        """A call's step on Redis. Raises `RedisUnavailable` at the process's end."""
        return await until_redis_answers(self._clock, step, lambda: self._gates.redis_until_s)


def _say_away(error: RedisUnavailable, attempt: Attempt) -> None:
    log.warning(Event.REDIS_UNAVAILABLE, error=str(error), key=str(attempt.ticket.key), follows=STAYS)
