"""Is a refusal one mail's own, or everybody's: what others were answered decides."""

from __future__ import annotations

from typing import Any

import pytest

from processor.core.answered import Finish, GiveUp, Others, Resign, Suspect, after_answer
from processor.core.answers import Halt, NotWritten, RefusedForNow, RetryClass, ServiceError, SignatureRefused
from processor.core.states import State
from processor.core.suspects import SUSPECTS_MAX, Meaning, Suspects
from processor.core.ticket import Attempt, Finished, GivenBack, PutOff
from processor.ports import Item
from schemas.runtime.errors import Halted
from tests.support.parts import Made, Ses, attempt, ticket

MISSING = Halt("template-or-configuration-set-missing", "no such template", own=True)
DENIED = ServiceError(403, "AccessDeniedException", "User is not authorized to perform ses:SendEmail")
SKEWED = ServiceError(
    403,
    "InvalidSignatureException",
    "Signature expired: 20261126T155000Z is now earlier than 20261126T155500Z (20261126T160000Z - 5 min.)",
)


def suspects(*, wait: bool = False) -> Suspects:
    return Suspects(lambda: wait)


def asked(found: Suspects, key: str = "u1", template: str = "b", before: int = -1, named: bool = False) -> Meaning:
    return found.meaning(key, template, before=before, named=named)


def test_a_mail_refused_while_another_is_accepted_is_its_own_fault() -> None:
    """The month goes on."""
    found = suspects(wait=True)
    assert asked(found) is Meaning.UNKNOWN
    before = found.accepted
    assert asked(found, before=before) is Meaning.UNKNOWN, "others have not been asked yet"
    found.note_accepted("a")
    assert asked(found, before=before) is Meaning.ITS_OWN


def test_where_nothing_else_is_accepted_it_is_everybodys() -> None:
    """A run-wide mistake must not become a thousand dead letters."""
    found = suspects()
    assert asked(found) is Meaning.UNKNOWN
    assert asked(found, before=0) is Meaning.EVERYBODYS


def test_many_refused_and_none_accepted_is_everybodys_at_once() -> None:
    """Credentials that were taken away in mid-month: others wait and none of them is tried in vain."""
    found = suspects(wait=True)
    found.note_accepted("b")
    meanings = [asked(found, f"u{n}") for n in range(SUSPECTS_MAX + 1)]
    assert meanings == [Meaning.UNKNOWN] * SUSPECTS_MAX + [Meaning.EVERYBODYS]
    assert asked(found, "u0", before=1) is Meaning.EVERYBODYS
    found.note_accepted("b")
    assert asked(found, "u99") is Meaning.UNKNOWN, "an acceptance says that it is not everybody's"


def test_the_last_mail_of_a_month_is_judged_by_those_before_it() -> None:
    """Nobody is left who could show it. A template that was fine until now is not what is missing."""
    found = suspects()
    found.note_accepted("a")
    assert asked(found, template="b", before=1) is Meaning.ITS_OWN
    assert asked(found, template="a", before=1) is Meaning.EVERYBODYS
    assert asked(found, template="a", before=1, named=True) is Meaning.ITS_OWN


@pytest.mark.parametrize(
    ("halt", "reason"),
    [
        (MISSING, "template-missing"),
        (Halt("credentials", "", own=True), "not-authorized"),
        (Halt("sender-not-verified", "", own=True), "identity-not-verified"),
        (Halt("template-invalid", "", own=True), "template-invalid"),
    ],
)
def test_what_follows_from_the_meaning(halt: Halt, reason: str) -> None:
    """Dead with the reason, a moment's wait, or a halt."""
    found: dict[Meaning, Any] = {
        meaning: after_answer(halt, attempt="a", tries=0, tries_max={}, others=Others(meaning=meaning))
        for meaning in Meaning
    }
    assert isinstance(found[Meaning.ITS_OWN], Finish)
    assert found[Meaning.ITS_OWN].settle.reason == reason
    assert found[Meaning.UNKNOWN] == Suspect(halt.detail)
    assert found[Meaning.EVERYBODYS] == GiveUp(halt.reason, halt.detail)


def test_a_run_wide_refusal_needs_no_others() -> None:
    """Credentials are everybody's whatever others were answered."""
    halt = Halt("credentials", "d")
    for meaning in Meaning:
        assert after_answer(halt, attempt="a", tries=0, tries_max={}, others=Others(meaning=meaning)) == GiveUp(
            "credentials", "d"
        )


@pytest.mark.parametrize(
    ("ahead_s", "says"), [(-600.0, "600 s behind"), (3600.0, "3,600 s ahead of"), (None, "is wrong")]
)
def test_a_fresh_signature_that_is_refused_is_our_clock(ahead_s: float | None, says: str) -> None:
    """The first may have been held up; the second, signed anew, was not."""
    verdict = SignatureRefused("said", ahead_s)
    assert after_answer(verdict, attempt="a", tries=0, tries_max={}) == Resign("said")
    halted = after_answer(verdict, attempt="a", tries=0, tries_max={}, others=Others(signed_anew=True))
    assert isinstance(halted, GiveUp)
    assert halted.reason == "clock"
    assert says in halted.detail


def test_no_job_dies_of_an_outage() -> None:
    """Its tries are not counted while SES is away, and are not the last while others fail too."""
    verdict, most = RefusedForNow(RetryClass.UNREACHABLE, "d"), {RetryClass.UNREACHABLE: 2, RetryClass.THROTTLED: 2}

    def follows(**others: bool) -> str:
        found = after_answer(verdict, attempt="a", tries=2, tries_max=most, others=Others(**others))
        return type(found).__name__

    assert follows(away=True, failing=True) == "GiveBack"
    assert follows(failing=True) == "RetryLater"
    assert follows() == "Finish"
    throttled = RefusedForNow(RetryClass.THROTTLED, "d")
    found = after_answer(throttled, attempt="a", tries=2, tries_max=most, others=Others(failing=True))
    assert isinstance(found, Finish)


# ---- the shell ----


async def refused_twice(made: Made, one: Attempt) -> tuple[Attempt, Halted]:
    """Put off once, then halted: the attempt that was put off, and why."""
    await made.dedup.claim([Item.of(one)])
    waits = await made.calls.attempt(one, 0.0)
    assert isinstance(waits, PutOff)
    await made.dedup.claim([Item.of(waits.attempt)])
    end = await made.calls.attempt(waits.attempt, 0.0)
    assert isinstance(end, GivenBack)
    assert end.halted is not None
    return waits.attempt, end.halted


async def test_a_halt_names_the_mail_and_its_template() -> None:
    """What an operator looks for first."""
    made = Made(ses=Ses(DENIED))
    one = attempt()
    _, halted = await refused_twice(made, one)
    assert halted.reason == "credentials"
    assert str(one.ticket.key) in str(halted)
    assert one.ticket.job is not None
    assert repr(one.ticket.job.template) in str(halted)
    assert one.ticket.key is not None
    assert made.dedup.claims[one.ticket.key].state is State.ABSENT


async def test_without_its_template_nothing_is_called_for() -> None:
    """Others' answers say what that means: alone it halts, and names what is missing."""
    made = Made()
    one = Attempt(ticket().lacking("SES has no template 'monthly'"), "attempt-1")
    _, halted = await refused_twice(made, one)
    assert "SES has no template 'monthly'" in str(halted)
    assert made.ses.asked == []


async def test_a_wrong_clock_halts_at_the_second_signature() -> None:
    """Nothing is dead-lettered for it."""
    made = Made(ses=Ses(SKEWED))
    one = attempt()
    again, halted = await refused_twice(made, one)
    assert again.tries == {}
    assert halted.reason == "clock"
    assert "600 s behind" in str(halted)


async def test_while_ses_is_away_no_try_is_counted() -> None:
    """And the metric tells of it until it answers."""
    made = Made(ses=Ses(*[NotWritten("unreachable", "no route")] * 9, ServiceError(400, "MessageRejected", "content")))
    one = attempt()
    for _ in range(9):
        await made.dedup.claim([Item.of(one)])
        end = await made.calls.attempt(one, 0.0)
        assert isinstance(end, PutOff | GivenBack)
        one = end.attempt
        made.clock.s = max(made.clock.s, made.gates.outage.probe_s)
    assert one.tries == {RetryClass.UNREACHABLE: 4}
    assert made.meter.ses_away._value.get() == 1
    await made.dedup.claim([Item.of(one)])
    assert isinstance(await made.calls.attempt(one, 0.0), Finished)
    assert made.meter.ses_away._value.get() == 0
