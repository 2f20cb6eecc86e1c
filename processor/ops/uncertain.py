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
from processor.core.uncertain import UncertainFold, UncertainMail
from processor.ports import BY_KEY, Dedup, Item, Produced
from schemas.codec import dead_letter_headers, encode
from schemas.kafka.reading import partition_numbers, read_topic
from schemas.records import DeadLetter, Delivery, Outcome, Resend
from schemas.runtime.errors import UsageError
from schemas.runtime.settings import Settings

__all__ = ["Decision", "Resolution", "describe", "resolve", "uncertain_of"]


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


def describe(mail: UncertainMail) -> dict[str, Any]:
    about = mail.delivery
    return {
        "user_id": mail.key.user_id,
        "month": mail.key.month,
        "outcome": about.outcome,
        "attempt": about.attempt,
        "at_ms": about.at_ms,
        "reason": about.reason,
        "detail": about.detail,
    }


def uncertain_of(settings: Settings, month: str | None = None, *, decided: bool = False) -> Iterator[UncertainMail]:
    """The ledger's uncertain mails, of one month if given; with `decided` also those declared dead by a person.

    What is in doubt by one partition is looked at in all: another may hold how it ended.
    """
    suffix = f":{month}".encode() if month else b""
    starts = read_months(settings).starts(settings.topics.deliveries, [month] if month else [])
    suspects: set[bytes] = set()
    for partition in partition_numbers(settings, settings.topics.deliveries):
        fold = _fed(settings, UncertainFold(), [partition], starts, lambda key: key.endswith(suffix))
        suspects.update(mail.key.to_bytes() for mail in fold.mails())
    if not suspects:
        return
    for mail in _fed(settings, UncertainFold(whole=True), None, starts, suspects.__contains__).mails():
        if decided or mail.delivery.outcome is Outcome.UNCERTAIN:
            yield mail


def _fed(
    settings: Settings,
    fold: UncertainFold,
    partitions: list[int] | None,
    starts: Mapping[int, int],
    wanted: Callable[[bytes], bool],
) -> UncertainFold:
    """After the ledger's entries of these partitions, or all, for the wanted keys."""
    for record in read_topic(settings, settings.topics.deliveries, partitions, starts):
        if record.key is not None and wanted(record.key):
            fold.add(record.key, record.value, record.partition)
    return fold


async def resolve(
    settings: Settings, dedup: Dedup, mails: Sequence[UncertainMail], decision: Decision, version: str
) -> None:
    """Carries a decision out.

    A resend waits for the attempt's lifetime: before, SES may still accept the first call; then nothing is done at all.

    Raises `UsageError` when it is too early, or names the mails whose jobs are gone and that alone were left out;
    `BrokerUnavailable`.
    """
    writer, deliveries = TransactionalWriter(settings, _writer(settings)), settings.topics.deliveries
    match decision.resolution:
        case Resolution.RESEND:
            _check_lifetime(settings, mails, decision.at_ms)
            leaves = [(mail, Resend(mail.attempt, decision.who, decision.why, decision.at_ms)) for mail in mails]
            if gone := publish_resends(settings, leaves):
                names = ", ".join(str(mail.key) for mail in gone[:5])
                raise UsageError(f"{len(gone)} jobs are no longer in the topic ({names}): run the producer again first")
        case Resolution.SENT:
            entries = [_entry(mail, decision, Outcome.SENT) for mail in mails]
            writer.write(_records(deliveries, mails, entries))
            items = [
                Item(mail.key, mail.attempt, fingerprint=entry.fingerprint)
                for mail, entry in zip(mails, entries, strict=True)
            ]
            await dedup.record_sent(items)
        case Resolution.DEAD:
            entries = [msgspec.structs.replace(_entry(mail, decision, Outcome.DEAD), held=True) for mail in mails]
            letters = _letters(settings, mails, decision, version)
            writer.write([*_records(deliveries, mails, entries), *letters])


def _check_lifetime(settings: Settings, mails: Sequence[UncertainMail], now_ms: int) -> None:
    for mail in mails:
        ready_ms = mail.since_ms + int(settings.attempt_lifetime_s * 1000)
        if now_ms < ready_ms:
            seconds = (ready_ms - now_ms) / 1000
            raise UsageError(f"{mail.key}: SES may still accept the first call; try again in {seconds:.0f} s")


def _entry(mail: UncertainMail, decision: Decision, outcome: Outcome) -> Delivery:
    return msgspec.structs.replace(
        mail.delivery,
        outcome=outcome,
        at_ms=decision.at_ms,
        reason="operator",
        detail=decision.why,
        by=decision.who,
        held=False,
    )


def _records(topic: str, mails: Sequence[UncertainMail], entries: Sequence[Delivery]) -> list[Produced]:
    return [
        Produced(topic, BY_KEY, mail.key.to_bytes(), encode(entry)) for mail, entry in zip(mails, entries, strict=True)
    ]


def _letters(settings: Settings, mails: Sequence[UncertainMail], decision: Decision, version: str) -> list[Produced]:
    jobs = find_jobs(settings, {mail.key.to_bytes(): mail.delivery.source for mail in mails})
    letters = []
    for mail in mails:
        key, about = mail.key.to_bytes(), mail.delivery
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
