"""Mails of which nobody knows whether SES took them: listed, and decided by people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from processor.adapters.jobs import find_jobs, publish_resends
from processor.adapters.months import read_months
from processor.adapters.write import TransactionalWriter
from processor.core.uncertain import Doubt, DoubtFold
from processor.ports import BY_KEY, Dedup, Item, Produced
from schemas.codec import dead_letter_headers, encode
from schemas.kafka.reading import partition_numbers, read_topic
from schemas.records import DeadLetter, Delivery, Outcome, Resend
from schemas.runtime.errors import UsageError
from schemas.runtime.settings import Settings

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
    """The ledger's uncertain mails, of one month if given; with `decided` also those declared dead by a person.

    What is in doubt by one partition is looked at in all: another may hold how it ended.
    """
    suffix = f":{month}".encode() if month else b""
    starts = read_months(settings).starts(settings.topics.deliveries, [month] if month else [])
    suspects: set[bytes] = set()
    for partition in partition_numbers(settings, settings.topics.deliveries):
        fold = _fed(settings, DoubtFold(), [partition], starts, lambda key: key.endswith(suffix))
        suspects.update(doubt.key.to_bytes() for doubt in fold.doubts())
    if not suspects:
        return
    for doubt in _fed(settings, DoubtFold(whole=True), None, starts, suspects.__contains__).doubts():
        if decided or doubt.delivery.outcome is Outcome.UNCERTAIN:
            yield doubt


def _fed(
    settings: Settings,
    fold: DoubtFold,
    partitions: list[int] | None,
    starts: Mapping[int, int],
    wanted: Callable[[bytes], bool],
) -> DoubtFold:
    """After the ledger's entries of these partitions, or all, for the wanted keys."""
    for record in read_topic(settings, settings.topics.deliveries, partitions, starts):
        if record.key is not None and wanted(record.key):
            fold.add(record.key, record.value, record.partition)
    return fold


async def resolve(settings: Settings, dedup: Dedup, doubts: Sequence[Doubt], decision: Decision, version: str) -> None:
    """Carries a decision out.

    A resend waits for the attempt's lifetime: before, SES may still accept the first call; then nothing is done at all.

    Raises `UsageError` when it is too early, or names the mails whose jobs are gone and that alone were left out;
    `BrokerUnavailable`.
    """
    writer, deliveries = TransactionalWriter(settings, _writer(settings)), settings.topics.deliveries
    match decision.resolution:
        case Resolution.RESEND:
            _check_lifetime(settings, doubts, decision.at_ms)
            leaves = [(doubt, Resend(doubt.attempt, decision.who, decision.why, decision.at_ms)) for doubt in doubts]
            if gone := publish_resends(settings, leaves):
                names = ", ".join(str(doubt.key) for doubt in gone[:5])
                raise UsageError(f"{len(gone)} jobs are no longer in the topic ({names}): run the producer again first")
        case Resolution.SENT:
            entries = [_entry(doubt, decision, Outcome.SENT) for doubt in doubts]
            writer.write(_records(deliveries, doubts, entries))
            items = [
                Item(doubt.key, doubt.attempt, fingerprint=entry.fingerprint)
                for doubt, entry in zip(doubts, entries, strict=True)
            ]
            await dedup.record_sent(items)
        case Resolution.DEAD:
            entries = [msgspec.structs.replace(_entry(doubt, decision, Outcome.DEAD), held=True) for doubt in doubts]
            letters = _letters(settings, doubts, decision, version)
            writer.write([*_records(deliveries, doubts, entries), *letters])


def _check_lifetime(settings: Settings, doubts: Sequence[Doubt], now_ms: int) -> None:
    for doubt in doubts:
        ready_ms = doubt.since_ms + int(settings.attempt_lifetime_s * 1000)
        if now_ms < ready_ms:
            seconds = (ready_ms - now_ms) / 1000
            raise UsageError(f"{doubt.key}: SES may still accept the first call; try again in {seconds:.0f} s")


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


def _records(topic: str, doubts: Sequence[Doubt], entries: Sequence[Delivery]) -> list[Produced]:
    return [
        Produced(topic, BY_KEY, doubt.key.to_bytes(), encode(entry))
        for doubt, entry in zip(doubts, entries, strict=True)
    ]


def _letters(settings: Settings, doubts: Sequence[Doubt], decision: Decision, version: str) -> list[Produced]:
    jobs = find_jobs(settings, {doubt.key.to_bytes(): doubt.delivery.source for doubt in doubts})
    letters = []
    for doubt in doubts:
        key, about = doubt.key.to_bytes(), doubt.delivery
        job = jobs.get(key)
        letter = DeadLetter(
            reason="operator",
            detail=f"{decision.who}: {decision.why}",
            at_ms=decision.at_ms,
            source=about.source,
            instance=_writer(settings),
            processor_version=version,
            attempt=about.attempt,
        )
        headers = dead_letter_headers(job.headers if job else [], letter)
        letters.append(Produced(settings.topics.dead_letters, BY_KEY, key, job.value if job else None, headers))
    return letters


def _writer(settings: Settings) -> str:
    return f"operator-{settings.instance_name()}"
