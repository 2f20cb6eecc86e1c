"""A record of the jobs topic on its way to an outcome: what it is, and whether it may be called for at all."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from functools import cache

from processor.core.answers import RetryClass
from processor.core.decide import Settle, Skip
from processor.core.offsets import Window
from schemas.codec import decode_job, decode_resend, fingerprint
from schemas.errors import BadRecord
from schemas.identity import Key, Place
from schemas.reading import Record
from schemas.records import Job, Outcome, Resend

__all__ = ["Work", "examine", "months_between", "refused"]


@dataclass(slots=True, eq=False)
class Work:
    """A record in work. `window` says which assignment of its partition it belongs to."""

    record: Record
    window: Window
    key: Key | None = None
    job: Job | None = None
    fingerprint: str = ""
    refusal: Settle | None = None
    """Set when the record must not reach SES."""
    attempt: str = ""
    resend: Resend | None = None
    """Leave to call again although an earlier attempt is in doubt, or was dropped by SES."""
    tries: dict[RetryClass, int] = field(default_factory=dict)
    superseded: bool = False
    """A newer record of the key came before this one was attempted."""
    waited: bool = False
    """Whether it was said that this one waits for another attempt."""
    better: Settle | None = None
    """What evidence knew before our own mark."""
    result: Settle | Skip | None = None

    @property
    def place(self) -> Place:
        return Place(self.record.partition, self.record.offset, self.fingerprint)

    @property
    def is_tombstone(self) -> bool:
        return self.record.value is None

    @property
    def needs_call(self) -> bool:
        """Whether its outcome takes a call to SES; a tombstone and a refused record are settled without one."""
        return self.refusal is None and self.record.value is not None


def examine(
    record: Record, window: Window, *, this_month: str, retention_months: int, suppressed: Container[str]
) -> Work:
    """Reads a record: a job, a tombstone, or one that must not reach SES (`Work.refusal` says why)."""
    work = Work(record, window)
    try:
        work.key = Key.from_bytes(record.key)
        if record.value is None:
            return work
        work.job = job = decode_job(record.key, record.value)
        work.fingerprint = fingerprint(job)
        work.resend = decode_resend(record.headers)
        age = months_between(job.month, this_month)
        if age >= retention_months:
            raise BadRecord(
                "too-old", f"month: {job.month} is {age} months ago; the dedup set knows {retention_months} months"
            )
    except BadRecord as bad:
        work.refusal = refused(bad)
        return work
    if job.email.lower() in suppressed:
        work.refusal = Settle(
            Outcome.SUPPRESSED, reason="suppression-list", detail="the address is on the suppression list"
        )
    return work


@cache
def months_between(earlier: str, later: str) -> int:
    """Whole months from one ``YYYY-MM`` to another."""
    (y1, m1), (y2, m2) = (map(int, month.split("-")) for month in (earlier, later))
    return (y2 - y1) * 12 + m2 - m1


def refused(bad: BadRecord) -> Settle:
    """What follows for a record that must not reach SES."""
    return Settle(Outcome.DEAD, reason=bad.code, detail=bad.detail, report=True)
