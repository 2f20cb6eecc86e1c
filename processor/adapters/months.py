"""A month's records in the topics: which partition one goes to, and reading that starts where the month begins."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator

from processor.adapters.control import read_control
from processor.core.months import Months, month_of_key
from processor.ports import BY_KEY, Produced
from schemas.kafka.reading import Record, read_topic
from schemas.runtime.settings import Settings

__all__ = ["Opened", "Spread", "read_keys", "read_month", "read_months"]

AGAIN_S = 30.0
"""How long it is believed that nobody opened a month: whoever writes of it can have seen a job of it."""


def read_months(settings: Settings) -> Months:
    """The months as the control topic tells of them now. Raises `BrokerUnavailable`."""
    return Months(read_control(settings))


class Opened:
    """The months as they were opened, kept while nothing comes up that was not opened a while ago."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._months: Months | None = None
        self._read_s = 0.0

    def months(self, wanted: Iterable[str]) -> Months:
        """Where each of these was opened, it is known. Blocks; raises `BrokerUnavailable`."""
        months = self._months
        known = months is not None and all(map(months.opened, wanted))
        if months is None or (not known and time.monotonic() - self._read_s > AGAIN_S):
            self._read_s = time.monotonic()
            months = self._months = read_months(self._settings)
        return months


class Spread:
    """The partition of each record that is written by its key, kept over many writes."""

    def __init__(self, settings: Settings) -> None:
        topics = settings.topics
        self._topics = {topics.jobs, topics.attempts, topics.deliveries, topics.dead_letters, topics.events}
        self._opened = Opened(settings)

    def partition(self, record: Produced) -> int:
        """Where it goes; `BY_KEY` where the client may decide. Raises `BrokerUnavailable`."""
        if record.partition != BY_KEY or record.topic not in self._topics or record.key is None:
            return record.partition
        month = month_of_key(record.key)
        opened = self._opened.months([month]).opened(month) if month else None
        return opened.partition_of(record.key) if opened else BY_KEY


def read_month(settings: Settings, months: Months, topic: str, month: str | None) -> Iterator[Record]:
    """A topic's records of a month, from where it begins; of all months where none is given.

    Jobs that stand where their keys do not belong are left out. Raises `BrokerUnavailable`.
    """
    suffix = f":{month}".encode() if month else b""
    starts = months.starts(topic, [month] if month else [])
    jobs = topic == settings.topics.jobs
    for record in read_topic(settings, topic, starts=starts):
        if (record.key or b"").endswith(suffix) and not (jobs and months.misplaced(record)):
            yield record


def read_keys(settings: Settings, months: Months, topic: str, keys: Collection[bytes]) -> Iterator[Record]:
    """A topic's records of these keys, read where they may stand alone.

    Not for dead letters: those of a job stand beside it, also where its key does not belong.
    Raises `BrokerUnavailable`.
    """
    starts = months.starts(topic, {month_of_key(key) for key in keys})
    jobs = topic == settings.topics.jobs
    for record in read_topic(settings, topic, months.partitions(keys), starts):
        if record.key in keys and not (jobs and months.misplaced(record)):
            yield record
