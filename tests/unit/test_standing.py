"""Which of a key's entries stands, in whatever order two partitions are read."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.standing import Entry, attempts_in, nobodys, standing, stands
from processor.core.states import State
from schemas.records import Delivery, Outcome, Source


def entry(what: Outcome, attempt: str = "a", partition: int = 0, at_ms: int = 1000, **about: object) -> Entry:
    delivery = Delivery(
        outcome=what,
        at_ms=at_ms,
        source=Source("jobs", partition, 5, about.pop("job_ms", 0)),  # type: ignore[arg-type]
        instance="p",
        attempt=attempt,
        **about,  # type: ignore[arg-type]
    )
    return Entry.of(delivery, partition)


DOUBT = entry(Outcome.UNCERTAIN)
SENT = entry(Outcome.SENT, partition=1)
DROPPED = entry(Outcome.DEAD, message_id="m", partition=1)
DEAD = entry(Outcome.DEAD, partition=1, at_ms=9000)


@pytest.mark.parametrize(
    ("entries", "stands"),
    [
        ((DOUBT, SENT), SENT),
        (
            (DOUBT, entry(Outcome.DEAD, held=True, partition=1, at_ms=1)),
            entry(Outcome.DEAD, held=True, partition=1, at_ms=1),
        ),
        ((DOUBT, DROPPED), DROPPED),
        ((DOUBT, DEAD), DOUBT),
        ((entry(Outcome.SENT), DROPPED), DROPPED),
        ((entry(Outcome.SENT, "b"), DROPPED), entry(Outcome.SENT, "b")),
        ((entry(Outcome.SENT, ""), DROPPED), DROPPED),
        ((entry(Outcome.SENT, "", at_ms=1001), DROPPED), entry(Outcome.SENT, "", at_ms=1001)),
        ((entry(Outcome.SENT), DEAD), entry(Outcome.SENT)),
        (
            (DOUBT, entry(Outcome.UNCERTAIN, "b", 1, 1, overrides="a")),
            entry(Outcome.UNCERTAIN, "b", 1, 1, overrides="a"),
        ),
        (
            (entry(Outcome.UNCERTAIN, "b"), entry(Outcome.UNCERTAIN, "a", 1, 1, overrides="b")),
            entry(Outcome.UNCERTAIN, "a", 1, 1, overrides="b"),
        ),
        ((DOUBT, entry(Outcome.DEAD, "b", 1, 1, overrides="a")), entry(Outcome.DEAD, "b", 1, 1, overrides="a")),
        ((entry(Outcome.SENT), entry(Outcome.UNCERTAIN, "b", 1, overrides="a")), entry(Outcome.SENT)),
        ((DOUBT, entry(Outcome.UNCERTAIN, "b", 1, 1001)), entry(Outcome.UNCERTAIN, "b", 1, 1001)),
        ((entry(Outcome.DEAD, job_ms=7), DEAD), entry(Outcome.DEAD, job_ms=7)),
        (
            (entry(Outcome.SENT), entry(Outcome.SENT, partition=1, at_ms=1001)),
            entry(Outcome.SENT, partition=1, at_ms=1001),
        ),
    ],
    ids=[
        "a doubt is resolved",
        "a person decides",
        "SES dropped it",
        "what bars the key stands over what frees it",
        "SES's word lowers sent",
        "but not another attempt's",
        "nor one that names none: the later of the two",
        "and the other way round",
        "sent stands over all else",
        "a resend stands over what it overrode",
        "whatever their names",
        "also a refused one",
        "but what it overrode was sent after all",
        "two doubts that do not name each other: the later",
        "of two that ended the later record",
        "sent twice: the later",
    ],
)
def test_two_partitions(entries: tuple[Entry, Entry], stands: Entry) -> None:
    """G1, G6: whichever is read first."""
    for order in permutations(entries):
        assert standing([(one.partition, one) for one in order]) == stands


@pytest.mark.parametrize(
    ("before", "after", "stands"),
    [
        (entry(Outcome.SENT), entry(Outcome.UNCERTAIN, "b"), False),
        (entry(Outcome.SENT), entry(Outcome.DEAD, "b"), False),
        (entry(Outcome.SENT), entry(Outcome.DEAD, message_id="m"), True),
        (entry(Outcome.SENT, ""), entry(Outcome.DEAD, message_id="m"), True),
        (entry(Outcome.DEAD, message_id="m"), entry(Outcome.SENT), False),
        (entry(Outcome.DEAD, message_id="m"), entry(Outcome.SENT, "b"), True),
        (entry(Outcome.DEAD, message_id="m"), entry(Outcome.UNCERTAIN), False),
        (entry(Outcome.DEAD, message_id="m"), entry(Outcome.UNCERTAIN, "b"), True),
        (entry(Outcome.UNCERTAIN), entry(Outcome.DEAD, "b"), True),
        (entry(Outcome.DEAD, held=True), entry(Outcome.UNCERTAIN, at_ms=1), True),
    ],
)
def test_one_partition(before: Entry, after: Entry, stands: bool) -> None:
    """G6: there the later one stands, but over SES's own word."""
    assert standing([(0, before), (0, after)]) == (after if stands else before)


WORDS = st.builds(
    entry,
    st.sampled_from(Outcome),
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 3),
    st.integers(0, 3),
    held=st.booleans(),
    message_id=st.sampled_from([None, "m"]),
)


@given(st.lists(WORDS, max_size=6))
def test_whoever_is_barred_stays_barred(words: list[Entry]) -> None:
    """G1: in no order of partitions does a key come free that one of them bars, and `sent` is lowered by SES alone."""
    in_order = sorted(words, key=lambda word: word.partition)
    last = {p: standing([(0, w) for w in in_order if w.partition == p]) for p in {w.partition for w in words}}
    for order in permutations(sorted({word.partition for word in words})):
        found = standing([(word.partition, word) for p in order for word in in_order if word.partition == p])
        states = {one.state for one in last.values() if one is not None}
        dropped = {one.attempt for one in last.values() if one is not None and one.state is State.DROPPED}
        if {one.attempt for one in last.values() if one is not None and one.state is State.SENT_RECORDED} - dropped:
            assert found is not None
            assert found.state is State.SENT_RECORDED
        if states - {State.CLOSED}:
            assert found is not None
            assert found.state is not State.CLOSED


def test_names_of_several() -> None:
    """One name holds them all, and gives them back."""
    assert attempts_in(nobodys(["a", "b"])) == ["a", "b"]
    assert attempts_in("a") == ["a"]
    assert attempts_in("") == []


def test_a_resend_stands_over_what_it_overrides_whichever_is_read_first() -> None:
    """G1: in another partition as well: its attempt is the later one, whatever clocks said."""
    earlier = entry(Outcome.UNCERTAIN, "a", partition=1, at_ms=2000)
    resend = entry(Outcome.UNCERTAIN, "b", overrides="a")
    assert stands(resend, earlier)
    assert not stands(earlier, resend)
