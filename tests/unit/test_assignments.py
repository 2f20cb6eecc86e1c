"""Which partitions are ours, and how far each is settled, while they come and go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processor.core.assignments import Assignments
from processor.core.offsets import ROOM_MAX, SPAN_MAX
from processor.core.ticket import Ticket
from schemas.kafka.reading import Record


def read(assigned: Assignments, partition: int, offset: int) -> Ticket:
    """A record that was read and is in ticket."""
    window = assigned.get(partition)
    assert window is not None
    assert window.add(offset)
    return Ticket(Record(partition, offset, b"u1:2026-11", b"{}", [], 0), window)


def settle(ticket: Ticket) -> None:
    ticket.window.settle(ticket.record.offset)


def test_a_partition_that_comes_back_begins_a_new_life() -> None:
    """G3: tickets of the former life are not ours to record; whoever had the partition meanwhile may have done so."""
    assigned = Assignments()
    assert not assigned.partitions
    assigned.assign({0: (5, ""), 1: (0, "")})
    former, other = read(assigned, 0, 5), read(assigned, 1, 0)
    assigned.forget(frozenset({0, 7}))
    assert assigned.partitions == {1}
    assert assigned.get(0) is None
    assert not assigned.owns(former)
    assert former.window.closed
    assert assigned.owns(other)
    assigned.assign({0: (5, "")})
    assert not assigned.owns(former)
    assert assigned.owns(read(assigned, 0, 5))


def test_an_assignment_told_twice_closes_the_former_life() -> None:
    """Nothing of a window that was replaced may be started."""
    assigned = Assignments()
    assigned.assign({0: (0, "")})
    former = read(assigned, 0, 0)
    assigned.assign({0: (0, "")})
    assert former.window.closed
    assert not assigned.owns(former)


def test_what_was_settled_is_committed_once() -> None:
    """G3: offsets go with the transaction that holds their outcomes; one that aborted leaves them to the next."""
    assigned = Assignments()
    assigned.assign({0: (0, ""), 1: (0, "")})
    first, second = read(assigned, 0, 0), read(assigned, 0, 1)
    assert not assigned.dirty
    assert (assigned.to_commit(), assigned.read_ahead) == ({}, 2)
    settle(second)
    assert assigned.dirty
    offsets = assigned.to_commit()
    assert [*offsets] == [0]
    assert offsets == assigned.to_commit(), "not told of its end, it is told again"
    assigned.committed(offsets | {9: (3, "")})
    assert not assigned.dirty
    settle(first)
    assert assigned.to_commit() == {0: (2, "")}
    assert assigned.prefixes == {0: 2, 1: 0}


def test_what_the_metadata_tells_of_is_settled() -> None:
    """A successor neither repeats nor forgets what was settled out of order."""
    assigned, successor = Assignments(), Assignments()
    assigned.assign({0: (0, "")})
    read(assigned, 0, 0)
    settle(read(assigned, 0, 1))
    successor.assign(assigned.to_commit())
    window = successor.get(0)
    assert window is not None
    assert [window.add(0), window.add(1)] == [True, False]


def test_a_partition_whose_window_is_full_is_not_read() -> None:
    """Kafka's commit metadata bounds how far settled records may lie ahead."""
    assigned = Assignments()
    assigned.assign({0: (0, ""), 1: (0, "")})
    read(assigned, 0, 0)
    assert not assigned.full
    read(assigned, 0, SPAN_MAX)
    assert assigned.full == {0}


def test_a_drain_has_reached_its_end_when_all_before_it_is_committed() -> None:
    """G2: nothing unread, nothing in work, nothing uncommitted; markers at the end are nothing to settle."""
    assigned = Assignments()
    assigned.aim({0: 3, 1: 9})
    assigned.assign({0: (1, "")})
    assert assigned.targets == {0: 3, 1: 9}
    assert not assigned.reached, "unread"
    ticket = read(assigned, 0, 1)
    assert not assigned.reached, "in work"
    settle(ticket)
    assigned.committed(assigned.to_commit())
    assert not assigned.reached, "the end is a marker, and was not read"
    assigned.reach_ends({0: 3, 5: 5})
    assert not assigned.reached, "uncommitted"
    assigned.committed(assigned.to_commit())
    assert assigned.reached, "another's partition is the group's matter"


STEPS = st.lists(
    st.tuples(st.sampled_from(["read", "read", "settle", "commit", "abort", "leave", "come"]), st.integers(0, 2))
)


@given(STEPS)
def test_no_offset_passes_an_open_record(steps: list[tuple[str, int]]) -> None:
    """G2: whatever comes and goes, what is committed lies behind everything that is ours and not settled."""
    assigned, position, committed = Assignments(), [0] * 3, dict.fromkeys(range(3), (0, ""))
    tickets: list[Ticket] = []
    assigned.assign(committed)
    for step, n in steps:
        if step == "read" and assigned.get(n):
            tickets.append(read(assigned, n, position[n]))
            position[n] += 1
        elif step == "settle" and tickets:
            settle(tickets.pop(n % len(tickets)))
        elif step == "commit":
            offsets = assigned.to_commit()
            committed |= offsets
            assigned.committed(offsets)
        elif step == "abort":
            assigned.to_commit()
        elif step == "leave":
            assigned.forget(frozenset({n}))
        elif step == "come" and assigned.get(n) is None:
            assigned.assign({n: committed[n]})
            window = assigned.get(n)
            assert window is not None
            again = [offset for offset in range(committed[n][0], position[n]) if window.add(offset)]
            tickets += [Ticket(Record(n, offset, None, None, [], 0), window) for offset in again]
        assert all(ticket.window.closed != assigned.owns(ticket) for ticket in tickets)
        for ticket in tickets:
            if assigned.owns(ticket):
                assert committed[ticket.record.partition][0] <= ticket.record.offset
                assert assigned.prefixes[ticket.record.partition] <= ticket.record.offset
    assert assigned.partitions == frozenset(assigned.prefixes)


def test_a_batch_that_cannot_be_read_is_told_of_until_the_reader_is_behind_it() -> None:
    """G2: a drain that stands still there, and has nothing else to do, can say so."""
    assigned = Assignments()
    assert assigned.room == ROOM_MAX
    assigned.assign({0: (0, ""), 1: (0, "")})
    assigned.aim({0: 5, 1: 5})
    one, other = assigned.get(0), assigned.get(1)
    assert one is not None
    assert other is not None
    one.add(0)
    assigned.meet_unreadable({0: 1, 7: 3})
    assert assigned.unreadable == {0: 1}
    assert not assigned.stuck
    one.settle(0)
    assigned.committed(assigned.to_commit())
    assert not assigned.stuck
    other.reach_end(5)
    assigned.committed(assigned.to_commit())
    assert assigned.stuck
    one.add(4)
    assert assigned.unreadable == {}
    one.settle(4)
    assigned.committed(assigned.to_commit())
    assert not assigned.stuck
    assert assigned.reached
    assigned.forget(frozenset({0}))
    assert assigned.unreadable == {}
