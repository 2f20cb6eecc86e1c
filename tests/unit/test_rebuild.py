"""The fold of ledger and intents that the dedup set is rebuilt from."""

from __future__ import annotations

import pytest

from processor.core.claims import OPEN_MAX, Folded, Intent
from processor.core.claims import folded as folded_of
from processor.core.standing import Entry, claim_of
from processor.core.states import Claim, State, parse_claim
from schemas.records import Attempt, Delivery, Outcome, Resend, Source


def outcome(what: Outcome, offset: int = 5, partition: int = 0, **about: object) -> Delivery:
    return Delivery(outcome=what, at_ms=1000, source=Source("jobs", partition, offset), instance="p", **about)  # type: ignore[arg-type]


def intent(name: str, offset: int = 5, partition: int = 0, at_ms: int = 500, **about: object) -> Attempt:
    source = Source("jobs", partition, offset)
    return Attempt(attempt=name, intended_at_ms=at_ms, instance="p", source=source, fingerprint="f", **about)  # type: ignore[arg-type]


Told = Delivery | Attempt | tuple[int, Delivery | Attempt | None]
"""With the partition that it stands in, where that is not the first."""


def fold(*told: Told, entries: tuple[int | None, ...] = (), intents: tuple[int | None, ...] = ()) -> Folded | None:
    """`entries` and `intents`: partitions in which a tombstone comes last."""
    placed = [one if isinstance(one, tuple) else (0, one) for one in told]
    outcomes: list[tuple[int, Entry | None]] = [(p, Entry.of(d, p)) for p, d in placed if isinstance(d, Delivery)]
    opened: list[tuple[int, Intent | None]] = [(p, Intent.of(a)) for p, a in placed if isinstance(a, Attempt)]
    outcomes += [(p or 0, None) for p in entries]
    opened += [(p or 0, None) for p in intents]
    return folded_of(outcomes, opened)


def folded(*told: Told) -> Claim | None:
    found = fold(*told)
    return parse_claim(found.claim) if found and found.claim else None


def sending(name: str) -> Claim:
    """Since when the script says."""
    return Claim(State.SENDING, attempt=name)


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
    """G1: it comes back as sending."""
    assert folded(intent("a")) == sending("a")
    assert folded(outcome(Outcome.DEAD), intent("a", offset=6)) == sending("a")
    assert folded(outcome(Outcome.DEAD), intent("a")) == claim_of(outcome(Outcome.DEAD))
    assert folded(outcome(Outcome.SENT), intent("a", offset=6)) == claim_of(outcome(Outcome.SENT))


def test_where_open_intents_stand_is_told() -> None:
    """G1: what a server's file says of an older record does not hide a call for a later one."""
    assert fold(intent("a", offset=5), intent("b", offset=7)) == Folded("A~a~b:0", (0, 7))
    assert fold(intent("a", offset=5), (1, intent("b", offset=2, partition=1))) == Folded("A~a~b:0", (-1, 5))


def test_a_withdrawal_takes_back_its_own_attempt_only() -> None:
    """G1: a takeover that intended and left gracefully does not free what the dead processor may have sent."""
    assert folded(intent("a"), intent("a", withdrawn=True)) is None
    assert folded(intent("a"), intent("b"), intent("b", withdrawn=True)) == sending("a")


def test_an_outcome_closes_the_intents_that_it_names() -> None:
    """G4: and no other; a doubt of several names them all."""
    doubt = outcome(Outcome.UNCERTAIN, attempt="~a~b")
    assert folded(doubt, intent("a"), intent("b")) == claim_of(doubt)
    dead = outcome(Outcome.DEAD, attempt="a", partition=1)
    assert folded((1, dead), intent("a", offset=9)) == claim_of(dead)
    assert folded((1, dead), intent("b", offset=9)) == sending("b"), "of another partition's records nothing is known"
    assert folded((1, dead), (1, intent("b", offset=5, partition=1))) == claim_of(dead)


def test_what_has_ended_is_named() -> None:
    """G4: a claim of such an attempt that a server brings back is free; of open ones, and of what is sent, nothing is said."""
    assert fold(outcome(Outcome.DEAD, attempt="a")) == Folded("D0:5", ended="a")
    assert fold(outcome(Outcome.DEAD, held=True, attempt="a")) == Folded("ua")
    assert fold(outcome(Outcome.DEAD, attempt="a"), intent("b", offset=6)) == Folded("Ab:0", (0, 6), "a")
    withdrawn = [intent(f"w{number}", withdrawn=True) for number in (*range(10), 9)]
    assert fold(intent("a"), *withdrawn) == Folded("Aa:0", (0, 5), "w2 w3 w4 w5 w6 w7 w8 w9")
    assert fold(intent("a"), intent("a", withdrawn=True)) == Folded("", ended="a")


def test_of_several_open_intents_none_may_be_claimed_again() -> None:
    """G1: marked and never recorded, then intended by another, then Redis is lost: nobody may call under either name."""
    assert folded(intent("a"), intent("b")) == sending("~a~b")
    many = folded(*(intent(f"i{number}") for number in range(OPEN_MAX + 2)))
    assert many is not None
    assert many.attempt.count("~") == OPEN_MAX
    assert many.attempt.endswith(f"~i{OPEN_MAX + 1}")


def test_a_resend_is_open_only_if_it_names_what_the_ledger_holds() -> None:
    """G1: an intent without leave cannot have been claimed over a doubt."""
    doubt = outcome(Outcome.UNCERTAIN, attempt="a")
    assert folded(doubt, intent("b", offset=9)) == claim_of(doubt)
    leave = Resend("a", "who", "why")
    assert folded(doubt, intent("b", offset=9, resend=leave)) == sending("b")
    assert folded(doubt, intent("b", offset=9, resend=Resend("x", "who", "why"))) == claim_of(doubt)
    assert folded((1, doubt), intent("b", resend=leave)) == sending("b"), "wherever the doubt stands"


def test_a_mail_in_doubt_is_barred_in_every_partition() -> None:
    """G1: partitions were added, and the mail is published again to another one than its doubt stands in."""
    doubt = outcome(Outcome.UNCERTAIN, attempt="a")
    assert folded(doubt, (1, intent("b", partition=1, offset=9))) == claim_of(doubt)


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
    """Tombstones of ledger and intents, as `mailonce forget` writes them, in each partition."""
    sent, again = outcome(Outcome.SENT), (1, intent("x", partition=1))
    assert fold(sent, intent("x"), entries=(0,), intents=(0,)) is None
    assert fold(sent, again, entries=(0,), intents=(0,)) == Folded("Ax:0", (1, 5))
    assert fold(sent, (1, sent), intent("x"), entries=(1,)) == Folded("s")
