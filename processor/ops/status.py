"""Where a month stands, and one mail's whole story: read from the topics and Redis, never from counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from processor.adapters.redis import RedisDedup
from processor.core.states import State
from schemas.codec import decode_attempt, decode_dead_letter, decode_delivery, decode_job, fingerprint
from schemas.errors import BadRecord
from schemas.identity import Key
from schemas.reading import Record, read_topic
from schemas.records import Delivery, Outcome
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
    """Folds the jobs topic and the ledger; raises `BrokerUnavailable`.

    A key's records may stand in two partitions when partitions were added while its month ran.
    """
    suffix = f":{month}".encode()
    latest: dict[bytes, tuple[int, int]] = {}
    for record in read_topic(settings, settings.topics.jobs):
        if (
            record.key is not None
            and record.key.endswith(suffix)
            and (record.value is not None or record.key in latest)
        ):
            latest[record.key] = max(latest.get(record.key, _NEVER), (record.timestamp_ms, record.offset))
    ended: dict[bytes, Outcome] = {}
    open_again: set[bytes] = set()
    for record in read_topic(settings, settings.topics.deliveries):
        if record.key is None or record.value is None or not record.key.endswith(suffix):
            continue
        delivery = decode_delivery(record.value)
        if delivery.in_doubt and ended.get(record.key) is Outcome.SENT:
            continue
        ended[record.key] = delivery.outcome
        place = delivery.source.timestamp_ms, delivery.source.offset
        # A record after the one that died is another chance.
        waits = delivery.frees_key and latest.get(record.key, _NEVER) > place
        (open_again.add if waits else open_again.discard)(record.key)
    status = MonthStatus(month, jobs=len(latest.keys() | ended.keys()))
    counts = Counter(outcome for key, outcome in ended.items() if key not in open_again)
    for outcome in Outcome:
        setattr(status, outcome.value, counts[outcome])
    status.pending = status.jobs - counts.total()
    return status


_NEVER = (-1, -1)


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
    ended: Outcome | None = None

    @property
    def outcome(self) -> str:
        """The outcome, ``pending``, or ``unknown`` for a mail nobody published."""
        if self.ended is not None:
            return self.ended.value
        return "pending" if self.jobs else "unknown"

    def add_outcome(self, delivery: Delivery) -> None:
        """The next entry of the ledger."""
        self.outcomes.append(msgspec.to_builtins(delivery))
        if not (delivery.in_doubt and self.ended is Outcome.SENT):
            self.ended = delivery.outcome

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
    story, topics = Story(key), settings.topics
    for record in _of(settings, topics.jobs, key):
        story.jobs.append(_job(record) | {"place": f"{record.partition}:{record.offset}"})
    for record in _of(settings, topics.attempts, key):
        if record.value is not None:
            story.intents.append(msgspec.to_builtins(decode_attempt(record.value)))
    for record in _of(settings, topics.deliveries, key):
        if record.value is not None:
            story.add_outcome(decode_delivery(record.value))
    for record in _of(settings, topics.dead_letters, key):
        letter = msgspec.to_builtins(decode_dead_letter(record.headers))
        story.dead_letters.append(letter | {"place": f"{record.partition}:{record.offset}"})
    for record in _of(settings, topics.events, key):
        if record.value is not None:
            story.events.append(_event(record.value) | {"at_ms": record.timestamp_ms})
    claim = await dedup.peek(key)
    if claim is not None and claim.state is not State.ABSENT:
        story.claim = {"state": claim.state.name.lower(), "value": claim.to_text()}
    return story


def _of(settings: Settings, topic: str, key: Key) -> Iterator[Record]:
    raw = key.to_bytes()
    return (record for record in read_topic(settings, topic) if record.key == raw)


def _event(value: bytes) -> dict[str, Any]:
    event = msgspec.json.decode(value)
    return {"kind": event.get("eventType"), "mail": event.get("mail", {}).get("messageId")}


def _job(record: Record) -> dict[str, Any]:
    if record.key is None or record.value is None:
        return {"tombstone": True}
    try:
        job = decode_job(record.key, record.value)
    except BadRecord as bad:
        return {"unreadable": bad.detail}
    return {**msgspec.to_builtins(job), "fingerprint": fingerprint(job)}
