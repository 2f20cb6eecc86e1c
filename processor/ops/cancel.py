"""Cancelling one mail that was not sent yet: a tombstone for its key."""

from __future__ import annotations

from processor.adapters.write import write_record
from schemas.identity import Key
from schemas.runtime.settings import Settings

__all__ = ["cancel"]


def cancel(settings: Settings, key: Key) -> None:
    """Publishes the tombstone; the processor decides whether it came in time. Raises `BrokerUnavailable`."""
    write_record(settings, settings.topics.jobs, key.to_bytes(), None)
