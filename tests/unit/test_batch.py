"""Settle the last, intend the next: what each end of a transaction means for what stands on both sides of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from processor.core.assignments import Assignments
from processor.core.batch import Batches
from processor.core.decide import Settle, Skip
from processor.core.ticket import Attempt, Finished, Ticket
from schemas.kafka.reading import Record
from schemas.records import Outcome


def end(ticket: Ticket) -> Finished:
    """Its outcome, whatever it is."""
    return Finished(Attempt(ticket), Skip("the test says so"))


def tickets(attempts: Iterable[Attempt]) -> list[Ticket]:
    return [attempt.ticket for attempt in attempts]


class Machine:
    """A partition or two, and records of them on both sides of the transaction."""

    def __init__(self) -> None:
        self.assigned = Assignments()
        self.assigned.assign({0: (0, ""), 1: (0, "")})
        self.batches = Batches(self.assigned)
        self._attempts = count(1)
        self.read_to = [0, 0]

    def attempt(self) -> str:
        return f"attempt-{next(self._attempts)}"

    def read(self, partition: int = 0) -> Ticket:
        window, offset = self.assigned.get(partition), self.read_to[partition]
        assert window is not None
        assert window.add(offset)
        self.read_to[partition] += 1
        return Ticket(Record(partition, offset, b"u1:2026-11", b"{}", [], 0), window)


def test_a_batch_settles_the_last_and_intends_the_next() -> None:
    """G3: outcomes, the next intents and the offsets that follow from the outcomes are one transaction."""
    machine = Machine()
    ended, fresh, later = end(machine.read()), machine.read(), machine.read()
    machine.batches.add_ended(ended)
    machine.batches.add_fresh(fresh)
    machine.batches.add_fresh(later)
    assert (machine.batches.ended, machine.batches.fresh) == (1, 2)
    batch = machine.batches.next(1, machine.attempt)
    assert (batch.finished, tickets(batch.intended), batch.withdrawn) == ((ended,), [fresh], ())
    assert dict(batch.offsets) == {0: (1, "")}
    assert [attempt.id for attempt in batch.intended] == ["attempt-1"]
    machine.batches.committed(batch)
    assert (machine.batches.ended, machine.batches.fresh) == (0, 1)
    assert not machine.assigned.dirty


def test_what_ends_while_a_transaction_is_open_waits_for_the_next() -> None:
    """G2: its outcome was not in the one that committed."""
    machine = Machine()
    first, second = end(machine.read()), end(machine.read())
    machine.batches.add_ended(first)
    batch = machine.batches.next(5, machine.attempt)
    machine.batches.add_ended(second)
    machine.batches.committed(batch)
    assert machine.batches.next(5, machine.attempt).finished == (second,)


def test_what_aborted_is_told_again() -> None:
    """G2: outcomes stay; intents come first again, under attempts of their own, because nobody saw the former."""
    machine = Machine()
    ended, intended, later = end(machine.read()), machine.read(), machine.read()
    machine.batches.add_ended(ended)
    machine.batches.add_fresh(intended)
    machine.batches.add_fresh(later)
    machine.batches.aborted(machine.batches.next(1, machine.attempt))
    batch = machine.batches.next(2, machine.attempt)
    assert (batch.finished, tickets(batch.intended)) == ((ended,), [intended, later])
    assert dict(batch.offsets) == {0: (1, "")}
    assert [attempt.id for attempt in batch.intended] == ["attempt-2", "attempt-3"]


def test_what_leaves_with_its_partition_is_not_recorded_here() -> None:
    """G3: Kafka would refuse the transaction; whoever has the partition now settles it."""
    machine = Machine()
    gone, stays = end(machine.read(0)), end(machine.read(1))
    gone_fresh, fresh = machine.read(0), machine.read(1)
    machine.batches.add_ended(gone)
    machine.batches.add_ended(stays)
    machine.batches.add_fresh(gone_fresh)
    machine.batches.add_fresh(fresh)
    machine.assigned.forget(frozenset({0}))
    assert machine.batches.forget_closed() == [gone_fresh]
    batch = machine.batches.next(5, machine.attempt)
    assert (batch.finished, tickets(batch.intended)) == ((stays,), [fresh])
    assert [*batch.offsets] == [1]


def test_what_is_never_recorded_here_is_given_up_by_name() -> None:
    """G6: its bars are taken away; of what has no transaction any more nothing is recorded later."""
    machine = Machine()
    gone, stays = end(machine.read(0)), end(machine.read(1))
    machine.batches.add_ended(gone)
    machine.batches.add_ended(stays)
    machine.assigned.forget(frozenset({0}))
    assert machine.batches.forget_ended() == [gone]
    assert machine.batches.forget_ended() == []
    assert machine.batches.take_ended() == [stays]
    assert machine.batches.ended == 0


def test_what_ses_accepted_of_a_partition_that_has_gone_is_a_fact() -> None:
    """G2: the ledger is to hold it, whoever has the partition now; what else ended there is not recorded here."""
    machine = Machine()
    went = Finished(Attempt(machine.read(0), "a"), Settle(Outcome.SENT, message_id="m", attempt="a"))
    doubt = Finished(Attempt(machine.read(0), "b"), Settle(Outcome.UNCERTAIN, attempt="b"))
    for finished in (went, doubt, end(machine.read(0))):
        machine.batches.add_ended(finished)
    assert machine.batches.facts == ()
    machine.assigned.forget(frozenset({0}))
    assert machine.batches.next(5, machine.attempt).finished == ()
    assert machine.batches.facts == (went,)
    machine.batches.told([went])
    assert machine.batches.facts == ()


def test_what_is_read_again_here_is_no_fact() -> None:
    """The partition came back: its record is settled here, with its offset."""
    machine = Machine()
    machine.batches.add_ended(Finished(Attempt(machine.read(0)), Settle(Outcome.SENT, message_id="m")))
    machine.assigned.assign({0: (0, "")})
    assert machine.batches.next(5, machine.attempt).finished == ()
    assert machine.batches.facts == ()


def test_the_last_batch_intends_nothing() -> None:
    """A partition that leaves, or a processor that ends, takes back what it never started."""
    machine = Machine()
    fresh, ended, dropped = machine.read(), end(machine.read()), Attempt(machine.read(), "attempt-0")
    machine.batches.add_fresh(fresh)
    machine.batches.add_ended(ended)
    batch = machine.batches.last([dropped], frozenset({0}))
    assert (batch.finished, batch.intended, batch.withdrawn, batch.leaving) == ((ended,), (), (dropped,), {0})
    assert machine.batches.fresh == 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "read", "commit", "abort", "unknown", "leave"]), st.integers(0, 3), st.booleans()
    )
)


@given(STEPS)
def test_each_record_is_intended_and_recorded_once(steps: list[tuple[str, int, bool]]) -> None:
    """G2, G3: of what is ours nothing is lost between two transactions, and nothing is recorded twice."""
    machine = Machine()
    batches, assigned = machine.batches, machine.assigned
    alive: set[Ticket] = set()
    recorded: list[Ticket] = []
    running: list[Ticket] = []
    for step, n, ends_meanwhile in steps:
        if step == "read":
            ticket = machine.read(n % 2)
            alive.add(ticket)
            batches.add_fresh(ticket)
        elif step == "leave":
            _forget(machine, frozenset({n % 2}))
        else:
            batch = batches.next(n, machine.attempt)
            if ends_meanwhile and running:
                batches.add_ended(end(running.pop(0)))
            if step == "commit":
                batches.committed(batch)
                recorded += tickets(finished.attempt for finished in batch.finished)
                running += tickets(batch.intended)
            elif step == "abort":
                batches.aborted(batch)
            else:
                _forget(machine, assigned.partitions)
                assert batches.fresh == 0
        alive = {ticket for ticket in alive if assigned.owns(ticket)}
        running = [ticket for ticket in running if assigned.owns(ticket)]
    while alive - set(recorded):
        for ticket in running:
            batches.add_ended(end(ticket))
        batch = batches.next(100, machine.attempt)
        batches.committed(batch)
        recorded += tickets(finished.attempt for finished in batch.finished)
        running = tickets(batch.intended)
    assert max(Counter(recorded).values(), default=1) == 1
    assert not assigned.dirty
    assert batches.next(100, machine.attempt).finished == ()
    assert batches.ended == batches.fresh == 0


def _forget(machine: Machine, partitions: frozenset[int]) -> None:
    """They leave, and come back where nothing was read yet."""
    machine.assigned.forget(partitions)
    machine.batches.forget_closed()
    machine.assigned.assign({partition: (machine.read_to[partition], "") for partition in partitions})
