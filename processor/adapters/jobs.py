"""The jobs topic for those who are not its consumers: records found again, and leaves to send them once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from processor.adapters.months import read_keys, read_months
from processor.adapters.write import write_records
from processor.core.uncertain import UncertainMail
from processor.ports import BY_KEY, Produced
from schemas.codec import RESEND_HEADER, encode
from schemas.kafka.reading import Record, RecordReader
from schemas.records import Resend, Source
from schemas.runtime.settings import Settings

__all__ = ["find_jobs", "publish_resends"]


def find_jobs(settings: Settings, wanted: Mapping[bytes, Source]) -> dict[bytes, Record]:
    """Each key's job at its place; where compaction took it away, the key's latest one.

    Keys whose job is gone are left out. Raises `BrokerUnavailable`.
    """
    found: dict[bytes, Record] = {}
    reader = RecordReader(settings, settings.topics.jobs)
    try:
        for key, source in wanted.items():
            record = reader.get(source.partition, source.offset)
            if record is not None and record.key == key and record.value is not None:
                found[key] = record
    finally:
        reader.close()
    missing = wanted.keys() - found.keys()
    if missing:
        for record in read_keys(settings, read_months(settings), settings.topics.jobs, missing):
            if record.key is not None and record.value is not None:
                found[record.key] = record
    return found


def publish_resends(settings: Settings, leaves: Sequence[tuple[UncertainMail, Resend]]) -> list[UncertainMail]:
    """Uncertain mails' jobs once more, each with leave to override its attempt.

    Returns those whose job is gone and that were not published. Raises `BrokerUnavailable`.
    """
    jobs = find_jobs(settings, {mail.key.to_bytes(): mail.delivery.source for mail, _ in leaves})
    records = []
    for mail, leave in leaves:
        key = mail.key.to_bytes()
        if job := jobs.get(key):
            headers = [header for header in job.headers if header[0] != RESEND_HEADER]
            headers.append((RESEND_HEADER, encode(leave)))
            records.append(Produced(settings.topics.jobs, BY_KEY, key, job.value, headers))
    write_records(settings, records)
    return [mail for mail, _ in leaves if mail.key.to_bytes() not in jobs]
