"""Topics read and written by those who are no processors, on the simulated Kafka; and what product modules import by
name, replaced for as long as a simulation runs: readers and writers, ids, logs, sizes.

Reading stands for a thread that blocks: it sees a topic up to an end asked for earlier, and only once every
transaction that was open then has ended.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

import processor.adapters.control
import processor.adapters.jobs
import processor.adapters.months
import processor.core.adoption
import processor.evidence.origin
import processor.evidence.run
import processor.evidence.scribe
import processor.evidence.sink
import processor.evidence.sweep
import processor.ops.balance
import processor.ops.cancel
import processor.ops.closing
import processor.ops.uncertain
import processor.recovery.adoption
import processor.recovery.follow
import processor.recovery.lineage
import processor.recovery.rebuild
import processor.recovery.withdraw
import processor.shell.allowance
import processor.shell.attempts
import processor.shell.bars
import processor.shell.calls
import processor.shell.control
import processor.shell.deliver
import processor.shell.halt
import processor.shell.leave
import processor.shell.ledger
import processor.shell.patience
import processor.shell.pulse
import processor.shell.rebalances
import processor.shell.scan
import processor.shell.worker
import schemas.control
import schemas.kafka.reading
import schemas.runtime.ending
from processor.core.checkpoint import Checkpoint, End, Ends, Place
from processor.ports import Produced
from processor.recovery.follow import read_rows
from schemas.kafka.reading import Record
from schemas.runtime.errors import BrokerUnavailable
from tests.simulation.control_log import read_control
from tests.simulation.kafka import Kafka, PartitionLog, ProducerFenced, Refused, placed
from tests.simulation.loop import OWNER, Owner, VirtualLoop
from tests.simulation.net import Lost, Net

__all__ = ["Reader", "SimRecordReader", "SimWriter", "in_thread", "simulated"]

CHUNK = 3
LOCK_TTL_S = 3.0
SWEEP_EVERY_S = 4.0
CHECK_EVERY_S = 2.0
FOLLOW_EVERY_S = 0.9
TOGETHER_MAX = 8
THREAD_S = 0.01
LOGS = (
    processor.shell.worker,
    processor.shell.deliver,
    processor.shell.attempts,
    processor.shell.bars,
    processor.shell.calls,
    processor.shell.halt,
    processor.shell.rebalances,
    processor.shell.pulse,
    processor.shell.allowance,
    processor.shell.ledger,
    processor.shell.leave,
    processor.shell.patience,
    processor.shell.scan,
    processor.recovery.rebuild,
    processor.recovery.lineage,
    processor.recovery.adoption,
    processor.recovery.follow,
    processor.recovery.withdraw,
    processor.evidence.origin,
    processor.shell.control,
    processor.evidence.run,
    processor.evidence.sweep,
    processor.evidence.scribe,
    processor.evidence.sink,
    processor.ops.balance,
    schemas.runtime.ending,
    schemas.kafka.reading,
)


class Reader(Owner):
    """A process that reads topics: which cluster, and how far its present look may see."""

    kafka: Kafka
    net: Net
    asked_s = 0.0


def _here() -> Reader:
    owner = OWNER.get()
    assert isinstance(owner, Reader), "only a simulated process reads topics"
    return owner


def read_topic(
    settings: Any, topic: str, partitions: list[int] | None = None, starts: Mapping[int, int] | None = None
) -> Iterator[Record]:
    """As `schemas.kafka.reading.read_topic`."""
    kafka = _here().kafka
    numbers = partitions if partitions is not None else [log.number for log in kafka.topic(topic)]
    for number in numbers:
        yield from kafka.read(topic, number, (starts or {}).get(number, 0))[0]


def partition_numbers(settings: Any, topic: str) -> list[int]:
    return [log.number for log in _here().kafka.topic(topic)]


def write_records(settings: Any, records: Sequence[Produced]) -> list[int]:
    """As `processor.adapters.write.write_records`."""
    return [offset for _, offset in write_placed(settings, records)]


def write_placed(settings: Any, records: Sequence[Produced]) -> list[tuple[int, int]]:
    kafka = _here().kafka
    places = [kafka.publish(r.topic, r.key, r.value, r.headers, r.partition) for r in records]
    _here().net.history.note(_here().name, "published", [f"{p}:{o}" for p, o in places])
    return places


def ends_of(settings: Any, since: Checkpoint) -> Ends:
    """As `processor.adapters.ends.ends_of`."""
    kafka, names = _here().kafka, (settings.topics.deliveries, settings.topics.attempts)
    ledger, attempts = (
        {log.number: _end(log, known.get(log.number)) for log in kafka.topic(name)}
        for name, known in zip(names, (since.ledger.places, since.attempts.places), strict=True)
    )
    return Ends(kafka.topic_id(names[0]), ledger, kafka.topic_id(names[1]), attempts)


def _end(log: PartitionLog, known: Place | None) -> End:
    return End(log.end, len(log.leaders) - 1, log.epoch_before(known.offset) if known else -1)


READING = (("read_topic", read_topic), ("partition_numbers", partition_numbers), ("ends_of", ends_of))


class SimRecordReader:
    """As `schemas.kafka.reading.RecordReader`."""

    def __init__(self, settings: Any, topic: str) -> None:
        self._topic = topic

    def get(self, partition: int, offset: int) -> Record | None:
        kafka = _here().kafka
        if not 0 <= partition < kafka.partitions or offset < 0:
            return None
        found, _ = kafka.read(self._topic, partition, offset, 1)
        return found[0] if found and found[0].offset == offset else None

    def close(self) -> None: ...


class SimWriter:
    """As `processor.adapters.write.TransactionalWriter`."""

    def __init__(self, settings: Any, instance: str) -> None:
        self._instance = instance
        self._epoch = 0

    def write(self, records: Sequence[Produced]) -> Any:
        return self._write(list(records))

    async def _write(self, records: list[Produced]) -> None:
        kafka, net, instance = _here().kafka, _here().net, self._instance
        try:
            if not self._epoch:
                self._epoch = await net.ask("kafka.init", lambda: kafka.init(instance), usual_s=0.004, timeout_s=2)
            epoch = self._epoch
            for what, call in (
                ("kafka.produce", lambda: kafka.add(instance, epoch, records)),
                ("kafka.commit", lambda: kafka.end(instance, epoch, commit=True)),
            ):
                await net.ask(what, call, usual_s=0.004, timeout_s=2)
        except (Lost, Refused, ProducerFenced) as error:
            self._epoch = 0
            raise BrokerUnavailable(f"Kafka did not take the records: {error!r}") from error


async def in_thread(func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """What a thread does: a while passes before and after, and open transactions hold a reader up."""
    owner = OWNER.get()
    if not isinstance(owner, Reader):
        return func(*args)
    net = owner.net.beside if func in (ends_of, read_rows) else owner.net
    await asyncio.sleep(net.latency_s(THREAD_S))
    while owner.kafka.open:
        await asyncio.sleep(0.02)
    result = func(*args)
    if inspect.isawaitable(result):
        result = await result
    await asyncio.sleep(net.latency_s(THREAD_S))
    return result


async def _in_thread_beside(func: Callable[..., Any], *args: Any) -> Any:
    """A reader of the control topic alone: transactions elsewhere do not hold it up."""
    await asyncio.sleep(_here().net.latency_s(THREAD_S))
    return func(*args)


class _Thread:
    """As `schemas.runtime.ending.Thread`: one call after the other. Whoever is cancelled meanwhile leaves the call behind."""

    def __init__(self, name: str) -> None:
        self._turn = asyncio.Lock()

    async def __call__(self, call: Callable[..., Any], *args: Any) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._make(call, args))
        task.add_done_callback(lambda done: _tell(done, answer))
        return await answer

    async def _make(self, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        async with self._turn:
            return await in_thread(call, args)

    def close(self) -> None: ...


def _tell(done: asyncio.Task[Any], answer: asyncio.Future[Any]) -> None:
    if done.cancelled():
        answer.cancel()
    elif (error := done.exception()) is not None:
        if not answer.done():
            answer.set_exception(error)
    elif not answer.done():
        answer.set_result(done.result())


class _Ids:
    """Attempt ids and tokens, counted instead of drawn."""

    def __init__(self) -> None:
        self._count = 0

    def attempt(self) -> str:
        self._count += 1
        return f"t{self._count}"

    def control(self) -> str:
        self._count += 1
        return f"c{self._count}"

    def token_hex(self, size: int) -> str:
        self._count += 1
        return f"token{self._count}"


class _Log:
    """Tells the history what the product logs."""

    def _note(self, event: str, **about: Any) -> None:
        owner = OWNER.get()
        if isinstance(owner, Reader):
            # How long something took is real time, and would make two histories of one seed.
            told = (f"{name}={value}" for name, value in about.items() if name != "seconds")
            owner.net.history.note(owner.name, f"# {event}", *told)

    debug = info = warning = error = _note


@contextmanager
def simulated(loop: VirtualLoop) -> Iterator[pytest.MonkeyPatch]:
    """Product modules see the simulated world while this is entered."""
    ids = _Ids()
    loop.in_thread = in_thread
    with pytest.MonkeyPatch.context() as patch:
        for module in (
            schemas.kafka.reading,
            processor.recovery.rebuild,
            processor.adapters.jobs,
            processor.adapters.months,
            processor.ops.uncertain,
            processor.ops.balance,
            processor.ops.cancel,
            processor.adapters.control,
            processor.recovery.adoption,
            processor.recovery.follow,
        ):
            for name, twin in READING:
                if hasattr(module, name):
                    patch.setattr(module, name, twin)
        patch.setattr(schemas.control, "partition_of", placed)
        patch.setattr(
            processor.adapters.months, "read_control", lambda on: read_control(_here().kafka, on.topics.control)
        )
        patch.setattr(schemas.runtime.ending.Thread, "__init__", _Thread.__init__)
        patch.setattr(schemas.runtime.ending.Thread, "__call__", _Thread.__call__)
        patch.setattr(schemas.runtime.ending.Thread, "_make", _Thread._make, raising=False)
        patch.setattr(schemas.runtime.ending.Thread, "close", _Thread.close)
        patch.setattr(
            processor.ops.closing, "read_control", lambda settings: read_control(_here().kafka, settings.topics.control)
        )
        patch.setattr(processor.ops.closing, "boot_s", loop.time)
        patch.setattr(processor.ops.closing, "in_thread", _in_thread_beside)
        patch.setattr(processor.adapters.jobs, "write_records", write_records)
        patch.setattr(processor.ops.balance, "write_records", write_records)
        patch.setattr(processor.ops.cancel, "write_placed", write_placed)
        patch.setattr(processor.adapters.jobs, "RecordReader", SimRecordReader)
        patch.setattr(processor.recovery.withdraw, "RecordReader", SimRecordReader)
        patch.setattr(processor.ops.uncertain, "TransactionalWriter", SimWriter)
        patch.setattr(processor.shell.worker, "new_attempt_id", ids.attempt)
        patch.setattr(processor.shell.bars, "new_attempt_id", ids.attempt)
        patch.setattr(processor.recovery.lineage, "secrets", ids)
        patch.setattr(processor.recovery.lineage, "new_control_id", ids.control)
        patch.setattr(processor.shell.control, "new_control_id", ids.control)
        patch.setattr(processor.core.adoption, "new_control_id", ids.control)
        patch.setattr(processor.recovery.adoption, "secrets", ids)
        patch.setattr(processor.recovery.adoption, "LOCK_TTL_S", LOCK_TTL_S)
        patch.setattr(processor.recovery.adoption, "CHUNK", CHUNK)
        patch.setattr(processor.recovery.follow, "CHUNK", CHUNK)
        patch.setattr(processor.recovery.follow, "TOGETHER_MAX", TOGETHER_MAX)
        patch.setattr(processor.recovery.follow, "EVERY_S", FOLLOW_EVERY_S)
        patch.setattr(processor.recovery.follow, "TTL_S", 3 * FOLLOW_EVERY_S)
        patch.setattr(processor.recovery.rebuild, "CHUNK", CHUNK)
        patch.setattr(processor.recovery.rebuild, "LOCK_TTL_S", LOCK_TTL_S)
        patch.setattr(processor.recovery.lineage, "LOCK_TTL_S", LOCK_TTL_S)
        patch.setattr(processor.evidence.run, "SWEEP_EVERY_S", SWEEP_EVERY_S)
        patch.setattr(processor.evidence.run, "CHECK_EVERY_S", CHECK_EVERY_S)
        for module in LOGS:
            if hasattr(module, "log"):
                patch.setattr(module, "log", _Log())
        yield patch
