"""Where a month's records stand: by its record in the control topic, whatever partitions were added since."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from processor.core.control import Control, Presence
from processor.core.engine import Engine
from processor.core.months import Months, belongs, month_of_key, opening
from processor.core.ticket import WRONG_PARTITION
from processor.shell.ahead import LookAhead
from processor.shell.control import FollowedMonths
from processor.shell.intake import Intake, IntakeConfig
from processor.shell.scan import Scan
from schemas.codec import encode
from schemas.control import Content, ControlRecord, Installation, MonthOpened
from schemas.kafka.reading import Record
from schemas.partitions import murmur2, partition_of
from tests.simulation.log import MemoryJobLog, MemoryKafka
from tests.support.parts import NO_MONTHS, FakeClock, whole
from tests.support.world import MONTH, job

JOBS, LEDGER = "email-jobs", "email-deliveries"
IDS = {JOBS: "j1", LEDGER: "l1"}
BEGINS = {JOBS: [5, 7], LEDGER: [3, 0]}


def control(*contents: Content) -> Control:
    found = Control()
    for offset, content in enumerate(contents):
        found.take(ControlRecord(offset, "", "", content), 0.0)
    return found


def opened(month: str = MONTH, ids: dict[str, str] = IDS) -> Control:
    """A control topic in which the month was opened under topics of these ids."""
    ours = Installation(id="i", topics=ids)
    made = opening(control(ours), month, BEGINS, JOBS, 1)[0][1]
    assert made is not None
    return control(ours, made)


@pytest.mark.parametrize(
    ("key", "hashed"),
    # Those that Kafka's own tests hold its murmur2 to.
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_are_hashed_as_kafka_does_it(key: bytes, hashed: int) -> None:
    """What our clients and Java's write stands where we look for it."""
    assert murmur2(key) == hashed & 0xFFFFFFFF


def test_a_long_key_is_hashed_too() -> None:
    """Somebody else's, which we dead-letter."""
    assert 0 <= partition_of(b"x" * 5000, 7) < 7


def test_a_month_is_opened_once() -> None:
    """The first record stands, with the ids of the topics that its beginnings are of."""
    found = opened()
    record = found.months[MONTH]
    assert (record.partitions, record.begins, record.topics, record.jobs_id) == (2, BEGINS, IDS, "j1")
    assert opening(found, MONTH, BEGINS, JOBS, 2) == []
    assert opening(control(), MONTH, BEGINS, JOBS, 2) == [], "without an installation nothing can be held against it"


def test_what_was_said_of_other_topics_is_void() -> None:
    """A topic that was made anew is read from its beginning; a jobs topic, and nobody knows where a key belongs."""
    found = opened()
    assert found.month("2026-12") is None
    assert found.month(MONTH) == found.months[MONTH]
    found.take(ControlRecord(3, "", "", Installation(id="j", topics=IDS | {LEDGER: "l2"})), 0.0)
    held = found.month(MONTH)
    assert held is not None
    assert (held.partitions, held.starts(JOBS), held.starts(LEDGER)) == (2, {0: 5, 1: 7}, {})
    found.take(ControlRecord(4, "", "", Installation(id="k", topics={JOBS: "j2"})), 0.0)
    assert found.month(MONTH) is None
    found.installation = None
    assert found.month(MONTH) is None


def test_readers_start_where_the_months_begin() -> None:
    """At the first of several; at 0 with one that was not opened, and in partitions that were added since."""
    months = Months(opened())
    assert months.starts(JOBS, [MONTH]) == {0: 5, 1: 7}
    assert months.starts(JOBS, []) == {}
    assert months.starts(JOBS, [MONTH, "2026-10"]) == {0: 0, 1: 0}
    assert Months(control()).starts(JOBS, [MONTH]) == {}
    assert not months.brake.paused


def test_a_key_of_an_opened_month_has_one_partition() -> None:
    """Any other job of it is misplaced; one of a month without a record, or without a key, is nowhere wrong."""
    months, key = Months(opened()), f"u1:{MONTH}".encode()
    right = partition_of(key, 2)
    assert months.partitions([key]) == [right]
    assert months.partitions([key, b"u1:2026-10"]) is None
    assert not months.misplaced(Record(right, 0, key, b"{}", [], 0))
    assert months.misplaced(Record(1 - right, 0, key, b"{}", [], 0))
    assert months.misplaced(Record(7, 0, key, b"{}", [], 0))
    assert not months.misplaced(Record(7, 0, b"u1:2026-10", b"{}", [], 0))
    assert belongs(Record(7, 0, None, b"{}", [], 0), months.opened(MONTH)) == 7
    assert [month_of_key(raw) for raw in (key, b"", None, b"\xff" * 9, b"2026-13")] == [MONTH, "", "", "", ""]


# ---- a processor that reads a job sooner than the record that opened its month ----


class Asked:
    """What is known of months, and answers when a test says so."""

    def __init__(self) -> None:
        self.control = control()
        self.asked = 0
        self.told = 0

    def opened(self, month: str) -> MonthOpened | None:
        return self.control.month(month)

    def ask(self) -> int:
        self.asked += 1
        return self.asked

    floor = ""

    def answered(self, number: int) -> bool:
        return self.told >= number


class _Templates:
    async def check(self, job: Any) -> None: ...

    def content(self, job: Any) -> dict[str, Any]:
        return {}


def intake(months: Any) -> tuple[Intake, Engine]:
    engine = Engine()
    engine.assign({0: (0, ""), 1: (0, "")})
    engine.newest.aim(engine.newest.endless(), {0: 0, 1: 0})
    engine.starts.known()
    ahead = LookAhead(whole())
    scan = Scan(engine, MemoryJobLog(MemoryKafka(2), "p"), FakeClock(), lambda: None)
    return Intake(IntakeConfig(13), engine, ahead, scan, _Templates(), lambda: MONTH, months), engine


def records(partition: int, value: bytes | None = b"") -> list[Record]:
    return [Record(partition, 0, f"u1:{MONTH}".encode(), encode(job("u1")) if value == b"" else value, [], 0)]


RIGHT = partition_of(f"u1:{MONTH}".encode(), 2)


def test_a_job_waits_until_it_is_known_how_its_month_was_opened() -> None:
    """G1, G2: meanwhile it is neither sent nor refused, and the offset behind it is not committed."""
    months = Asked()
    gate, engine = intake(months)

    async def story() -> None:
        assert await gate.take(records(RIGHT)) == (0, None)
        assert (engine.batches.fresh, gate.count(100)) == (0, 1)
        assert engine.assigned.prefixes[RIGHT] == 0
        assert await gate.take([]) == (0, None)
        assert months.asked == 1, "it is asked once"
        months.told = 1
        assert await gate.take([]) == (0, None)
        assert engine.batches.fresh == 1
        assert await gate.take([Record(RIGHT, 1, f"u2:{MONTH}".encode(), encode(job("u2")), [], 0)]) == (0, None)
        assert engine.batches.fresh == 2, "a month that was not opened by then never is"

    asyncio.run(story())


@pytest.mark.parametrize("value", [b"", None], ids=["job", "tombstone"])
def test_a_record_where_its_key_does_not_belong(value: bytes | None) -> None:
    """A job leaves a dead letter and nothing else; a tombstone is passed over."""
    months = Asked()
    gate, engine = intake(months)

    async def story() -> None:
        await gate.take(records(1 - RIGHT, value))
        months.control = opened()
        passed_over, _ = await gate.take([])
        assert passed_over == (value is None)

    asyncio.run(story())
    found = engine.due.take_aside(9)
    assert len(found) == (value is not None)
    for attempt in found:
        assert attempt.ticket.key is None
        assert attempt.ticket.refusal is not None
        assert (attempt.ticket.refusal.reason, attempt.ticket.refusal.report) == (WRONG_PARTITION, True)


def test_what_is_held_leaves_with_its_partition() -> None:
    """Whoever gets the partition reads it again."""
    months = Asked()
    gate, engine = intake(months)

    async def story() -> None:
        await gate.take(records(RIGHT))
        engine.lost(frozenset({RIGHT}))
        months.told = 1
        await gate.take([])

    asyncio.run(story())
    assert engine.idle


def test_one_s_own_heartbeat_answers() -> None:
    """Not one that was written before the question."""

    class Follower:
        control = opened()
        presence = Presence("me")
        hurried = 0

        def hurry(self) -> None:
            self.hurried += 1

    follower: Any = Follower()
    months = FollowedMonths(follower)
    before = follower.presence.beats(0.0)
    number = months.ask()
    follower.presence.read_back(before, 0.1)
    assert not months.answered(number)
    follower.presence.read_back(follower.presence.beats(0.2), 0.3)
    assert months.answered(number)
    assert follower.hurried == 1
    assert months.opened(MONTH) is not None
    assert (NO_MONTHS.opened(MONTH), NO_MONTHS.answered(NO_MONTHS.ask())) == (None, True)
