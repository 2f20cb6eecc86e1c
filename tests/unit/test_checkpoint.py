"""Up to where a set is complete, and what a rebuild makes of what came since: on top of what the set says."""

from __future__ import annotations

import pytest

from processor.core.checkpoint import (
    NOTHING,
    STEP,
    Checkpoint,
    Cut,
    End,
    Ends,
    Place,
    Topic,
    folded_on,
    why_void,
)
from processor.core.claims import Folded, Intent
from processor.core.standing import Entry
from processor.core.states import ABSENT, Claim, State, parse_claim
from processor.core.window import KeyRows, News, Open, Window
from schemas.identity import Key

KEY = Key("u1", "2026-11")
AT = (0, 7)


def entry(claim: str, attempt: str = "", *, overrides: str = "", partition: int = 0, offset: int = 3) -> Entry:
    place = parse_claim(claim)
    return Entry(partition, claim, attempt, 100, (place.partition, place.offset, 1), overrides, offset=offset)


def intent(name: str, *, offset: int = 5, overrides: str = "", withdrawn: bool = False, at: int = 7) -> Intent:
    return Intent(name, 0, offset, overrides, withdrawn, (0, at))


def fold(claim: str, *since: Entry | Intent) -> Folded | None:
    entries = [(one.partition, one) for one in since if isinstance(one, Entry)]
    intents = [(0, one) for one in since if isinstance(one, Intent)]
    return folded_on(parse_claim(claim), list(entries), list(intents))


def test_without_a_past_it_is_the_usual_fold() -> None:
    assert fold("") is None
    assert fold("", intent("x")) == Folded("Ax:0", (0, 5), opened=(AT,))
    assert fold("", entry("sf")) == Folded("sf")


@pytest.mark.parametrize("known", ["sf", "Sm1:f", "ux", "Ux", "Rx", "Rx:m1", "D0:9"])
def test_what_the_set_knows_is_left_as_it_is(known: str) -> None:
    """G1: an intent that it bars is not restored over it, and what the ledger does not hold yet is not lost."""
    assert fold(known, intent("y")) == Folded("")


def test_what_the_set_knows_gives_way_as_an_earlier_entry_would() -> None:
    assert fold("D0:4", intent("y")) == Folded("Ay:0", (0, 5), opened=(AT,))
    assert fold("ux", intent("y", overrides="x")) == Folded("Ay:0", (0, 5), opened=(AT,))
    assert fold("ux", entry("sf", "x")) == Folded("sf")
    assert fold("sf", entry("Rx", "x")) == Folded("Rx"), "the script decides whether that is about the same message"
    assert fold("sf", entry("ux", "x")) == Folded("")


def test_what_a_later_entry_overrides_stands_no_more() -> None:
    """G1: the resend was refused, so the key is closed, and a newer record may have been called for."""
    refused = entry("D0:6", "r", overrides="x")
    assert fold("ux", refused, intent("n", offset=8)) == Folded("An:0", (0, 8), "r", (AT,))
    assert fold("Rx", refused, intent("n", offset=8)) == Folded("An:0", (0, 8), "r", (AT,))


def test_a_resends_claim_hides_a_doubt() -> None:
    """G1: it was withdrawn, and the key is in doubt again, not free."""
    resend, back = intent("r", overrides="x"), intent("r", overrides="x", withdrawn=True)
    assert fold("Ar:5", resend, back) == Folded("ux", ended="r")
    assert fold("Ar:5", resend) == Folded("Ar:0", (0, 5), opened=(AT,))
    assert fold("sf:r", resend, back) == Folded("", ended="r")


def ends(ledger: int, attempts: int, *, ledger_id: str = "l", epoch: int = 1, before: int = -1) -> Ends:
    return Ends(ledger_id, {0: End(ledger, epoch, before)}, "a", {0: End(attempts, epoch)})


def checkpoint(ledger: int, attempts: int) -> Checkpoint:
    return Checkpoint(Topic("l", {0: Place(ledger, 1)}), Topic("a", {0: Place(attempts, 1)}))


def test_a_checkpoint_is_text() -> None:
    assert Checkpoint.of_text(checkpoint(3, 4).to_text()) == checkpoint(3, 4)
    assert checkpoint(3, 4).ledger.starts == {0: 3}


@pytest.mark.parametrize(
    ("now", "void"),
    [
        (ends(10, 20), ""),
        (ends(10, 20, epoch=2, before=1), ""),
        (ends(12, 20, ledger_id=""), ""),
        (ends(12, 20, ledger_id="other"), "another topic"),
        (ends(9, 20), "ends before"),
        (ends(10, 19), "ends before"),
        (ends(12, 20, epoch=2, before=2), "was cut"),
        (Ends("l", {}, "a", {}), "ends before"),
    ],
)
def test_what_voids_a_checkpoint(now: Ends, void: str) -> None:
    """G1: what it says of another log says nothing of this one."""
    why = why_void(checkpoint(10, 20), now)
    assert void in why
    assert bool(why) is bool(void)
    assert not why_void(NOTHING, now)


def test_a_checkpoint_never_passes_an_open_intent() -> None:
    """G1: its claim may be the one that a restart takes."""
    cut = Cut(ends(10, 20))
    assert cut.checkpoint() == checkpoint(10, 20)
    cut.hold([(0, 12), (0, 14), (5, 1)])
    assert cut.checkpoint() == checkpoint(10, 12)
    assert cut.later(ends(11, 22)).checkpoint() == checkpoint(11, 22)


def test_who_closed_an_intent_is_read_with_it() -> None:
    """G4: an intent that is read again finds the outcome that ended it."""
    cut = Cut(ends(10, 2 * STEP))
    cut.ended([(0, entry("D0:5", "a", offset=6)), (0, None)], [(0, intent("a", at=9)), (0, intent("b")), (0, None)])
    cut.ended([(0, entry("sf", "b", offset=2))], [(0, intent("b"))])
    assert cut.checkpoint() == checkpoint(10, 2 * STEP), "it is not read again"
    cut.hold([(0, 5)])
    assert cut.checkpoint() == checkpoint(6, 5)
    later = cut.later(ends(12, 2 * STEP + 1))
    later.hold([(0, 8)])
    assert later.checkpoint() == checkpoint(6, 8)
    assert later.later(ends(12, 2 * STEP)).checkpoint() == checkpoint(12, 2 * STEP)


def rows(*since: Entry | Intent) -> KeyRows:
    return KeyRows(
        [(one.partition, one) for one in since if isinstance(one, Entry)],
        [(0, one) for one in since if isinstance(one, Intent)],
    )


def test_a_window_keeps_what_is_open() -> None:
    """G1: the checkpoint stands before an open intent until its outcome was applied."""
    window = Window(checkpoint(0, 0))
    assert window.take({KEY: rows(intent("x", at=2))}) == [News(KEY, "", "", ())]
    assert window.applied({KEY: Claim(State.SENDING, attempt="x", since_ms=1)}, ends(3, 4)) == checkpoint(3, 2)
    assert window.read == checkpoint(3, 4)
    assert window.take({}) == [News(KEY, "", "", ())]
    assert window.applied({KEY: ABSENT}, ends(3, 4)) == checkpoint(3, 2)
    assert window.take({KEY: rows(entry("sf", "x"))}) == [News(KEY, "sf", "x", ())]
    assert window.applied({KEY: parse_claim("sf")}, ends(5, 4)) == checkpoint(5, 4)
    assert window.take({}) == []


def test_a_window_tells_of_withdrawals() -> None:
    window = Window(checkpoint(0, 0))
    told = window.take({KEY: rows(intent("x", overrides="y"), intent("x", overrides="y", withdrawn=True))})
    assert told == [News(KEY, "", "", (("x", "y"),))]
    assert window.applied({KEY: parse_claim("uy")}, ends(1, 9)) == checkpoint(1, 9)


def test_what_the_set_bars_is_not_waited_for() -> None:
    """An intent that nobody closed by its name: the key is settled, so no rebuild would restore it."""
    window = Window(checkpoint(0, 0))
    window.take({KEY: rows(intent("x"))})
    assert window.applied({KEY: parse_claim("sf")}, ends(1, 9)) == checkpoint(1, 9)


@pytest.mark.parametrize("claim", ["Sm:f", "Ux", "Uy"])
def test_what_the_set_alone_knows_holds_the_checkpoint(claim: str) -> None:
    """G2: nobody reads its intent again once the checkpoint has passed it."""
    window = Window(checkpoint(0, 0))
    window.take({KEY: rows(intent("x", at=2))})
    assert window.applied({KEY: parse_claim(claim)}, ends(1, 9), 5.0) == checkpoint(1, 2)
    assert window.open == [Open(KEY, intent("x", at=2), 5.0)]
    window.take({KEY: rows(entry("sf"))})
    assert window.applied({KEY: parse_claim(claim)}, ends(2, 9), 8.0) == checkpoint(2, 9)
    assert window.open == []


def test_a_window_knows_since_when_an_intent_is_open() -> None:
    """G1: a process that lapsed before that may have begun it since."""
    window = Window(checkpoint(0, 0))
    window.take({KEY: rows(intent("x", at=2))})
    window.applied({KEY: ABSENT}, ends(0, 4), 5.0)
    window.take({KEY: rows(intent("y", at=6))})
    window.applied({KEY: ABSENT}, ends(0, 8), 9.0)
    assert [(one.intent.attempt, one.known_s) for one in window.open] == [("x", 5.0), ("y", 9.0)]


def test_a_closed_month_holds_nothing() -> None:
    """No rebuild puts anything of it back."""
    window = Window(checkpoint(0, 0))
    window.take({KEY: rows(intent("x", at=2))})
    assert window.applied({KEY: ABSENT}, ends(0, 4), floor="2026-12") == checkpoint(0, 4)
    assert window.open == []


def test_what_was_compacted_away_holds_nothing() -> None:
    """A rebuild would not find it either."""
    window = Window(checkpoint(0, 0))
    window.take({KEY: rows(intent("x", at=2), intent("y", at=3))})
    window.applied({KEY: ABSENT}, ends(0, 4))
    window.forget(window.open[:1])
    assert window.applied({KEY: ABSENT}, ends(0, 4)) == checkpoint(0, 3)
