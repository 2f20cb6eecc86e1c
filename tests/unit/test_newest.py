"""G5: which records a newer one has replaced, however many lie between, and from when on that is known."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from processor.core import newest
from processor.core.newest import Newest, Reading
from processor.core.sieve import Sieve
from schemas.codec import encode
from schemas.kafka.reading import Record
from tests.support.world import MONTH, job


def record(user: str, offset: int, value: bytes | None = b"", partition: int = 0) -> Record:
    content = encode(job(user)) if value == b"" else value
    return Record(partition, offset, f"{user}:{MONTH}".encode(), content, [], 0)


def read(known: Newest, records: list[Record], end: int, hashing: Callable[[bytes], int] = hash) -> bool:
    """As a job log does: everything to the end of partition 0; returns whether it is known with that."""
    (reading,) = known.readings().values()
    if not reading.sieve.used:
        reading.sieve = Sieve(hashing=hashing)
    again = [one for one in records if one.key is not None and reading.sieve.again(one.key)]
    return known.take({0: reading}, again, {0: end})


def assigned(end: int, begin: int = 0) -> Newest:
    known = Newest()
    known.assign({0: begin})
    known.aim(known.endless(), {0: end})
    return known


@pytest.mark.parametrize(
    "hashing", [hash, lambda _key: 7, lambda key: len(key)], ids=["hash", "all alike", "many alike"]
)
def test_keys_that_are_alike_decide_nothing(hashing: Callable[[bytes], int]) -> None:
    """A collision is looked at more carefully: by the whole key. Against a plain dict, whatever the sieve takes for equal."""
    rng = random.Random(5)
    records = [record(f"u{rng.randrange(40)}", offset) for offset in range(200)]
    known = assigned(200)
    assert read(known, records, 200, hashing)
    latest = {one.key: one.offset for one in records}
    for one in records:
        assert known.superseded(one) == (latest[one.key] > one.offset)
    assert not known.superseded(record("u0", 0, partition=1))
    assert not known.superseded(Record(0, 0, None, b"", [], 0))


@pytest.mark.parametrize(("value", "counts"), [(None, True), (b"", True), (b"{not json", False)])
def test_what_corrects(value: bytes | None, *, counts: bool) -> None:
    """A tombstone and a job do; what is neither lets the older one go out, wherever it stands."""
    known = assigned(9)
    read(known, [record("u1", 3), record("u1", 8, value)], 9)
    assert known.superseded(record("u1", 3)) == counts
    reading = Reading(0, 0)
    reading.note([Record(0, 1, b"no month", None, [], 0), Record(0, 2, None, None, [], 0)])
    assert not reading.newest


def test_nothing_is_claimed_before_an_end_that_was_asked_for_since() -> None:
    """An answer to a question from before the call is none; a partition without records is known at once."""
    known = Newest()
    known.assign({0: 5, 1: 0})
    assert known.unread == {0, 1}
    assert known.readings() == {}
    asked = known.endless()
    known.anew()
    assert not known.aim(asked, {0: 5, 1: 0}), "asked for before"
    assert known.aim(known.endless(), {0: 7}), "a partition that is not there any more has no newer records"
    assert known.unread == {0}
    assert known.endless() == []
    assert not known.take(known.readings(), [], {0: 6})
    assert known.take(known.readings(), [], {0: 7})
    assert not known.take(known.readings(), [], {0: 9}), "known before"
    known.anew()
    assert known.unread == {0, 1}
    known.forget(frozenset({0, 1, 2}))
    assert (known.unread, known.readings()) == (frozenset(), {})


def test_what_came_for_a_former_life_says_nothing() -> None:
    """A partition left and came back while it was read."""
    known = assigned(4)
    former = known.readings()
    known.assign({0: 2})
    assert known.take(former, [record("u1", 3)], {0: 4})
    assert known.unread == {0}
    assert not known.superseded(record("u1", 2))


def test_a_partition_that_stands_still_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few are read for the first time at once; who brings nothing goes behind the others."""
    monkeypatch.setattr(newest, "AT_ONCE", 2)
    known = Newest()
    known.assign(dict.fromkeys(range(5), 0))
    known.aim(known.endless(), dict.fromkeys(range(5), 3))
    for moves in (2, 3, 4):
        for _ in range(3):
            readings = known.readings()
            known.take(readings, [], {moves: 3} if moves in readings else {})
    assert known.unread == {0, 1}
    assert set(known.readings()) == {0, 1, 2, 3, 4}, "those that are known are followed"


def test_what_is_settled_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory follows what is in work, not the month."""
    monkeypatch.setattr(newest, "PRUNE_MIN", 4)
    known = assigned(20)
    read(known, [record(f"u{n % 10}", n) for n in range(20)], 20)
    (reading,) = known.readings().values()
    reading._prune_at = 4
    known.settle({0: 14, 7: 3})
    assert sorted(reading.newest.values()) == [15, 16, 17, 18, 19]
    known.settle({0: 15})
    assert len(reading.newest) == 5, "pruned when it has doubled"
    assert reading.sieve.used
    known.settle({0: 20})
    assert (reading.newest, reading.sieve.used) == ({}, False)
    empty = reading.sieve
    known.settle({0: 21})
    assert reading.sieve is empty
    known.anew()
    known.aim(known.endless(), {0: 40})
    read(known, [record("u1", 21)], 22)
    known.settle({0: 30})
    assert reading.sieve.used, "what is read to its end for the first time keeps what it noted"


def test_a_sieve_forgets_no_key() -> None:
    """Whatever its size; and few new ones are taken for old."""
    for expected, share in ((0, 8), (20_000, 32)):
        sieve, keys = Sieve(expected), [f"user-{n}:{MONTH}".encode() for n in range(20_000)]
        assert not sieve.used
        mistaken = sum(sieve.again(key) for key in keys)
        assert mistaken < len(keys) // share
        assert sieve.used
        assert all(sieve.again(key) for key in keys)
        assert sieve.size <= (8 if expected else 20) * len(keys)
