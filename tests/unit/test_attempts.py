"""From the claim to the end: what the dedup set says, and what follows from each end of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from processor.core.answers import Accepted, ServiceError
from processor.core.breaker import Breaker
from processor.core.decide import Settle, Skip
from processor.core.states import Claim, State
from processor.core.ticket import Attempt
from processor.ports import Item
from schemas.records import Outcome
from schemas.runtime.errors import BrokerUnavailable, RedisUnavailable
from tests.support.parts import Away, FakeClock, Made, Ses, attempt, until, whole

THROTTLED = ServiceError(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
PAUSED = ServiceError(400, "SendingPausedException", "paused")
REFUSED = ServiceError(400, "MessageRejected", "content")


async def started(made: Made, *attempts: Attempt) -> None:
    """Claims and calls, to their ends."""
    made.engine.due.submit(attempts)
    await made.attempts.start(9)
    await until(lambda: made.attempts.active == 0)


async def test_nothing_to_claim_asks_nobody() -> None:
    """Redis is not asked in vain."""
    await Made(Away("claim")).attempts.start(9)


async def test_a_claim_that_was_granted_is_called_for_once() -> None:
    """G1: and its end goes to the engine."""
    made = Made(ses=Ses(Accepted("m1")))
    await started(made, attempt())
    assert (len(made.ses.asked), len(made.done)) == (1, 1)
    assert made.attempts.ended.is_set()


async def test_what_another_attempt_holds_is_looked_at_again() -> None:
    """G1, G4: when its lifetime has passed it is in doubt, which is a takeover."""
    dedup, one = whole(), attempt()
    assert one.ticket.key is not None
    dedup.claims[one.ticket.key] = Claim(State.SENDING, attempt="another")
    made = Made(dedup, Ses())
    await started(made, one)
    assert (made.engine.due.later, made.done) == (1, ())
    made.clock.s += 1.0
    made.engine.due.promote(made.clock.s)
    await started(made)
    assert made.engine.due.later == 1
    dedup.claims[one.ticket.key] = Claim(State.UNCERTAIN, attempt="another")
    made.clock.s += 1.0
    made.engine.due.promote(made.clock.s)
    await started(made)
    (finished,) = made.done
    assert isinstance(finished.result, Settle)
    assert finished.result.outcome is Outcome.UNCERTAIN
    assert made.meter.takeovers._value.get() == 1
    assert made.ses.asked == []


async def test_what_was_refused_for_now_waits_in_the_queue() -> None:
    """Its time is the back-off's."""
    made = Made(ses=Ses(THROTTLED))
    await started(made, attempt())
    assert (made.engine.due.later, made.done) == (1, ())
    assert made.engine.due.next_s > made.clock.s


async def test_a_reason_to_leave_closes_the_gates() -> None:
    """The mail stands in front again, and is withdrawn when the processor leaves."""
    made = Made(ses=Ses(PAUSED))
    await started(made, attempt())
    assert made.gates.halted is not None
    assert (made.gates.halted.reason, made.engine.due.ready) == ("sending-paused", 1)
    assert made.meter.halted._value.get() == 1


async def test_a_defect_closes_the_gates() -> None:
    """And the mail is neither here nor settled: its claim stays."""
    made = Made(compose=lambda _attempt: {}[0])
    await started(made, attempt())
    assert made.gates.halted is not None
    assert made.gates.halted.reason == "defect"
    assert made.engine.idle


async def test_a_defect_after_the_call_closes_the_gates_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """G2: nobody asks a call's task how it ended, and its job would hang without an outcome."""
    made = Made()
    monkeypatch.setattr(made.engine, "end", lambda _finished: {}[0])
    await started(made, attempt())
    assert made.gates.halted is not None
    assert made.gates.halted.reason == "defect"
    assert made.attempts.ended.is_set()


async def test_a_claim_that_cannot_be_is_no_hang() -> None:
    """A defect: the worker, which ends for it, must not wait for calls that nobody makes."""
    made = Made()

    async def closed(items: Sequence[Item]) -> list[Claim]:
        return [Claim(State.CLOSED, partition=9, offset=9) for _ in items]

    made.dedup.claim = closed  # type: ignore[method-assign]
    made.engine.due.submit([attempt()])
    with pytest.raises(AssertionError, match="the claim script"):
        await made.attempts.start(9)
    assert len(await asyncio.wait_for(made.attempts.quiesce(lambda _ticket: True), 60)) == 1


async def test_a_run_of_bad_outcomes_closes_the_gates() -> None:
    """A bad deploy halts instead of pouring the month away."""
    made = Made(ses=Ses(REFUSED), breaker=Breaker(2, 0))
    await started(made, attempt("u1"))
    assert made.gates.halted is None
    await started(made, attempt("u2"))
    assert made.gates.halted is not None
    assert made.gates.halted.reason == "breaker"


async def test_what_reaches_no_call_is_settled_by_a_look() -> None:
    """A tombstone cancels, a broken record becomes a dead letter, also one without a key."""
    made = Made()
    cancel, poison = attempt("u1", value=None), attempt("u2", value=b"{")
    nameless = attempt(key=b"nonsense")
    made.engine.due.submit([cancel, poison, nameless])
    await made.attempts.settle_without_call()
    outcomes = {one.attempt.ticket: one.result.outcome for one in made.done if isinstance(one.result, Settle)}
    ended = {cancel: Outcome.CANCELLED, poison: Outcome.DEAD, nameless: Outcome.DEAD}
    assert outcomes == {one.ticket: outcome for one, outcome in ended.items()}
    again = attempt("u1", value=None)
    made.engine.due.submit([again])
    await made.attempts.settle_without_call()
    assert made.done[-1].attempt.ticket is again.ticket


@pytest.mark.parametrize("state", [State.SENT, State.SENT_RECORDED])
async def test_a_changed_record_waits_for_whoever_tells_of_it(state: State) -> None:
    """G6: one process writes the letter; whoever came second, or cannot ask, looks again until it is there."""
    made = Made(Away("tell", times=1))
    one = attempt()
    assert one.ticket.key is not None
    made.dedup.claims[one.ticket.key] = Claim(state, fingerprint="another", message_id="m")
    made.dedup.telling[0, 0] = ("another", 0)
    made.engine.due.submit([one])
    with pytest.raises(RedisUnavailable):
        await made.attempts.start(9)
    for away in (True, False):
        made.letters.away = away
        await made.attempts.start(9)
        assert (made.done, made.engine.due.later) == ((), 1)
        made.engine.due.promote(1e9)
    made.letters.places.add((0, 0))
    await made.attempts.start(9)
    (end,) = made.done
    assert (end.result.report, isinstance(end.result, Settle)) == (False, state is State.SENT)


@pytest.mark.parametrize("told", [True, False])
async def test_what_went_out_with_other_content_is_told_of_once(told: bool) -> None:
    """G6: the ledger's entry says nothing of the letter, so the letters are asked."""
    made = Made()
    one = attempt()
    assert one.ticket.key is not None
    made.dedup.claims[one.ticket.key] = Claim(State.SENT, fingerprint="another", message_id="m")
    made.letters.places |= {(0, 0)} if told else set()
    made.engine.due.submit([one])
    await made.attempts.start(9)
    (end,) = made.done
    assert end.result.report is not told


async def test_looks_that_redis_does_not_answer_are_made_again() -> None:
    """G2: they stand where they stood."""
    made = Made(Away("refuse", times=1))
    poison = attempt(value=b"{")
    made.engine.due.submit([poison])
    with pytest.raises(RedisUnavailable):
        await made.attempts.settle_without_call()
    assert made.engine.due.aside == 1
    await made.attempts.settle_without_call()
    assert [one.attempt.ticket for one in made.done] == [poison.ticket]


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("value", [b"", b"{"])
async def test_a_bar_whose_time_is_over_is_looked_up(told: bool, value: bytes) -> None:
    """G6: whoever barred the key died before or after its dead letter committed, and the letters tell which."""
    made = Made(clock=FakeClock())
    one = attempt(value=value)
    assert one.ticket.key is not None
    made.dedup.claims[one.ticket.key] = Claim(State.BARRED, attempt="another")
    made.letters.places |= {(0, 0)} if told else set()
    for _ in range(2):
        made.engine.due.submit([one])
        await (made.attempts.start(9) if one.ticket.needs_call else made.attempts.settle_without_call())
    await until(lambda: made.attempts.active == 0)
    (end,) = made.done
    passed_over = isinstance(end.result, Skip) and end.result.why.startswith("this record already has its outcome")
    assert passed_over is told
    assert len(made.ses.asked) == (one.ticket.needs_call and not told)


async def test_a_bar_stays_while_kafka_does_not_answer() -> None:
    """G6: nobody calls on the strength of an answer that nobody gave."""
    made, one = Made(clock=FakeClock()), attempt()
    assert one.ticket.key is not None
    made.dedup.claims[one.ticket.key] = barred = Claim(State.BARRED, attempt="another")

    async def silent(_records: object) -> set[tuple[int, int]]:
        raise BrokerUnavailable("the test says so")

    made.letters.told = silent  # type: ignore[method-assign]
    await started(made, one)
    assert (made.dedup.claims[one.ticket.key], made.engine.due.later) == (barred, 1)


async def test_a_claim_that_is_being_asked_for_is_waited_for() -> None:
    """A partition that leaves must not leave a call behind that was about to begin."""
    made = Made(clock=FakeClock())
    asked, answer = asyncio.Event(), asyncio.Event()
    claim = made.dedup.claim

    async def slow(items: object) -> list[Claim]:
        asked.set()
        await answer.wait()
        return await claim(items)  # type: ignore[arg-type]

    made.dedup.claim = slow  # type: ignore[method-assign]
    made.engine.due.submit([attempt()])
    starting = asyncio.create_task(made.attempts.start(9))
    await asked.wait()
    leaving = asyncio.create_task(made.attempts.quiesce(lambda _ticket: True))
    await asyncio.sleep(0)
    assert not leaving.done()
    answer.set()
    await starting
    assert await leaving == []
    assert len(made.done) == 1
    assert isinstance(made.done[0].result, Settle | Skip)
