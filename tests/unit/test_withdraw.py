"""What becomes of intents whose processes call no more, by what the set says of their keys."""

from __future__ import annotations

import pytest

from processor.core.claims import Intent
from processor.core.states import parse_claim
from processor.core.withdraw import SentTold, UncertainTold, Withdrawn, after_silence, sent, uncertain
from schemas.records import Attempt, Outcome, Resend, Source

SOURCE = Source("jobs", 3, 7, 11)
A, B = (Intent(name, 3, 7, at=(3, at), process="p") for name, at in (("a", 1), ("b", 2)))


@pytest.mark.parametrize("claim", ["", "Ac:5", "Bc:5", "D3:6", "D1:9", "sf", "ux", "Rx", "Rx:m"])
def test_what_the_set_knows_nothing_of_is_withdrawn(claim: str) -> None:
    """The key is absent, held by another named attempt, or has its outcome."""
    assert after_silence(parse_claim(claim), [A, B]) == Withdrawn([A, B])


def test_what_the_set_holds_is_not_withdrawn() -> None:
    """G1: it may have been called for."""
    assert after_silence(parse_claim("Aa:5"), [A]) is None
    assert after_silence(parse_claim("Ba:5"), [A]) is None
    assert after_silence(parse_claim("Aa:5"), [A, B]) == Withdrawn([B])


@pytest.mark.parametrize("claim", ["A~a~b:5", "A~c~d:5", "B~a:5"])
def test_a_claim_of_nobody_is_never_withdrawn(claim: str) -> None:
    assert after_silence(parse_claim(claim), [A, B]) is None


def test_what_the_set_alone_knows_is_told() -> None:
    """G2: SES took it, or may have."""
    assert after_silence(parse_claim("Sm:f"), [A]) == SentTold(parse_claim("Sm:f"))
    assert after_silence(parse_claim("Ua"), [A]) == UncertainTold(parse_claim("Ua"))


def test_what_the_ledger_is_told() -> None:
    """The content that went out, the attempt in doubt, and what a resend overrides."""
    known = Attempt(
        attempt="a", intended_at_ms=1, instance="gone", source=SOURCE, fingerprint="f", resend=Resend("x", "me", "why")
    )
    went = sent(parse_claim("Sm:g"), SOURCE, "i", 5)
    assert (went.outcome, went.message_id, went.fingerprint, went.source) == (Outcome.SENT, "m", "g", SOURCE)
    held = uncertain(parse_claim("Ua"), known, "i", 5)
    assert (held.outcome, held.attempt, held.fingerprint, held.overrides) == (Outcome.UNCERTAIN, "a", "f", "x")
    other = uncertain(parse_claim("U~a~b"), known, "i", 5)
    assert (other.attempt, other.fingerprint, other.overrides) == ("~a~b", "", "")
