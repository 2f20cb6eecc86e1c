"""One call and its end: what SES answered decides what Redis is told, and what is returned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from processor.core.answer_codes import TEMPLATE_MISSING
from processor.core.answers import Accepted, Answer, NotWritten, RetryClass, ServiceError, Unanswered
from processor.core.decide import Settle
from processor.core.states import ABSENT, Claim, State
from processor.core.ticket import Attempt, Finished, GivenBack, PutOff, Stays
from processor.ports import Item
from schemas.records import Job, Outcome
from schemas.runtime.backoff import RetryTable
from schemas.runtime.errors import BadRecord, Halted, MailonceError, SesAway
from tests.simulation.dedup import MemoryDedup
from tests.support.parts import Away, Made, Ses, attempt, ticket, whole

THROTTLED = ServiceError(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
NO_QUOTA = ServiceError(429, "TooManyRequestsException", "Daily message quota exceeded.")
REFUSED = ServiceError(400, "MessageRejected", "content")
PAUSED = ServiceError(400, "SendingPausedException", "paused")
LOST = Unanswered("ReadTimeoutError", "no answer")


async def claimed(dedup: MemoryDedup) -> Attempt:
    one = attempt()
    await dedup.claim([Item.of(one)])
    return one


async def called(answer: Answer, dedup: MemoryDedup | None = None, **about: Any) -> tuple[Made, Attempt, Any]:
    made = Made(dedup, Ses(answer), **about)
    one = await claimed(made.dedup)
    return made, one, await made.calls.attempt(one, 0.0)


def state(made: Made, one: Attempt) -> Claim:
    assert one.ticket.key is not None
    return made.dedup.claims.get(one.ticket.key, ABSENT)


async def test_an_accepted_mail_is_marked_before_it_is_told() -> None:
    """G4: a crash between the answer and the commit leaves no doubt."""
    made, one, end = await called(Accepted("m1"))
    assert isinstance(end, Finished)
    assert end.attempt is one
    assert isinstance(end.result, Settle)
    assert (end.result.outcome, end.result.message_id) == (Outcome.SENT, "m1")
    assert state(made, one) == Claim(State.SENT, message_id="m1", fingerprint=one.ticket.fingerprint)
    assert made.calls.in_flight == 0


async def test_another_message_of_the_key_is_told_of() -> None:
    """A duplicate is never silent."""
    dedup = whole()
    one = await claimed(dedup)
    assert one.ticket.key is not None
    dedup.claims[one.ticket.key] = Claim(State.SENT, message_id="m0")
    made = Made(dedup, Ses(Accepted("m1")))
    await made.calls.attempt(one, 0.0)
    assert made.meter.duplicates._value.get() == 1


async def test_a_message_that_ses_dropped_meanwhile_is_dead() -> None:
    """SES's own word stands over our mark."""
    dedup = whole()
    one = await claimed(dedup)
    assert one.ticket.key is not None
    dedup.claims[one.ticket.key] = Claim(State.DROPPED, attempt=one.id)
    end = await Made(dedup, Ses(Accepted("m1"))).calls.attempt(one, 0.0)
    assert isinstance(end, Finished)
    assert isinstance(end.result, Settle)
    assert (end.result.outcome, end.result.reason) == (Outcome.DEAD, "dropped-by-ses")


async def test_a_lost_answer_is_doubt() -> None:
    """G1: nobody calls again."""
    made, one, end = await called(LOST)
    assert isinstance(end, Finished)
    assert isinstance(end.result, Settle)
    assert end.result.outcome is Outcome.UNCERTAIN
    assert state(made, one).state is State.UNCERTAIN


async def test_a_refused_message_bars_its_key() -> None:
    """G6: nobody calls for it before its dead letter has committed. Of a partition that has gone none will."""
    made, one, end = await called(REFUSED)
    assert isinstance(end, Finished)
    assert isinstance(end.result, Settle)
    assert (end.result.outcome, end.result.report) == (Outcome.DEAD, True)
    assert state(made, one) == Claim(State.BARRED, attempt=one.id, since_ms=1)
    gone = await claimed(dedup := whole())
    gone.ticket.window.closed = True
    made = Made(dedup, Ses(REFUSED))
    await made.calls.attempt(gone, 0.0)
    assert state(made, gone) == ABSENT


async def test_what_was_refused_for_now_comes_again_later() -> None:
    """With its key free, its tries counted, and the group told to be slower."""
    made, one, end = await called(THROTTLED)
    assert isinstance(end, PutOff)
    assert (dict(end.attempt.tries), dict(one.tries)) == ({RetryClass.THROTTLED: 1}, {})
    assert end.delay_s == RetryTable().throttled.interval_s * 0.5
    assert (state(made, one), made.pace.slowed) == (ABSENT, 1)
    made, _, end = await called(NotWritten("unreachable", "no route"))
    assert isinstance(end, PutOff)
    assert (list(end.attempt.tries), made.pace.slowed) == ([RetryClass.UNREACHABLE], 0)


async def test_what_was_refused_too_often_is_dead() -> None:
    """The back-off has an end."""
    made = Made(ses=Ses(THROTTLED))
    one = await claimed(made.dedup)
    for _ in range(RetryTable().throttled.max_attempts - 1):
        one = one.refused_for_now(RetryClass.THROTTLED)
    end = await made.calls.attempt(one, 0.0)
    assert isinstance(end, Finished)
    assert isinstance(end.result, Settle)
    assert end.result.reason == "retries-exhausted-throttled"
    assert sum(end.attempt.tries.values()) == RetryTable().throttled.max_attempts


async def test_without_quota_it_is_given_back() -> None:
    """And nothing is called for until there is some."""
    made, one, end = await called(NO_QUOTA)
    assert isinstance(end, GivenBack)
    assert (end.attempt, end.halted) == (one, None)
    assert made.gates.quota_used_up
    assert state(made, one) == ABSENT


async def test_a_reason_to_leave_is_returned() -> None:
    """Nothing is dead-lettered for it; who called decides what follows."""
    made, one, end = await called(PAUSED)
    assert isinstance(end, GivenBack)
    assert end.halted is not None
    assert (end.halted.reason, made.gates.halted) == ("sending-paused", None)
    assert state(made, one) == ABSENT


async def test_a_request_that_cannot_be_made_is_never_sent() -> None:
    """It is this mail's fault."""

    def compose(_attempt: Attempt) -> Mapping[str, Any]:
        raise ValueError("longer than SES takes")

    made, _, end = await called(Accepted("m1"), compose=compose)
    assert made.ses.asked == []
    assert isinstance(end, Finished)
    assert isinstance(end.result, Settle)
    assert end.result.outcome is Outcome.DEAD


async def test_a_defect_is_raised_and_its_claim_stays() -> None:
    """G1: nobody knows whether the request left."""

    def compose(_attempt: Attempt) -> Mapping[str, Any]:
        raise KeyError("name")

    made = Made(ses=Ses(Accepted("m1")), compose=compose)
    one = await claimed(made.dedup)
    with pytest.raises(KeyError):
        await made.calls.attempt(one, 0.0)
    assert state(made, one).state is State.SENDING


@pytest.mark.parametrize("answer", [Accepted("m1"), LOST])
async def test_what_redis_cannot_be_told_at_the_end_is_settled(answer: Answer) -> None:
    """What SES said is a fact: the ledger holds it, and a rebuild takes it from there."""
    made = Made(Away("note_sent", "note_uncertain"), Ses(answer))
    one = await claimed(made.dedup)
    made.gates.hurry(made.clock.boot_s())
    assert isinstance(await made.calls.attempt(one, 0.0), Finished)


async def test_a_claim_that_cannot_be_given_back_at_the_end_stays() -> None:
    """Its next reader waits for the claim's end."""
    made = Made(Away("release"), Ses(THROTTLED))
    one = await claimed(made.dedup)
    made.gates.hurry(made.clock.boot_s())
    assert isinstance(await made.calls.attempt(one, 0.0), Stays)


@pytest.mark.parametrize("answer", [THROTTLED, NO_QUOTA])
async def test_in_a_set_that_is_not_whole_nothing_is_freed(answer: Answer) -> None:
    """G1: whoever begins a new lineage may have put the claim into it; its attempt is taken back, and freed then."""
    made = Made(ses=Ses(answer))
    one = await claimed(made.dedup)
    await made.dedup.unset_whole()
    assert isinstance(await made.calls.attempt(one, 0.0), PutOff | GivenBack)
    assert state(made, one).state is State.SENDING


async def test_a_call_that_may_not_be_made_is_no_try() -> None:
    """G1: this process was not current for a moment; the mail's key is free, and nothing is counted against it."""
    made, one, end = await called(NotWritten("forbidden", "a new lineage"))
    assert isinstance(end, GivenBack)
    assert (end.halted, dict(end.attempt.tries), state(made, one)) == (None, {}, ABSENT)


@pytest.mark.parametrize("answer", [LOST, ServiceError(400, "MessageRejected", "content")])
async def test_in_a_set_that_is_not_whole_nothing_is_lowered(answer: Answer) -> None:
    """G1: the outcome goes to the ledger all the same; a rebuild puts the claim back until it is there."""
    made = Made(ses=Ses(answer))
    one = await claimed(made.dedup)
    await made.dedup.unset_whole()
    end = await made.calls.attempt(one, 0.0)
    assert isinstance(end, Finished)
    assert isinstance(end.result, Settle)
    assert end.result.outcome in {Outcome.UNCERTAIN, Outcome.DEAD}
    assert state(made, one).state is State.SENDING


async def unchecked(*raised: MailonceError) -> tuple[Made, list[Any]]:
    """A mail whose template SES could not be asked about, called for again as long as it is put off."""
    left = [*raised]

    async def check(_job: Job) -> None:
        if left:
            raise left.pop(0)

    made = Made(ses=Ses(Accepted("m1")), check=check)
    one, ends = Attempt(ticket().without_check(), "attempt-1"), []
    while True:
        await made.dedup.claim([Item.of(one)])
        ends.append(end := await made.calls.attempt(one, 0.0))
        if not isinstance(end, PutOff):
            return made, ends
        one = end.attempt


async def test_nothing_is_sent_before_somebody_knows_what_its_template_needs() -> None:
    """G2: SES away for a moment must not let a mail out that SES then drops for a value it lacks."""
    made, ends = await unchecked(SesAway("no route"), SesAway("no route"))
    assert [type(end) for end in ends] == [PutOff, PutOff, Finished]
    assert ends[-1].attempt.tries == {RetryClass.UNREACHABLE: 2}
    assert len(made.ses.asked) == 1
    made, (*_, end) = await unchecked(SesAway("no route"), BadRecord("missing-data", "data: city"))
    assert (end.result.outcome, end.result.reason) == (Outcome.DEAD, "missing-data")
    assert made.ses.asked == []


async def test_a_template_that_turns_out_to_be_missing_is_no_outage() -> None:
    """Others' answers say whose fault it is; other reasons to halt halt."""
    made, (put_off, *_) = await unchecked(Halted(TEMPLATE_MISSING, "SES has no template"))
    assert put_off.attempt.suspect == 0
    made, (end,) = await unchecked(Halted("credentials", "none"))
    assert end.halted.reason == "credentials"
    assert made.ses.asked == []
