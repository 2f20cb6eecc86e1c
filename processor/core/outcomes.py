"""What became of each mail: jobs and outcomes folded, record by record. Pure: whoever reads topics brings the records.

Status, replay's dry run, requeueing and the dashboard all look at a month through this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from schemas.kafka.reading import Record
from schemas.records import Delivery, Feedback, Outcome

__all__ = ["PENDING", "STANDINGS", "Mail", "MonthCounts", "count", "has_job", "with_delivery", "with_job"]

PENDING = "pending"
STANDINGS = (*(outcome.value for outcome in Outcome), PENDING)


class Mail(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One key, as far as jobs topic and ledger tell."""

    job_partition: int = -1
    """-1 when no job was seen"""
    job_offset: int = -1
    job_at_ms: int = -1
    outcome: Outcome | None = None
    reason: str | None = None
    at_ms: int = 0
    settled_offset: int = -1
    """place of the record that the outcome is about"""
    settled_at_ms: int = -1
    frees_key: bool = False
    feedback: Feedback | None = None
    message_id: str | None = None
    attempt: str | None = None

    @property
    def standing(self) -> str:
        """The outcome, or ``pending``: also when a newer record came after one that ended without a mail."""
        if self.outcome is None:
            return PENDING
        waits = self.frees_key and (self.job_at_ms, self.job_offset) > (self.settled_at_ms, self.settled_offset)
        return PENDING if waits else self.outcome.value


NEVER = Mail()


def with_job(mail: Mail | None, record: Record) -> Mail | None:
    """After a record of the jobs topic. A tombstone for a key without a job is no job.

    A key's records may stand in two partitions when partitions were added while its month ran: the later one counts.
    """
    if record.value is None and (mail is None or mail.job_offset < 0):
        return mail
    mail = mail or NEVER
    if (record.timestamp_ms, record.offset) < (mail.job_at_ms, mail.job_offset):
        return mail
    return msgspec.structs.replace(
        mail, job_partition=record.partition, job_offset=record.offset, job_at_ms=record.timestamp_ms
    )


def with_delivery(mail: Mail | None, delivery: Delivery) -> Mail:
    """After an entry of the ledger. `sent` is lowered by SES's own word alone."""
    mail = mail or NEVER
    dropped = mail.outcome is Outcome.DEAD and mail.message_id is not None and mail.attempt == delivery.attempt
    if (mail.outcome is Outcome.SENT and not delivery.by_ses) or (dropped and delivery.in_doubt):
        return mail
    return msgspec.structs.replace(
        mail,
        outcome=delivery.outcome,
        reason=delivery.reason,
        at_ms=delivery.at_ms,
        settled_offset=delivery.source.offset,
        settled_at_ms=delivery.source.timestamp_ms,
        frees_key=delivery.frees_key,
        feedback=delivery.feedback,
        message_id=delivery.message_id,
        attempt=delivery.attempt,
    )


def has_job(key: bytes, records: Iterable[Record]) -> bool:
    """Whether the jobs topic's records hold one of the key, or did: compaction leaves the tombstone of a job."""
    return any(record.key == key for record in records)


class MonthCounts(msgspec.Struct):
    """Counts of one month. Every job is in exactly one of the outcomes, or pending."""

    month: str
    jobs: int = 0
    sent: int = 0
    dead: int = 0
    uncertain: int = 0
    suppressed: int = 0
    cancelled: int = 0
    pending: int = 0


def count(month: str, mails: Iterable[Mail]) -> MonthCounts:
    """How a month stands."""
    counts = Counter(mail.standing for mail in mails)
    return MonthCounts(month, jobs=counts.total(), **{name: counts[name] for name in STANDINGS})
