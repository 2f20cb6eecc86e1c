"""Whether SES is there: what makes it away, what tries it, and what brings it back."""

from __future__ import annotations

import pytest

from processor.core.answers import (
    Accepted,
    Halt,
    NotBegun,
    RefusedForNow,
    RefusedMessage,
    RetryClass,
    Unknown,
    Verdict,
)
from processor.core.breaker import Breaker
from processor.core.decide import Settle
from processor.core.gates import Gates
from processor.core.outage import FAILURES_MAX, Outage
from processor.core.ticket import Finished
from schemas.records import Outcome
from schemas.runtime.backoff import Backoff
from tests.support.parts import attempt

UNWRITTEN = RefusedForNow(RetryClass.UNREACHABLE, "no route")
BROKEN = Unknown("http-503", "")
LOST = Unknown("ReadTimeoutError", "")
BACKOFF = Backoff(interval_s=0.5, backoff_rate=2, max_attempts=3, max_delay_s=3)


def away(verdict: Verdict = UNWRITTEN, at_s: float = 10.0) -> Outage:
    outage = Outage(BACKOFF)
    for _ in range(FAILURES_MAX):
        assert not outage.away
        outage.note(verdict, at_s)
    assert outage.away
    assert outage.since_s == at_s
    return outage


@pytest.mark.parametrize("verdict", [UNWRITTEN, BROKEN])
def test_one_call_at_a_time_tries_whether_ses_is_back(verdict: Verdict) -> None:
    """G4: an outage costs a few mails in doubt, not one for each that waits."""
    outage = away(verdict)
    first_s = outage.probe_s
    assert first_s > 10.0
    assert outage.room(first_s - 0.01, 8, 0) == 0
    assert outage.room(first_s, 8, 1) == 0
    assert outage.room(first_s, 8, 0) == 1


def test_the_tries_come_further_and_further_apart() -> None:
    """As the setting says where a try costs nothing, and never faster than a second where it costs a mail in doubt."""
    for verdict, expected in ((UNWRITTEN, [0.5, 1, 2, 3, 3]), (BROKEN, [1, 2, 4, 8, 16, 32, 60, 60])):
        outage, waits, last_s = away(verdict), [], 10.0
        for _ in expected:
            now_s = outage.probe_s
            waits.append(now_s - last_s)
            last_s = now_s
            outage.note(verdict, now_s)
        assert waits == expected


def test_calls_that_were_in_the_air_say_no_more() -> None:
    """Thirty answers of one moment are one failure."""
    outage = away()
    probe_s = outage.probe_s
    for _ in range(30):
        outage.note(UNWRITTEN, 10.1)
    assert outage.probe_s == probe_s


@pytest.mark.parametrize(
    "answer", [Accepted("m"), RefusedMessage("r", ""), Halt("r", ""), RefusedForNow(RetryClass.THROTTLED, "")]
)
def test_any_answer_of_ses_brings_it_back(answer: Verdict) -> None:
    """It need not be an acceptance."""
    outage = away()
    outage.note(answer, outage.probe_s)
    assert (outage.away, outage.failing) == (False, False)
    assert outage.room(0.0, 8, 3) == 5
    again = away()
    assert again.probe_s - 10.0 == BACKOFF.interval_s


def test_what_is_no_word_of_ses_changes_nothing() -> None:
    """Neither a call that might not begin, nor, while SES is there, an answer that was lost."""
    outage = Outage(BACKOFF)
    for _ in range(2 * FAILURES_MAX):
        outage.note(LOST, 10.0)
        outage.note(NotBegun(""), 10.0)
    assert not outage.failing
    outage = away()
    probe_s = outage.probe_s
    outage.note(NotBegun(""), probe_s)
    assert outage.probe_s == probe_s
    outage.note(LOST, probe_s)
    assert outage.probe_s > probe_s


def test_a_probes_doubt_does_not_trip_the_breaker() -> None:
    """The outage has its own word: the month goes on when it ends."""
    outage = Outage(BACKOFF)
    gates = Gates(Breaker(2, 0), outage)
    doubt = Finished(attempt(), Settle(Outcome.UNCERTAIN))
    assert gates.note(doubt) is None
    for _ in range(FAILURES_MAX):
        outage.note(BROKEN, 10.0)
    for _ in range(9):
        assert gates.note(doubt) is None
    assert gates.note(Finished(attempt(), Settle(Outcome.DEAD))) is not None


def test_the_gates_know_when_to_look_again() -> None:
    """At the next try, not before what was to be looked at anyway."""
    gates = Gates(Breaker(0, 0), away())
    probe_s = gates.outage.probe_s
    assert gates.next_s(10.0, 99.0) == probe_s
    assert gates.next_s(10.0, 10.1) == 10.1
    assert gates.next_s(probe_s, 99.0) == 99.0
    assert gates.room(probe_s, 8, 0) == 1
    gates.quota_used_up = True
    assert gates.room(probe_s, 8, 0) == 0
