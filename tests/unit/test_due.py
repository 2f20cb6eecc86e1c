"""What may be attempted, and when: nothing is lost between ready, aside and later, and nobody waits too long."""

from __future__ import annotations

from collections import Counter
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from processor.core.decide import Settle
from processor.core.due import DueQueue
from processor.core.offsets import Window
from processor.core.ticket import Attempt, Ticket
from schemas.kafka.reading import Record
from schemas.records import Outcome


def attempt(offset: int = 0, *, value: bytes | None = b"{}", refused: bool = False) -> Attempt:
    refusal = Settle(Outcome.DEAD) if refused else None
    return Attempt(Ticket(Record(0, offset, b"u1:2026-11", value, [], 0), Window(0), refusal=refusal))


def test_only_what_needs_a_call_waits_for_one() -> None:
    """Tombstones and refused records are settled without SES, whatever SES's quota is."""
    due = DueQueue()
    job, tombstone, poison = attempt(), attempt(value=None), attempt(refused=True)
    due.submit([job, tombstone, poison])
    assert (due.ready, due.aside) == (1, 2)
    assert due.take(5) == [job]
    assert due.take_aside(5) == [tombstone, poison]
    assert due.empty


def test_no_more_is_taken_than_was_asked_for() -> None:
    """A crash leaves in doubt only what was being called for."""
    due = DueQueue()
    first, second, third = attempts = [attempt(offset) for offset in range(3)]
    due.submit(attempts)
    assert due.take(-1) == []
    assert due.take(2) == [first, second]
    due.put_back([first, second])
    assert due.take(9) == [first, second, third]


def test_what_was_put_off_waits_for_its_time_and_comes_first_then() -> None:
    """A back-off is kept to; then the attempt goes before those that came after it, in the order of their times."""
    due = DueQueue()
    assert due.next_s == inf
    late, early, same, fresh = (attempt(offset) for offset in range(4))
    cancel = attempt(4, value=None)
    due.submit([fresh])
    for put_off, due_s in zip((late, early, same, cancel), (3.0, 1.0, 1.0, 1.0), strict=True):
        due.put_off(put_off, due_s)
    due.promote(0.9)
    assert (due.ready, due.later, due.next_s) == (1, 4, 1.0)
    due.promote(1.0)
    assert due.take(9) == [early, same, fresh]
    assert due.take_aside(9) == [cancel]
    assert (due.later, due.next_s, due.empty) == (1, 3.0, False)
    due.promote(5.0)
    assert due.take(9) == [late]


STEPS = st.lists(
    st.tuples(st.sampled_from(["submit", "put_off", "promote", "take", "aside", "back", "drop"]), st.integers(0, 6))
)


@given(STEPS)
def test_every_attempt_stands_in_one_place(steps: list[tuple[str, int]]) -> None:
    """G2: whatever comes, an attempt is queued once, or was taken, or was dropped; and no back-off is cut short."""
    due, outside, queued, times, now_s = DueQueue(), [], [], {}, 0.0
    for number, (step, n) in enumerate(steps):
        taken: list[Attempt] = []
        if step == "submit":
            new = [attempt(number * 10 + i, value=None if i % 3 == 2 else b"{}") for i in range(n)]
            due.submit(new)
            queued += new
        elif step == "put_off" and outside:
            due.put_off(outside[0], now_s + n)
            times[outside[0]] = now_s + n
            queued.append(outside.pop(0))
        elif step == "promote":
            now_s += n
            due.promote(now_s)
        elif step == "take":
            taken = due.take(n)
        elif step == "aside":
            taken = due.take_aside(n)
        elif step == "back":
            due.put_back(outside[:n])
            queued += outside[:n]
            outside = outside[n:]
        elif step == "drop":
            taken = due.drop(lambda t, n=n: t.record.offset % 7 == n)  # type: ignore[misc]
            assert due.drop(lambda t, n=n: t.record.offset % 7 == n) == []  # type: ignore[misc]
        if step in {"take", "aside"}:
            assert all(times.get(w, 0.0) <= now_s for w in taken), "taken before its time"
        for w in taken:
            times.pop(w, None)
            queued.remove(w)
        outside += taken
        assert due.ready + due.aside + due.later == len(queued)
        assert due.empty == (not queued)
    assert Counter(due.drop(lambda _: True)) == Counter(queued)
