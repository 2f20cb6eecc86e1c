"""A delivery that is broken off: what is never called for is given back, not waited for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from processor import patience
from processor.adapters.clock import SystemClock
from processor.allowance import Allowance
from processor.attempts import Attempts
from processor.calls import Calls
from processor.core import decide, gates
from processor.core.answers import Accepted, Answer, ServiceError
from processor.core.breaker import Breaker
from processor.core.engine import Engine
from processor.core.gates import Gates
from processor.core.offsets import Window
from processor.core.pace import Account, Limits
from processor.core.states import Claim
from processor.core.ticket import Attempt, Finished, examine
from processor.deliver import Deliverer
from processor.meter import Meter
from processor.ports import Item, Pace, Sender
from schemas.codec import encode
from schemas.ending import end
from schemas.errors import RedisUnavailable
from schemas.reading import Record
from schemas.records import Outcome
from schemas.settings import RetryTable
from schemas.template import Needs
from tests.simulation.dedup import MemoryDedup
from tests.support.world import job


class SlowDedup(MemoryDedup):
    """Grants claims, and its answers never come."""

    def __init__(self) -> None:
        super().__init__(30.0, lambda: 0)
        self.marker = self.run
        self.asked = asyncio.Event()

    async def claim(self, items: Sequence[Item]) -> list[Claim]:
        await super().claim(items)
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


class NoSender:
    """An account without rate and quota; a call would be a defect."""

    async def send(self, request: Mapping[str, Any], start_by_s: float) -> Answer:
        raise AssertionError

    async def account(self) -> Account:
        return Account()

    async def template_needs(self, name: str) -> Needs:
        raise AssertionError


class NoPace:
    """Without a rate there is nothing to lease."""

    async def leased(self) -> int:
        return 0


def attempt(user: str) -> Attempt:
    record = Record(0, 0, f"{user}:2026-11".encode(), encode(job(user)), [], 0)
    ticket = examine(record, Window(0), this_month="2026-11", retention_months=13, suppressed=())
    return Attempt(ticket, "attempt-1")


class Made:
    """A deliverer on twins, and the engine that it drives."""

    def __init__(self, dedup: MemoryDedup, sender: Sender) -> None:
        clock, meter = SystemClock(), Meter()
        self.engine, self.gates = Engine(), Gates(Breaker(0, 0))
        allowance = Allowance(Limits(), 60.0, sender, cast(Pace, NoPace()), clock, meter, self.gates)
        calls = Calls(dedup, sender, lambda _attempt: {}, RetryTable(), allowance, self.gates, clock, meter)
        attempts = Attempts(self.engine, self.gates, calls, dedup, clock, meter, 1.0)
        self.deliverer = Deliverer(
            self.engine, self.gates, attempts, allowance, lambda: asyncio.sleep(0), clock, meter, 8
        )

    @property
    def done(self) -> tuple[Finished, ...]:
        """What has its outcome."""
        return tuple(self.engine.batches._ended)


async def test_attempts_whose_claims_were_broken_off_are_given_back() -> None:
    """Else a processor that must leave (fenced, say) would wait for their calls for ever."""
    dedup = SlowDedup()
    made = Made(dedup, NoSender())
    attempts = [attempt("u1"), attempt("u2")]
    made.engine.due.submit(attempts)
    running = asyncio.create_task(made.deliverer.run())
    await asyncio.wait_for(dedup.asked.wait(), 60)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert await asyncio.wait_for(made.deliverer.quiesce(lambda _ticket: True), 60) == attempts
    assert not made.deliverer.busy


class AwayDedup(MemoryDedup):
    """Grants claims, and then Redis does not answer any more."""

    def __init__(self) -> None:
        super().__init__(30.0, lambda: 0)
        self.marker = self.run
        self.asked = asyncio.Event()

    async def mark_sent(self, items: Sequence[Item]) -> list[Claim]:
        self.asked.set()
        raise RedisUnavailable("the test says so")

    async def release(self, items: Sequence[Item]) -> None:
        self.asked.set()
        raise RedisUnavailable("the test says so")


class Answering(NoSender):
    """Every call gets this answer."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def send(self, request: Mapping[str, Any], start_by_s: float) -> Answer:
        return self._answer


async def at_the_end(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> tuple[Finished, ...]:
    """What was done of one mail when Redis goes away after its claim, and the process is to end."""
    monkeypatch.setattr(gates, "HURRY_S", 0.05)
    monkeypatch.setattr(patience, "REDIS_RETRY_S", 0.01)
    dedup = AwayDedup()
    made = Made(dedup, Answering(answer))
    made.engine.due.submit([attempt("u1")])
    running = asyncio.create_task(made.deliverer.run())
    await asyncio.wait_for(dedup.asked.wait(), 60)
    assert not made.done, "while nobody wants it to end, Redis is waited for"
    made.deliverer.hurry()
    assert await asyncio.wait_for(made.deliverer.quiesce(lambda _ticket: True), 60) == []
    assert await end(running)
    return made.done


async def test_an_acceptance_that_redis_cannot_be_told_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """G2 and a stop that ends: what SES said is a fact, and the ledger is told it."""
    (done,) = await at_the_end(Accepted("m1"), monkeypatch)
    assert isinstance(done.result, decide.Settle)
    assert (done.result.outcome, done.result.message_id) == (Outcome.SENT, "m1")


async def test_a_claim_that_cannot_be_given_back_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop that ends: the mail is neither settled nor withdrawn, so its next reader waits for the claim's end."""
    assert await at_the_end(ServiceError(429, "TooManyRequestsException", "too fast"), monkeypatch) == ()
