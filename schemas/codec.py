"""Records to bytes and back. Whatever cannot be read becomes a `BadRecord` with a stable code, never a traceback."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from schemas.addresses import address_problem
from schemas.gate import check_bytes, check_lengths
from schemas.identity import Key
from schemas.limits import HEADER_BYTES_MAX, JOB_BYTES_MAX, TEMPLATE_DATA_BYTES_MAX, shortened
from schemas.records import JOB_VERSION, Attempt, DeadLetter, Delivery, Job, Mark, Requeue, Resend, Suppression
from schemas.runtime.errors import BadRecord
from schemas.templates.data import AS_IT_IS, Form, template_values

__all__ = [
    "DEAD_LETTER_HEADER",
    "MOVED_HEADER",
    "REQUEUE_HEADER",
    "RESEND_HEADER",
    "dead_letter_headers",
    "decode_attempt",
    "decode_dead_letter",
    "decode_delivery",
    "decode_job",
    "decode_job_loosely",
    "decode_mark",
    "decode_requeue",
    "decode_resend",
    "decode_suppression",
    "encode",
    "fingerprint",
    "fingerprint_of",
    "moved_from",
    "template_data",
    "unmarked",
]

DEAD_LETTER_HEADER = "mailonce-dead-letter"
MOVED_HEADER = "mailonce-moved"
"""On a dead letter that was written anew: the place where it stood."""
RESEND_HEADER = "mailonce-resend"
REQUEUE_HEADER = "mailonce-requeue"
MARK_BYTES = 5
"""A zero byte and the schema's id: Confluent's wire format."""

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_sorted_encoder = msgspec.json.Encoder(order="sorted")
_job = msgspec.json.Decoder(Job)
_attempt = msgspec.json.Decoder(Attempt)
_delivery = msgspec.json.Decoder(Delivery)
_dead_letter = msgspec.json.Decoder(DeadLetter)
_resend = msgspec.json.Decoder(Resend)
_requeue = msgspec.json.Decoder(Requeue)
_mark = msgspec.json.Decoder(Mark)
_suppression = msgspec.json.Decoder(Suppression)
_any = msgspec.json.Decoder()


def encode(record: msgspec.Struct) -> bytes:
    return _encoder.encode(record)


def template_data(job: Job, form: Form = AS_IT_IS) -> str:
    """The job's data as SES's ``TemplateData`` string: JSON, keys sorted; with what a template of that form names."""
    return _sorted_encoder.encode(template_values(job.data, form)).decode()


def fingerprint(job: Job) -> str:
    """Ten characters that change when what the reader would see changes: address, template or data."""
    content = _sorted_encoder.encode([job.email, job.template, job.data])
    return hashlib.sha256(content).hexdigest()[:10]


def fingerprint_of(raw_value: bytes, key: Key) -> str | None:
    """The fingerprint of a record's job, without a look at anything else; None when it is no job of this key's."""
    try:
        job = decode_job_loosely(raw_value)
    except BadRecord:
        return None
    return fingerprint(job) if (job.user_id, job.month) == (key.user_id, key.month) else None


def decode_job(raw_key: bytes | None, raw_value: bytes) -> Job:
    """The job in a record of the jobs topic.

    Raises `BadRecord`: ``bad-key``, ``record-too-large``, ``record-too-deep``, ``not-json``, ``unknown-version``,
    ``bad-schema``, ``key-mismatch``, ``bad-address`` or ``data-too-large``.
    """
    key = Key.from_bytes(raw_key)
    job = decode_job_loosely(raw_value)
    if (job.user_id, job.month) != (key.user_id, key.month):
        about = f"{shortened(job.user_id, 60)!r} {shortened(job.month, 20)!r}"
        raise BadRecord("key-mismatch", f"the value is for {about}, its key says otherwise")
    if problem := address_problem(job.email):
        raise BadRecord("bad-address", f"email: SES could not take this address: {problem}")
    if len(raw_value) > TEMPLATE_DATA_BYTES_MAX and len(template_data(job).encode()) > TEMPLATE_DATA_BYTES_MAX:
        raise BadRecord("data-too-large", f"data: more than {TEMPLATE_DATA_BYTES_MAX} bytes as JSON, SES's limit")
    return job


def unmarked(raw: bytes) -> bytes:
    """A value without the mark that a schema registry's serializer puts before it: no JSON begins with a zero byte."""
    return raw[MARK_BYTES:] if raw[:1] == b"\0" else raw


def decode_job_loosely(raw_value: bytes) -> Job:
    """A job whose fields may be wrong in meaning, but not in form; raises `BadRecord` as `decode_job` does."""
    raw = unmarked(raw_value)
    check_bytes("the value", raw, JOB_BYTES_MAX)
    try:
        job = _job.decode(raw)
    except msgspec.ValidationError as error:
        # The version is looked at first: a newer record may well break today's schema.
        version = _version_of(raw)
        if version is not None and version != JOB_VERSION:
            raise _unknown_version(version) from None
        raise BadRecord("bad-schema", f"the value does not fit the job schema: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord("not-json", f"the value is not JSON: {error}") from None
    if job.v != JOB_VERSION:
        raise _unknown_version(job.v)
    check_lengths(job)
    return job


def _version_of(raw: bytes) -> Any:
    try:
        value = _any.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord("not-json", f"the value is not JSON: {error}") from None
    return value.get("v") if isinstance(value, dict) else None


def _unknown_version(version: object) -> BadRecord:
    return BadRecord(
        "unknown-version", f"v: this processor reads version {JOB_VERSION}, the record says {version!r:.40}"
    )


def decode_attempt(raw: bytes) -> Attempt:
    """An intent; raises `BadRecord` (``bad-schema``)."""
    return _ours(_attempt, raw, "an attempt")


def decode_delivery(raw: bytes) -> Delivery:
    """A ledger entry; raises `BadRecord` (``bad-schema``)."""
    return _ours(_delivery, raw, "a delivery")


def dead_letter_headers(
    original: Iterable[tuple[str, bytes | None]], letter: DeadLetter
) -> list[tuple[str, bytes | None]]:
    """The headers of a record in the dead-letter topic: its own, and why it died."""
    return [*original, (DEAD_LETTER_HEADER, encode(letter))]


def moved_from(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """Where a dead letter that was written anew stood before; empty for any other."""
    return next(((value or b"").decode(errors="replace") for name, value in headers if name == MOVED_HEADER), "")


def decode_dead_letter(headers: list[tuple[str, bytes | None]]) -> DeadLetter:
    """Why a record of the dead-letter topic died; raises `BadRecord` (``bad-schema``)."""
    for name, value in reversed(headers):
        if name == DEAD_LETTER_HEADER and value is not None:
            return _ours(_dead_letter, value, "a dead letter")
    raise BadRecord("bad-schema", f"the record has no header {DEAD_LETTER_HEADER}: not written by mailonce")


def decode_resend(headers: list[tuple[str, bytes | None]]) -> Resend | None:
    """The leave to override an attempt, if the record carries one; raises `BadRecord` (``bad-resend``)."""
    for name, value in reversed(headers):
        if name == RESEND_HEADER:
            try:
                check_bytes(f"header {name}", value or b"", HEADER_BYTES_MAX)
                return _ours(_resend, value or b"", "a resend")
            except BadRecord as bad:
                raise BadRecord("bad-resend", f"header {RESEND_HEADER}: {bad.detail}") from None
    return None


def decode_requeue(headers: list[tuple[str, bytes | None]]) -> Requeue | None:
    """How a record came back from the dead letters, if it did; a header that cannot be read tells nothing."""
    for name, value in reversed(headers):
        if name == REQUEUE_HEADER:
            try:
                check_bytes(f"header {name}", value or b"", HEADER_BYTES_MAX)
                return _ours(_requeue, value or b"", "a requeue")
            except BadRecord:
                return None
    return None


def decode_mark(raw: bytes) -> Mark:
    """What a person did about a dead letter; raises `BadRecord` (``bad-schema``)."""
    return _ours(_mark, raw, "a mark")


def decode_suppression(raw: bytes) -> Suppression:
    """A suppressed address's entry; raises `BadRecord` (``bad-schema``)."""
    return _ours(_suppression, raw, "a suppression")


def _ours(decoder: msgspec.json.Decoder[T], raw: bytes, what: str) -> T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord("bad-schema", f"not {what}: {error}") from None
