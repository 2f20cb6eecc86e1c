"""What became of each mail: jobs and outcomes folded, record by record. Pure: whoever reads topics brings the records.

Status, replay's dry run, requeueing and the dashboard all look at a month through this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from processor.core.arrivals import Said, further
from processor.core.standing import Entry, stands
from schemas.kafka.reading import Record
from schemas.records import Arrival, Delivery, Feedback, Outcome, Source

__all__ = [
    "PENDING",
    "STANDINGS",
    "Arrivals",
    "Mail",
    "MonthCounts",
    "Settled",
    "arrival_name",
    "count",
    "has_job",
    "with_arrival",
    "with_delivery",
    "with_job",
]

PENDING = "pending"
STANDINGS = (*(outcome.value for outcome in Outcome), PENDING)


class Settled(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, array_like=True):
    """Where an outcome stands, what it is about, and how far its message came."""

    partition: int = -1
    """of the record that it is about"""
    offset: int = -1
    at_ms: int = -1
    ledger_partition: int = -1
    arrival: Arrival | None = None
    """how far its message came, by SES's events"""
    words: str = ""
    """what was said of that, where it did not arrive"""


NOT_SETTLED = Settled()


class Mail(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One key, as far as jobs topic and ledger tell."""

    job_partition: int = -1
    """-1 when no job was seen"""
    job_offset: int = -1
    job_at_ms: int = -1
    outcome: Outcome | None = None
    reason: str | None = None
    at_ms: int = 0
    settled: Settled = NOT_SETTLED
    frees_key: bool = False
    feedback: Feedback | None = None
    message_id: str | None = None
    attempt: str | None = None
    overrides: str = ""
    """the attempt that this one had leave to override"""

    @property
    def arrival(self) -> Arrival | None:
        return self.settled.arrival

    @property
    def words(self) -> str:
        return self.settled.words

    @property
    def standing(self) -> str:
        """The outcome, or ``pending``: also when a newer record came after one that ended without a mail."""
        if self.outcome is None:
            return PENDING
        if not self.frees_key or self.job_offset < 0:
            return self.outcome.value
        if self.job_partition == self.settled.partition:
            waits = self.job_offset > self.settled.offset
        else:
            waits = self.job_at_ms > self.settled.at_ms
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


def with_delivery(mail: Mail | None, delivery: Delivery, partition: int) -> Mail:
    """After an entry of a partition of the ledger. `sent` is lowered by SES's own word alone."""
    mail = mail or NEVER
    if mail.outcome is not None and not stands(Entry.of(delivery, partition), _entry(mail)):
        return mail
    source, same = delivery.source, mail.message_id == delivery.message_id
    return msgspec.structs.replace(
        mail,
        outcome=delivery.outcome,
        reason=delivery.reason,
        at_ms=delivery.at_ms,
        settled=Settled(
            source.partition,
            source.offset,
            source.timestamp_ms,
            partition,
            further(mail.arrival if same else None, _arrival_in(delivery)),
            mail.words if same else "",
        ),
        frees_key=delivery.frees_key,
        feedback=delivery.feedback,
        message_id=delivery.message_id,
        attempt=delivery.attempt,
        overrides=delivery.overrides,
    )


def with_arrival(mail: Mail | None, message_id: str, told: Said) -> Mail | None:
    """After SES's word on a message of the key; ``None`` while the ledger does not tell of that message.

    The same whatever order such words come in, and however often.
    """
    if mail is None or mail.message_id != message_id:
        return None
    if further(mail.arrival, told.arrival) is not told.arrival:
        return mail
    words = "" if told.arrival is Arrival.DELIVERED else told.words
    settled = msgspec.structs.replace(mail.settled, arrival=told.arrival, words=words)
    return msgspec.structs.replace(mail, settled=settled)


_DROPS = {"rendering-failure": Arrival.RENDERING_FAILED, "rejected-by-ses": Arrival.REJECTED}


def _arrival_in(delivery: Delivery) -> Arrival | None:
    """What the ledger itself says of it, also when events are no longer kept."""
    if delivery.feedback is not None:
        return Arrival.HARD_BOUNCED if delivery.feedback is Feedback.BOUNCED else Arrival.COMPLAINED
    return _DROPS.get(delivery.reason or "") if delivery.message_id else None


def _entry(mail: Mail) -> Entry:
    """What the ledger said of the mail so far."""
    settled = mail.settled
    assert mail.outcome is not None
    return Entry.of(
        Delivery(
            outcome=mail.outcome,
            at_ms=mail.at_ms,
            source=Source("", settled.partition, settled.offset, settled.at_ms),
            instance="",
            attempt=mail.attempt,
            message_id=mail.message_id,
            held=mail.outcome is Outcome.DEAD and not mail.frees_key and mail.message_id is None,
            overrides=mail.overrides,
        ),
        settled.ledger_partition,
    )


def has_job(key: bytes, records: Iterable[Record]) -> bool:
    """Whether the jobs topic's records hold one of the key, or did: compaction leaves the tombstone of a job."""
    return any(record.key == key for record in records)


class Arrivals(msgspec.Struct, frozen=True):
    """How far the mails of a month came: each that SES's events told of is in one of these."""

    delayed: int = 0
    soft_bounced: int = 0
    delivered: int = 0
    hard_bounced: int = 0
    complained: int = 0
    rejected: int = 0
    rendering_failed: int = 0


NO_ARRIVALS = Arrivals()


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
    arrivals: Arrivals = NO_ARRIVALS


def arrival_name(arrival: Arrival) -> str:
    """Its name in `Arrivals` and in JSON."""
    return arrival.value.replace("-", "_")


def count(month: str, mails: Iterable[Mail]) -> MonthCounts:
    """How a month stands."""
    counts: Counter[str] = Counter()
    arrivals: Counter[Arrival] = Counter()
    for mail in mails:
        counts[mail.standing] += 1
        if mail.arrival is not None:
            arrivals[mail.arrival] += 1
    came = Arrivals(**{arrival_name(arrival): arrivals[arrival] for arrival in Arrival})
    return MonthCounts(month, jobs=counts.total(), **{name: counts[name] for name in STANDINGS}, arrivals=came)
