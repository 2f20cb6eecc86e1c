"""Mails of which nobody knows whether SES took them: listed, and decided by people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from processor.adapters.doubts import Doubt, fold
from processor.adapters.jobs import find_job, publish_resend
from processor.adapters.write import write_together
from processor.ports import Dedup, Item, Produced
from schemas.codec import DEAD_LETTER_HEADER, encode
from schemas.errors import UsageError
from schemas.identity import Key
from schemas.reading import partition_numbers, read_topic
from schemas.records import DeadLetter, Delivery, Outcome, Resend
from schemas.settings import Settings

__all__ = ["Decision", "Resolution", "describe", "doubts_of", "resolve"]


class Resolution(StrEnum):
    """What a person knows, or wants, of a mail in doubt."""

    SENT = "sent"
    RESEND = "resend"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Decision:
    """A resolution with who decided it, and why."""

    resolution: Resolution
    who: str
    why: str
    at_ms: int


def describe(doubt: Doubt) -> dict[str, Any]:
    about = doubt.delivery
    return {
        "user_id": doubt.key.user_id,
        "month": doubt.key.month,
        "outcome": about.outcome,
        "attempt": about.attempt,
        "at_ms": about.at_ms,
        "reason": about.reason,
        "detail": about.detail,
    }


def doubts_of(settings: Settings, month: str | None = None, *, decided: bool = False) -> Iterator[Doubt]:
    """The ledger's uncertain mails, of one month if given; with `decided` also those declared dead by a person."""
    suffix = f":{month}".encode() if month else b""
    for partition in partition_numbers(settings, settings.topics.deliveries):
        found: dict[bytes, Delivery] = {}
        for record in read_topic(settings, settings.topics.deliveries, [partition]):
            if record.key is not None and record.key.endswith(suffix):
                fold(found, record.key, record.value)
        for raw, delivery in found.items():
            if decided or delivery.outcome is Outcome.UNCERTAIN:
                yield Doubt(Key.from_bytes(raw), delivery)


async def resolve(settings: Settings, dedup: Dedup, doubt: Doubt, decision: Decision, version: str) -> None:
    """Carries a decision out. Raises `UsageError` when it cannot be (yet) and `BrokerUnavailable`.

    A resend waits for the attempt's lifetime: before, SES may still accept the first call.
    """
    match decision.resolution:
        case Resolution.RESEND:
            ready_ms = doubt.delivery.at_ms + int(settings.attempt_lifetime_s * 1000)
            if decision.at_ms < ready_ms:
                seconds = (ready_ms - decision.at_ms) / 1000
                raise UsageError(f"{doubt.key}: SES may still accept the first call; try again in {seconds:.0f} s")
            leave = Resend(doubt.attempt, decision.who, decision.why, decision.at_ms)
            if not publish_resend(settings, doubt, leave):
                raise UsageError(f"{doubt.key}: its job is no longer in the topic: run the producer again first")
        case Resolution.SENT:
            entry = _entry(doubt, decision, Outcome.SENT)
            write_together(settings, _writer(settings), [_record(settings, doubt, entry)])
            item = Item(doubt.key, doubt.attempt, fingerprint=entry.fingerprint)
            await dedup.record_sent([item])
        case Resolution.DEAD:
            entry = msgspec.structs.replace(_entry(doubt, decision, Outcome.DEAD), held=True)
            letter = _letter(settings, doubt, decision, version)
            write_together(settings, _writer(settings), [_record(settings, doubt, entry), letter])


def _entry(doubt: Doubt, decision: Decision, outcome: Outcome) -> Delivery:
    return msgspec.structs.replace(
        doubt.delivery,
        outcome=outcome,
        at_ms=decision.at_ms,
        reason="operator",
        detail=decision.why,
        by=decision.who,
        held=False,
    )


def _record(settings: Settings, doubt: Doubt, entry: Delivery) -> Produced:
    return Produced(settings.topics.deliveries, -1, doubt.key.to_bytes(), encode(entry))


def _letter(settings: Settings, doubt: Doubt, decision: Decision, version: str) -> Produced:
    key, about = doubt.key.to_bytes(), doubt.delivery
    job = find_job(settings, key, about.source)
    letter = DeadLetter(
        reason="operator",
        detail=f"{decision.who}: {decision.why}",
        at_ms=decision.at_ms,
        source=about.source,
        instance=_writer(settings),
        processor_version=version,
        attempt=about.attempt,
    )
    headers = [*(job.headers if job else []), (DEAD_LETTER_HEADER, encode(letter))]
    return Produced(settings.topics.dead_letters, -1, key, job.value if job else None, headers)


def _writer(settings: Settings) -> str:
    return f"operator-{settings.instance_name()}"
