"""The floor: how far it may rise, and what becomes of what stands below it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from processor.core.breaker import Breaker
from processor.core.control import Control
from processor.core.decide import Settle, Skip, WaitForOther
from processor.core.floor import APART_MS_MAX, Clocks, first_month, highest, raising, skipped
from processor.core.gates import Gates
from processor.core.months import Months
from processor.core.offsets import Window
from processor.core.standing import Entry
from processor.core.ticket import Attempt, Finished, examine
from processor.ops.floor import refuse_closed
from processor.shell.control import FollowedMonths
from processor.shell.past import Past
from schemas.codec import RESEND_HEADER, encode
from schemas.control import ControlRecord, Floor, MonthOpened
from schemas.kafka.reading import Record
from schemas.records import Delivery, Outcome, Resend, Source
from schemas.runtime.ending import end
from schemas.runtime.errors import UsageError
from tests.support.parts import FLOOR, NO_MONTHS, OLD, Made, NoOutcomes, ticket, until
from tests.support.world import job

NOVEMBER_MS = 1_794_700_800_000  # 2026-11-15


def control(*months: str, floor: str = "") -> Control:
    made = Control()
    for month in months:
        made.take(ControlRecord(0, "month", month, MonthOpened(month=month, partitions=1)), 0.0)
    if floor:
        made.take(ControlRecord(1, "floor", "", Floor(month=floor)), 0.0)
    return made


def entry(outcome: Outcome, offset: int = 5, partition: int = 0, **about: str) -> Entry:
    source = Source("jobs", partition, offset, 7)
    return Entry.of(Delivery(outcome=outcome, at_ms=1, source=source, instance="i", **about), 0)  # type: ignore[arg-type]


# ---- how far it may rise ----


def test_it_rises_to_the_earlier_of_newest_and_present_month_less_the_retention() -> None:
    """G6: neither a month opened far ahead nor a quiet year closes more than was said."""
    assert highest(control(), "2026-11", 13) == ""
    assert highest(control("2026-10", "2026-11"), "2026-11", 13) == "2025-10"
    assert highest(control("2099-01"), "2026-11", 13) == "2025-10"
    assert highest(control("2026-01"), "2026-11", 13) == "2024-12"


def test_it_is_never_lowered() -> None:
    """G6: whatever the retention is later."""
    ((key, raised),) = raising(control(), "2025-10", 9, "me")
    assert (key, raised) == (b"floor", Floor(month="2025-10", at_ms=9, who="me"))
    assert raising(control(floor="2025-10"), "2025-11", 9, "me")
    assert raising(control(floor="2025-10"), "2025-10", 9, "me") == []
    assert raising(control(floor="2025-10"), "2024-10", 9, "me") == []
    assert raising(control(), "", 9, "me") == []


def test_clocks_that_are_a_day_apart_close_nothing() -> None:
    """G6: whichever of them is wrong; the one that is behind says which month it is."""
    now = NOVEMBER_MS
    assert Clocks(now, now + APART_MS_MAX, now).apart == ""
    assert "Redis 2026-11-16" in Clocks(now, now, now + APART_MS_MAX + 1).apart
    assert Clocks(now, now - 15 * APART_MS_MAX, now).month == "2026-10"


def test_without_a_floor_the_age_decides() -> None:
    """As in 0.1: nothing was forgotten by an act."""
    assert first_month("", "2026-11", 13) == FLOOR
    assert first_month("2025-02", "2026-11", 13) == "2025-02"
    assert NO_MONTHS.floor == ""


def test_who_asks_for_the_floor() -> None:
    """A command and a processor hear the same of the control topic."""

    class Follower:
        control = control(floor="2025-10")

    assert FollowedMonths(Follower()).floor == Months(Follower.control).floor == "2025-10"  # type: ignore[arg-type]
    Follower.control = control()
    assert FollowedMonths(Follower()).floor == Months(Follower.control).floor == ""  # type: ignore[arg-type]


def test_a_closed_month_is_not_published() -> None:
    """Whoever wants it is told why."""
    refuse_closed(control(floor="2025-10"), "2025-10")
    refuse_closed(control(), "1999-01")
    with pytest.raises(UsageError, match="2025-09 is closed for good"):
        refuse_closed(control(floor="2025-10"), "2025-09")


# ---- what stands below it ----


@pytest.mark.parametrize(
    ("said", "over"),
    [
        (None, False),
        (entry(Outcome.SENT), True),
        (entry(Outcome.UNCERTAIN, attempt="a"), True),
        (entry(Outcome.DEAD, attempt="a", message_id="m"), True),
        (entry(Outcome.DEAD, offset=5), True),
        (entry(Outcome.DEAD, offset=4), False),
        (entry(Outcome.CANCELLED, offset=9), True),
        (entry(Outcome.DEAD, offset=0, partition=1), True),
    ],
)
def test_what_has_its_outcome_is_passed_over(said: Entry | None, *, over: bool) -> None:
    """G6: without a word; what has none is told of."""
    late = ticket(offset=5, month=OLD)
    follows = skipped(late, said)
    assert (follows is not None) == over
    assert follows is None or not follows.report


def test_an_end_in_another_partition_counts_by_time() -> None:
    """Partitions were added while its month ran: offsets of two say nothing of each other."""
    late = ticket(offset=5, month=OLD)
    later = replace(late, record=replace(late.record, timestamp_ms=8))
    assert skipped(later, entry(Outcome.DEAD, offset=99, partition=1)) is None


def test_a_tombstone_owes_no_more_than_any_outcome() -> None:
    """G6: what was dead is not cancelled a year later."""
    tombstone = ticket(offset=9, value=None, month=OLD)
    assert skipped(tombstone, entry(Outcome.DEAD, offset=4)) is not None
    assert skipped(tombstone, None) is None


def test_a_leave_to_send_again_is_answered_by_a_letter() -> None:
    """G2: its key keeps its doubt, and whoever gave the leave is told."""
    record = Record(0, 9, f"u1:{OLD}".encode(), encode(job("u1", month=OLD)), [], 7)
    leave = replace(record, headers=[(RESEND_HEADER, encode(Resend("a1", "ops", "lost")))])
    resend = examine(leave, Window(0), floor=FLOOR, suppressed=())
    follows = skipped(resend, entry(Outcome.UNCERTAIN, attempt="a1"))
    assert follows is not None
    assert follows.report
    other = skipped(resend, entry(Outcome.UNCERTAIN, attempt="a2"))
    assert other is not None
    assert not other.report


def test_it_says_nothing_of_the_present_month() -> None:
    """The breaker counts what befalls the mails that are to go out now."""
    gates = Gates(Breaker(1, 0))
    dead = Settle(Outcome.DEAD, reason="too-old", report=True)
    assert gates.note(Finished(Attempt(ticket(month=OLD)), dead)) is None
    assert gates.note(Finished(Attempt(ticket()), dead)) is not None


async def test_kafka_is_waited_for() -> None:
    """G6: without the ledger's word nothing is told."""
    outcomes = NoOutcomes(u1=entry(Outcome.SENT))
    past, attempts = Past(outcomes), [Attempt(ticket("u1", month=OLD)), Attempt(ticket("u2", month=OLD))]
    outcomes.away = 1
    assert await past.look_up(attempts) == [(attempt, WaitForOther("")) for attempt in attempts]
    ((over, skip),) = await past.look_up(attempts)
    assert over is attempts[0]
    assert isinstance(skip, Skip)
    assert await past.look_up([Attempt(ticket())]) == []
    assert outcomes.asked == 2


async def test_what_was_intended_before_its_month_was_closed() -> None:
    """G1, G2: its intent is withdrawn, and it ends without a call; the rest of the batch goes out."""
    made = Made()
    made.engine.assign({0: (0, "")})
    made.engine.newest.aim(made.engine.newest.endless(), {})
    made.engine.starts.known()
    window = made.engine.assigned.get(0)
    assert window is not None
    for offset, (user, month) in enumerate((("u1", "2025-12"), ("u2", "2026-11"))):
        window.add(offset)
        made.engine.accept(ticket(user, offset, window=window, month=month))
    batch = made.engine.next(9, iter(("a1", "a2")).__next__)
    made.engine.committed(batch)
    await made.dedup.raise_floor("2026-01")
    running = asyncio.create_task(made.deliverer.run())
    await until(lambda: len(made.done) == 2)
    await end(running)
    outcomes = {one.attempt.ticket.key and one.attempt.ticket.key.user_id: one.result for one in made.done}
    told, sent = outcomes["u1"], outcomes["u2"]
    assert isinstance(told, Settle)
    assert isinstance(sent, Settle)
    assert (told.outcome, told.reason, sent.outcome) == (Outcome.DEAD, "too-old", Outcome.SENT)
    assert [one.id for one in made.engine.next(9, str).withdrawn] == ["a1"]
    assert len(made.ses.asked) == 1
