"""A month opened, before its first job is written: see `processor.core.months`."""

from __future__ import annotations

import time

from confluent_kafka.admin import AdminClient

from processor.adapters.control import change_control, read_control
from processor.core.control import Control
from processor.core.months import noting, opening
from schemas.control import Figures, MonthOpened
from schemas.identity import months_later
from schemas.kafka.clients import admin_config
from schemas.kafka.ends import begin_offsets, end_offsets
from schemas.kafka.reading import partition_numbers, read_topic
from schemas.runtime.errors import UsageError
from schemas.runtime.settings import Settings

__all__ = ["Opener", "refuse_forgotten"]


def refuse_forgotten(settings: Settings, control: Control, month: str) -> None:
    """Raises `UsageError` for a month whose ledger has begun to go, by age: a mail of it could go out twice.

    A month that is open all the same: nobody opened one for so long that would have closed it. Raises
    `BrokerUnavailable`.
    """
    topic, opened = settings.topics.deliveries, control.month(month)
    began = opened.starts(topic) if opened else {}
    if not began:
        return
    begins = begin_offsets(AdminClient(admin_config(settings)), topic, began)
    if any(begins[number] > offset for number, offset in began.items()):
        raise UsageError(
            f"{topic} no longer holds {month} from its beginning: who got a mail is forgotten, so nothing of it is "
            f"sent. Nothing was published; `mailonce dedup floor` closes old months"
        )


class Opener:
    """What a producer asks of a month, in this order: `opened`, `look`, then it reads the jobs topic, then `open`."""

    def __init__(self, settings: Settings, month: str, control: Control) -> None:
        """
        Args:
            settings: where the topics are.
            month: ``YYYY-MM``.
            control: as it was read a moment ago: the first answer is by this.
        """
        self._settings = settings
        self._fresh = True
        self.control = control
        """as it was read last"""
        self._month = month
        self._ends: dict[str, list[int]] = {}

    def opened(self) -> MonthOpened | None:
        """How the month was opened. Raises `BrokerUnavailable`."""
        if not self._fresh:
            self.control = read_control(self._settings)
        self._fresh = False
        return self.control.month(self._month)

    def look(self) -> None:
        """Notes where the topics end: what the caller does not find now in the jobs topic comes later.

        Raises `BrokerUnavailable`.
        """
        topics, admin = self._settings.topics, AdminClient(admin_config(self._settings))
        # The jobs topic last: a record that stands behind its end has its outcome and its letter behind theirs.
        for name in (topics.attempts, topics.deliveries, topics.dead_letters, topics.events, topics.jobs):
            ends = end_offsets(admin, name, partition_numbers(self._settings, name))
            self._ends[name] = [ends[number] for number in sorted(ends)]

    def open(self) -> MonthOpened | None:
        """Opens the month, of which the jobs topic holds nothing; returns how it is open, whoever opened it.

        A month of which the ledger knows is not opened: its jobs are gone, and what became of them is told from 0.
        Raises `BrokerUnavailable`.
        """
        assert self._ends, "somebody must have looked before"
        settings, month, suffix = self._settings, self._month, f":{self._month}".encode()
        records = read_topic(settings, settings.topics.deliveries)
        if any((record.key or b"").endswith(suffix) for record in records):
            return self.opened()
        now_ms, begins, jobs = time.time_ns() // 1_000_000, self._ends, settings.topics.jobs
        self.control = change_control(settings, lambda control: opening(control, month, begins, jobs, now_ms))
        return self.control.month(month)

    def before(self) -> Figures | None:
        """What the month before held when its producer ended; nothing where that is not known."""
        opened = self.control.months.get(months_later(self._month, -1))
        return opened.figures if opened else None

    def note(self, figures: Figures) -> None:
        """Keeps what the month holds now in its record; of a month that was not opened nothing is kept.

        Raises `BrokerUnavailable`.
        """
        self.control = change_control(self._settings, lambda control: noting(control, self._month, figures))
