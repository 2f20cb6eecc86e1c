"""The protocol's decisions, exhausted: every claim, every verdict."""

from __future__ import annotations

import itertools

import pytest
from msgspec.structs import replace

from processor.core import answered, decide
from processor.core.answers import (
    Accepted,
    Halt,
    NoQuota,
    NotBegun,
    RefusedForNow,
    RefusedMessage,
    RetryClass,
    Unknown,
)
from processor.core.states import ABSENT, Claim, State
from schemas.records import EVIDENCE, Outcome

MINE = "mine"
PLACE = {"partition": 1, "offset": 10}
TRIES_MAX = {RetryClass.THROTTLED: 3, RetryClass.UNREACHABLE: 2}
REFUSAL = decide.Settle(Outcome.DEAD, reason="not-json", report=True)


def after_claim(claim: Claim, fingerprint: str = "f") -> decide.AfterClaim:
    return decide.after_claim(claim, mine=MINE, fingerprint=fingerprint, **PLACE)


def test_only_my_own_claim_lets_me_call() -> None:
    """G1: of all claims there can be, only SENDING under this attempt is followed by a call."""
    states = [
        Claim(State.SENDING, attempt="other", since_ms=1),
        Claim(State.SENT, message_id="m"),
        Claim(State.SENT_RECORDED, fingerprint="f"),
        Claim(State.UNCERTAIN, attempt=MINE),
        Claim(State.UNCERTAIN_RECORDED, attempt=MINE),
        Claim(State.DROPPED, attempt=MINE),
        Claim(State.CLOSED, partition=1, offset=10),
        Claim(State.CLOSED, partition=1, offset=11),
    ]
    assert not any(isinstance(after_claim(claim), decide.Call) for claim in states)
    assert after_claim(Claim(State.SENDING, attempt=MINE, since_ms=1)) == decide.Call()


def test_a_foreign_claim_is_waited_for() -> None:
    """G1: another attempt may be calling."""
    assert after_claim(Claim(State.SENDING, attempt="other")) == decide.WaitForOther("other")
    assert after_claim(Claim(State.SENDING, attempt="~other~b")) == decide.WaitForOther("~other~b")


def test_a_claim_for_several_is_left_by_who_did_not_call() -> None:
    """G4: and G1: it is never granted, not even when the own name alone is left in it."""
    for held in (f"~other~{MINE}", f"~{MINE}"):
        assert after_claim(Claim(State.SENDING, attempt=held)) == decide.Renounce()


def test_accepted_but_not_recorded_is_recorded() -> None:
    """G2: a crash between mark and commit loses no outcome."""
    follows = after_claim(Claim(State.SENT, message_id="m"))
    assert follows == decide.Settle(Outcome.SENT, message_id="m")


def test_what_went_out_is_recorded_under_its_own_content() -> None:
    """G6: a newer record that finds it is told of; a tombstone has no content to differ."""
    sent = Claim(State.SENT, message_id="m", fingerprint="f")
    went_out = decide.Settle(Outcome.SENT, message_id="m", fingerprint="f")
    assert after_claim(sent, "f") == went_out
    assert after_claim(sent, "g") == replace(went_out, report=True)
    assert decide.after_cancel(sent, bar=MINE) == went_out
    assert decide.after_uncertain(sent, MINE) == replace(went_out, reason=EVIDENCE, attempt=MINE)


def test_already_sent_is_skipped_and_changes_are_reported() -> None:
    """A re-published job whose content changed is reported, never sent again."""
    sent = Claim(State.SENT_RECORDED, fingerprint="f")
    assert after_claim(sent, "f") == decide.Skip("already sent", report=False)
    assert after_claim(sent, "g") == decide.Skip("already sent", report=True)
    assert after_claim(Claim(State.SENT_RECORDED), "g") == decide.Skip("already sent", report=False)


def test_what_ses_dropped_is_dead_not_sent() -> None:
    """G2: SES's word that it dropped this attempt's message stands over its own answer."""
    settle = decide.after_note(Claim(State.DROPPED, attempt=MINE), message_id="m", attempt=MINE)
    assert settle is not None
    assert (settle.outcome, settle.message_id, settle.report) == (Outcome.DEAD, "m", False)
    assert decide.after_note(Claim(State.DROPPED, attempt="other"), message_id="m", attempt=MINE) is None
    assert decide.after_note(Claim(State.SENT, message_id="m"), message_id="m", attempt=MINE) is None


def test_doubt_is_recorded_once_and_then_held() -> None:
    """G2: an attempt whose lifetime passed is visible as uncertain."""
    follows = after_claim(Claim(State.UNCERTAIN, attempt="a"))
    assert isinstance(follows, decide.Settle)
    assert (follows.outcome, follows.attempt) == (Outcome.UNCERTAIN, "a")
    assert after_claim(Claim(State.UNCERTAIN_RECORDED, attempt="a")) == decide.Skip("held as uncertain")


def test_a_dead_letter_settles_its_record_only() -> None:
    """A replay of a dead record skips it."""
    assert isinstance(after_claim(Claim(State.CLOSED, partition=1, offset=10)), decide.Skip)


@pytest.mark.parametrize(
    "claim", [ABSENT, Claim(State.CLOSED, partition=1, offset=9), Claim(State.CLOSED, partition=2)]
)
def test_a_claim_that_the_script_should_have_granted_is_an_error(claim: Claim) -> None:
    """A missing grant is a defect, not something to send on."""
    with pytest.raises(AssertionError):
        after_claim(claim)


def test_a_tombstone_cancels_only_what_was_not_attempted() -> None:
    """Cancelling never hides a mail that went out."""
    cancelled = decide.after_cancel(Claim(State.BARRED, attempt=MINE, since_ms=1), bar=MINE)
    assert isinstance(cancelled, decide.Settle)
    assert cancelled.outcome is Outcome.CANCELLED
    others = {
        Claim(State.SENDING, attempt="a"): decide.WaitForOther("a"),
        Claim(State.SENT, message_id="m"): decide.Settle(Outcome.SENT, message_id="m"),
        Claim(State.UNCERTAIN, attempt="a"): decide.Settle(Outcome.UNCERTAIN, reason="answer-lost", attempt="a"),
        Claim(State.UNCERTAIN_RECORDED, attempt="a"): decide.Skip("too late to cancel"),
        Claim(State.SENT_RECORDED, fingerprint="f"): decide.Skip("too late to cancel"),
        Claim(State.CLOSED, partition=1, offset=4): decide.Skip("too late to cancel"),
    }
    dropped = decide.after_note(Claim(State.DROPPED, attempt="a"), message_id="m", attempt="a")
    assert dropped is not None
    others |= {
        Claim(State.BARRED, attempt="a", since_ms=1): decide.WaitForOther("a"),
        Claim(State.DROPPED, attempt="a"): decide.Skip("too late to cancel"),
        Claim(State.DROPPED, attempt="a", message_id="m"): dropped,
    }
    for claim, follows in others.items():
        assert decide.after_cancel(claim, bar=MINE) == follows


def test_poison_never_overwrites_a_better_outcome() -> None:
    """G2: a spoiled record for a key that was mailed gets its dead letter; the key stays sent."""
    found = {
        Claim(State.BARRED, attempt=MINE, since_ms=1): REFUSAL,
        Claim(State.BARRED, attempt="a", since_ms=1): decide.WaitForOther("a"),
        Claim(State.BARRED, attempt="a"): decide.AskLetters("a"),
        Claim(State.SENDING, attempt="a"): decide.WaitForOther("a"),
        Claim(State.CLOSED, partition=1, offset=10): decide.Skip("this record already has its outcome"),
    }
    for claim, follows in found.items():
        assert after_refuse(claim) == follows
    for claim in (
        Claim(State.SENT_RECORDED),
        Claim(State.SENT_RECORDED, fingerprint="g"),
        Claim(State.UNCERTAIN_RECORDED, attempt="a"),
        Claim(State.DROPPED, attempt="a"),
    ):
        assert after_refuse(claim) == decide.Skip("the key was attempted under an earlier record", report=True)


def after_refuse(claim: Claim) -> decide.AfterClaim:
    return decide.after_refuse(claim, REFUSAL, bar=MINE, fingerprint="f", **PLACE)


def test_what_only_the_set_knows_is_recorded_by_whoever_settles_the_key() -> None:
    """G3: a record that is refused now may have been called for before; its offset commits with what came of that."""
    for state, outcome in ((State.SENT, Outcome.SENT), (State.UNCERTAIN, Outcome.UNCERTAIN)):
        settle = after_refuse(Claim(state, attempt="a", message_id="m"))
        assert isinstance(settle, decide.Settle)
        assert (settle.outcome, settle.report) == (outcome, True)
    for follows in (after_refuse, after_claim):
        settle = follows(Claim(State.DROPPED, attempt="a", message_id="m"))
        assert isinstance(settle, decide.Settle)
        assert (settle.outcome, settle.message_id, settle.attempt) == (Outcome.DEAD, "m", "a")
    assert after_claim(Claim(State.DROPPED, attempt="a")) == decide.Skip(
        "SES accepted it and dropped it; only a resend calls again"
    )


def test_the_very_mail_that_went_out_is_no_bad_record() -> None:
    """G6: it was refused only when it was read once more; nothing is told of it."""
    for claim in (Claim(State.SENT, message_id="m", fingerprint="f"), Claim(State.SENT_RECORDED, fingerprint="f")):
        follows = after_refuse(claim)
        assert isinstance(follows, decide.Settle | decide.Skip)
        assert not follows.report


def test_a_barred_key_is_waited_for_and_then_looked_up() -> None:
    """G6: as long as its dead letter may come nobody calls; when it cannot come any more the letters tell."""
    assert after_claim(Claim(State.BARRED, attempt="a", since_ms=1)) == decide.WaitForOther("a")
    assert after_claim(Claim(State.BARRED, attempt="a")) == decide.AskLetters("a")


@pytest.mark.parametrize("claim", [ABSENT, Claim(State.CLOSED, partition=1, offset=9)])
def test_a_bar_that_the_script_should_have_set_is_an_error(claim: Claim) -> None:
    """A missing bar is a defect."""
    with pytest.raises(AssertionError):
        after_refuse(claim)


def test_evidence_is_better_than_doubt() -> None:
    """G4: an acceptance that SES's event proved before our own time-out is no doubt at all."""
    better = decide.after_uncertain(Claim(State.SENT, message_id="m"), MINE)
    assert better == decide.Settle(Outcome.SENT, reason="evidence", message_id="m", attempt=MINE)
    assert decide.after_uncertain(Claim(State.UNCERTAIN, attempt=MINE), MINE) is None


def test_a_key_is_released_only_when_nothing_was_sent() -> None:
    """G1: of all verdicts only refusals free the key; doubt and acceptance never do."""
    free, kept = set(), set()
    verdicts = [
        Accepted("m"),
        RefusedMessage("r", "d"),
        RefusedForNow(RetryClass.THROTTLED, "d"),
        RefusedForNow(RetryClass.UNREACHABLE, "d"),
        NoQuota("d"),
        Halt("r", "d"),
        Unknown("r", "d"),
    ]
    for verdict, tries in itertools.product(verdicts, range(1, 5)):
        follows = answered.after_answer(verdict, attempt=MINE, tries=tries, tries_max=TRIES_MAX)
        match follows:
            case answered.Finish(answered.NoteRefused(), settle):
                assert settle.outcome is Outcome.DEAD
                assert settle.report
                free.add(type(verdict))
            case answered.RetryLater() | answered.Pause() | answered.GiveUp():
                free.add(type(verdict))
            case answered.Finish(_, settle):
                assert settle.attempt == MINE
                kept.add(type(verdict))
    assert free == {RefusedMessage, RefusedForNow, NoQuota, Halt}
    assert kept == {Accepted, Unknown}


def test_retries_end_in_a_dead_letter() -> None:
    """Back-off has a limit per class."""
    throttled = RefusedForNow(RetryClass.THROTTLED, "d")
    two, three = (answered.after_answer(throttled, attempt=MINE, tries=tries, tries_max=TRIES_MAX) for tries in (2, 3))
    assert two == answered.RetryLater(RetryClass.THROTTLED, "d")
    assert isinstance(three, answered.Finish)
    assert three.settle.reason == "retries-exhausted-throttled"


def test_no_quota_and_halts_dead_letter_nothing() -> None:
    """A used-up quota or a paused account costs no job."""
    assert answered.after_answer(NoQuota("d"), attempt=MINE, tries=99, tries_max=TRIES_MAX) == answered.Pause("d")
    assert answered.after_answer(Halt("r", "d"), attempt=MINE, tries=99, tries_max=TRIES_MAX) == answered.GiveUp(
        "r", "d"
    )


def test_what_is_not_even_claimed() -> None:
    """G5: a newer record counts; and what left with its partition is its next reader's."""
    assert decide.before_claim(left=False, superseded=False) is None
    assert "partition" in str(decide.before_claim(left=True, superseded=True))
    assert "newer record" in str(decide.before_claim(left=False, superseded=True))


def test_a_call_that_may_not_be_made_gives_the_claim_back() -> None:
    """G1: no outcome, no back-off."""
    assert answered.after_answer(NotBegun("why"), attempt="a", tries=0, tries_max={}) == answered.GiveBack("why")
