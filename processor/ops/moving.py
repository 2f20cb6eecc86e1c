"""Taking letters out of the dead-letter topic: what stands before them is written anew behind, then the head is cut.

Kafka can remove the beginning of a partition, not a record within. A letter that was moved says so in a header, so
that whoever is interrupted goes on where they stopped. Where Kafka's clock dates letters that one is forgotten later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from processor.adapters.write import write_records
from processor.ops.dead_letters import read_marks
from processor.ports import BY_KEY, Produced
from schemas.codec import MOVED_HEADER, encode, moved_from
from schemas.kafka.asking import answer, error_text
from schemas.kafka.clients import admin_config
from schemas.kafka.reading import Record, read_topic
from schemas.runtime.errors import BrokerUnavailable
from schemas.runtime.settings import Settings

__all__ = ["letters_of", "take_out"]


def letters_of(settings: Settings, is_gone: Callable[[Record], bool]) -> dict[int, list[Record]]:
    """The letters to be taken out, by partition. Raises `BrokerUnavailable`."""
    found: dict[int, list[Record]] = {}
    for record in read_topic(settings, settings.topics.dead_letters):
        if is_gone(record):
            found.setdefault(record.partition, []).append(record)
    return found


def take_out(settings: Settings, partition: int, gone: Sequence[Record]) -> int:
    """Takes these letters and their marks out of a partition; returns how many others were moved for it.

    Raises `BrokerUnavailable`: the same again goes on.
    """
    last = max(record.offset for record in gone)
    leave = {record.offset for record in gone}
    head: list[Record] = []
    moved: dict[str, str] = {}
    for record in read_topic(settings, settings.topics.dead_letters, [partition]):
        if record.offset <= last:
            head.append(record)
        elif before := moved_from(record.headers):
            moved[before] = f"{partition}:{record.offset}"
    to_move = [r for r in head if r.offset not in leave and f"{partition}:{r.offset}" not in moved]
    moved |= _write_behind(settings, partition, to_move)
    _move_marks(settings, moved, [f"{partition}:{offset}" for offset in leave])
    _cut(settings, partition, last + 1)
    return len(to_move)


def _write_behind(settings: Settings, partition: int, records: Sequence[Record]) -> dict[str, str]:
    """Old place: new place."""
    olds = [f"{partition}:{record.offset}" for record in records]
    anew = []
    for old, record in zip(olds, records, strict=True):
        kept = [(name, value) for name, value in record.headers if name != MOVED_HEADER]
        headers = [*kept, (MOVED_HEADER, old.encode())]
        topic = settings.topics.dead_letters
        anew.append(Produced(topic, partition, record.key, record.value, headers, record.timestamp_ms))
    offsets = write_records(settings, anew) if anew else []
    return {old: f"{partition}:{offset}" for old, offset in zip(olds, offsets, strict=True)}


def _move_marks(settings: Settings, moved: dict[str, str], gone: Sequence[str]) -> None:
    topic, marks = settings.topics.dead_letter_marks, read_marks(settings)
    records = []
    for old, new in moved.items():
        if old in marks:
            records.append(Produced(topic, BY_KEY, new.encode(), encode(marks[old])))
            records.append(Produced(topic, BY_KEY, old.encode(), None))
    records += [Produced(topic, BY_KEY, place.encode(), None) for place in gone if place in marks]
    if records:
        write_records(settings, records)


def _cut(settings: Settings, partition: int, before: int) -> None:
    place = TopicPartition(settings.topics.dead_letters, partition, before)
    admin = AdminClient(admin_config(settings))
    try:
        for asked in admin.delete_records([place]).values():
            answer(asked)
    except KafkaException as error:
        raise BrokerUnavailable(f"{place.topic}:{partition} could not be cut: {error_text(error)}") from error
