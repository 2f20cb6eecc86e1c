"""What people do about dead letters: back to the jobs topic, or marked as done with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from processor.adapters.months import read_keys, read_months
from processor.adapters.write import TransactionalWriter
from processor.core.floor import first_month
from processor.core.months import Months
from processor.core.outcomes import Mail, with_delivery, with_job
from processor.core.requeue import Refused, Requeued, requeued
from processor.ops.dead_letters import Entry
from processor.ports import BY_KEY, Produced
from schemas.codec import decode_delivery, encode
from schemas.kafka.reading import Record
from schemas.records import Mark, Marked, Requeue
from schemas.runtime.errors import BadRecord
from schemas.runtime.settings import Settings

__all__ = ["Decided", "discard", "look", "requeue"]

AT_ONCE = 500
"""Records of one transaction."""


class Decided(msgspec.Struct, frozen=True):
    """A dead letter, and what follows for it."""

    entry: Entry
    follows: Requeued | Refused


def look(settings: Settings, entries: Sequence[Entry], asked: Requeue) -> list[Decided]:
    """What a requeue of these would do; changes nothing. Raises `BrokerUnavailable`."""
    months = read_months(settings)
    mails, newest = _mails(settings, months, {entry.record.key for entry in entries if entry.record.key})
    this_month = datetime.fromtimestamp(asked.at_ms / 1000, UTC).strftime("%Y-%m")
    first = first_month(months.floor, this_month, settings.retention_months)
    decided, taken = [], set()
    for entry in entries:
        key = entry.record.key or b""
        follows = requeued(
            entry.record,
            entry.headers,
            mail=mails.get(key),
            mark=entry.mark,
            asked=msgspec.structs.replace(asked, place=entry.place),
            times_max=settings.requeue_max,
            first_month=first,
            newest=newest.get(key),
        )
        if isinstance(follows, Requeued) and key in taken:
            follows = Refused(f"{key.decode()}: another letter of the same key goes back")
        taken |= {key} if isinstance(follows, Requeued) else set()
        decided.append(Decided(entry, follows))
    return decided


def requeue(settings: Settings, decided: Sequence[Decided], asked: Requeue) -> Iterator[int]:
    """Publishes what may go back, each with its mark in the same transaction; yields how many are done so far.

    Raises `BrokerUnavailable`: then the same command again does what is left.
    """
    pairs = []
    for one in decided:
        if isinstance(one.follows, Requeued):
            job = Produced(settings.topics.jobs, BY_KEY, one.follows.key, one.follows.value, one.follows.headers)
            mark = Mark(what=Marked.REQUEUED, who=asked.who, why=asked.why, at_ms=asked.at_ms, changes=asked.changes)
            pairs.append((job, _mark(settings, one.entry, mark)))
    yield from _write(settings, pairs)


def discard(settings: Settings, entries: Sequence[Entry], who: str, why: str, at_ms: int) -> Iterator[int]:
    """Marks letters as done with; they stay where they are. Raises `BrokerUnavailable`."""
    mark = Mark(what=Marked.DISCARDED, who=who, why=why, at_ms=at_ms)
    yield from _write(settings, [(_mark(settings, entry, mark),) for entry in entries])


def _write(settings: Settings, groups: Sequence[tuple[Produced, ...]]) -> Iterator[int]:
    writer = TransactionalWriter(settings, f"operator-{settings.instance_name()}")
    for first in range(0, len(groups), AT_ONCE):
        batch = groups[first : first + AT_ONCE]
        writer.write([record for group in batch for record in group])
        yield first + len(batch)


def _mark(settings: Settings, entry: Entry, mark: Mark) -> Produced:
    return Produced(settings.topics.dead_letter_marks, BY_KEY, entry.place.encode(), encode(mark))


def _mails(settings: Settings, months: Months, keys: set[bytes]) -> tuple[dict[bytes, Mail], dict[bytes, Record]]:
    """What jobs topic and ledger say of these keys, and each key's newest record in the jobs topic."""
    mails: dict[bytes, Mail] = {}
    newest: dict[bytes, Record] = {}
    if not keys:
        return mails, newest
    for record in read_keys(settings, months, settings.topics.jobs, keys):
        if record.key is not None:
            mail = with_job(mails.get(record.key), record)
            if mail is not None:
                mails[record.key] = mail
                if (mail.job_partition, mail.job_offset) == (record.partition, record.offset):
                    newest[record.key] = record
    for record in read_keys(settings, months, settings.topics.deliveries, keys):
        if record.key is not None and record.value is not None:
            try:
                mails[record.key] = with_delivery(
                    mails.get(record.key), decode_delivery(record.value), record.partition
                )
            except BadRecord:
                continue
    return mails, newest
