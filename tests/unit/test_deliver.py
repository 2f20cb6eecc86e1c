"""The loop over attempts: what it waits for, what stops it, and what is given back when it is broken off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from processor.adapters.clock import SystemClock
from processor.core import decide, gates
from processor.core.answers import Accepted, Answer, ServiceError
from processor.core.pace import Account
from processor.core.standing import nobodys
from processor.core.states import Claim, State
from processor.core.ticket import Finished
from processor.ports import Item, Lease
from processor.shell import patience
from schemas.records import Outcome
from schemas.runtime.ending import end
from schemas.runtime.errors import Halted
from tests.simulation.dedup import MemoryDedup
from tests.support.parts import Away, FakePace, Made, Ses, attempt, until, whole


class SlowDedup(MemoryDedup):
    """Grants claims, and its answers never come."""

    def __init__(self) -> None:
        super().__init__(30.0, lambda: 0)
        self.mark()
        self.asked = asyncio.Event()

    async def claim(self, items: Sequence[Item]) -> list[Claim]:
        await super().claim(items)
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


@contextlib.asynccontextmanager
async def running(made: Made) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(made.deliverer.run())
    try:
        yield task
    finally:
        assert await end(task)


async def test_attempts_whose_claims_were_broken_off_are_given_back() -> None:
    """Else a processor that must leave (fenced, say) would wait for their calls for ever."""
    dedup = SlowDedup()
    made = Made(dedup, clock=SystemClock())
    attempts = [attempt("u1"), attempt("u2")]
    made.submit(attempts)
    async with running(made):
        await asyncio.wait_for(dedup.asked.wait(), 60)
    assert await asyncio.wait_for(made.deliverer.quiesce(lambda _ticket: True), 60) == attempts
    assert not made.deliverer.busy


async def at_the_end(dedup: MemoryDedup, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> tuple[Finished, ...]:
    """What was done of one mail when Redis goes away after its claim, and the process is to end."""
    monkeypatch.setattr(gates, "HURRY_S", 0.05)
    monkeypatch.setattr(patience, "REDIS_RETRY_S", 0.01)
    made = Made(dedup, Ses(answer), clock=SystemClock())
    made.submit([attempt("u1")])
    async with running(made):
        await until(lambda: made.ses.asked != [] and not made.deliverer.calling)
        assert not made.done, "while nobody wants it to end, Redis is waited for"
        made.deliverer.hurry()
        assert await asyncio.wait_for(made.deliverer.quiesce(lambda _ticket: True), 60) == []
    return made.done


async def test_an_acceptance_that_redis_cannot_be_told_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """G2 and a stop that ends: what SES said is a fact, and the ledger is told it."""
    (done,) = await at_the_end(Away("note_sent"), Accepted("m1"), monkeypatch)
    assert isinstance(done.result, decide.Settle)
    assert (done.result.outcome, done.result.message_id) == (Outcome.SENT, "m1")


async def test_a_claim_that_cannot_be_given_back_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop that ends: the mail is neither settled nor withdrawn, so its next reader waits for the claim's end."""
    throttled = ServiceError(429, "TooManyRequestsException", "too fast")
    assert await at_the_end(Away("release"), throttled, monkeypatch) == ()


async def test_no_more_calls_at_once_than_were_granted() -> None:
    """G4: a crash leaves in doubt what was inside a call."""
    made = Made(calls_at_once=2)
    most, claim = 0, made.dedup.claim

    async def claimed(items: Sequence[Item]) -> list[Claim]:
        nonlocal most
        most = max(most, made.attempts.active)
        return await claim(items)

    made.dedup.claim = claimed  # type: ignore[method-assign]
    made.submit([attempt(f"u{n}") for n in range(7)])
    async with running(made):
        await until(lambda: len(made.done) == 7)
    assert most == 2


def _know_all(made: Made) -> None:
    """Every partition was read to its end."""
    made.engine.newest.aim(made.engine.newest.endless(), {})
    made.engine.starts.known()


async def test_a_set_that_is_not_whole_is_waited_for() -> None:
    """G1: it may lack a claim. When it is whole again, sending goes on.

    G4: what was not called for is withdrawn before that, and its claim freed after.
    """
    dedup, found = MemoryDedup(30.0, lambda: 0), []

    async def make_whole() -> None:
        found.append((made.engine.batches.renounced, made.engine.starts.never_called()))
        whole(dedup)

    made = Made(dedup, make_whole=make_whole)
    made.engine.assign({0: (0, "")})
    _know_all(made)
    one = attempt(window=made.engine.assigned.get(0))
    made.submit([one])
    async with running(made):
        await until(lambda: made.engine.batches.renounced == 1)
        assert (made.deliverer.rebuilding, found) == (True, [])
        batch = made.engine.next(0, lambda: "")
        assert (batch.withdrawn, batch.intended) == ((one,), ())
        made.engine.committed(batch)
        made.deliverer.wake()
        await until(lambda: not made.deliverer.rebuilding)
        assert (found, made.engine.starts.never_called()) == ([(0, [])], [one])
        assert made.engine.newest.unread == {0}
        _know_all(made)
        made.engine.committed(made.engine.next(1, lambda: "anew"))
        made.deliverer.wake()
        await until(lambda: len(made.done) == 1)
    assert [finished.attempt.id for finished in made.done] == ["anew"]
    assert made.meter.rebuilds._value.get() == 1


async def test_a_redis_that_does_not_answer_is_asked_again_in_a_moment() -> None:
    """Nothing starts meanwhile, and nothing is lost."""
    made = Made(Away("claim", times=2), clock=SystemClock())
    made.submit([attempt("u1"), attempt("u2", value=None)])
    async with running(made):
        await until(lambda: made.gates.shut(made.clock.boot_s()))
        assert made.ses.asked == []
        await until(lambda: len(made.done) == 2)


async def test_an_account_that_may_not_send_stops_it() -> None:
    """SES has disabled sending: an operator must act."""
    made = Made(ses=Ses(account=Account(sending_enabled=False)))
    made.submit([attempt()])
    async with running(made):
        await until(lambda: made.deliverer.halted is not None)
        assert made.deliverer.halted is not None
        assert made.deliverer.halted.reason == "sending-paused"
        assert await made.deliverer.quiesce(lambda _ticket: True) != []
    assert made.ses.asked == []


async def test_without_quota_only_calls_wait() -> None:
    """Until SES says that there is room again."""
    made = Made(ses=Ses(account=Account(max_24_hour_send=9)), pace=FakePace(Lease(0, 0.0, 0.0), opens_s=3.0))
    made.submit([attempt("u1"), attempt("u2", value=None)])
    async with running(made):
        await until(lambda: made.gates.quota_used_up)
        await until(lambda: len(made.done) == 1)
        assert made.ses.asked == []
        made.clock.s += 3.0
        made.deliverer.wake()
        await until(lambda: len(made.done) == 2)
    assert not made.gates.quota_used_up


async def test_an_account_asked_for_without_a_pause_holds_nothing_up() -> None:
    """G2: sending goes on however short MAILONCE_ACCOUNT_REFRESH_S is."""
    made = Made(clock=SystemClock(), refresh_s=1e-9)
    made.pace.leased = lambda: asyncio.sleep(0, 0)  # type: ignore[method-assign, assignment]
    made.submit([attempt("u1"), attempt("u2", value=None)])
    async with running(made):
        await until(lambda: len(made.done) == 2)


async def test_the_first_reason_to_leave_wakes_whoever_rests() -> None:
    """The worker leaves at once."""
    made = Made(clock=SystemClock())
    resting = asyncio.create_task(made.deliverer.rest(60.0))
    await asyncio.sleep(0)
    made.deliverer.halt(Halted("redis-evicts", "the test says so"))
    made.deliverer.halt(Halted("breaker", "later"))
    await asyncio.wait_for(resting, 60)
    assert made.deliverer.halted is not None
    assert made.deliverer.halted.reason == "redis-evicts"
    await asyncio.wait_for(made.deliverer.rest(0.001), 60)


async def test_a_key_that_is_held_for_several_is_left() -> None:
    """G1: this attempt was not called for, the others may have been: it is withdrawn, and its ticket intended anew."""
    made = Made()
    mine = attempt("u1")
    assert mine.ticket.key is not None
    held = Claim(State.SENDING, attempt=nobodys(["other", mine.id]), since_ms=1)
    await made.dedup.poke(mine.ticket.key, held)
    made.submit([mine])
    async with running(made):
        await until(lambda: made.engine.batches.renounced == 1)
    assert (made.ses.asked, made.engine.batches.fresh) == ([], 1)
    assert made.engine.starts.never_called() == [mine]
