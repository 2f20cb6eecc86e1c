"""The whole of a processor without I/O: what comes in, and what is to be done then."""

from __future__ import annotations

from itertools import count

from processor.core.answers import RetryClass
from processor.core.control import Tenure
from processor.core.decide import Settle, Skip
from processor.core.engine import Engine
from processor.core.ticket import Attempt, Finished, Ticket
from schemas.kafka.reading import Record
from schemas.records import Outcome
from tests.support.parts import ticket

DONE = Skip("the test says so")


class Driver:
    """Reads into an engine with two partitions."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.engine.assign({0: (0, ""), 1: (0, "")})
        self.reach()
        self._attempts = count(1)
        self._offsets = count()

    def reach(self) -> None:
        """Whoever reads on ahead is at the ends."""
        newest = self.engine.newest
        newest.aim(newest.endless(), {})
        self.engine.starts.known()

    def new_attempt(self) -> str:
        return f"attempt-{next(self._attempts)}"

    def read(self, user: str = "u1", partition: int = 0, *, value: bytes | None = b"") -> Ticket:
        offset, window = next(self._offsets), self.engine.assigned.get(partition)
        assert window is not None
        assert window.add(offset)
        found = ticket(user, offset, partition=partition, value=value, window=window)
        self.engine.accept(found)
        return found

    def intend(self, open_max: int = 9) -> None:
        self.engine.committed(self.engine.next(open_max, self.new_attempt))


def test_nothing_is_called_for_before_its_intent_has_committed() -> None:
    """G1: a crash would leave a call that nobody knows of."""
    driver = Driver()
    driver.read()
    batch = driver.engine.next(9, driver.new_attempt)
    assert driver.engine.take(9) == []
    driver.engine.committed(batch)
    assert [attempt.id for attempt in driver.engine.take(9)] == ["attempt-1"]


def test_a_crash_leaves_only_so_many_intents_open() -> None:
    """G4: what waits for a call counts against the next batch."""
    driver = Driver()
    for number in range(5):
        driver.read(f"u{number}")
    driver.intend(2)
    driver.intend(3)
    assert (driver.engine.due.ready, driver.engine.batches.fresh) == (3, 2)
    driver.intend(1)
    assert driver.engine.due.ready == 3


def test_the_next_of_a_key_starts_when_the_first_has_ended() -> None:
    """A cancel that came after a call waits for its end, and needs no intent."""
    driver = Driver()
    driver.read()
    driver.intend()
    (called,) = driver.engine.take(9)
    driver.read(value=None)
    assert (driver.engine.due.aside, driver.engine.holds(called.ticket.record.key)) == (0, True)
    driver.engine.end(Finished(called, DONE))
    assert (driver.engine.due.aside, driver.engine.idle) == (1, False)


def test_what_a_newer_record_replaced_is_not_called_for() -> None:
    """G5: it ends without a call, and the newer one starts."""
    driver = Driver()
    driver.read()
    driver.intend()
    newer = driver.read()
    assert driver.engine.take(9) == []
    assert (driver.engine.batches.ended, driver.engine.batches.fresh) == (1, 1)
    driver.intend()
    (attempt,) = driver.engine.take(9)
    assert attempt.ticket is newer


def test_what_is_never_called_for_is_given_back() -> None:
    """G4: Redis may hold a claim of it whose answer was lost."""
    driver = Driver()
    driver.read()
    driver.intend()
    driver.read()
    assert driver.engine.take(9) == []
    assert [attempt.id for attempt in driver.engine.starts.never_called()] == ["attempt-1"]
    assert driver.engine.starts.never_called() == [], "once"


def test_what_left_with_its_partition_is_not_called_for() -> None:
    """Whoever has the partition now does that; what waited behind it goes on."""
    driver = Driver()
    driver.read("u1", 0)
    behind = driver.read("u1", 1)
    driver.intend()
    (dropped,) = driver.engine.lost(frozenset({0}))
    assert dropped.id == "attempt-1"
    assert driver.engine.take(9) == []
    driver.intend()
    assert [attempt.ticket for attempt in driver.engine.take(9)] == [behind]


def test_an_attempt_of_a_lost_partition_ends_without_a_call() -> None:
    """It was being claimed when the partition went, and was given back."""
    driver = Driver()
    driver.read()
    driver.intend()
    attempts = driver.engine.take(9)
    driver.engine.lost(frozenset({0}))
    driver.engine.due.put_back(attempts)
    assert driver.engine.take(9) == []
    assert driver.engine.next(9, driver.new_attempt).finished == ()


def test_partitions_leave_with_what_was_never_called_for() -> None:
    """G4: its intents are withdrawn in the transaction that settles the rest; then others go on."""
    driver = Driver()
    driver.read("u1", 0)
    behind = driver.read("u1", 1)
    driver.intend()
    dropped = driver.engine.due.drop(lambda ticket: ticket.record.partition == 0)
    batch = driver.engine.leave(frozenset({0}), dropped)
    assert (batch.withdrawn, batch.leaving) == (tuple(dropped), {0})
    assert driver.engine.assigned.partitions == {0, 1}, "not before it has committed"
    assert driver.engine.left() is batch
    assert driver.engine.assigned.partitions == {1}
    driver.intend()
    assert [attempt.ticket for attempt in driver.engine.take(9)] == [behind]


def test_a_leave_that_failed_is_a_loss() -> None:
    """What was dropped for it does not hold up the others of its key."""
    driver = Driver()
    driver.read("u1", 0)
    behind = driver.read("u1", 1)
    driver.intend()
    driver.engine.leave(frozenset({0}), driver.engine.due.drop(lambda ticket: ticket.record.partition == 0))
    assert driver.engine.lost(frozenset({0})) == []
    driver.intend()
    assert [attempt.ticket for attempt in driver.engine.take(9)] == [behind]


def test_a_better_outcome_is_recorded_as_well() -> None:
    """G6: evidence may know better after the commit; the record stays settled."""
    driver = Driver()
    driver.read()
    driver.intend()
    (attempt,) = driver.engine.take(9)
    driver.engine.end(Finished(attempt, DONE))
    driver.intend()
    assert driver.engine.idle
    better = Finished(attempt, Skip("evidence knew better"))
    driver.engine.correct([better])
    assert not driver.engine.idle
    batch = driver.engine.last([])
    assert (batch.finished, dict(batch.offsets)) == ((better,), {})


def test_an_aborted_batch_is_made_anew() -> None:
    """G2: its intents under other attempts, because nobody saw the former."""
    driver = Driver()
    driver.read()
    driver.engine.aborted(driver.engine.next(9, driver.new_attempt))
    assert driver.engine.take(9) == []
    driver.intend()
    assert [attempt.id for attempt in driver.engine.take(9)] == ["attempt-2"]


def test_what_waits_for_its_partition_to_be_known_is_held() -> None:
    """G5: a newer record may stand anywhere before the end; others' mails go out meanwhile."""
    driver = Driver()
    held, other = driver.read("u1", 0), driver.read("u2", 1)
    driver.intend()
    driver.engine.starts.scan_anew()
    newest = driver.engine.newest
    newest.aim(newest.endless(), {0: 99})
    driver.engine.starts.known()
    assert [attempt.ticket for attempt in driver.engine.take(9)] == [other]
    assert (driver.engine.due.ready, driver.engine.idle) == (0, False)
    newest.take({0: newest._readings[0]}, [], {0: 99})
    driver.engine.starts.known()
    assert [attempt.ticket for attempt in driver.engine.take(9)] == [held]
    driver.engine.starts.scan_anew()
    driver.engine.due.put_back([Attempt(held, "attempt-9")])
    assert driver.engine.take(9) == []
    assert [attempt.id for attempt in driver.engine.lost(frozenset({0}))] == ["attempt-9"]
    assert driver.engine.due.empty


def test_what_a_newer_record_far_ahead_replaced_is_withdrawn() -> None:
    """G5, G4: never called for, and its intent is no doubt once its transaction has committed; aborted, it is said again."""
    driver = Driver()
    ticket = driver.read("u1", 0)
    driver.intend()
    reading = driver.engine.newest._readings[0]
    driver.engine.newest.take({0: reading}, [Record(0, 500, ticket.record.key, None, [], 0)], {})
    assert driver.engine.take(9) == []
    for _ in range(2):
        batch = driver.engine.next(9, driver.new_attempt)
        assert [attempt.id for attempt in batch.withdrawn] == ["attempt-1"]
        driver.engine.aborted(batch)
    assert [attempt.id for attempt in driver.engine.starts.never_called()] == ["attempt-1"]
    assert [attempt.id for attempt in driver.engine.last([]).withdrawn] == ["attempt-1"]


def test_what_was_not_called_for_is_withdrawn_and_intended_anew() -> None:
    """G4: with what befell it, in its order and not before its time; what needs no call had no intent."""
    driver = Driver()
    engine = driver.engine
    tickets = [driver.read(f"u{number}") for number in range(3)]
    driver.read("u3", value=None)
    driver.intend()
    first, second, third = engine.take(9)
    engine.due.put_off(second.refused_for_now(RetryClass.THROTTLED), 50.0)
    engine.due.put_back([third])
    renounced = engine.starts.renounce()
    assert [attempt.ticket for attempt in renounced] == [tickets[2], tickets[1]]
    assert (engine.due.ready, engine.due.later, engine.due.aside, engine.batches.renounced) == (0, 0, 1, 2)
    assert engine.starts.never_called() == [], "their claims are freed when whoever renounced says so"
    engine.aborted(engine.next(9, driver.new_attempt))
    batch = engine.next(9, driver.new_attempt)
    assert batch.withdrawn == tuple(renounced)
    assert [attempt.ticket for attempt in batch.intended] == [tickets[2], tickets[1]]
    assert not {attempt.id for attempt in batch.intended} & {first.id, second.id, third.id}
    engine.committed(batch)
    assert engine.batches.renounced == 0
    assert [attempt.ticket for attempt in engine.take(9)] == [tickets[2]]
    engine.due.promote(50.0)
    (again,) = engine.take(9)
    assert (again.ticket, again.tries) == (tickets[1], {RetryClass.THROTTLED: 1})
    engine.starts.freed(renounced)
    assert engine.starts.never_called() == renounced


def test_one_that_was_taken_leaves_its_claim_at_once() -> None:
    """G4: the key is held for it among others."""
    driver = Driver()
    driver.read()
    driver.intend()
    (attempt,) = driver.engine.take(9)
    driver.engine.starts.renounce_one(attempt)
    assert driver.engine.starts.never_called() == [attempt]
    assert driver.engine.next(9, driver.new_attempt).withdrawn == (attempt,)


def test_what_is_passed_over_withdraws_its_own_intent_alone() -> None:
    """G4: in the transaction that settles it; what was called for is closed by its outcome."""
    driver = Driver()
    for user in ("u1", "u2", "u3"):
        driver.read(user)
    driver.intend()
    skipped, anothers, called = driver.engine.take(9)
    driver.engine.end(Finished(skipped, DONE))
    driver.engine.end(Finished(anothers, Settle(Outcome.UNCERTAIN, attempt="another")))
    driver.engine.end(Finished(called, Settle(Outcome.SENT, attempt=called.id)))
    batch = driver.engine.next(9, driver.new_attempt)
    assert (batch.withdrawn, batch.offsets[0][0]) == ((skipped, anothers), 3)


def test_what_was_renounced_leaves_with_its_partition() -> None:
    """Withdrawn in its last transaction, or, where the partition was lost, by nobody here; others' stay."""
    for lost in (True, False):
        driver = Driver()
        leaves, stays = driver.read("u1"), driver.read("u2", partition=1)
        driver.intend()
        driver.engine.starts.renounce()
        if lost:
            driver.engine.lost(frozenset({0}))
        else:
            batch = driver.engine.leave(frozenset({0}), [])
            assert [attempt.ticket for attempt in batch.withdrawn] == [leaves, stays]
            driver.engine.left()
        batch = driver.engine.next(9, driver.new_attempt)
        assert [attempt.ticket for attempt in batch.withdrawn] == ([stays] if lost else [])
        assert [attempt.ticket for attempt in batch.intended] == [stays]


def test_what_was_intended_under_another_tenure_is_taken_back() -> None:
    """G1: what comes back from a call that was forbidden is intended anew, and its claim given back."""
    driver = Driver()
    driver.read("u1", 0)
    driver.intend()
    (stale,) = driver.engine.take(9)
    driver.engine.starts.hold(Tenure("lineage", 1))
    driver.engine.due.put_back([stale])
    assert driver.engine.take(9) == []
    assert driver.engine.batches.renounced == 1
    assert driver.engine.starts.never_called() == [stale]


def test_what_was_read_while_a_claim_was_on_its_way_is_not_told_yet() -> None:
    """G5: that claim may be for what was replaced there; whoever waits looks at the dedup set once it is answered."""
    engine = Engine()
    engine.assign({0: (5, "")})
    engine.newest.aim(engine.newest.endless(), {0: 9})
    assert engine.starts.known_to() == {0: 5}
    with engine.starts.claiming():
        engine.newest.take(engine.newest.readings(), [], {0: 9})
        assert engine.starts.known_to() == {0: 5}
    assert engine.starts.known_to() == {0: 9}
