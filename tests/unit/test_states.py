"""The states of a key: their form in Redis and the table of changes."""

from __future__ import annotations

import pytest

from processor.core.states import ABSENT, TRANSITIONS, Change, Claim, State, diagram, parse_claim

CLAIMS = [
    ABSENT,
    Claim(State.SENDING, attempt="abc-_1", since_ms=1_795_563_387_360),
    Claim(
        State.SENT,
        message_id="0100019abc1b2c3d-4e5f6071-8293-a4b5-c6d7-e8f90123abcd-000000",
        fingerprint="5fa54fc32a",
    ),
    Claim(State.SENT, message_id="of:another:form"),
    Claim(State.SENT_RECORDED, fingerprint="5fa54fc32a"),
    Claim(State.UNCERTAIN, attempt="abc"),
    Claim(State.UNCERTAIN_RECORDED, attempt="abc"),
    Claim(State.SENT_RECORDED, fingerprint="5fa54fc32a", attempt="abc-_1"),
    Claim(State.BARRED, attempt="abc-_1", since_ms=1_795_563_387_360),
    Claim(State.BARRED, attempt="abc-_1"),
    Claim(State.DROPPED, attempt="abc"),
    Claim(
        State.DROPPED, attempt="abcdef_hi-kl", message_id="0100019abc1b2c3d-4e5f6071-8293-a4b5-c6d7-e8f90123abcd-000000"
    ),
    Claim(State.CLOSED, partition=3, offset=17),
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.state.name)
def test_a_claim_survives_its_text(claim: Claim) -> None:
    """G1: what one processor writes, another reads."""
    assert parse_claim(claim.to_text()) == claim
    # Longer values would unpack a bucket in Redis for good.
    assert len(claim.to_text()) <= 64


def test_an_unknown_claim_is_an_error() -> None:
    """G1: a value that no version wrote is never taken for absent."""
    with pytest.raises(ValueError):
        parse_claim("?what")


def test_sent_is_never_lowered() -> None:
    """G1: no change leads from sent to anything that would let a second call happen without a person's word."""
    sent = {State.SENT, State.SENT_RECORDED}
    for (state, change), after in TRANSITIONS.items():
        if state in sent:
            assert after in sent | {State.DROPPED}
        if state is State.DROPPED:
            assert (change, after) in {
                (Change.RESEND, State.SENDING),
                (Change.RECORD_DROP, State.DROPPED),
                (Change.ADOPT, State.UNCERTAIN_RECORDED),
            }


def test_only_claims_lead_to_sending_and_only_certainty_leads_back() -> None:
    """G1: a call needs a claim; a key is free again only when it is certain that nothing was sent."""
    into = {(s, c) for (s, c), after in TRANSITIONS.items() if after is State.SENDING}
    assert into == {
        (State.ABSENT, Change.CLAIM),
        (State.CLOSED, Change.CLAIM_NEWER),
        (State.SENDING, Change.RECLAIM),
        (State.UNCERTAIN, Change.RESEND),
        (State.UNCERTAIN_RECORDED, Change.RESEND),
        (State.DROPPED, Change.RESEND),
        (State.SENDING, Change.LEAVE),
    }
    freed = {(s, c) for (s, c), after in TRANSITIONS.items() if after is State.ABSENT}
    # What was closed at a place of another topic lets a newer record through anyhow.
    assert freed == {
        (State.SENDING, Change.RELEASE),
        (State.BARRED, Change.RELEASE),
        (State.CLOSED, Change.ADOPT),
        (State.BARRED, Change.ADOPT),
    }


def test_the_diagram_shows_every_change() -> None:
    """The documentation's picture is the table."""
    lines = diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert len(lines) == 2 + len(TRANSITIONS)
