"""A short time-lapse, and that its audit finds what it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.identity import Key
from schemas.records import Delivery, Outcome, Source
from tests.year.run import Left, Year, findings, run
from tests.year.topics import MONTHS_KEPT

KEY = Key("u0", "2026-11")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_short_year(tmp_path: Path) -> None:
    """G1, G2, G6 over months: the first is closed for good, Redis fails over in each, a group's offsets expire."""
    told: list[Left] = []
    year = run(tmp_path, 5, told.append)
    assert not findings(year)
    assert len(told) == 5


def left(size: int) -> Left:
    return Left("2026-11", "cleanly", False, {}, {"jobs": size}, {}, 1.0)


def good() -> Year:
    """One month with one mail, and the letters that each month has."""
    source = Source("jobs", 0, 0)
    delivery = Delivery(outcome=Outcome.SENT, at_ms=1, source=source, instance="p", attempt="a", message_id="m")
    year = Year([left(1)], {KEY}, {KEY: delivery})
    year.accepted[KEY] = 1
    reasons = ("bad-key", "not-json", "changed-after-sending")
    year.letters = {(0, number): ("jobs", 0, number, reason) for number, reason in enumerate(reasons)}
    return year


def test_a_good_year_has_no_findings() -> None:
    """Or the next test proves nothing."""
    assert findings(good()) == []


def test_the_audit_finds_what_it_is_there_for() -> None:
    """A duplicate, a lost mail, one told twice, one too many in the ledger, closed months that stay, growth."""
    twice, lost, untrue, again, kept, large = (good() for _ in range(6))
    twice.accepted[KEY] = 2
    lost.outcomes = {}
    lost.accepted.clear()
    untrue.accepted.clear()
    again.letters[0, 9] = again.letters[0, 0]
    kept.below_floor = ["2026-01"]
    full = max(MONTHS_KEPT.values())
    large.months = [left(100_000)] * (full + 1) + [left(150_000)]
    assert findings(twice) == [f"{KEY} was accepted 2 times"]
    assert findings(lost) == [f"{KEY} has no outcome"]
    assert findings(untrue) == [f"{KEY} is sent and was never accepted"]
    assert any("was told 2 times" in found for found in findings(again))
    assert findings(kept) == ["Redis still holds 2026-01, which is closed"]
    assert "jobs has grown from 100,000 to 150,000 bytes" in findings(large)
