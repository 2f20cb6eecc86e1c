"""A source's jobs and rejects, as the producer would plan them."""

from __future__ import annotations

from producer.plan import OnDuplicate, Reject, find_users, plan
from producer.sources import Source
from schemas.records import Job

__all__ = ["planned"]


def planned(source: Source, on_duplicate: OnDuplicate = OnDuplicate.LAST) -> tuple[list[Job], list[Reject]]:
    entries = list(
        plan(
            source.rows(),
            find_users(source.user_ids()),
            month="2026-11",
            template="t",
            on_duplicate=on_duplicate,
            source=source.name,
            snapshot=source.snapshot,
            now_ms=lambda: 1,
        )
    )
    return [e for e in entries if isinstance(e, Job)], [e for e in entries if isinstance(e, Reject)]
