"""Replays: where they start, what a dry run says, and the consumer groups that they run in.

A replay only re-enters the topic: what is settled is skipped by the same claim as ever, so it may run at any time,
twice at once, beside the live group, and after Redis was lost.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Mapping

import msgspec
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from processor.adapters.months import read_month, read_months
from processor.core.months import month_of_key
from processor.core.outcomes import PENDING, Mail, with_delivery, with_job
from processor.core.ticket import WRONG_PARTITION
from processor.ops.dead_letters import Wanted, list_entries
from processor.ops.groups import coordinated, members
from schemas.codec import decode_delivery, decode_job
from schemas.identity import Key
from schemas.kafka.asking import TIMEOUT_S, answer, error_text
from schemas.kafka.clients import admin_config, reader_config
from schemas.kafka.ends import end_offsets
from schemas.kafka.reading import Record, partition_numbers, read_topic
from schemas.runtime.errors import BadRecord, BrokerUnavailable, UsageError
from schemas.runtime.settings import Settings

__all__ = ["FromOffsets", "FromTime", "Start", "WhereFrom", "drop_group", "plan", "set_group", "told_before", "where"]


class FromTime(msgspec.Struct, frozen=True):
    """From the first record that Kafka took at this time or later."""

    at_ms: int


class FromOffsets(msgspec.Struct, frozen=True):
    """From these offsets; partitions that are not named are left out."""

    offsets: dict[int, int]


WhereFrom = FromTime | FromOffsets | None
"""``None``: from the beginning."""


class Start(msgspec.Struct, frozen=True):
    """Where a replay begins in each partition of the jobs topic, and where it has caught up."""

    begins: dict[int, int]
    ends: dict[int, int]

    def share(self, prefixes: Mapping[int, int]) -> float:
        """How much of the way is done, by offsets: for a progress bar, not a count."""
        whole = sum(end - self.begins[number] for number, end in self.ends.items())
        done = sum(
            min(max(prefixes.get(number, 0), self.begins[number]), end) - self.begins[number]
            for number, end in self.ends.items()
        )
        return done / whole if whole else 1.0


def where(settings: Settings, start: WhereFrom, month: str = "") -> Start:
    """The beginning is that of `month`, where it is given.

    Raises `UsageError` for a partition that is not there, and `BrokerUnavailable`.
    """
    topic = settings.topics.jobs
    numbers = partition_numbers(settings, topic)
    admin = AdminClient(admin_config(settings))
    ends = end_offsets(admin, topic, numbers)
    match start:
        case None:
            first = read_months(settings).starts(topic, [month] if month else [])
            begins = {number: first.get(number, 0) for number in numbers}
            # A place beyond the end is one of a log that was cut or made anew.
            begins = {number: at if at <= ends[number] else 0 for number, at in begins.items()}
        case FromTime(at_ms):
            begins = _at(settings, topic, numbers, at_ms, ends)
        case FromOffsets(offsets):
            if strange := sorted(offsets.keys() - ends.keys()):
                raise UsageError(f"{topic} has no partition {strange[0]}; it has 0 to {max(numbers)}")
            begins = {number: min(offsets.get(number, ends[number]), ends[number]) for number in numbers}
    return Start(begins, ends)


def _at(settings: Settings, topic: str, numbers: list[int], at_ms: int, ends: dict[int, int]) -> dict[int, int]:
    consumer = Consumer(reader_config(settings))
    try:
        found = consumer.offsets_for_times([TopicPartition(topic, number, at_ms) for number in numbers], TIMEOUT_S)
        # A partition that could not be asked keeps the time for its offset: read from there, it would be all of it.
        for place in found:
            if place.error is not None:
                raise KafkaException(place.error)
    except KafkaException as error:
        raise BrokerUnavailable(f"asking what {topic} held at that time: {error_text(error)}") from error
    finally:
        consumer.close()
    return {place.partition: place.offset if place.offset >= 0 else ends[place.partition] for place in found}


# ---- groups ----


def set_group(settings: Settings, group: str, begins: Mapping[int, int]) -> None:
    """Puts a group's offsets there. Raises `UsageError` while it has members, and `BrokerUnavailable`."""
    admin = AdminClient(admin_config(settings))
    if running := members(settings, group, settings.patience_s):
        names = ", ".join(member.instance for member in running[:3])
        raise UsageError(
            f"group {group} has {len(running)} processors running ({names}): stop them first, or "
            f"replay beside them without --reset-group"
        )
    places = [TopicPartition(settings.topics.jobs, number, offset) for number, offset in begins.items()]

    def put() -> None:
        done = answer(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])[group])
        for place in done.topic_partitions:
            if place.error is not None:
                raise KafkaException(place.error)

    try:
        coordinated(put, settings.patience_s)
    except KafkaException as error:
        raise BrokerUnavailable(f"the offsets of group {group} could not be set: {error_text(error)}") from error


def drop_group(settings: Settings, group: str) -> None:
    """Removes a replay's own group; one that stays does no harm: Kafka forgets it in a week."""
    admin = AdminClient(admin_config(settings))
    with contextlib.suppress(KafkaException):
        coordinated(lambda: answer(admin.delete_consumer_groups([group])[group]), TIMEOUT_S)


# ---- looking ahead ----


def told_before(settings: Settings) -> frozenset[tuple[int, int]]:
    """Places of records of which no key says that they have a dead letter, and one is enough: those without a readable
    key, and those in a partition where theirs does not belong."""
    places = set()
    for entry in list_entries(settings, Wanted()):
        if entry.letter.reason in {"bad-key", WRONG_PARTITION}:
            places.add((entry.letter.source.partition, entry.letter.source.offset))
    return frozenset(places)


def plan(settings: Settings, start: Start, month: str) -> dict[str, Counter[str]]:
    """What a replay would do, per month: ``attempt``, ``cancel``, ``dead-letter``, or skip what ``is`` settled.

    The ledger says what is settled; whether a key is being sent at this moment it cannot say.
    """
    suffix = f":{month}".encode() if month else b""
    mails: dict[bytes, Mail] = {}
    latest: dict[bytes, Record] = {}
    found: dict[str, Counter[str]] = defaultdict(Counter)
    told, months = told_before(settings), read_months(settings)
    for record in read_topic(settings, settings.topics.jobs, starts=start.begins):
        key = record.key or b""
        if not key.endswith(suffix):
            continue
        if (misplaced := months.misplaced(record)) and record.value is None:
            continue
        try:
            Key.from_bytes(record.key)
        except BadRecord:
            misplaced = True
        if misplaced:
            known = (record.partition, record.offset) in told
            found[month_of_key(key) or "?"]["is dead" if known else "would be dead-lettered"] += 1
            continue
        mail = with_job(mails.get(key), record)
        mails[key] = mail or Mail()
        if mail is None or (mail.job_partition, mail.job_offset) == (record.partition, record.offset):
            latest[key] = record
    for entry in read_month(settings, months, settings.topics.deliveries, month):
        if entry.key in latest and entry.key is not None and entry.value is not None:
            before = mails[entry.key]
            mails[entry.key] = with_delivery(before, decode_delivery(entry.value), entry.partition)
    for key, record in latest.items():
        found[key.decode().rpartition(":")[2]][_follows(record, mails[key])] += 1
    return {name: found[name] for name in sorted(found)}


def _follows(record: Record, mail: Mail) -> str:
    if mail.standing != PENDING:
        return f"is {mail.standing}"
    if record.value is None:
        return "would be cancelled"
    try:
        decode_job(record.key, record.value)
    except BadRecord:
        return "would be dead-lettered"
    return "would be attempted"
