"""What the jobs topic holds of a month, before anything is published."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import IO

from producer.staging.spool import ESCAPE, FIRST_LINE, SEPARATOR
from schemas.codec import decode_job, encode, fingerprint, unmarked
from schemas.control import MonthOpened
from schemas.identity import Key
from schemas.kafka.reading import read_messages
from schemas.limits import JOB_BYTES_MAX
from schemas.runtime.errors import BadRecord
from schemas.runtime.settings import Settings

__all__ = [
    "CANCELLED",
    "NO_JOB",
    "UNREADABLE",
    "folded",
    "held_of",
    "read_held",
    "records_of_month",
    "write_held",
]

CANCELLED = "cancelled"
UNREADABLE = ""
"""What stands there is no job, and an older job stands behind it."""
NO_JOB = "no-job"
"""What stands there is no job, and none stands behind it: all that it says is that the month has begun."""

_JUDGED = f"{ESCAPE}="
"""Before what a record was found to be, where its text cannot stand in a line."""
_CONTROL = re.compile(rb"[\x00-\x1f]")
_SEPARATOR = SEPARATOR.encode()


def records_of_month(
    settings: Settings, month: str, opened: MonthOpened | None = None
) -> Iterator[tuple[bytes, bytes | None]]:
    """Key and value of every record of a month in the jobs topic, in order of each partition.

    It is read from where the month begins, if it was opened. What stands in a partition where its key does not belong
    is never sent, and so not held. Raises `BrokerUnavailable` when Kafka does not answer or there is no jobs topic.
    """
    suffix, jobs = f":{month}".encode(), settings.topics.jobs
    for messages in read_messages(settings, jobs, starts=opened.starts(jobs) if opened else None):
        for message in messages:
            key, value = message.key(), message.value()
            # librdkafka's client gives bytes; its types allow texts.
            if not isinstance(key, bytes) or not key.endswith(suffix) or isinstance(value, str):
                continue
            if opened is not None and opened.partition_of(key) != message.partition():
                continue
            yield key, value


def held_of(key: bytes, value: bytes | None) -> str:
    """What a record alone says of its key: a job's fingerprint, `CANCELLED`, or `NO_JOB`."""
    try:
        return fingerprint(decode_job(key, value)) if value else CANCELLED
    except BadRecord:
        return NO_JOB


def folded(found: Iterable[str]) -> str:
    """What a key's records say together, the latest last."""
    held = NO_JOB
    for one in found:
        # Not a job at all: publishing a right one over it is an improvement.
        held = one if one != NO_JOB else (NO_JOB if held == NO_JOB else UNREADABLE)
    return held


def write_held(records: Iterable[tuple[bytes, bytes | None]], month: str, out: IO[bytes]) -> Iterator[int]:
    """A line for each record: the user's id and the value's text, or what it was judged to be.

    Yields how many there are so far. An id that cannot stand in a line is counted and left out: no row has such a one.
    """
    end = -len(f":{month}")
    out.write(FIRST_LINE.encode() + b"\n")
    for count, (key, value) in enumerate(records, 1):
        user_id = key[:end]
        if _writable(user_id):
            text = unmarked(value) if value else b""
            if not text or len(text) > JOB_BYTES_MAX or not _writable(text):
                text = _judged(key, value)
            out.write(user_id + _SEPARATOR + text + b"\n")
        yield count


def _judged(key: bytes, value: bytes | None) -> bytes:
    """A value that cannot stand in a line: the same job as we write it, or what it is."""
    try:
        return encode(decode_job(key, value)) if value else (_JUDGED + CANCELLED).encode()
    except BadRecord:
        return (_JUDGED + NO_JOB).encode()


def read_held(user_id: str, month: str, texts: Iterable[str]) -> str:
    """What lines of one user say together, the latest last."""
    key = Key(user_id, month).to_bytes()
    found = (text.removeprefix(_JUDGED) if text.startswith(_JUDGED) else held_of(key, text.encode()) for text in texts)
    return folded(found)


def _writable(text: bytes) -> bool:
    if _CONTROL.search(text):
        return False
    try:
        return text.isascii() or bool(text.decode())
    except UnicodeDecodeError:
        return False
