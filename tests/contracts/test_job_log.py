"""The laws of the job log on real Kafka: all of a transaction or nothing of it, and only for partitions that are ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from infra.embedded import Stack
from processor.adapters.kafka import KafkaJobLog, names_a_member
from processor.ports import Produced, Transaction
from schemas.errors import BrokerUnavailable, Fenced, TransactionAborted, TransactionUnknown
from schemas.reading import Record, read_topic
from schemas.wire import reader_config
from tests.support.sandbox import SandboxAdmin
from tests.support.world import World, job, make_world


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


Make = Callable[[str], Any]


@pytest.fixture
def world(stack: Stack, sandbox: SandboxAdmin, tmp_path: Path) -> World:
    return make_world(stack.env(), sandbox, tmp_path)


@pytest.fixture
async def start(world: World) -> AsyncIterator[Make]:
    opened: list[KafkaJobLog] = []

    async def make(instance: str) -> tuple[KafkaJobLog, Watcher]:
        log = KafkaJobLog(world.settings, instance)
        watcher = Watcher()
        await log.start(watcher)
        opened.append(log)
        return log, watcher

    yield make
    for log in opened:
        await log.stop()


async def assigned(log: KafkaJobLog, watcher: Watcher) -> list[Record]:
    """Waits for partitions; returns what the poll that brought them brought besides."""
    records: list[Record] = []
    for _ in range(200):
        if watcher.committed:
            return records
        records += (await log.poll(1, 0.1, frozenset(range(4)))).records
    raise AssertionError("no partitions came")


def outcome(world: World, partition: int = 0) -> Transaction:
    record = Produced(world.settings.topics.deliveries, partition, b"u1:2026-11", b"outcome", [])
    return Transaction([record], {partition: (1, "m1:note")})


def visible(world: World) -> int:
    return sum(1 for _ in read_topic(world.settings, world.settings.topics.deliveries))


def written(world: World) -> int:
    """What stands in the topic for those who do not care about transactions."""
    consumer = Consumer(reader_config(world.settings) | {"isolation.level": "read_uncommitted"})
    consumer.assign([TopicPartition(world.settings.topics.deliveries, 0, 0)])
    count, message = 0, consumer.poll(10)
    while message is not None and message.error() is None:
        count += 1
        message = consumer.poll(10)
    consumer.close()
    return count


async def test_a_transaction_is_visible_with_its_offset_and_note(world: World, start: Make) -> None:
    """G3: records, offset and metadata together; the next owner is told."""
    world.publish(job(f"u{n}") for n in range(8))
    log, watcher = await start("one")
    await assigned(log, watcher)
    assert watcher.committed[0] == (0, "")
    await log.commit(outcome(world))
    assert visible(world) == 1
    assert (await log.renew())[0] == (1, "m1:note")


class Zombie:
    """A consumer whose group metadata is not what the group knows."""

    def __init__(self, consumer: Any, metadata: bytes) -> None:
        self._consumer, self._metadata = consumer, metadata

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def consumer_group_metadata(self) -> bytes:
        return self._metadata


async def test_an_aborted_transaction_is_invisible(world: World, start: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """G3: written and aborted: a read_committed reader, every command among them, never sees it."""
    log, watcher = await start("one")
    await assigned(log, watcher)
    consumer = log._consumer
    member = consumer.memberid().encode()
    stranger = consumer.consumer_group_metadata().replace(member, b"x" * len(member))
    monkeypatch.setattr(log, "_consumer", Zombie(consumer, stranger))
    with pytest.raises(TransactionAborted, match="Unknown member"):
        await log.commit(outcome(world))
    assert written(world) == 1
    assert visible(world) == 0
    monkeypatch.setattr(log, "_consumer", consumer)
    await log.commit(outcome(world))
    assert visible(world) == 1


async def test_a_zombie_without_a_member_id_is_stopped(
    world: World, start: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G1: Kafka would accept offsets of a client that names no member; the adapter does not send them."""
    log, watcher = await start("one")
    await assigned(log, watcher)
    outsider = Consumer(reader_config(world.settings, group=world.settings.group_id))
    nobody = outsider.consumer_group_metadata()
    outsider.close()
    assert names_a_member(log._consumer.consumer_group_metadata())
    assert not names_a_member(nobody)
    monkeypatch.setattr(log, "_consumer", Zombie(log._consumer, nobody))
    with pytest.raises(TransactionAborted, match="not a member"):
        await log.commit(outcome(world))
    assert written(world) == 0
    with pytest.raises(BrokerUnavailable, match="unknown form"):
        names_a_member(b"CGMDv9:xxxx")


async def test_a_partition_that_is_not_ours_aborts_the_whole(world: World, start: Make) -> None:
    """G1: the coordinator does not check who owns a partition (KIP-447), so the adapter does, at that moment."""
    one, first = await start("one")
    two, second = await start("two")
    await assigned(one, first)
    for _ in range(100):
        await one.poll(1, 0.05, frozenset(range(4)))
        await two.poll(1, 0.05, frozenset(range(4)))
        if len(first.committed) == len(second.committed) == 2:
            break
    foreign = next(iter(second.committed))
    with pytest.raises(TransactionAborted, match="no longer assigned"):
        await one.commit(outcome(world, foreign))
    assert visible(world) == 0


async def test_a_second_instance_of_the_name_fences_the_first(world: World, start: Make) -> None:
    """Two processors under one name: the older one cannot commit any more."""
    one, watcher = await start("same")
    await assigned(one, watcher)
    await start("same")
    with pytest.raises(Fenced, match="another processor runs as instance 'same'"):
        await one.commit(outcome(world))
    assert visible(world) == 0


async def test_after_an_unknown_end_only_renewal_helps(world: World, start: Make) -> None:
    """A transaction whose end is unknown is never retried on the same producer."""
    world.publish(job(f"u{n}") for n in range(8))
    log, watcher = await start("one")
    await assigned(log, watcher)
    log._unknown = True
    with pytest.raises(TransactionUnknown):
        await log.commit(outcome(world))
    again = await log.renew()
    assert set(again) == {0, 1, 2, 3}
    records = []
    for _ in range(50):
        records += (await log.poll(100, 0.1, frozenset())).records
        if len(records) == 8:
            break
    assert len({(record.partition, record.offset) for record in records}) == 8
    await log.commit(outcome(world))
    assert visible(world) == 1


async def test_paused_partitions_bring_nothing(world: World, start: Make) -> None:
    """Back-pressure: rebalances are served, records are not taken, none is lost."""
    world.publish(job(f"u{n}") for n in range(8))
    log, watcher = await start("one")
    records = await assigned(log, watcher)
    everything = frozenset(range(4))
    for _ in range(5):
        assert (await log.poll(100, 0.05, everything)).records == []
    for _ in range(50):
        records += (await log.poll(100, 0.1, frozenset())).records
        if len(records) == 8:
            break
    assert len({(record.partition, record.offset) for record in records}) == 8
