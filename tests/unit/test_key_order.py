"""One record of a key at a time, and the latest counts, also when partitions come and go."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from processor.core.decide import Settle
from processor.core.key_order import KeyOrder
from processor.core.offsets import Window
from processor.core.ticket import Ticket
from schemas.kafka.reading import Record
from schemas.records import Outcome


def ticket(
    offset: int = 0, *, key: bytes | None = b"u1:2026-11", window: Window | None = None, broken: bool = False
) -> Ticket:
    refusal = Settle(Outcome.DEAD) if broken else None
    return Ticket(Record(0, offset, key, b"{}", [], 0), window or Window(0), refusal=refusal)


def test_a_record_waits_for_the_earlier_one_of_its_key() -> None:
    """Two of a key side by side would wait for each other's claim."""
    order = KeyOrder()
    first, second, other = ticket(0), ticket(1), ticket(2, key=b"u2:2026-11")
    assert order.arrive(first)
    assert not order.arrive(second)
    assert order.arrive(other)
    assert b"u1:2026-11" in order
    assert order.end(second) is None, "it has not started"
    assert order.end(first) is second
    assert order.end(first) is None, "told so again, nothing more starts"
    assert order.end(second) is None
    assert b"u1:2026-11" not in order
    assert b"u2:2026-11" in order


def test_records_without_a_key_wait_for_nobody() -> None:
    """They are dead letters each, and no order holds between them."""
    order = KeyOrder()
    nameless = ticket(key=None)
    assert order.arrive(nameless)
    assert order.arrive(ticket(1, key=None))
    assert None not in order
    assert order.end(nameless) is None


def test_the_latest_record_counts_unless_it_is_no_job() -> None:
    """G5: what compaction would remove is not sent; a record that cannot be a mail corrects nothing."""
    order = KeyOrder()
    older, newer, broken = ticket(0), ticket(1), ticket(2, broken=True)
    for arrived in (older, newer, broken):
        order.arrive(arrived)
    assert (order.superseded(older), order.superseded(newer), order.superseded(broken)) == (True, False, False)


def test_a_broken_record_does_not_shield_an_older_one() -> None:
    """G5: the record before the broken one is as old as ever when the next good one comes."""
    order = KeyOrder()
    older, broken, newer = ticket(0), ticket(1, broken=True), ticket(2)
    for arrived in (older, broken, newer):
        order.arrive(arrived)
    assert (order.superseded(older), order.superseded(newer)) == (True, False)


def test_a_record_in_a_partition_that_left_is_somebody_elses() -> None:
    """G2: those behind it go on without it."""
    order, stays, leaves = KeyOrder(), Window(0), Window(0)
    first, second, third = ticket(0, window=stays), ticket(0, window=leaves), ticket(1, window=stays)
    for arrived in (first, second, third):
        order.arrive(arrived)
    leaves.closed = True
    assert order.end(first) is third


def test_a_call_of_a_partition_that_left_is_waited_for_by_what_stays() -> None:
    """It may still be in flight; its end starts the next one."""
    order, stays, leaves = KeyOrder(), Window(0), Window(0)
    first, second, third = ticket(0, window=leaves), ticket(0, window=stays), ticket(1, window=leaves)
    for arrived in (first, second, third):
        order.arrive(arrived)
    leaves.closed = True
    order.forget_closed()
    assert order.end(first) is second
    assert order.end(second) is None


def test_a_partition_that_comes_back_begins_anew() -> None:
    """What is read again does not wait for its own former life, and is not disturbed by its end."""
    order, before, after = KeyOrder(), Window(0), Window(0)
    former, again = ticket(0, window=before), ticket(0, window=after)
    order.arrive(former)
    before.closed = True
    order.forget_closed()
    assert order.arrive(again)
    assert order.end(former) is None
    assert b"u1:2026-11" in order


def test_a_newer_record_counts_although_it_left() -> None:
    """G5: whoever has it now sends it; what comes after it here neither overtakes nor revives the older one."""
    order, stays, leaves = KeyOrder(), Window(0), Window(0)
    older, newer = ticket(0, window=stays), ticket(0, window=leaves)
    broken = ticket(1, window=stays, broken=True)
    order.arrive(older)
    order.arrive(newer)
    leaves.closed = True
    order.forget_closed()
    assert not order.arrive(broken)
    assert order.superseded(older)
    assert order.end(older) is broken


def test_what_left_is_not_remembered_although_its_end_never_comes() -> None:
    """An attempt whose intent has an unknown end is never made: years of such ends must not fill the memory."""
    order, leaves = KeyOrder(), Window(0)
    older, newer = ticket(0, window=leaves), ticket(1, window=leaves)
    order.arrive(older)
    order.arrive(newer)
    leaves.closed = True
    order.forget_closed()
    assert not order.superseded(older), "it never starts here anyway"


STEPS = st.lists(st.tuples(st.sampled_from(["arrive", "arrive", "end", "leave"]), st.integers(0, 1), st.integers(0, 2)))


@given(STEPS)
def test_one_at_a_time_in_order_and_none_for_ever(steps: list[tuple[str, int, int]]) -> None:
    """Of the tickets that are ours at most one of a key runs; they run in their order; each has its turn (G2);
    and what compaction would have removed is known as such (G5).
    """
    order, windows = KeyOrder(), [Window(0), Window(0)]
    arrived: dict[int, list[Ticket]] = defaultdict(list)
    running: dict[int, list[Ticket]] = defaultdict(list)
    ran: dict[int, list[Ticket]] = defaultdict(list)

    def start(key: int, started: Ticket | None) -> None:
        if started is not None:
            assert not started.window.closed
            assert all(other.window.closed for other in running[key]), "side by side"
            later = arrived[key][arrived[key].index(started) + 1 :]
            assert order.superseded(started) == any(other.refusal is None for other in later)
            running[key].append(started)
            ran[key].append(started)

    for number, (step, partition, key) in enumerate(steps):
        if step == "arrive":
            new = ticket(number, key=b"u%d" % key, window=windows[partition], broken=number % 3 == 0)
            arrived[key].append(new)
            start(key, new if order.arrive(new) else None)
        elif step == "end" and running[key]:
            start(key, order.end(running[key].pop(0)))
        elif step == "leave":
            windows[partition].closed = True
            windows[partition] = Window(0)
            order.forget_closed()
    for key, left in running.items():
        while left:
            start(key, order.end(left.pop(0)))
        assert [w for w in ran[key] if not w.window.closed] == [w for w in arrived[key] if not w.window.closed]
    assert not any(b"u%d" % key in order for key in range(3))
    assert not any(order.superseded(ticket) for tickets in arrived.values() for ticket in tickets), (
        "remembered for ever"
    )
