"""The records of the topics, and nothing about how they get there.

All are JSON objects with a version ``v``. A reader takes the versions it knows and refuses newer ones by name.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

__all__ = [
    "EVIDENCE",
    "JOB_VERSION",
    "UNREADABLE_REASON",
    "Arrival",
    "Attempt",
    "Cut",
    "DeadLetter",
    "Delivery",
    "Feedback",
    "Job",
    "Mark",
    "Marked",
    "Outcome",
    "Provenance",
    "Requeue",
    "Resend",
    "Source",
    "Suppression",
]

JOB_VERSION = 1
EVIDENCE = "evidence"
"""The reason of an outcome `sent` that SES's event proved."""


UNREADABLE_REASON = "unreadable"
"""The reason of the dead letter of a batch that an operator had passed over."""


class Outcome(StrEnum):
    """How a job ended. Every published job ends in exactly one of these."""

    SENT = "sent"
    DEAD = "dead"
    UNCERTAIN = "uncertain"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"


class Feedback(StrEnum):
    """What the receiving side said of a mail that was sent."""

    BOUNCED = "bounced"
    """Permanently: the address does not take mail."""
    COMPLAINED = "complained"


class Arrival(StrEnum):
    """How far a mail came that SES took, by SES's events."""

    DELAYED = "delayed"
    """SES tries again by itself."""
    SOFT_BOUNCED = "soft-bounced"
    """Not delivered this time; the address may take later mail."""
    DELIVERED = "delivered"
    HARD_BOUNCED = "hard-bounced"
    """The address does not take mail."""
    COMPLAINED = "complained"
    REJECTED = "rejected"
    """SES took it and found that it must not go out."""
    RENDERING_FAILED = "rendering-failed"
    """SES took it and could not fill its template in."""


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


class Resend(msgspec.Struct, frozen=True):
    """Leave to call SES again for a key whose attempt is in doubt or was dropped by SES (header ``mailonce-resend``).

    It names the attempt that it overrides, so that the same leave is never used twice.
    """

    overrides: str
    who: str
    why: str
    at_ms: int = 0


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
    resend: Resend | None = None
    """Set when an earlier attempt is overridden: by whom and why."""
    process: str = ""
    """The id, in the control topic, of the process that may call under it; empty: 0.1 told none."""


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
    feedback: Feedback | None = None
    by: str | None = None
    """Who said so, when it was a person or a policy and not SES."""
    held: bool = False
    """Dead by decision while nobody knows whether SES took the attempt: only a resend may call again."""
    overrides: str = ""
    """The attempt that this one had leave to override: its entry stands over that one's, wherever both are."""

    @property
    def frees_key(self) -> bool:
        """Whether a newer record of the key is attempted."""
        ended = self.outcome in {Outcome.DEAD, Outcome.CANCELLED, Outcome.SUPPRESSED}
        return ended and not self.held and self.message_id is None

    @property
    def by_ses(self) -> bool:
        """Whether SES's own word is behind it: it took the message, and may have dropped it since.

        After `sent` no other outcome says anything: it was on its way to the ledger when the mail went out.
        """
        return self.outcome is Outcome.SENT or self.message_id is not None

    @property
    def in_doubt(self) -> bool:
        """Whether nobody knows if SES took the attempt."""
        return self.outcome is Outcome.UNCERTAIN or self.held


class Cut(msgspec.Struct, frozen=True):
    """A part of a record that its dead letter leaves out, because all of it would not have fitted."""

    part: str
    """``key``, ``value`` or ``headers``"""
    size: int
    """in bytes; of headers, each name and value with a zero byte behind it"""
    sha256: str


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a record died (``email-dead-letters``).

    Key, value and headers of the Kafka record are the original bytes, those parts excepted that `cut` tells of; this
    stands in the header ``mailonce-dead-letter``.
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
    cut: list[Cut] = []
    """What did not fit; the bytes stand at `source` as long as the jobs topic keeps them."""


class Requeue(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dead letter on its way back (header ``mailonce-requeue`` of the job): from where, by whom, for which time."""

    times: int
    place: str
    """of the dead letter, ``partition:offset``"""
    who: str
    why: str = ""
    at_ms: int = 0
    changes: dict[str, str] = {}
    """fields that were corrected, with their new values"""


class Marked(StrEnum):
    """What a person did about a dead letter."""

    REQUEUED = "requeued"
    DISCARDED = "discarded"


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person did about a dead letter (``email-dead-letter-marks``, keyed by its place)."""

    v: int = 1
    what: Marked
    who: str
    why: str = ""
    at_ms: int
    changes: dict[str, str] = {}


class Suppression(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An address that gets no more mail (``email-suppressions``, keyed by the address in lower case)."""

    v: int = 1
    reason: str
    at_ms: int
    detail: str = ""
    user_id: str = ""
    month: str = ""
    by: str | None = None
