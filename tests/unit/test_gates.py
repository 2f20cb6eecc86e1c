"""Why nothing may start: each reason is closed and opened by name."""

from __future__ import annotations

from math import inf

from processor.core.breaker import Breaker
from processor.core.decide import Settle, Skip
from processor.core.gates import HURRY_S, REDIS_RETRY_S, Gates
from processor.core.ticket import Finished
from schemas.records import Outcome
from schemas.runtime.errors import Halted
from tests.support.parts import attempt


def test_the_first_reason_to_leave_stands() -> None:
    """It decides over the exit code; and from then on Redis is not waited for without end."""
    gates = Gates(Breaker(0, 0))
    first, second = Halted("sending-paused", "one"), Halted("breaker", "two")
    assert not gates.shut(5.0)
    assert (gates.halt(first, 5.0), gates.halt(second, 6.0)) == (True, False)
    assert gates.halted is first
    assert gates.redis_until_s == 5.0 + HURRY_S
    assert gates.shut(1e9)
    assert gates.opens_s == inf


def test_a_hurry_is_not_put_off() -> None:
    """Told so again, the end is not later."""
    gates = Gates(Breaker(0, 0))
    assert gates.redis_until_s == inf
    gates.hurry(5.0)
    gates.hurry(7.0)
    assert gates.redis_until_s == 5.0 + HURRY_S


def test_a_redis_that_does_not_answer_is_left_alone_for_a_moment() -> None:
    """Nothing starts meanwhile, and then it is asked again."""
    gates = Gates(Breaker(0, 0))
    gates.redis_away(5.0)
    assert gates.opens_s == 5.0 + REDIS_RETRY_S
    assert [gates.shut(gates.opens_s - 0.1), gates.shut(gates.opens_s)] == [True, False]


def test_without_quota_what_needs_no_call_goes_on() -> None:
    """Tombstones do not wait for tomorrow."""
    gates = Gates(Breaker(0, 0))
    gates.quota_used_up = True
    assert (gates.shut(0.0), gates.no_call(0.0)) == (False, True)
    gates.quota_used_up = False
    assert not gates.no_call(0.0)


def test_too_many_bad_outcomes_are_a_reason_to_halt() -> None:
    """Those of a partition that left are counted where it is now; what was passed over is no outcome."""
    gates, bad = Gates(Breaker(2, 0)), Settle(Outcome.DEAD)
    assert gates.note(Finished(attempt(), bad)) is None
    gone = attempt()
    gone.ticket.window.closed = True
    assert gates.note(Finished(gone, bad)) is None
    assert gates.note(Finished(attempt(), Skip("already sent"))) is None
    halted = gates.note(Finished(attempt(), bad))
    assert halted is not None
    assert (halted.reason, "2 jobs in a row" in str(halted)) == ("breaker", True)
