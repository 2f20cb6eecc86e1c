"""The records of the five topics, and nothing about how they get there.

All are JSON objects with a version ``v``. A reader takes the versions it knows and refuses newer ones by name.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

__all__ = ["JOB_VERSION", "Attempt", "DeadLetter", "Delivery", "Job", "Outcome", "Provenance", "Source"]

JOB_VERSION = 1


class Outcome(StrEnum):
    """How a job ended. Every published job ends in exactly one of these."""

    SENT = "sent"
    DEAD = "dead"
    UNCERTAIN = "uncertain"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"


class Provenance(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a job came from: the source's snapshot and the row in it."""

    source: str
    snapshot: str
    row: int


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """One user's e-mail of one month, to be sent (``email-jobs``)."""

    v: int
    user_id: str
    month: str
    email: str
    template: str
    data: dict[str, Any]
    published_at_ms: int = 0
    provenance: Provenance | None = None


class Source(msgspec.Struct, frozen=True):
    """The place of a record in the jobs topic."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int = 0


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An intent: leave to call SES for a key, committed before any call (``email-attempts``)."""

    v: int = 1
    attempt: str
    intended_at_ms: int
    instance: str
    source: Source
    fingerprint: str
    withdrawn: bool = False
    """True when a graceful stop gave the leave back without having used it."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job's outcome (``email-deliveries``, the ledger): the durable truth."""

    v: int = 1
    outcome: Outcome
    at_ms: int
    source: Source
    instance: str
    fingerprint: str = ""
    attempt: str | None = None
    message_id: str | None = None
    reason: str | None = None
    detail: str | None = None
    tries: int = 0


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a record died (``email-dead-letters``).

    Key, value and headers of the Kafka record are the original bytes; this stands in the header
    ``mailonce-dead-letter``.
    """

    v: int = 1
    reason: str
    detail: str
    at_ms: int
    source: Source
    instance: str
    processor_version: str
    attempt: str | None = None
    tries: int = 0
