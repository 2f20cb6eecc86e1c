"""The jobs topic for those who are not its consumers: a record found again, and a leave to send it once more."""

from __future__ import annotations

from processor.adapters.doubts import Doubt
from processor.adapters.write import write_record
from schemas.codec import RESEND_HEADER, encode
from schemas.reading import Record, read_record, read_topic
from schemas.records import Resend, Source
from schemas.settings import Settings

__all__ = ["find_job", "publish_resend"]


def find_job(settings: Settings, key: bytes, source: Source) -> Record | None:
    """The job at its place; where compaction took it away, the key's latest one. Raises `BrokerUnavailable`."""
    if source.partition >= 0:
        record = read_record(settings, settings.topics.jobs, source.partition, source.offset)
        if record is not None and record.key == key and record.value is not None:
            return record
    latest = None
    for record in read_topic(settings, settings.topics.jobs):
        if record.key == key and record.value is not None:
            latest = record
    return latest


def publish_resend(settings: Settings, doubt: Doubt, leave: Resend) -> bool:
    """The doubtful mail's job once more, with leave to override the attempt; false when the job is gone."""
    key = doubt.key.to_bytes()
    job = find_job(settings, key, doubt.delivery.source)
    if job is None:
        return False
    headers = [header for header in job.headers if header[0] != RESEND_HEADER]
    write_record(settings, settings.topics.jobs, key, job.value, [*headers, (RESEND_HEADER, encode(leave))])
    return True
