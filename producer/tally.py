"""Each judged job against what the topic holds of its key: what is to be published, and how many of each kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from producer.published import CANCELLED, NO_JOB
from schemas.codec import encode, fingerprint
from schemas.identity import Key
from schemas.records import Job

__all__ = ["Planned", "Tally"]


class Planned(NamedTuple):
    """A job that is to be published."""

    key: bytes
    value: bytes
    replaces: bool
    """whether the topic holds another one of its key"""


@dataclass(slots=True)
class Tally:
    """Jobs by what is to become of them."""

    include_cancelled: bool = False
    planned: int = 0
    """those that are to be published"""
    changed: int = 0
    """of these, such that replace another"""
    revived: int = 0
    """of these, such that were cancelled"""
    unchanged: int = 0
    cancelled: int = 0

    def plan(self, job: Job, found: str = NO_JOB) -> Planned | None:
        """`job` as it is to be published, unless the topic holds the same already, or its cancellation.

        `found` is what the topic holds of its key.
        """
        held = None if found == NO_JOB else found
        if held == CANCELLED and not self.include_cancelled:
            self.cancelled += 1
            return None
        if held is not None and held == fingerprint(job):
            self.unchanged += 1
            return None
        self.planned += 1
        self.changed += held is not None
        self.revived += held == CANCELLED
        return Planned(Key(job.user_id, job.month).to_bytes(), encode(job), replaces=held is not None)
