"""Where a month stands, and one mail's whole story: read from the topics and Redis, never from counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from processor.adapters.month_events import MonthEvents
from processor.adapters.months import read_keys, read_month, read_months
from processor.adapters.redis import RedisDedup
from processor.core.arrivals import read_told
from processor.core.brake import ALL
from processor.core.months import Months
from processor.core.outcomes import PENDING, Mail, MonthCounts, count, with_arrival, with_delivery, with_job
from processor.core.states import State
from processor.core.ticket import WRONG_PARTITION
from schemas.codec import decode_attempt, decode_dead_letter, decode_delivery, decode_job, fingerprint
from schemas.identity import Key
from schemas.kafka.reading import Follower, Record
from schemas.records import Delivery, Outcome
from schemas.runtime.errors import BadRecord
from schemas.runtime.settings import Settings

__all__ = ["MonthView", "Story", "month_status", "tell_story"]


RATE_WINDOW_S = 60.0
"""Over how long "now" reaches when a rate is told."""


class MonthView:
    """A month as of the last `refresh`, which reads only what came since the one before."""

    def __init__(self, settings: Settings, month: str) -> None:
        self._suffix = f":{month}".encode()
        self._months = read_months(settings)
        jobs, ledger = settings.topics.jobs, settings.topics.deliveries
        self._jobs = Follower(settings, jobs, self._months.starts(jobs, [month]))
        self._ledger = Follower(settings, ledger, self._months.starts(ledger, [month]))
        self._events = MonthEvents(settings, self._months, month)
        self._mails: dict[bytes, Mail] = {}
        self._misplaced: dict[bytes, Mail] = {}
        """Jobs that stand where their keys do not belong: each is dead, and says nothing of a key that has another."""
        self._sent_at_ms: list[int] = []
        self.month = month
        self.mails: dict[bytes, Mail] = {}

    def refresh(self) -> MonthCounts:
        """Raises `BrokerUnavailable`."""
        for record in self._jobs.news():
            if record.key is None or not record.key.endswith(self._suffix):
                continue
            if self._months.misplaced(record):
                if record.value is not None:
                    self._misplaced[record.key] = Mail(
                        outcome=Outcome.DEAD, reason=WRONG_PARTITION, at_ms=record.timestamp_ms
                    )
                continue
            mail = with_job(self._mails.get(record.key), record)
            if mail is not None:
                self._mails[record.key] = mail
        for record in self._ledger.news():
            if record.key is None or record.value is None or not record.key.endswith(self._suffix):
                continue
            delivery = decode_delivery(record.value)
            self._mails[record.key] = with_delivery(self._mails.get(record.key), delivery, record.partition)
            if delivery.outcome is Outcome.SENT and delivery.feedback is None:
                self._sent_at_ms.append(delivery.at_ms)
        self._events.hear(self._mails)
        self.mails = self._misplaced | self._mails if self._misplaced else self._mails
        return count(self.month, self.mails.values())

    def paused(self) -> str | None:
        """Why the month is paused; ``None``: it is not. As of the first look. Raises `BrokerUnavailable`."""
        brake = self._months.brake
        return brake.paused.get(self.month, brake.paused.get(ALL))

    def sent_per_s(self, now_ms: int) -> float:
        """Mails a second that the ledger took in during the last minute."""
        since = now_ms - int(RATE_WINDOW_S * 1000)
        self._sent_at_ms = [at_ms for at_ms in self._sent_at_ms if at_ms >= since]
        return len(self._sent_at_ms) / RATE_WINDOW_S

    def pending_by_partition(self) -> dict[int, int]:
        """Jobs without an outcome in each partition of the jobs topic: the lag, in records."""
        waiting = Counter(mail.job_partition for mail in self.mails.values() if mail.standing == PENDING)
        return dict(sorted(waiting.items()))


def month_status(settings: Settings, month: str) -> MonthCounts:
    """How a month stands now; raises `BrokerUnavailable`."""
    return MonthView(settings, month).refresh()


@dataclass(slots=True)
class Story:
    """Everything known of one mail, oldest first in each list."""

    key: Key
    jobs: list[dict[str, Any]] = field(default_factory=list)
    intents: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    claim: dict[str, Any] | None = None
    mail: Mail | None = None

    @property
    def outcome(self) -> str:
        """The outcome, ``pending``, or ``unknown`` for a mail nobody published."""
        if self.mail is not None:
            return self.mail.standing
        if not self.jobs and any(letter["reason"] == WRONG_PARTITION for letter in self.dead_letters):
            return Outcome.DEAD.value
        return PENDING if self.jobs else "unknown"

    def add_job(self, record: Record) -> None:
        """The next record of the jobs topic."""
        self.jobs.append(_job(record) | {"place": f"{record.partition}:{record.offset}"})
        self.mail = with_job(self.mail, record)

    def add_outcome(self, delivery: Delivery, partition: int) -> None:
        """The next entry of the ledger, in one of its partitions."""
        self.outcomes.append(msgspec.to_builtins(delivery))
        self.mail = with_delivery(self.mail, delivery, partition)

    def add_event(self, record: Record) -> None:
        """The next of SES's events, after the ledger's entries."""
        told = read_told(record.value)
        if told is None:
            return
        about = {"kind": told.kind, "mail": told.message_id, "at_ms": record.timestamp_ms}
        if (said := told.said).arrival is not None:
            about |= {"arrival": said.arrival.value, "detail": said.detail, "smtp": said.smtp}
            self.mail = with_arrival(self.mail, told.message_id, said) or self.mail
        self.events.append(about)

    def to_dict(self) -> dict[str, Any]:
        return {
            "user_id": self.key.user_id,
            "month": self.key.month,
            "outcome": self.outcome,
            "arrival": self.mail.arrival if self.mail else None,
            "jobs": self.jobs,
            "intents": self.intents,
            "outcomes": self.outcomes,
            "dead_letters": self.dead_letters,
            "events": self.events,
            "claim": self.claim,
        }


async def tell_story(settings: Settings, dedup: RedisDedup, key: Key) -> Story:
    """Reads the topics for one key, where its records stand, and its claim."""
    story, topics, months = Story(key), settings.topics, read_months(settings)
    raw = key.to_bytes()
    for record in read_keys(settings, months, topics.jobs, {raw}):
        story.add_job(record)
    for record in read_keys(settings, months, topics.attempts, {raw}):
        if record.value is not None:
            story.intents.append(msgspec.to_builtins(decode_attempt(record.value)))
    for record in read_keys(settings, months, topics.deliveries, {raw}):
        if record.value is not None:
            story.add_outcome(decode_delivery(record.value), record.partition)
    for record in _beside(settings, months, topics.dead_letters, key):
        letter = msgspec.to_builtins(decode_dead_letter(record.headers))
        story.dead_letters.append(letter | {"place": f"{record.partition}:{record.offset}"})
    for record in _beside(settings, months, topics.events, key):
        story.add_event(record)
    claim = await dedup.peek(key)
    if claim is not None and claim.state is not State.ABSENT:
        story.claim = {"state": claim.state.name.lower(), "value": claim.to_text()}
    return story


def _beside(settings: Settings, months: Months, topic: str, key: Key) -> Iterator[Record]:
    """Of a topic whose records stand in any partition: 0.1 writes by the partitions that there are."""
    raw = key.to_bytes()
    return (record for record in read_month(settings, months, topic, key.month) if record.key == raw)


def _job(record: Record) -> dict[str, Any]:
    if record.key is None or record.value is None:
        return {"tombstone": True}
    try:
        job = decode_job(record.key, record.value)
    except BadRecord as bad:
        return {"unreadable": bad.detail}
    return {**msgspec.to_builtins(job), "fingerprint": fingerprint(job)}
