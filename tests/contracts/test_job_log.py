"""The laws of the job log, on real Kafka and on its twin in memory: all of a transaction or nothing of it, and only for
partitions that are ours."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from msgspec import structs

from infra.embedded import Stack
from processor.adapters.kafka import KafkaJobLog
from processor.adapters.kafka_member import names_a_member
from processor.core.newest import Look
from processor.core.sieve import Sieve
from processor.ports import JobLog, Produced, Transaction
from schemas.kafka.clients import MESSAGE_BYTES_MAX, reader_config
from schemas.kafka.reading import Record, read_topic
from schemas.runtime.errors import BrokerUnavailable, Fenced, TransactionAborted, TransactionUnknown, UsageError
from tests.integration.test_poison import let_in
from tests.simulation.job_log import SimJobLog
from tests.simulation.kafka import Kafka as Cluster
from tests.simulation.log import MemoryJobLog, MemoryKafka
from tests.simulation.net import real_net
from tests.support.groups import shares
from tests.support.sandbox import SandboxAdmin
from tests.support.world import WAIT_S, World, job, make_world, wait_for


class Watcher:
    """A listener that notes what it is told and settles nothing."""

    def __init__(self) -> None:
        self.committed: dict[int, tuple[int, str]] = {}

    async def assigned(self, committed: dict[int, tuple[int, str]]) -> None:
        self.committed |= committed

    async def revoked(self, partitions: frozenset[int]) -> Transaction | None:
        for partition in partitions:
            self.committed.pop(partition, None)
        return None

    async def settled(self, transaction: Transaction) -> None: ...

    async def lost(self, partitions: frozenset[int]) -> None:
        await self.revoked(partitions)


class Zombie:
    """A consumer whose group metadata is not what the group knows."""

    def __init__(self, consumer: Any, metadata: bytes) -> None:
        self._consumer, self._metadata = consumer, metadata

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def consumer_group_metadata(self) -> bytes:
        return self._metadata


class RealKafka:
    """The job log on Kafka, and what a test does to it."""

    def __init__(self, world: World, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self._patch = patch

    def log(self, instance: str) -> JobLog:
        return KafkaJobLog(self.world.settings, instance)

    def publish(self, count: int) -> None:
        self.world.publish(job(f"u{n}") for n in range(count))

    def visible(self) -> int:
        return sum(1 for _ in read_topic(self.world.settings, self.world.settings.topics.deliveries))

    def written(self) -> int:
        """What stands in the topic for those who do not care about transactions."""
        consumer = Consumer(reader_config(self.world.settings) | {"isolation.level": "read_uncommitted"})
        consumer.assign([TopicPartition(self.world.settings.topics.deliveries, 0, 0)])
        count = 0
        # A transaction's marker stands behind its records: not they, but the end of the partition is the last word.
        while (message := consumer.poll(WAIT_S)) is not None and message.error() is None:
            count += 1
        consumer.close()
        assert message is not None
        assert message.error().code() == KafkaError._PARTITION_EOF
        return count

    def forget(self, log: Any) -> None:
        """The group does not know this member any more, and the member does not know that."""
        member = log._member.consumer.memberid().encode()
        stranger = log._member.consumer.consumer_group_metadata().replace(member, b"x" * len(member))
        self._patch.setattr(log._member, "consumer", Zombie(log._member.consumer, stranger))

    def remember(self, log: Any) -> None:
        self._patch.setattr(log._member, "consumer", log._member.consumer._consumer)

    def lose_an_end(self, log: Any) -> None:
        self._patch.setattr(log._transactions, "_unknown", True)


class TwinKafka:
    """The same in memory."""

    def __init__(self) -> None:
        self.kafka = MemoryKafka(4)

    def log(self, instance: str) -> JobLog:
        return MemoryJobLog(self.kafka, instance)

    def publish(self, count: int) -> None:
        for n in range(count):
            jobs = self.kafka.jobs[n % 4]
            jobs.append(Record(n % 4, len(jobs), f"u{n}:2026-11".encode(), b"{}", [], 0))

    def visible(self) -> int:
        return len(self.kafka.visible)

    written = visible

    def forget(self, log: Any) -> None:
        self._before = self.kafka.partitions
        self.kafka.partitions = [partition.assigned(99) for partition in self._before]

    def remember(self, log: Any) -> None:
        self.kafka.partitions = self._before

    def lose_an_end(self, log: Any) -> None:
        log.unknown = True


class SimulatedKafka:
    """The cluster that the simulated histories run on, in real time."""

    def __init__(self) -> None:
        self.kafka = Cluster(real_net(), 4)

    def log(self, instance: str) -> JobLog:
        return SimJobLog(self.kafka, "group", instance, "email-jobs")

    def publish(self, count: int) -> None:
        for n in range(count):
            self.kafka.publish("email-jobs", f"u{n}:2026-11".encode(), b"{}", partition=n % 4)

    def visible(self) -> int:
        return len(self.kafka.everything("email-deliveries"))

    def written(self) -> int:
        return sum(not entry.marker for log in self.kafka.topic("email-deliveries") for entry in log.entries)

    def forget(self, log: Any) -> None:
        self._before = dict(log._group.members)
        log._group.members.clear()

    def remember(self, log: Any) -> None:
        log._group.members.update(self._before)

    def lose_an_end(self, log: Any) -> None:
        log.unknown = True


Make = Callable[[str], Any]
Kafka = RealKafka | TwinKafka | SimulatedKafka


@pytest.fixture
def world(stack: Stack, sandbox: SandboxAdmin, tmp_path: Path) -> World:
    return make_world(stack.env(), sandbox, tmp_path)


@pytest.fixture(params=["kafka", "memory", "simulated"])
def kafka(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kafka:
    """All must obey the same laws."""
    if request.param == "memory":
        return TwinKafka()
    if request.param == "simulated":
        return SimulatedKafka()
    return RealKafka(request.getfixturevalue("world"), monkeypatch)


@pytest.fixture
async def start(kafka: Kafka) -> AsyncIterator[Make]:
    opened: list[JobLog] = []

    async def make(instance: str) -> tuple[JobLog, Watcher]:
        log = kafka.log(instance)
        watcher = Watcher()
        await log.start(watcher)
        opened.append(log)
        return log, watcher

    yield make
    for log in opened:
        await log.stop()


async def assigned(log: JobLog, watcher: Watcher) -> list[Record]:
    """Waits for partitions; returns what the poll that brought them brought besides."""
    records: list[Record] = []
    for _ in range(2000):
        if watcher.committed:
            return records
        records += (await log.poll(1, 0.1, frozenset(range(4)))).records
    raise AssertionError("no partitions came")


async def eight(log: JobLog, records: list[Record]) -> set[tuple[int, int]]:
    """The places of what was read, as soon as there are eight."""
    for _ in range(2000):
        records += (await log.poll(100, 0.1, frozenset())).records
        if len(records) == 8:
            break
    return {(record.partition, record.offset) for record in records}


def outcome(kafka: Kafka, partition: int = 0) -> Transaction:
    topic = kafka.world.settings.topics.deliveries if isinstance(kafka, RealKafka) else "email-deliveries"
    record = Produced(topic, partition, b"u1:2026-11", b"outcome", [])
    return Transaction([record], {partition: (1, "m1:note")})


async def test_a_transaction_is_visible_with_its_offset_and_note(kafka: Kafka, start: Make) -> None:
    """G3: records, offset and metadata together; the next owner is told."""
    kafka.publish(8)
    log, watcher = await start("one")
    await assigned(log, watcher)
    assert watcher.committed[0] == (0, "")
    await log.commit(outcome(kafka))
    assert kafka.visible() == 1
    assert (await log.renew())[0] == (1, "m1:note")


async def test_facts_need_no_partition(kafka: Kafka, start: Make) -> None:
    """G3's one exception: what SES accepted is true whoever has the partition now, and moves no offset."""
    kafka.publish(8)
    log, watcher = await start("one")
    await assigned(log, watcher)
    heir, told = await start("two")
    while not told.committed:
        await log.poll(1, 0.1, frozenset(range(4)))
        await heir.poll(1, 0.1, frozenset(range(4)))
    (theirs, *_) = told.committed
    assert theirs not in watcher.committed
    with pytest.raises(TransactionAborted):
        await log.commit(outcome(kafka, theirs))
    await log.commit(Transaction(outcome(kafka, theirs).records, {}, facts=True))
    assert kafka.visible() == 1
    assert (await heir.renew())[theirs] == (0, "")


async def test_the_next_owner_is_told(kafka: Kafka, start: Make) -> None:
    """G3: offset and note of a committed transaction, to whoever comes after."""
    kafka.publish(8)
    log, watcher = await start("one")
    await assigned(log, watcher)
    await log.commit(outcome(kafka))
    await log.stop()
    heir, told = await start("two")
    await assigned(heir, told)
    assert told.committed[0] == (1, "m1:note")


async def test_a_commit_beyond_the_logs_end_counts_for_nothing(kafka: Kafka, start: Make) -> None:
    """G2: a log that lost its end is read from the beginning by the next owner, and is not settled before."""
    kafka.publish(8)
    log, watcher = await start("one")
    await assigned(log, watcher)
    ends = await log.ends()
    await log.commit(Transaction([], {partition: (end, "") for partition, end in ends.items()} | {0: (1000, "m1:x")}))
    assert await log.unsettled(ends, frozenset({1, 2, 3}))
    await log.stop()
    heir, told = await start("two")
    await assigned(heir, told)
    assert told.committed[0] == (0, "")
    assert told.committed[1] == (ends[1], "")


async def test_an_aborted_transaction_is_invisible(kafka: Kafka, start: Make) -> None:
    """G3: a read_committed reader, every command among them, never sees it, written or not."""
    log, watcher = await start("one")
    await assigned(log, watcher)
    kafka.forget(log)
    with pytest.raises(TransactionAborted, match="Unknown member"):
        await log.commit(outcome(kafka))
    if not isinstance(kafka, TwinKafka):
        assert kafka.written() == 1
    assert kafka.visible() == 0
    kafka.remember(log)
    await log.commit(outcome(kafka))
    assert kafka.visible() == 1


async def test_a_record_that_is_too_large_aborts_the_whole(kafka: Kafka, start: Make) -> None:
    """G2: that it was refused is certain, so the same producer goes on, though records before it were on their way."""
    log, watcher = await start("one")
    await assigned(log, watcher)
    good = outcome(kafka)
    large = structs.replace(good.records[0], value=b"x" * (MESSAGE_BYTES_MAX + 1))
    for _ in range(3):
        with pytest.raises(TransactionAborted, match="(?i)too large|bytes"):
            await log.commit(Transaction([*good.records, large], good.offsets))
    assert kafka.visible() == 0
    await log.commit(good)
    assert kafka.visible() == 1


@pytest.mark.parametrize("kafka", ["kafka"], indirect=True)
async def test_a_batch_that_the_broker_never_takes_ends_the_processor(kafka: RealKafka, start: Make) -> None:
    """G2: a limit that was lowered under it; the same batch would be refused ten times a second for ever."""
    log, watcher = await start("one")
    await assigned(log, watcher)
    await asyncio.to_thread(let_in, kafka.world, kafka.world.settings.topics.deliveries, 30_000)
    good = outcome(kafka)
    large = structs.replace(good.records[0], value=b"x" * 100_000)
    with pytest.raises(UsageError, match=r"max.message.bytes or segment.bytes of .*-deliveries.*lowered"):
        await log.commit(Transaction([large], good.offsets))
    assert kafka.visible() == 0


@pytest.mark.parametrize("kafka", ["kafka"], indirect=True)
async def test_a_zombie_without_a_member_id_is_stopped(
    kafka: RealKafka, start: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G1: Kafka would accept offsets of a client that names no member; the adapter does not send them."""
    log, watcher = await start("one")
    await assigned(log, watcher)
    settings = kafka.world.settings
    outsider = Consumer(reader_config(settings, group=settings.group_id))
    nobody = outsider.consumer_group_metadata()
    outsider.close()
    assert names_a_member(log._member.consumer.consumer_group_metadata())
    assert not names_a_member(nobody)
    monkeypatch.setattr(log._member, "consumer", Zombie(log._member.consumer, nobody))
    with pytest.raises(TransactionAborted, match="not a member"):
        await log.commit(outcome(kafka))
    assert kafka.written() == 0
    with pytest.raises(BrokerUnavailable, match="unknown form"):
        names_a_member(b"CGMDv9:xxxx")


async def test_a_partition_that_is_not_ours_aborts_the_whole(kafka: Kafka, start: Make) -> None:
    """G1: the coordinator does not check who owns a partition (KIP-447), so the adapter does, at that moment."""
    one, first = await start("one")
    two, second = await start("two")
    await assigned(one, first)
    for _ in range(2000):
        await one.poll(1, 0.05, frozenset(range(4)))
        await two.poll(1, 0.05, frozenset(range(4)))
        if len(first.committed) == len(second.committed) == 2:
            break
    foreign = next(iter(second.committed))
    with pytest.raises(TransactionAborted, match="no longer assigned"):
        await one.commit(outcome(kafka, foreign))
    assert kafka.visible() == 0


async def test_a_second_instance_of_the_name_fences_the_first(kafka: Kafka, start: Make) -> None:
    """Two processors under one name: the older one cannot commit any more."""
    one, watcher = await start("same")
    await assigned(one, watcher)
    await start("same")
    with pytest.raises(Fenced, match="another processor runs as instance 'same'"):
        await one.commit(outcome(kafka))
    assert kafka.visible() == 0


async def test_after_an_unknown_end_only_renewal_helps(kafka: Kafka, start: Make) -> None:
    """A transaction whose end is unknown is never retried on the same producer."""
    kafka.publish(8)
    log, watcher = await start("one")
    await assigned(log, watcher)
    kafka.lose_an_end(log)
    with pytest.raises(TransactionUnknown):
        await log.commit(outcome(kafka))
    assert set(await log.renew()) == {0, 1, 2, 3}
    assert len(await eight(log, [])) == 8
    await log.commit(outcome(kafka))
    assert kafka.visible() == 1


async def test_paused_partitions_bring_nothing(kafka: Kafka, start: Make) -> None:
    """Back-pressure: rebalances are served, records are not taken, none is lost."""
    kafka.publish(8)
    log, watcher = await start("one")
    records = await assigned(log, watcher)
    everything = frozenset(range(4))
    for _ in range(5):
        assert (await log.poll(100, 0.05, everything)).records == []
    assert len(await eight(log, records)) == 8


async def test_a_partition_that_left_while_paused_flows_when_it_comes_back(kafka: Kafka, start: Make) -> None:
    """G2: back-pressure ends with the ownership (librdkafka's own pause outlives it)."""
    kafka.publish(8)
    one, first = await start("one")
    await assigned(one, first)
    two, second = await start("two")
    for _ in range(2000):
        await one.poll(1, 0.05, frozenset(range(4)))
        await two.poll(1, 0.05, frozenset(range(4)))
        if len(first.committed) == len(second.committed) == 2:
            break
    moved = set(second.committed)
    await two.stop()
    flowing: set[int] = set()
    for _ in range(2000):
        flowing |= {record.partition for record in (await one.poll(100, 0.1, frozenset())).records}
        if moved <= flowing:
            break
    assert len(moved) == 2
    assert moved <= flowing


async def test_ends_and_what_is_left(kafka: Kafka, start: Make) -> None:
    """A drain's question: how far every partition goes, and whether others have settled theirs."""
    kafka.publish(8)
    log, watcher = await start("one")
    await assigned(log, watcher)
    ends = await log.ends()
    assert sum(ends.values()) == 8
    assert not await log.unsettled(ends, frozenset(range(4)))
    assert await log.unsettled(ends, frozenset())
    await log.commit(Transaction([], {partition: (end, "") for partition, end in ends.items()}))
    assert not await log.unsettled(ends, frozenset())


@pytest.mark.parametrize("kafka", ["kafka"], indirect=True)
async def test_a_stop_before_the_first_poll_leaves_at_once(kafka: RealKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka holds the assignment for us until the consumer is closed, and answers nothing about places then."""
    overdue: list[str] = []
    monkeypatch.setattr("schemas.runtime.ending.log.warning", lambda event, **_: overdue.append(event))
    watcher, log = Watcher(), KafkaJobLog(kafka.world.settings, "early")
    await log.start(watcher)
    await asyncio.to_thread(wait_for, lambda: shares(kafka.world.settings) == [4], "an assignment")
    await log.stop()
    assert not watcher.committed
    assert not overdue
    assert shares(kafka.world.settings) == []


@pytest.mark.parametrize("kafka", ["kafka"], indirect=True)
def test_a_stop_that_was_given_up_tells_nobody(kafka: RealKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """A close that takes too long goes on in its thread: it finds the event loop closed, and asks nothing of it."""
    monkeypatch.setattr("processor.adapters.kafka.CLOSE_S", 0.0)
    given_up, closed = threading.Event(), threading.Event()

    async def use() -> Any:
        log: Any = kafka.log("one")
        watcher = Watcher()
        await log.start(watcher)
        await assigned(log, watcher)
        close = log._close

        def slow() -> None:
            given_up.wait()
            try:
                close()
            finally:
                closed.set()

        log._close = slow
        await log.stop()
        assert watcher.committed
        return watcher

    watcher = asyncio.run(use())
    given_up.set()
    assert closed.wait(60)
    assert watcher.committed
    gc.collect()


def looks(begins: dict[int, int]) -> dict[int, Look]:
    return {partition: Look(begin, Sieve()) for partition, begin in begins.items()}


async def scanned(log: JobLog, wanted: dict[int, Look], ends: dict[int, int]) -> list[Record]:
    """What is found up to these ends; each partition is read on where the last scan ended."""
    found: list[Record] = []
    for _ in range(2000):
        came = await log.scan(wanted, 0.1)
        found += came.records
        wanted = {p: look._replace(begin=came.positions.get(p, look.begin)) for p, look in wanted.items()}
        assert all(look.begin <= ends[p] for p, look in wanted.items()), "beyond what was read"
        if all(look.begin == ends[p] for p, look in wanted.items()):
            return found
    raise AssertionError("the ends were not reached")


def places(records: list[Record]) -> list[tuple[int, int, bytes | None]]:
    return sorted((record.partition, record.offset, record.key) for record in records)


async def test_a_scan_brings_what_came_again(kafka: Kafka, start: Make) -> None:
    """G5: keys that came before, whole records, of any partition, whoever owns it; none of a key's first."""
    kafka.publish(8)
    kafka.publish(4)
    log, _ = await start("one")
    ends = await log.ends()
    assert sum(ends.values()) == 12
    found = await scanned(log, looks(dict.fromkeys(ends, 0)), ends)
    keys = [record.key for record in found]
    assert sorted(keys) == [f"u{n}:2026-11".encode() for n in range(4)]
    assert all(record.value for record in found)
    assert all(record.offset > 0 for record in found)


async def test_a_scan_begins_where_it_is_told(kafka: Kafka, start: Make) -> None:
    """Another life of a partition begins at another place, before or behind; a partition that left is read no more."""
    for _ in range(3):
        kafka.publish(4)
    log, _ = await start("one")
    ends = await log.ends()
    partition = next(number for number, end in ends.items() if end)
    everything = await scanned(log, looks({partition: 0}), {partition: ends[partition]})
    again = await scanned(log, looks({partition: 0}), {partition: ends[partition]})
    assert places(again) == places(everything) != []
    assert not await scanned(log, looks({partition: ends[partition] - 1}), {partition: ends[partition]})
    rest = {number: 0 for number in ends if number != partition}
    others = await scanned(log, looks(rest), ends)
    assert all(record.partition != partition for record in others)


async def test_a_scan_follows_what_is_written(kafka: Kafka, start: Make) -> None:
    """G5: the sieve remembers what was there before."""
    kafka.publish(4)
    log, _ = await start("one")
    ends = await log.ends()
    wanted = looks(dict.fromkeys(ends, 0))
    assert not await scanned(log, wanted, ends)
    wanted = {partition: look._replace(begin=ends[partition]) for partition, look in wanted.items()}
    kafka.publish(4)
    assert len(await scanned(log, wanted, await log.ends())) == 4
