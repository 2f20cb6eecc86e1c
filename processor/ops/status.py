"""Where a month stands, and one mail's whole story: read from the topics and Redis, never from counters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from processor.adapters.redis import RedisDedup
from processor.core.states import State
from schemas.codec import decode_attempt, decode_dead_letter, decode_delivery, decode_job, fingerprint
from schemas.errors import BadRecord
from schemas.identity import Key
from schemas.reading import partition_numbers, read_topic
from schemas.records import Outcome
from schemas.settings import Settings

__all__ = ["MonthStatus", "Story", "month_status", "tell_story"]


@dataclass(slots=True)
class MonthStatus:
    """Counts of one month. Every job is in exactly one of the outcomes, or pending."""

    month: str
    jobs: int = 0
    sent: int = 0
    dead: int = 0
    uncertain: int = 0
    suppressed: int = 0
    cancelled: int = 0
    pending: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def month_status(settings: Settings, month: str) -> MonthStatus:
    """Folds the jobs topic and the ledger, partition by partition; raises `BrokerUnavailable`."""
    status = MonthStatus(month)
    suffix = f":{month}".encode()
    for partition in partition_numbers(settings, settings.topics.jobs):
        latest: dict[bytes, int] = {}
        for record in read_topic(settings, settings.topics.jobs, [partition]):
            if (
                record.key is not None
                and record.key.endswith(suffix)
                and (record.value is not None or record.key in latest)
            ):
                latest[record.key] = record.offset
        outcomes: dict[bytes, tuple[Outcome, int]] = {}
        for record in read_topic(settings, settings.topics.deliveries, [partition]):
            if record.key is not None and record.value is not None and record.key.endswith(suffix):
                delivery = decode_delivery(record.value)
                outcomes[record.key] = delivery.outcome, delivery.source.offset
        for key in latest.keys() | outcomes.keys():
            _count(status, outcomes.get(key), latest.get(key, -1))
    return status


def _count(status: MonthStatus, outcome: tuple[Outcome, int] | None, job_offset: int) -> None:
    status.jobs += 1
    if outcome is None or (outcome[0] in {Outcome.DEAD, Outcome.CANCELLED} and job_offset > outcome[1]):
        # A record after the one that died is another chance.
        status.pending += 1
    else:
        setattr(status, outcome[0].value, getattr(status, outcome[0].value) + 1)


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

    @property
    def outcome(self) -> str:
        """The outcome, ``pending``, or ``unknown`` for a mail nobody published."""
        if self.outcomes:
            return str(self.outcomes[-1]["outcome"])
        return "pending" if self.jobs else "unknown"

    def to_dict(self) -> dict[str, Any]:
        return {
            "user_id": self.key.user_id,
            "month": self.key.month,
            "outcome": self.outcome,
            "jobs": self.jobs,
            "intents": self.intents,
            "outcomes": self.outcomes,
            "dead_letters": self.dead_letters,
            "events": self.events,
            "claim": self.claim,
        }


async def tell_story(settings: Settings, dedup: RedisDedup, key: Key) -> Story:
    """Reads the four topics for one key, and its claim."""
    story, raw, topics = Story(key), key.to_bytes(), settings.topics
    for record in read_topic(settings, topics.jobs):
        if record.key == raw:
            story.jobs.append(_job(record.key, record.value) | {"place": f"{record.partition}:{record.offset}"})
    for record in read_topic(settings, topics.attempts):
        if record.key == raw and record.value is not None:
            story.intents.append(msgspec.to_builtins(decode_attempt(record.value)))
    for record in read_topic(settings, topics.deliveries):
        if record.key == raw and record.value is not None:
            story.outcomes.append(msgspec.to_builtins(decode_delivery(record.value)))
    for record in read_topic(settings, topics.dead_letters):
        if record.key == raw:
            letter = msgspec.to_builtins(decode_dead_letter(record.headers))
            story.dead_letters.append(letter | {"place": f"{record.partition}:{record.offset}"})
    for record in read_topic(settings, topics.events):
        if record.key == raw and record.value is not None:
            event = msgspec.json.decode(record.value)
            story.events.append(
                {
                    "kind": event.get("eventType"),
                    "mail": event.get("mail", {}).get("messageId"),
                    "at_ms": record.timestamp_ms,
                }
            )
    claim = await dedup.peek(key)
    if claim is not None and claim.state is not State.ABSENT:
        story.claim = {"state": claim.state.name.lower(), "value": claim.to_text()}
    return story


def _job(key: bytes, value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {"tombstone": True}
    try:
        job = decode_job(key, value)
    except BadRecord as bad:
        return {"unreadable": bad.detail}
    return {**msgspec.to_builtins(job), "fingerprint": fingerprint(job)}
