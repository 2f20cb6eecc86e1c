"""Passing over a batch of the jobs topic that cannot be read: the decision is its dead letter."""

from __future__ import annotations

from importlib.metadata import version

import msgspec

from processor.adapters.write import write_records
from processor.ops.dead_letters import Wanted, list_entries, parse_place
from processor.ports import Produced
from schemas.codec import dead_letter_headers
from schemas.kafka.reading import partition_numbers
from schemas.kafka.unreadable import next_readable, unreadable_at
from schemas.records import UNREADABLE_REASON, DeadLetter, Source
from schemas.runtime.errors import UsageError
from schemas.runtime.settings import Settings

__all__ = ["Batch", "look", "skip"]


class Batch(msgspec.Struct, frozen=True):
    """An unreadable batch: its first offset, and the first behind it."""

    partition: int
    begins: int
    ends: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.begins}"


def look(settings: Settings, place: str) -> Batch:
    """The batch that holds a place. Raises `UsageError` where it can be read, and `BrokerUnavailable`."""
    topic = settings.topics.jobs
    partition, offset = parse_place(place)
    if partition not in (numbers := partition_numbers(settings, topic)):
        raise UsageError(f"{topic} has no partition {partition}; it has 0 to {max(numbers)}")
    begins = unreadable_at(settings, topic, partition, offset)
    if begins is None:
        raise UsageError(f"{topic} can be read at {place}: nothing is passed over")
    batch = Batch(partition, begins, next_readable(settings, topic, partition, begins))
    told = list_entries(settings, Wanted(reason=UNREADABLE_REASON))
    if any((entry.letter.source.partition, entry.letter.source.offset) == (partition, begins) for entry in told):
        raise UsageError(f"{batch} is passed over already: its dead letter is there")
    return batch


def skip(settings: Settings, batch: Batch, who: str, why: str, at_ms: int) -> None:
    """From now on every processor passes over the batch. Raises `BrokerUnavailable`."""
    letter = DeadLetter(
        reason=UNREADABLE_REASON,
        detail=f"offsets {batch.begins} to {batch.ends - 1} cannot be read; passed over by {who}: {why}",
        at_ms=at_ms,
        source=Source(settings.topics.jobs, batch.partition, batch.begins),
        instance=f"operator-{who}",
        processor_version=version("mailonce"),
    )
    topic = settings.topics.dead_letters
    write_records(settings, [Produced(topic, batch.partition, None, None, dead_letter_headers([], letter))])
