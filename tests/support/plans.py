"""A source's jobs and rejects, as the producer would plan them."""

from __future__ import annotations

from producer.plan import OnDuplicate, Reject, find_users, plan_of
from producer.rows import Source
from schemas.records import Job

__all__ = ["planned"]


def planned(source: Source, on_duplicate: OnDuplicate = OnDuplicate.LAST) -> tuple[list[Job], list[Reject]]:
    users = find_users(source.user_ids())
    entries = list(plan_of(source, "2026-11", "t", users, on_duplicate, lambda: 1))
    return [e for e in entries if isinstance(e, Job)], [e for e in entries if isinstance(e, Reject)]
