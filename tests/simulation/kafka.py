"""Kafka's broker: topics, partitions, transactions with markers, last stable offsets, transactional ids and epochs.

Groups are beside it (`group.py`), the client's side in `job_log.py`. What a record is made of stays in the log for ever
unless retention, compaction or an operator takes it away; offsets are never given twice.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from processor.core.months import month_of_key
from processor.ports import BY_KEY, Produced
from schemas.control import MonthOpened
from schemas.kafka.reading import Record
from tests.simulation.group import Group
from tests.simulation.net import Net

__all__ = ["Committed", "Entry", "Kafka", "PartitionLog", "ProducerFenced", "Refused", "TooLarge", "placed"]

MESSAGE_BYTES_MAX = 1_000_000
METADATA_BYTES_MAX = 4_096


def placed(key: bytes, partitions: int) -> int:
    """In the place of murmur2: keys of a few letters are spread, and a reader of a history can tell where."""
    return sum(key) % partitions


class ProducerFenced(Exception):
    """A producer with a newer epoch has the transactional id, or the coordinator ended the transaction itself."""


class Refused(Exception):
    """A certain, abortable error: the transaction can only be aborted."""


class TooLarge(Refused):
    """The client itself refuses a record above `message.max.bytes`."""


@dataclass(slots=True)
class Entry:
    """What stands at an offset: a record, or a transaction's marker (whose key is None and value empty)."""

    offset: int
    record: Record
    transaction: int = 0
    marker: bool = False


@dataclass
class PartitionLog:
    """One partition of one topic."""

    number: int
    entries: list[Entry] = field(default_factory=list)
    start: int = 0
    end: int = 0
    leaders: list[int] = field(default_factory=lambda: [0])
    """by its number (its epoch): the offset from which each leader wrote"""

    def append(self, key: bytes | None, value: bytes | None, headers: object, at_ms: int, transaction: int = 0) -> int:
        record = Record(self.number, self.end, key, value, list(headers or ()), at_ms)  # type: ignore[call-overload]
        self.entries.append(Entry(self.end, record, transaction))
        self.end += 1
        return record.offset

    def mark(self, transaction: int, at_ms: int) -> None:
        """A control record: it takes an offset and no reader sees it."""
        self.entries.append(Entry(self.end, Record(self.number, self.end, None, b"", [], at_ms), transaction, True))
        self.end += 1

    def since(self, offset: int) -> Iterable[Entry]:
        for index in range(bisect_left(self.entries, offset, key=lambda entry: entry.offset), len(self.entries)):
            yield self.entries[index]

    def lose(self, offset: int) -> None:
        """What came from here on is lost with its disk; another leader goes on."""
        self.entries = [entry for entry in self.entries if entry.offset < offset]
        self.end = min(self.end, offset)
        self.leaders.append(self.end)

    def epoch_before(self, offset: int) -> int:
        """Of the leader that wrote the last entry before `offset`; -1 when there is none."""
        before = [entry.offset for entry in self.entries if entry.offset < offset]
        if not before:
            return -1
        return max(epoch for epoch, first in enumerate(self.leaders) if first <= before[-1])

    def cut(self, offset: int) -> None:
        """DeleteRecords or retention: the log begins later."""
        self.start = max(self.start, min(offset, self.end))
        self.entries = [entry for entry in self.entries if entry.offset >= self.start]


@dataclass
class Open:
    """A transaction under way."""

    number: int
    instance: str
    epoch: int
    began_s: float
    touched: list[tuple[str, int]] = field(default_factory=list)
    first: dict[tuple[str, int], int] = field(default_factory=dict)
    records: list[tuple[str, Record]] = field(default_factory=list)
    offsets: dict[str, dict[int, tuple[int, str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Committed:
    """What a transaction made visible at one moment: for the audit."""

    at_s: float
    instance: str
    records: tuple[tuple[str, Record], ...]
    offsets: dict[str, dict[int, tuple[int, str]]]


class Kafka:
    """A cluster."""

    def __init__(self, net: Net, partitions: int, name: str = "kafka", transaction_s: float = 4.0) -> None:
        self.net = net
        self.name = name
        self.transaction_s = transaction_s
        self.partitions = partitions
        self.topics: dict[str, list[PartitionLog]] = {}
        self.lives: dict[str, int] = {}
        """how often a topic was deleted and made anew"""
        self.groups: dict[str, Group] = {}
        self.epochs: dict[str, int] = {}
        self.open: dict[str, Open] = {}
        """by transactional id"""
        self.aborted: set[int] = set()
        self.committed: list[Committed] = []
        self.on_commit: list[Callable[[Committed], None]] = []
        self._transactions = 0
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        """readers that are at a topic's end"""
        self.refuses: Callable[[], bool] = lambda: False
        """whether the next commit is refused, which is certain"""
        self.now_ms: Callable[[], int] = lambda: int(net.now_s() * 1000)
        self.opened: dict[str, MonthOpened] = {}
        """months, as whoever writes by key knows them"""

    # ---- topics ----

    def topic(self, name: str) -> list[PartitionLog]:
        if name not in self.topics:
            self.topics[name] = [PartitionLog(number) for number in range(self.partitions)]
        return self.topics[name]

    def grow(self, partitions: int) -> None:
        """Partitions are added to every topic; what is there stays where it is."""
        self.partitions = partitions
        for name in list(self.topics):
            logs = self.topics[name]
            logs += [PartitionLog(number) for number in range(len(logs), partitions)]
        for group in self.groups.values():
            group.rebalance("partitions were added")

    def compact(self, topic: str) -> None:
        """Only each key's last committed record stays, up to the last stable offset; offsets stay what they were."""
        for log in self.topic(topic):
            stable = self.stable_end(topic, log.number)
            done = [e for e in log.entries if e.offset < stable and not e.marker and e.transaction not in self.aborted]
            last = {entry.record.key: entry.offset for entry in done}
            kept = {e.offset for e in done if e.record.key is None or last[e.record.key] == e.offset}
            log.entries = [e for e in log.entries if e.offset >= stable or e.marker or e.offset in kept]

    def age(self, topic: str, kept_ms: int) -> None:
        """Retention: the head of each log goes, as far as it is older than this."""
        for log in self.topic(topic):
            young = (e.offset for e in log.entries if e.record.timestamp_ms >= self.now_ms() - kept_ms)
            log.cut(next(young, log.end))

    def recreate(self, name: str) -> None:
        """The topic is deleted and made anew: empty, from offset 0, under another id."""
        self.lives[name] = self.lives.get(name, 0) + 1
        self.topics[name] = [PartitionLog(number) for number in range(self.partitions)]

    def topic_id(self, name: str) -> str:
        return f"{name}#{self.lives.get(name, 0)}"

    def group(self, name: str) -> Group:
        if name not in self.groups:
            self.groups[name] = Group(name, lambda: self.partitions, self.net)
        return self.groups[name]

    def partition_of(self, key: bytes | None) -> int:
        """Any rule will do that depends on the key and the number of partitions alone."""
        opened = self.opened.get(month_of_key(key))
        return placed(key or b"", opened.partitions if opened else self.partitions)

    def publish(
        self, topic: str, key: bytes | None, value: bytes | None, headers: object = (), partition: int = BY_KEY
    ) -> tuple[int, int]:
        """A record outside transactions; returns its place."""
        number = self.partition_of(key) if partition == BY_KEY else partition
        self._wake(topic)
        return number, self.topic(topic)[number].append(key, value, headers, self.now_ms())

    async def written(self, topic: str, timeout_s: float) -> None:
        """Waits until something has come to the topic, for so long at most."""
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(topic, []).append(news)
        await asyncio.wait({news}, timeout=timeout_s)

    def _wake(self, topic: str) -> None:
        for news in self._waiting.pop(topic, []):
            if not news.done():
                news.set_result(None)

    # ---- readers ----

    def stable_end(self, topic: str, number: int) -> int:
        """The last stable offset: nothing behind an open transaction's first record can be read."""
        log = self.topic(topic)[number]
        firsts = [t.first[topic, number] for t in self.open.values() if (topic, number) in t.first]
        return min([log.end, *firsts])

    def read(self, topic: str, number: int, offset: int, count: int = 1_000_000) -> tuple[list[Record], int]:
        """Up to `count` committed records from `offset` on, and the position after them. Out of range: from the start."""
        log, stable = self.topic(topic)[number], self.stable_end(topic, number)
        position = offset if log.start <= offset <= log.end else log.start
        found: list[Record] = []
        for entry in log.since(position):
            if entry.offset >= stable or len(found) >= count:
                return found, min(entry.offset, stable)
            if not entry.marker and entry.transaction not in self.aborted:
                found.append(entry.record)
        return found, max(position, stable)

    def everything(self, topic: str) -> list[Record]:
        """Every committed record of a topic, partition after partition."""
        return [record for log in self.topic(topic) for record in self.read(topic, log.number, log.start)[0]]

    # ---- transactions ----

    def init(self, instance: str) -> int:
        """A producer starts: ends what its id had open, and fences whoever had the id."""
        if instance in self.open:
            self._end(self.open[instance], commit=False)
        self.epochs[instance] = self.epochs.get(instance, 0) + 1
        return self.epochs[instance]

    def _check(self, instance: str, epoch: int) -> None:
        if self.epochs.get(instance) != epoch:
            raise ProducerFenced(f"{instance} has epoch {self.epochs.get(instance)}, not {epoch}")

    def add(self, instance: str, epoch: int, records: list[Produced]) -> None:
        """Records of a transaction: they stand in the log at once, and nobody sees them."""
        self._check(instance, epoch)
        transaction = self._opened(instance, epoch)
        for produced in records:
            size = sum(len(part or b"") for header in produced.headers for part in header[1:])
            size += len(produced.value or b"") + len(produced.key or b"")
            if size > MESSAGE_BYTES_MAX:
                raise TooLarge(f"{size} bytes")
            number = self.partition_of(produced.key) if produced.partition == BY_KEY else produced.partition
            place = (produced.topic, number)
            log = self.topic(produced.topic)[number]
            if place not in transaction.first:
                transaction.touched.append(place)
                transaction.first[place] = log.end
            log.append(produced.key, produced.value, produced.headers, self.now_ms(), transaction.number)
            transaction.records.append((produced.topic, log.entries[-1].record))

    def add_offsets(
        self, instance: str, epoch: int, group: str, member: str, generation: int, offsets: dict[int, tuple[int, str]]
    ) -> None:
        """Offsets of a transaction. The coordinator checks member and generation, not who owns a partition."""
        self._check(instance, epoch)
        if any(len(text) > METADATA_BYTES_MAX for _, text in offsets.values()):
            raise Refused("OFFSET_METADATA_TOO_LARGE")
        self.group(group).check(member, generation)
        transaction = self._opened(instance, epoch)
        transaction.offsets.setdefault(group, {}).update(offsets)
        self.group(group).hold(transaction.number, offsets)

    def _opened(self, instance: str, epoch: int) -> Open:
        if instance not in self.open:
            self._transactions += 1
            self.open[instance] = Open(self._transactions, instance, epoch, self.net.now_s())
            self.net.later(self.transaction_s, self._time_out, self.open[instance])
        return self.open[instance]

    def end(self, instance: str, epoch: int, *, commit: bool) -> None:
        self._check(instance, epoch)
        if commit and self.refuses():
            raise Refused("the coordinator moved")
        if instance in self.open:
            self._end(self.open[instance], commit=commit)

    def _time_out(self, transaction: Open) -> None:
        if self.open.get(transaction.instance) is transaction:
            self.net.history.note(self.name, "transaction timed out", transaction.instance)
            self.epochs[transaction.instance] += 1
            self._end(transaction, commit=False)

    def _end(self, transaction: Open, *, commit: bool) -> None:
        del self.open[transaction.instance]
        told = [f"{topic.split('-', 1)[1]} {(r.key or b'-').decode()} {_said(r)}" for topic, r in transaction.records]
        self.net.history.note(
            transaction.instance,
            "committed" if commit else "aborted",
            *told,
            *map(_places, transaction.offsets.items()),
        )
        if not commit:
            self.aborted.add(transaction.number)
        for topic, number in transaction.touched:
            self.topic(topic)[number].mark(transaction.number, self.now_ms())
            self._wake(topic)
        for name, offsets in transaction.offsets.items():
            self.group(name).release(transaction.number, offsets if commit else {})
        if commit:
            done = Committed(
                self.net.now_s(), transaction.instance, tuple(transaction.records), dict(transaction.offsets)
            )
            self.committed.append(done)
            for tell in self.on_commit:
                tell(done)


def _said(record: Record) -> str:
    """The part of a record that a reader of a history looks for."""
    if record.value is None:
        return "(tombstone)"
    try:
        about = msgspec.json.decode(record.value)
    except msgspec.DecodeError:
        about = {}
    if "intended_at_ms" in about:
        return f"{'withdrawn' if about.get('withdrawn') else 'intent'} {about['attempt']}"
    return " ".join(str(about[name]) for name in ("outcome", "reason", "attempt") if about.get(name))


def _places(entry: tuple[str, dict[int, tuple[int, str]]]) -> str:
    group, offsets = entry
    return f"{group} " + " ".join(f"{p}:{offset}{'+' if text else ''}" for p, (offset, text) in offsets.items())
