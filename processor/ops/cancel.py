"""Cancelling one mail that was not sent yet: a tombstone for its key."""

from __future__ import annotations

from processor.adapters.months import read_keys, read_months
from processor.adapters.write import write_record
from processor.core.outcomes import has_job
from schemas.identity import Key
from schemas.runtime.errors import NoSuchJob
from schemas.runtime.settings import Settings

__all__ = ["cancel"]


def cancel(settings: Settings, key: Key) -> None:
    """Publishes the tombstone; the processor decides whether it came in time.

    Raises `NoSuchJob`, having written nothing, for a key that nobody published, and `BrokerUnavailable`.
    """
    raw = key.to_bytes()
    if not has_job(raw, read_keys(settings, read_months(settings), settings.topics.jobs, {raw})):
        raise NoSuchJob(f"nobody published a mail for {key}: there is nothing to cancel")
    write_record(settings, settings.topics.jobs, raw, None)
