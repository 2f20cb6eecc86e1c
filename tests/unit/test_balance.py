"""Jobs held against outcomes: what a drain owes, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from processor.core.balance import Balance, Lowered
from processor.core.floor import first_month
from schemas.codec import decode_delivery, encode
from schemas.kafka.reading import Record
from schemas.records import Delivery, Outcome, Source

KEY = b"u1:2026-11"


def job(offset: int, *, partition: int = 0, key: bytes = KEY, value: bytes | None = b"{}", at_ms: int = 0) -> Record:
    return Record(partition, offset, key, value, [], at_ms or offset)


def entry(outcome: Outcome, offset: int, *, partition: int = 0, **about: Any) -> Record:
    source = Source("email-jobs", partition, offset, about.pop("at_ms", offset))
    delivery = Delivery(outcome=outcome, at_ms=0, source=source, instance="p1", **about)
    return Record(partition, 0, KEY, encode(delivery), [], 0)


def missing(jobs: list[Record], ledger: list[Record], *, end: int = 10, **about: Any) -> list[bytes]:
    balance = Balance({0: end, 1: end}, "2026-01", **about)
    for record in jobs:
        balance.job(record)
    for record in ledger:
        balance.outcome(record)
    return balance.missing()


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_settles_a_job(outcome: Outcome) -> None:
    """G2: a doubt is one too."""
    assert missing([job(3)], []) == [KEY]
    assert missing([job(3)], [entry(outcome, 3)]) == []


def test_a_newer_record_needs_an_outcome_of_its_own_where_it_is_attempted() -> None:
    """What freed the key settles no correction; what was sent, held or dropped does."""
    assert missing([job(3), job(5)], [entry(Outcome.DEAD, 3)]) == [KEY]
    assert missing([job(3), job(5)], [entry(Outcome.DEAD, 5)]) == []
    assert missing([job(3), job(5)], [entry(Outcome.DEAD, 5), entry(Outcome.DEAD, 3)]) == []
    assert missing([job(3), job(5)], [entry(Outcome.SENT, 3)]) == []
    assert missing([job(3), job(5)], [entry(Outcome.DEAD, 3, message_id="m1")]) == []
    assert missing([job(3), job(5)], [entry(Outcome.UNCERTAIN, 3)]) == []
    ended = [entry(Outcome.UNCERTAIN, 3, attempt="a"), entry(Outcome.DEAD, 4, attempt="b", overrides="a")]
    assert missing([job(3), job(4), job(5)], ended) == [KEY], (
        "a doubt that a refused resend ended settles no correction"
    )
    assert missing([job(3), job(4)], ended) == []
    dropped = entry(Outcome.DEAD, 3, attempt="a", message_id="m")
    assert missing([job(3), job(5)], [dropped, entry(Outcome.UNCERTAIN, 3, attempt="a")]) == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_two_partitions_say_of_a_key(order: tuple[int, int]) -> None:
    """G2: partitions were added, and whichever is read first, the later record's outcome counts, and what bars the key."""
    jobs = [job(3, partition=0, at_ms=30), job(1, partition=1, at_ms=90)]

    def ledger(*entries: Record) -> list[Record]:
        return sorted(entries, key=lambda record: order.index(record.partition))

    old, new = entry(Outcome.DEAD, 3, at_ms=30), entry(Outcome.DEAD, 1, partition=1, at_ms=90)
    doubt = entry(Outcome.UNCERTAIN, 3, at_ms=30, attempt="a")
    assert missing(jobs, ledger(old)) == [KEY]
    assert missing(jobs, ledger(old, new)) == []
    assert missing(jobs, ledger(doubt)) == []
    assert missing(jobs, ledger(entry(Outcome.SENT, 3, at_ms=30))) == []


def lowered(*ledger: Record) -> set[bytes]:
    balance = Balance({0: 10}, "2026-01")
    for record in ledger:
        balance.outcome(record)
    return balance.lowered


def test_what_follows_sent_and_is_not_sess_word_is_found() -> None:
    """G6: `sent` is written again where something else is the ledger's last word."""
    sent, forgotten = entry(Outcome.SENT, 3), Record(0, 0, KEY, None, [], 0)
    for other in (Outcome.DEAD, Outcome.CANCELLED, Outcome.SUPPRESSED, Outcome.UNCERTAIN):
        assert lowered(sent, entry(other, 3)) == {KEY}
        assert lowered(entry(other, 3), sent) == set()
        assert lowered(sent, entry(other, 3), sent) == set()
        assert lowered(sent, entry(other, 3), forgotten) == set()
    dropped = entry(Outcome.DEAD, 3, message_id="m")
    assert lowered(sent, dropped, entry(Outcome.CANCELLED, 3)) == set()
    assert lowered(sent, entry(Outcome.CANCELLED, 3), dropped) == set()
    fold = Lowered()
    for record in (sent, entry(Outcome.DEAD, 4)):
        fold.add(KEY, decode_delivery(record.value or b""), record)
    assert fold.found() == {KEY: sent}


def test_tombstones() -> None:
    """A cancelled job has an outcome; one that had ended before needs no other; without a job there is none."""
    gone = job(5, value=None)
    assert missing([job(3), gone], []) == [KEY]
    assert missing([job(3), gone], [entry(Outcome.CANCELLED, 5)]) == []
    assert missing([job(3), gone], [entry(Outcome.DEAD, 3)]) == []
    assert missing([gone], []) == []
    assert missing([job(3), gone], [Record(0, 0, KEY, None, [], 0)]) == [], "the user was forgotten"


def test_what_came_after_the_drain_began_is_not_owed() -> None:
    """Nor is a job that has a newer record which did: that one will have the outcome."""
    assert missing([job(10)], []) == []
    assert missing([job(3), job(12)], []) == []
    assert missing([job(3, partition=2)], []) == [], "the partition was added since"


def test_a_key_in_two_partitions() -> None:
    """The later record counts, whichever partition is read first."""
    earlier, later = job(9, at_ms=1), job(2, partition=1, at_ms=2)
    for jobs in ([earlier, later], [later, earlier]):
        assert missing(jobs, [entry(Outcome.DEAD, 2, partition=1, at_ms=2)]) == []
        assert missing(jobs, [entry(Outcome.DEAD, 9, at_ms=1)]) == [KEY]
        assert missing(jobs, [entry(Outcome.SENT, 9, at_ms=1)]) == []


def test_only_what_may_still_be_mailed_counts() -> None:
    """Closed months, other months than the one asked for, and records whose key cannot be read: their letter tells."""
    assert missing([job(3, key=b"u1:2025-12"), job(4, key=b"nonsense"), job(5, key=b":2026-11")], []) == []
    assert missing([job(3)], [], month="2026-10") == []
    assert missing([job(3)], [], month="2026-11") == [KEY]
    assert missing([job(3)], [], only={b"u2:2026-11"}) == []


def test_an_entry_that_cannot_be_read_settles_nothing() -> None:
    """It is no outcome that anybody could be shown."""
    assert missing([job(3)], [Record(0, 0, KEY, b"{", [], 0)]) == [KEY]


def test_the_oldest_month() -> None:
    """As the processor counts the age of a job."""
    assert first_month("", "2026-11", 13) == "2025-11"
    assert first_month("", "2026-01", 2) == "2025-12"
    assert first_month("", "2026-12", 13) == "2025-12"


def test_another_months_entry_is_not_looked_at() -> None:
    """A drain of one month has nothing to do with the ledger of others."""
    assert missing([job(3)], [entry(Outcome.SENT, 3)], month="2026-10") == []
