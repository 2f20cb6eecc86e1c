"""What becomes of another installation's set and records: each entry against each word of the ledger."""

from __future__ import annotations

from collections import Counter

import pytest

from processor.adapters.installation import check_installation, check_set
from processor.core.adoption import Found, Places, Taken, adopt, is_nowhere, jobs_are_new, nowhere, take_over
from processor.core.standing import claim_of
from processor.core.states import ABSENT, TRANSITIONS, Change, Claim, State
from processor.ports import UNSEEN, ServerSeen
from schemas.control import Installation
from schemas.records import Delivery, Outcome, Source
from schemas.runtime.errors import ADOPTING, InstallationForeign, RedisForeign

HERE = Places("c1", {"jobs": "j1", "control": "k1"})
OURS = Installation(id="ours", cluster="c1", topics=HERE.topics)


def claim(state: State, attempt: str = "a") -> Claim:
    return {
        State.ABSENT: ABSENT,
        State.SENDING: Claim(State.SENDING, attempt=attempt, since_ms=1),
        State.SENT: Claim(State.SENT, message_id="m", fingerprint="f"),
        State.SENT_RECORDED: Claim(State.SENT_RECORDED, fingerprint="f"),
        State.CLOSED: Claim(State.CLOSED, partition=3, offset=17),
    }.get(state, Claim(state, attempt=attempt))


RECORDED = Claim(State.SENT_RECORDED, fingerprint="f")
DOUBT = Claim(State.UNCERTAIN_RECORDED, attempt="a")


@pytest.mark.parametrize("before", [state for state in State if state is not State.ABSENT])
def test_what_the_ledger_does_not_know_is_told(before: State) -> None:
    """G1, G2: as the table of states has it; what goes from the set with a word of its own stands in the ledger then."""
    found = take_over(claim(before), ABSENT)
    assert found.claim.state is TRANSITIONS.get((before, Change.ADOPT), before)
    sent = before in {State.SENT, State.SENT_RECORDED}
    ended = before in {State.CLOSED, State.BARRED}
    told = None if ended else Outcome.SENT if sent else Outcome.UNCERTAIN
    assert found.outcome is told
    assert found.attempt == ("" if sent or told is None else "a")


@pytest.mark.parametrize("before", list(State))
def test_what_the_ledger_knows_is_not_told_again(before: State) -> None:
    """G6: sent is never lowered, and nothing is said twice."""
    assert take_over(claim(before), RECORDED).outcome is None
    for known in (DOUBT, Claim(State.DROPPED, attempt="a")):
        told = take_over(claim(before), known).outcome
        assert told is (Outcome.SENT if before in {State.SENT, State.SENT_RECORDED} and known is DOUBT else None)


@pytest.mark.parametrize("before", [State.SENDING, State.UNCERTAIN, State.DROPPED])
def test_another_attempt_is_another_doubt(before: State) -> None:
    """G1: what the ledger says of one attempt says nothing of the one that the set names."""
    known = Claim(State.UNCERTAIN_RECORDED, attempt="b")
    assert take_over(claim(before), known) == Taken(DOUBT, Outcome.UNCERTAIN, "a")


def test_open_intents_are_in_doubt_by_their_names() -> None:
    """G1: each of them may have been called for; a resend overrides all of them together."""
    opened = claim(State.SENDING, "~b~c")
    assert take_over(ABSENT, opened).attempt == "~b~c"
    assert take_over(claim(State.CLOSED), claim(State.SENDING, "b")) == Taken(
        Claim(State.UNCERTAIN_RECORDED, attempt="b"), Outcome.UNCERTAIN, "b"
    )
    assert take_over(claim(State.UNCERTAIN, "c"), opened).attempt == "~b~c"
    assert take_over(claim(State.SENDING, "a"), opened).attempt == "~b~c~a"
    assert take_over(RECORDED, opened) == Taken(RECORDED, Outcome.SENT)
    assert take_over(ABSENT, RECORDED) == take_over(claim(State.CLOSED), claim(State.CLOSED)) == Taken(ABSENT)


def test_an_intent_without_a_claim_was_not_called_for() -> None:
    """G4: where the set lacks no claim, only what stands there is in doubt."""
    opened = claim(State.SENDING, "~b~c")
    assert take_over(ABSENT, opened, whole=True) == Taken(ABSENT, unused=("b", "c"))
    assert take_over(claim(State.SENDING, "c"), opened, whole=True) == Taken(
        Claim(State.UNCERTAIN_RECORDED, attempt="c"), Outcome.UNCERTAIN, "c", ("b",)
    )
    assert take_over(claim(State.CLOSED), opened, whole=True).unused == ("b", "c")
    assert not take_over(claim(State.SENDING), DOUBT, whole=True).unused


def test_what_was_found_is_counted_by_what_follows() -> None:
    """What is said before it is done."""
    names = ["SENT", "SENT_RECORDED", "SENDING", "UNCERTAIN", "UNCERTAIN_RECORDED", "DROPPED", "CLOSED"]
    found = Found([], claims=Counter({name: 10**number for number, name in enumerate(names)}))
    assert (found.sent, found.uncertain, found.dropped, found.closed) == (11, 11_100, 100_000, 1_000_000)


def test_an_outcome_at_a_place_of_another_topic_bars_nothing() -> None:
    """G2: corrected jobs of a new topic are attempted; the outcome itself stays what it was."""
    dead = Delivery(outcome=Outcome.DEAD, at_ms=7, source=Source("jobs", 3, 17, 5), instance="p", reason="bad-address")
    void = nowhere(dead)
    assert (void.reason, void.at_ms, void.source.timestamp_ms) == ("bad-address", 7, 5)
    assert is_nowhere(claim_of(void).to_text())
    assert not is_nowhere(claim_of(dead).to_text())
    assert nowhere(void) == void


@pytest.mark.parametrize(
    ("now", "own", "new"),
    [
        (HERE, True, False),
        (Places("c1", {"jobs": "j2", "control": "k1"}), False, True),
        (Places("c1", {"jobs": "j1", "control": "k2"}), False, False),
        (Places("c2", {"jobs": "j1", "control": "k1"}), False, False),
        (Places("c2", {}), False, True),
        (Places("c1", {}), True, False),
        (Places("", {}), True, False),
    ],
)
def test_the_id_stays_where_cluster_and_topics_are_its_own(now: Places, own: bool, new: bool) -> None:
    """Mails in flight carry it; a cluster that was copied must not go on under the id of the one that it was copied from."""
    after = adopt(OURS, now, "theirs", 5, "me")
    assert (after.id == "ours") is own
    assert after.adopted == (["theirs"] if own else ["theirs", "ours"])
    assert (after.cluster, after.topics, after.at_ms, after.who) == (now.cluster, now.topics, 5, "me")
    assert jobs_are_new(OURS, now, "jobs") is new
    # Again, as after an adoption that was broken off.
    assert adopt(after, now, "theirs", 6, "me").adopted == after.adopted
    assert adopt(after, now, "", 6, "me").id == after.id


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Places("c2", HERE.topics), "this Kafka is cluster c2"),
        (Places("c1", {"jobs": "j2"}), "topic jobs was deleted and made anew"),
    ],
)
def test_another_cluster_or_topic_is_refused_with_the_way_out(found: Places, says: str) -> None:
    """Exit code 7, and the command that adopts."""
    with pytest.raises(InstallationForeign, match=says) as refused:
        check_installation(OURS, found, "control")
    assert "mailonce dedup adopt" in str(refused.value)
    assert refused.value.exit_code == 7
    assert check_installation(OURS, HERE, "control") is OURS
    with pytest.raises(InstallationForeign, match="topics create"):
        check_installation(None, HERE, "control")


def test_another_installations_set_is_refused_with_the_way_out() -> None:
    """Nobody's set and one's own are taken; one that is being adopted is nobody's to use."""
    for mine in (UNSEEN, ServerSeen("run", "ours", "lineage", whole=True)):
        check_set(OURS, mine)
    for whose, says in (("theirs", "of installation theirs"), (ADOPTING, "is being adopted")):
        with pytest.raises(RedisForeign, match=says) as refused:
            check_set(OURS, ServerSeen("run", whose))
        assert "mailonce dedup adopt" in str(refused.value)
        assert refused.value.exit_code == 7
