"""The fold of ledger and intents that the dedup set is rebuilt from."""

from __future__ import annotations

import pytest

from processor.core.claims import Fold, claim_of
from processor.core.states import Claim, State, parse_claim
from processor.recovery.spill import SpillingMap
from schemas.records import Attempt, Delivery, Outcome, Resend, Source

KEY = b"u1:2026-11"


def outcome(what: Outcome, offset: int = 5, partition: int = 0, **about: object) -> Delivery:
    return Delivery(outcome=what, at_ms=1000, source=Source("jobs", partition, offset), instance="p", **about)  # type: ignore[arg-type]


def intent(name: str, offset: int = 5, partition: int = 0, at_ms: int = 500, **about: object) -> Attempt:
    source = Source("jobs", partition, offset)
    return Attempt(attempt=name, intended_at_ms=at_ms, instance="p", source=source, fingerprint="f", **about)  # type: ignore[arg-type]


def folded(*entries: Delivery | Attempt) -> Claim | None:
    fold = Fold(SpillingMap(), SpillingMap())
    for entry in entries:
        if isinstance(entry, Delivery):
            fold.outcome(KEY, entry)
        else:
            fold.intent(KEY, entry)
    found = {key: claim for key, claim, _ in fold.claims()}.get(KEY)
    return parse_claim(found) if found else None


@pytest.mark.parametrize(
    ("delivery", "claim"),
    [
        (outcome(Outcome.SENT, fingerprint="f"), Claim(State.SENT_RECORDED, fingerprint="f")),
        (outcome(Outcome.UNCERTAIN, attempt="a"), Claim(State.UNCERTAIN_RECORDED, attempt="a")),
        (outcome(Outcome.UNCERTAIN), Claim(State.UNCERTAIN_RECORDED, attempt="unknown")),
        (outcome(Outcome.DEAD), Claim(State.CLOSED, partition=0, offset=5)),
        (outcome(Outcome.DEAD, message_id="m", attempt="a"), Claim(State.DROPPED, attempt="a")),
        (outcome(Outcome.DEAD, held=True, attempt="a"), Claim(State.UNCERTAIN_RECORDED, attempt="a")),
        (outcome(Outcome.CANCELLED), Claim(State.CLOSED, partition=0, offset=5)),
    ],
)
def test_outcomes_make_claims(delivery: Delivery, claim: Claim) -> None:
    """G1: what the ledger bars, Redis bars again."""
    assert claim_of(delivery) == claim
    assert folded(delivery) == claim
    assert delivery.frees_key == (claim.state is State.CLOSED)


def test_an_open_intent_is_a_call_that_may_have_happened() -> None:
    """G1: it comes back as sending since then."""
    assert folded(intent("a")) == Claim(State.SENDING, attempt="a", since_ms=500)
    assert folded(outcome(Outcome.DEAD), intent("a", offset=6)) == Claim(State.SENDING, attempt="a", since_ms=500)
    assert folded(outcome(Outcome.DEAD), intent("a")) == claim_of(outcome(Outcome.DEAD))
    assert folded(outcome(Outcome.SENT), intent("a", offset=6)) == claim_of(outcome(Outcome.SENT))


def test_a_withdrawal_takes_back_its_own_attempt_only() -> None:
    """G1: a takeover that intended and left gracefully does not free what the dead processor may have sent."""
    assert folded(intent("a"), intent("a", withdrawn=True)) is None
    assert folded(intent("a"), intent("b"), intent("b", withdrawn=True)) == Claim(
        State.SENDING, attempt="a", since_ms=500
    )


def test_what_has_ended_is_named() -> None:
    """G4: a claim of such an attempt that a server brings back is free; of open ones, and of what is sent, nothing is said."""
    fold = Fold(SpillingMap(), SpillingMap())
    fold.outcome(b"dead", outcome(Outcome.DEAD, attempt="a"))
    fold.outcome(b"held", outcome(Outcome.DEAD, held=True, attempt="a"))
    fold.outcome(b"dead and open", outcome(Outcome.DEAD, attempt="a"))
    fold.intent(b"dead and open", intent("b", offset=6))
    fold.intent(b"withdrawn", intent("a"))
    for number in range(10):
        fold.intent(b"withdrawn", intent(f"w{number}", withdrawn=True))
    fold.intent(b"withdrawn", intent("w9", withdrawn=True))
    fold.intent(b"alone", intent("a"))
    fold.intent(b"alone", intent("a", withdrawn=True))
    assert {key: (claim, ended) for key, claim, ended in fold.claims()} == {
        b"dead": ("D0:5", "a"),
        b"held": ("ua", ""),
        b"dead and open": ("Ab:500", "a"),
        b"withdrawn": ("Aa:500", "w2 w3 w4 w5 w6 w7 w8 w9"),
        b"alone": ("", "a"),
    }


def test_of_several_open_intents_none_may_be_claimed_again() -> None:
    """G1: marked and never recorded, then intended by another, then Redis is lost: nobody may call under either name."""
    assert folded(intent("a"), intent("b", at_ms=600)) == Claim(State.SENDING, attempt="~b", since_ms=600)


def test_a_resend_is_open_only_if_it_names_what_the_ledger_holds() -> None:
    """G1: an intent without leave cannot have been claimed over a doubt."""
    doubt = outcome(Outcome.UNCERTAIN, attempt="a")
    assert folded(doubt, intent("b", offset=9)) == claim_of(doubt)
    leave = Resend("a", "who", "why")
    assert folded(doubt, intent("b", offset=9, resend=leave)) == Claim(State.SENDING, attempt="b", since_ms=500)
    assert folded(doubt, intent("b", offset=9, resend=Resend("x", "who", "why"))) == claim_of(doubt)


def test_another_partition_is_told_by_time() -> None:
    """Partitions may be added while a month runs: the same key's next record stands elsewhere."""
    dead = outcome(Outcome.DEAD)
    assert folded(dead, intent("a", partition=7, at_ms=999)) == claim_of(dead)
    assert folded(dead, intent("a", partition=7, at_ms=1001)) == Claim(State.SENDING, attempt="a", since_ms=1001)


def test_a_doubt_after_a_proof_says_nothing() -> None:
    """G1: it was on its way to the ledger when SES's event proved the acceptance."""
    assert folded(outcome(Outcome.SENT), outcome(Outcome.UNCERTAIN, attempt="a")) == claim_of(outcome(Outcome.SENT))


def test_sent_is_lowered_by_ses_alone() -> None:
    """G6, G1: a key whose mail went out stays barred, whatever was committed by those who did not know."""
    for other in (Outcome.DEAD, Outcome.CANCELLED, Outcome.SUPPRESSED):
        assert folded(outcome(Outcome.SENT), outcome(other)) == claim_of(outcome(Outcome.SENT))
    dropped = outcome(Outcome.DEAD, message_id="m", attempt="a")
    assert folded(outcome(Outcome.SENT), dropped) == claim_of(dropped)


def test_a_doubt_about_what_ses_dropped_says_nothing() -> None:
    """It was on its way when SES's event came; a resend's doubt is another's."""
    dropped = outcome(Outcome.DEAD, message_id="m", attempt="a")
    assert folded(dropped, outcome(Outcome.UNCERTAIN, attempt="a")) == claim_of(dropped)
    assert folded(dropped, outcome(Outcome.UNCERTAIN, attempt="b")) == Claim(State.UNCERTAIN_RECORDED, attempt="b")


def test_who_is_forgotten_is_no_entry() -> None:
    """Tombstones of ledger and intents, as `mailonce forget` writes them; what comes later counts again."""
    fold = Fold(SpillingMap(), SpillingMap())
    for key in (b"a", b"b"):
        fold.outcome(key, outcome(Outcome.SENT))
        fold.no_outcome(key)
        fold.intent(key, intent("x"))
        fold.no_intent(key)
    fold.outcome(b"b", outcome(Outcome.SENT))
    assert list(fold.claims()) == [(b"b", claim_of(outcome(Outcome.SENT)).to_text(), "")]
