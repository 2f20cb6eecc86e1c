"""Paused months and a month's first mails: what is decided, and what the engine holds back."""

from __future__ import annotations

from typing import Any

import pytest

from processor.core.brake import ALL, Undelivered, is_paused, pausing, resuming
from processor.core.canary import SETTLE_S, Rule, Verdict, beginning, judge, ruling
from processor.core.control import Control
from processor.core.outcomes import Arrivals, MonthCounts
from schemas.codec import encode
from schemas.control import Brake, Canary, CanaryState, Content, decode_control
from schemas.records import Arrival
from tests.support.world import MONTH

RULE = Rule(10, 0.8, 60.0)


def took(control: Control, records: list[tuple[bytes, Content | None]]) -> Control:
    """What the topic says after these, read back from their bytes."""
    for key, content in records:
        decoded = decode_control(control.position, key, encode(content) if content else None)
        assert decoded is not None
        control.take(decoded, 0.0)
    return control


def test_the_first_reason_to_pause_stands_until_it_is_resumed() -> None:
    """One month, or all; what else the brake holds stays."""
    control = Control()
    control.brake = Brake(rate_max=5.0)
    took(control, pausing(control, MONTH, "first", "ann", 1))
    assert pausing(control, MONTH, "second", "ben", 2) == []
    assert (control.brake.paused, control.brake.rate_max, control.brake.who) == ({MONTH: "first"}, 5.0, "ann")
    took(control, pausing(control, ALL, "everything", "ann", 3))
    assert is_paused(control.brake.paused, "2027-01")
    assert pausing(control, "2027-01", "x", "ann", 4) == []
    took(control, resuming(control, MONTH, "ann", 5))
    assert set(control.brake.paused) == {ALL}
    took(control, resuming(control, ALL, "ann", 6))
    assert control.brake.paused == {}
    assert resuming(control, MONTH, "ann", 7) == []


def test_resuming_ends_the_wait_for_the_first_mails() -> None:
    """Whether they are waited for still, or failed."""
    control = took(Control(), beginning(Control(), MONTH, RULE, "p1", 5))
    assert beginning(control, MONTH, RULE, "p2", 6) == []
    assert control.canaries[MONTH].since_ms == 5
    took(control, resuming(control, MONTH, "ann", 7))
    assert (control.canaries[MONTH].state, control.canaries[MONTH].who) == (CanaryState.PASSED, "ann")
    assert resuming(control, MONTH, "ann", 8) == []


def test_of_two_verdicts_the_first_stands() -> None:
    """A month that failed is paused in the same transaction, and a verdict without a wait is none."""
    control = Control()
    assert ruling(control, MONTH, Verdict(True, "x"), 1) == []
    took(control, beginning(control, MONTH, RULE, "p1", 5))
    took(control, ruling(control, MONTH, Verdict(False, "6 bounced"), 9))
    assert control.canaries[MONTH].state is CanaryState.FAILED
    assert control.brake.paused == {MONTH: "canary: 6 bounced"}
    assert ruling(control, MONTH, Verdict(True, "x"), 10) == []
    other = took(Control(), beginning(Control(), MONTH, RULE, "p1", 5))
    took(other, ruling(other, MONTH, Verdict(True, "delivered"), 9))
    assert (other.canaries[MONTH].state, other.brake.paused) == (CanaryState.PASSED, {})


@pytest.mark.parametrize(
    ("counts", "waited_s", "alive", "passed", "says"),
    [
        ({"sent": 10, "delivered": 10}, SETTLE_S - 1, True, None, ""),
        ({"sent": 10, "delivered": 8}, SETTLE_S, True, True, "8 of the first 10"),
        ({"sent": 10, "delivered": 7}, 59, True, None, ""),
        ({"sent": 10, "delivered": 7}, 60, True, False, "within 60 s; 8 are asked for"),
        ({"sent": 10, "delivered": 7, "delayed": 3}, 60, True, False, "3 delayed"),
        ({"sent": 10, "soft_bounced": 2, "hard_bounced": 1}, SETTLE_S, True, False, "2 soft-bounced, 1 hard-bounced"),
        ({"sent": 10, "hard_bounced": 2}, 59, True, None, ""),
        ({"sent": 4, "rendering_failed": 6, "dead": 6}, SETTLE_S, True, False, "6 rendering-failed"),
        ({"dead": 10}, 59, True, None, ""),
        ({"dead": 10}, 60, True, False, "none of the first mails was accepted"),
        ({"sent": 10}, 60, True, False, "0 of the first 10"),
        ({"sent": 10}, 59, False, None, ""),
        ({"sent": 10}, 60, False, True, "nobody can look"),
    ],
)
def test_what_becomes_of_a_month_by_its_first_mails(
    counts: dict[str, int], waited_s: float, alive: bool, passed: bool | None, says: str
) -> None:
    """It goes on as soon as enough arrived, is paused as soon as that cannot be, or at the end of its time."""
    counts = dict(counts)
    outcomes = {name: counts.pop(name) for name in ("sent", "dead") if name in counts}
    month = MonthCounts(MONTH, **outcomes, arrivals=Arrivals(**counts))
    verdict = judge(RULE, month, waited_s, feed_alive=alive)
    assert (verdict.passed if verdict else None) == passed
    assert says in (verdict.why if verdict else "")


def words(told: Undelivered, count: int, arrival: Arrival | None, *, first: int = 0, month: str = MONTH) -> None:
    for number in range(first, first + count):
        told.note(month, f"m{number}", arrival)


def test_a_month_that_is_accepted_and_not_delivered_trips() -> None:
    """So many in a row; the same event again counts for nothing, nor does what is under way; each month for itself."""
    told = Undelivered(5, 0.0)
    words(told, 4, Arrival.RENDERING_FAILED)
    words(told, 4, Arrival.RENDERING_FAILED)
    words(told, 9, Arrival.DELAYED, first=20)
    words(told, 9, None, first=40)
    words(told, 4, Arrival.HARD_BOUNCED, month="2026-10", first=60)
    assert told.tripped == {}
    words(told, 1, Arrival.DELIVERED, first=80)
    words(told, 4, Arrival.REJECTED, first=90)
    assert told.tripped == {}
    words(told, 1, Arrival.SOFT_BOUNCED, first=99)
    assert set(told.tripped) == {MONTH}
    assert "5 mails that SES accepted in a row were not delivered" in told.tripped[MONTH]


def test_limits_of_zero_switch_it_off() -> None:
    """As for every other halt."""
    told = Undelivered(0, 0.0)
    words(told, 20_500, Arrival.HARD_BOUNCED)
    assert told.tripped == {}


def test_unknown_states_are_no_records() -> None:
    """A newer mailonce's."""
    record: Any = decode_control(0, b"canary:2026-11", encode(Canary(month=MONTH, state=CanaryState.WAITING)))
    assert record.content == Canary(month=MONTH, state=CanaryState.WAITING)
    assert Rule.of(_settings()) == Rule(0, 0.9, 1800.0)


def _settings() -> Any:
    from schemas.runtime.settings import Settings

    return Settings(_env_file=None)  # type: ignore[call-arg]
