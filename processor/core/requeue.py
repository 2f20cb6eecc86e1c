"""May this dead letter go back to the jobs topic, and as what? Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from processor.core.outcomes import PENDING, Mail
from schemas.codec import REQUEUE_HEADER, RESEND_HEADER, decode_job, decode_job_loosely, decode_requeue, encode
from schemas.identity import Key
from schemas.kafka.reading import Record
from schemas.records import Mark, Outcome, Requeue, Resend
from schemas.runtime.errors import BadRecord

__all__ = ["Refused", "Requeued", "requeued"]

_FIELDS = {"email", "template"}


class Requeued(msgspec.Struct, frozen=True):
    """The job as it goes back."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes | None]]


class Refused(msgspec.Struct, frozen=True):
    """Why it stays where it is."""

    why: str


def requeued(
    record: Record,
    headers: list[tuple[str, bytes | None]],
    *,
    mail: Mail | None,
    mark: Mark | None,
    asked: Requeue,
    times_max: int,
    first_month: str,
    newest: Record | None = None,
) -> Requeued | Refused:
    """What follows when a person wants a dead letter back.

    A mail that SES took and dropped goes back with leave to call again, as the key's newest record.

    Args:
        record: the dead letter: the original key and value.
        headers: the original record's own.
        mail: what jobs topic and ledger say of its key.
        mark: what was done about this letter before.
        asked: who wants it and what is to be changed; `times` is set here.
        times_max: a letter that came back so often stays.
        first_month: the first whose jobs may be attempted, ``YYYY-MM``.
        newest: the key's newest record in the jobs topic, as far as that still holds one.
    """
    try:
        key = Key.from_bytes(record.key)
    except BadRecord as bad:
        return Refused(f"it has no key to send it under ({bad.detail}): run the producer again")
    overrides = _dropped(mail)
    if why := _stays(key, None if overrides else mail, mark, first_month, newest):
        return Refused(f"{key}: {why}")
    if overrides is not None and newest is not None:
        record, headers = newest, newest.headers
    return _back(key, record, headers, overrides, asked, times_max)


def _back(
    key: Key,
    record: Record,
    headers: list[tuple[str, bytes | None]],
    overrides: str | None,
    asked: Requeue,
    times_max: int,
) -> Requeued | Refused:
    """The record to be sent, changed as asked, with what it is to tell of itself."""
    before = decode_requeue(headers)
    times = (before.times if before else 0) + 1
    if times > times_max:
        return Refused(f"{key}: came back {times - 1} times; mend the cause, or raise MAILONCE_REQUEUE_MAX")
    try:
        value = _changed(record, asked.changes)
        decode_job(record.key, value)
    except BadRecord as bad:
        return Refused(f"{key}: it would die again ({bad.code}): {bad.detail}")
    note = msgspec.structs.replace(asked, times=times)
    kept = [header for header in headers if header[0] not in {REQUEUE_HEADER, RESEND_HEADER}]
    return Requeued(key.to_bytes(), value, [*kept, (REQUEUE_HEADER, encode(note)), *_leave(overrides, note)])


def _dropped(mail: Mail | None) -> str | None:
    """The attempt whose message SES took and dropped, by its own word: nobody gets it, and a person may send anew."""
    dropped = mail is not None and mail.outcome is Outcome.DEAD and mail.message_id is not None
    return mail.attempt if mail is not None and dropped else None


def _leave(overrides: str | None, asked: Requeue) -> list[tuple[str, bytes | None]]:
    """The header that gives leave to call again; it names the attempt, so the same leave is never used twice."""
    if overrides is None:
        return []
    why = asked.why or f"dead letter {asked.place} was requeued"
    return [(RESEND_HEADER, encode(Resend(overrides, asked.who, why, asked.at_ms)))]


def _stays(key: Key, mail: Mail | None, mark: Mark | None, first_month: str, newest: Record | None) -> str | None:
    """Why the letter stays, whatever would be changed in it."""
    if key.month < first_month:
        return f"its month is closed, {first_month} is the first that may still be mailed"
    if mark is not None:
        return f"already {mark.what.value} by {mark.who}"
    if newest is not None and newest.value is None:
        return "was cancelled: the producer's --include-cancelled publishes it again"
    return None if mail is None else _settled(mail)


def _settled(mail: Mail) -> str | None:
    """Why the key must not be attempted again: what SES may have accepted goes out no second time."""
    if mail.outcome is Outcome.SENT:
        return "was sent meanwhile"
    if mail.outcome is Outcome.UNCERTAIN or (mail.outcome is Outcome.DEAD and not mail.frees_key):
        return "SES may have accepted it: `mailonce uncertain resolve` decides"
    if mail.outcome is not None and mail.standing == PENDING:
        return "a newer job of it is pending"
    if mail.outcome is Outcome.CANCELLED:
        return "was cancelled: the producer's --include-cancelled publishes it again"
    return None


def _changed(record: Record, changes: Mapping[str, str]) -> bytes:
    """The value with corrected fields: `email` and `template` are the job's, others the template's data."""
    if record.value is None:
        raise BadRecord("bad-schema", "the letter holds no value: run the producer again")
    if not changes:
        return record.value
    try:
        job = decode_job_loosely(record.value)
    except BadRecord as bad:
        raise BadRecord(bad.code, f"only a readable job can be corrected: {bad.detail}") from None
    data = job.data | {name: value for name, value in changes.items() if name not in _FIELDS}
    fields = {name: value for name, value in changes.items() if name in _FIELDS}
    return encode(msgspec.structs.replace(job, data=data, **fields))
